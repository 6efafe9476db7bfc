"""How is a destination added that needs more than a line? `cohort destinations add facebook-ads|plugin`.

What is missing is asked for, at a terminal; elsewhere the option is named. An access token is never an argument,
where every process on the machine could read it: it comes from a file, the environment or a hidden prompt.
"""

import os
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from libs.cli.errors import Failed
from libs.cli.options import Json, Yes
from libs.cli.output import say, show_json
from libs.cli.session import can_ask, session_of
from libs.gen.cohort.v1 import sync_pb2

TOKEN_VARIABLE = "COHORT_FACEBOOK_TOKEN"  # nosec B105 # where it is, not what
DEFAULT_KEYS = "EMAIL,PHONE"

TokenFile = Annotated[
    Path | None,
    typer.Option(
        help=f"The file that holds the access token. Else {TOKEN_VARIABLE} is read, or it is asked for."
    ),
]
MatchKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--match-key",
        metavar="KEY[=ATTRIBUTE]",
        help="What people are matched by, as EMAIL or MADID=idfa. Repeatable.",
    ),
]
Limited = Annotated[
    bool | None,
    typer.Option("--limited-data-use/--full-data-use", help="Send rows under Limited Data Use (LDU)."),
]
Country = Annotated[
    str | None,
    typer.Option("--default-country", help="Where phone numbers without a country code are from, as DE."),
]


def register(adding: typer.Typer) -> None:
    """Add the commands to `destinations add`."""
    adding.command("facebook-ads")(add_facebook)
    adding.command("plugin")(add_plugin)


def create(context: typer.Context, destination: sync_pb2.Destination, as_json: bool) -> None:
    """Save a destination and say so."""
    request = sync_pb2.CreateDestinationRequest(destination=destination, request_id=uuid4().hex)
    response = session_of(context).sync().CreateDestination(request)
    if as_json:
        show_json(response)
        return
    say(f"added {response.destination.name!r} as {response.destination.destination_id}")


def add_facebook(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The destination's name, unique in the project.")] = None,
    account: Annotated[str | None, typer.Option(help="The ad account, with or without act_.")] = None,
    match_key: MatchKeys = None,
    token_file: TokenFile = None,
    audience: Annotated[
        str | None,
        typer.Option(
            help="A custom audience there is. Default: each sync has one made, named as its cohort."
        ),
    ] = None,
    limited_data_use: Limited = None,
    default_country: Country = None,
    graph_url: Annotated[
        str | None,
        typer.Option(
            help="Another Graph API, for tests, where the server was started with --insecure or knows its host."
        ),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Add a custom audience of Facebook Ads. Asks for what is missing; the token is never shown again.

    Example: cohort destinations add facebook-ads ads --account 1234567890 --match-key EMAIL --match-key PHONE
    """
    ask = can_ask(yes)
    name = name or _asked(ask, "Name of the destination", "NAME")
    account = account or _asked(ask, "Ad account id", "--account")
    keys = match_key or _asked(ask, "Match keys, with commas in between", "--match-key", DEFAULT_KEYS).split(
        ","
    )
    facebook = sync_pb2.FacebookAdsDestination(
        ad_account_id=account,
        access_token=access_token(token_file, ask),
        audience_id=audience or "",
        limited_data_use=bool(limited_data_use),
        default_country=default_country or "",
        graph_url=graph_url or "",
    )
    set_match_keys(facebook, keys)
    create(context, sync_pb2.Destination(name=name, facebook_ads=facebook), as_json)


def add_plugin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The destination's name, unique in the project.")],
    target: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where a DestinationService is served.")],
    as_json: Json = False,
) -> None:
    """Add a plug-in: anything that serves DestinationService, where the server was told it may be.

    Example: cohort destinations add plugin mailer --target mailer.internal:50060
    """
    plugin = sync_pb2.GrpcDestination(target=target)
    create(context, sync_pb2.Destination(name=name, grpc=plugin), as_json)


def set_match_keys(facebook: sync_pb2.FacebookAdsDestination, keys: list[str]) -> None:
    """Read KEY or KEY=ATTRIBUTE into the message."""
    for key in keys:
        name, _, attribute = key.strip().partition("=")
        name = name.upper().replace("-", "_")
        facebook.match_keys.append(name)
        if attribute:
            facebook.match_attributes[name] = attribute


def access_token(token_file: Path | None, ask: bool) -> str:
    """Return the access token from the file, the environment or a hidden prompt. Raises `Failed`.

    `ask` says whether there is somebody to ask.
    """
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Failed(f"{token_file}: cannot be read: {reason}") from None
    else:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if token:
        return token
    if not ask:
        raise Failed(f"an access token is needed: --token-file FILE, or {TOKEN_VARIABLE} in the environment")
    answer: str = typer.prompt("Access token (not shown)", hide_input=True)
    return answer.strip()


def _asked(ask: bool, question: str, option: str, default: str | None = None) -> str:
    """Return the answer to a question. Raises `Failed` where nobody can be asked."""
    if not ask:
        raise Failed(f"say {option}: nobody is asked with --yes or without a terminal")
    return str(typer.prompt(question, default=default))
