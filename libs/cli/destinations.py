"""Where are members sent? `cohort destinations add|list|show|test|update|delete`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli import destination_kinds, names
from libs.cli.destination_kinds import (
    Country,
    Limited,
    MatchKeys,
    TokenFile,
    access_token,
    create,
    set_match_keys,
)
from libs.cli.errors import Failed
from libs.cli.options import Json, Yes
from libs.cli.output import instant, say, show_facts, show_json, show_table
from libs.cli.session import can_ask, session_of
from libs.gen.cohort.v1 import sync_pb2

app = typer.Typer(no_args_is_help=True, help="Manage destinations: where the members of cohorts are sent.")
adding = typer.Typer(no_args_is_help=True, help="Add a destination.")
destination_kinds.register(adding)
app.add_typer(adding, name="add")


class Format(StrEnum):
    """How a file destination writes members."""

    CSV = "csv"
    JSON_LINES = "json-lines"
    PARQUET = "parquet"

    def to_proto(self) -> Any:
        """Return the enum value of the contract."""
        return sync_pb2.FileDestination.Format.Value(self.name)


Named = Annotated[str, typer.Argument(metavar="DESTINATION", help="A destination, by name or id.")]
Name = Annotated[str, typer.Argument(help="The destination's name, unique in the project.")]
Secret = Annotated[
    str | None, typer.Option(help="Sign every page as Standard Webhooks does, with this whsec_… secret.")
]
SecretFile = Annotated[Path | None, typer.Option(help="The file that holds the signing secret.")]


def signing_secret(secret: str | None, secret_file: Path | None) -> str:
    """Return the secret that was given, either way, or ""."""
    if secret_file is None:
        return secret or ""
    if secret:
        raise Failed("say --secret or --secret-file, not both")
    try:
        return secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{secret_file}: cannot be read: {error}") from error


def describe(destination: Any) -> tuple[str, str]:
    """Return what type a destination is, and where it leads."""
    kind = destination.WhichOneof("type")
    if kind == "webhook":
        return "webhook", destination.webhook.url
    if kind == "file":
        written = sync_pb2.FileDestination.Format.Name(destination.file.format)
        return f"file ({written.lower().replace('_', '-')})", destination.file.path
    if kind == "facebook_ads":
        return "facebook ads", f"act_{destination.facebook_ads.ad_account_id}"
    return ("plug-in", destination.grpc.target) if kind == "grpc" else ("", "")


def facebook_facts(facebook: Any) -> list[tuple[str, str]]:
    """Return what a Facebook Ads destination has beside its account."""
    attributes = facebook.match_attributes
    keys = [f"{key}={attributes[key]}" if key in attributes else key for key in facebook.match_keys]
    return [
        ("audience", facebook.audience_id or "one made for each sync"),
        ("match keys", ", ".join(keys)),
        ("limited data use", "yes" if facebook.limited_data_use else "no"),
        *([("default country", facebook.default_country)] if facebook.default_country else []),
        *([("graph url", facebook.graph_url)] if facebook.graph_url else []),
    ]


@adding.command("webhook")
def add_webhook(
    context: typer.Context,
    name: Name,
    url: Annotated[str, typer.Option(help="Where pages of adds and removes are posted: http or https.")],
    secret: Secret = None,
    secret_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Add an HTTP endpoint that takes JSON pages of adds and removes.

    Example: cohort destinations add webhook crm --url https://crm.example/cohort --secret-file crm.secret
    """
    webhook = sync_pb2.WebhookDestination(url=url, signing_secret=signing_secret(secret, secret_file))
    create(context, sync_pb2.Destination(name=name, webhook=webhook), as_json)


@adding.command("file")
def add_file(
    context: typer.Context,
    name: Name,
    path: Annotated[
        str, typer.Option(help="An absolute path on the machine of the sync service, or a URL such as s3://.")
    ],
    file_format: Annotated[Format, typer.Option("--format", help="How members are written.")] = Format.CSV,
    as_json: Json = False,
) -> None:
    """Add a file that every run replaces by the full set of members.

    Example: cohort destinations add file nightly --path /srv/audiences/lapsed.csv --format csv
    """
    file = sync_pb2.FileDestination(path=path, format=file_format.to_proto())
    create(context, sync_pb2.Destination(name=name, file=file), as_json)


@app.command("list")
def list_destinations(context: typer.Context, as_json: Json = False) -> None:
    """List the destinations by name.

    Example: cohort destinations list
    """
    response = names.destinations(session_of(context))
    if as_json:
        show_json(response)
        return
    rows = [[one.name, one.destination_id, *describe(one)] for one in response.destinations]
    show_table(["name", "id", "type", "where"], rows)


@app.command()
def show(context: typer.Context, destination: Named, as_json: Json = False) -> None:
    """Show a destination. Secrets are never shown.

    Example: cohort destinations show crm
    """
    session = session_of(context)
    found = names.destination_named(session, destination)
    request = sync_pb2.GetDestinationRequest(destination_id=found.destination_id)
    response = session.sync().GetDestination(request)
    if as_json:
        show_json(response)
        return
    shown = response.destination
    kind, where = describe(shown)
    facts = [("name", shown.name), ("id", shown.destination_id), ("type", kind), ("where", where)]
    if kind == "facebook ads":
        facts += facebook_facts(shown.facebook_ads)
    show_facts(
        [*facts, ("created", instant(shown, "create_time")), ("updated", instant(shown, "update_time"))]
    )


@app.command("test")
def try_out(context: typer.Context, destination: Named, as_json: Json = False) -> None:
    """Try a destination without sending any customer. Exits with 1 where it does not work.

    Example: cohort destinations test crm
    """
    session = session_of(context)
    found = names.destination_named(session, destination)
    request = sync_pb2.TestDestinationRequest(destination_id=found.destination_id)
    response = session.sync().TestDestination(request)
    if as_json:
        show_json(response)
    else:
        say(f"{'works' if response.ok else 'does not work'}: {response.message}")
    if not response.ok:
        raise typer.Exit(1)


@app.command()
def update(
    context: typer.Context,
    destination: Named,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    url: Annotated[str | None, typer.Option(help="The new address of a webhook.")] = None,
    secret: Secret = None,
    secret_file: SecretFile = None,
    path: Annotated[str | None, typer.Option(help="The new path of a file.")] = None,
    file_format: Annotated[Format | None, typer.Option("--format", help="The new format of a file.")] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Give Facebook Ads another access token, read as on add.")
    ] = False,
    token_file: TokenFile = None,
    match_key: MatchKeys = None,
    limited_data_use: Limited = None,
    default_country: Country = None,
    as_json: Json = False,
) -> None:
    """Change the name or the settings of a destination.

    Example: cohort destinations update crm --url https://crm.example/v2/cohort
    """
    session = session_of(context)
    changed, paths = sync_pb2.Destination(), []
    new_secret = signing_secret(secret, secret_file)
    if name is not None:
        changed.name = name
        paths.append("name")
    if url is not None:
        changed.webhook.url = url
        paths.append("webhook.url")
    if new_secret:
        changed.webhook.signing_secret = new_secret
        paths.append("webhook.signing_secret")
    files = sync_pb2.FileDestination()
    if path is not None:
        files.path = path
        paths.append("file.path")
    if file_format is not None:
        files.format = file_format.to_proto()
        paths.append("file.format")
    facebook, facebook_paths = _facebook_changes(
        new_token or token_file is not None, token_file, match_key, limited_data_use, default_country
    )
    paths += facebook_paths
    if len({one.partition(".")[0] for one in paths if "." in one}) > 1:
        raise Failed(
            "--url and --secret are for webhooks, --path and --format for files, the rest for Facebook Ads: "
            "say one kind"
        )
    if not paths:
        raise Failed("nothing to change: `cohort destinations update --help` says what can be")
    if any(one.startswith("file") for one in paths):
        changed.file.CopyFrom(files)
    if facebook_paths:
        changed.facebook_ads.CopyFrom(facebook)
    changed.destination_id = names.destination_named(session, destination).destination_id
    request = sync_pb2.UpdateDestinationRequest(destination=changed, request_id=uuid4().hex)
    request.update_mask.paths.extend(paths)
    response = session.sync().UpdateDestination(request)
    if as_json:
        show_json(response)
        return
    say(f"updated {response.destination.name!r}")


def _facebook_changes(
    new_token: bool,
    token_file: Path | None,
    match_key: list[str] | None,
    limited_data_use: bool | None,
    default_country: str | None,
) -> tuple[sync_pb2.FacebookAdsDestination, list[str]]:
    """Return what is to change of a Facebook Ads destination, and its paths."""
    facebook, paths = sync_pb2.FacebookAdsDestination(), []
    if new_token:
        facebook.access_token = access_token(token_file, can_ask(False))
        paths.append("access_token")
    if match_key:
        set_match_keys(facebook, match_key)
        paths += ["match_keys", "match_attributes"]
    if limited_data_use is not None:
        facebook.limited_data_use = limited_data_use
        paths.append("limited_data_use")
    if default_country is not None:
        facebook.default_country = default_country
        paths.append("default_country")
    return facebook, [f"facebook_ads.{path}" for path in paths]


@app.command()
def delete(context: typer.Context, destination: Named, yes: Yes = False) -> None:
    """Delete a destination that no sync uses.

    Example: cohort destinations delete crm --yes
    """
    session = session_of(context)
    found = names.destination_named(session, destination)
    if can_ask(yes):
        typer.confirm(f"Delete the destination {found.name!r}?", abort=True)
    request = sync_pb2.DeleteDestinationRequest(destination_id=found.destination_id, request_id=uuid4().hex)
    session.sync().DeleteDestination(request)
    say(f"deleted {found.name!r}")
