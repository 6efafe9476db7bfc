"""Where are members sent? `cohort destinations add|list|show|test|update|delete`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli import names
from libs.cli.errors import Failed
from libs.cli.options import Json, Yes
from libs.cli.output import instant, say, show_facts, show_json, show_table
from libs.cli.session import can_ask, session_of
from libs.gen.cohort.v1 import sync_pb2

app = typer.Typer(no_args_is_help=True, help="Manage destinations: where the members of cohorts are sent.")
adding = typer.Typer(no_args_is_help=True, help="Add a destination: a webhook or a file.")
app.add_typer(adding, name="add")


class Format(StrEnum):
    """How a file destination writes members."""

    CSV = "csv"
    JSON_LINES = "json-lines"

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
        return "facebook ads", destination.facebook_ads.ad_account_id
    return ("grpc", destination.grpc.target) if kind == "grpc" else ("", "")


def _create(context: typer.Context, destination: Any, as_json: bool) -> None:
    request = sync_pb2.CreateDestinationRequest(destination=destination, request_id=uuid4().hex)
    response = session_of(context).sync().CreateDestination(request)
    if as_json:
        show_json(response)
        return
    say(f"added {response.destination.name!r} as {response.destination.destination_id}")


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
    _create(context, sync_pb2.Destination(name=name, webhook=webhook), as_json)


@adding.command("file")
def add_file(
    context: typer.Context,
    name: Name,
    path: Annotated[str, typer.Option(help="An absolute path on the machine of the sync service.")],
    file_format: Annotated[Format, typer.Option("--format", help="How members are written.")] = Format.CSV,
    as_json: Json = False,
) -> None:
    """Add a file that every run replaces by the full set of members.

    Example: cohort destinations add file nightly --path /srv/audiences/lapsed.csv --format csv
    """
    file = sync_pb2.FileDestination(path=path, format=file_format.to_proto())
    _create(context, sync_pb2.Destination(name=name, file=file), as_json)


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
    as_json: Json = False,
) -> None:
    """Change the name or the settings of a destination.

    Example: cohort destinations update crm --url https://crm.example/v2/cohort
    """
    session = session_of(context)
    changed = sync_pb2.Destination()
    paths = []
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
    if (paths and paths[-1].startswith("webhook")) and (path is not None or file_format is not None):
        raise Failed("--url and --secret are for webhooks, --path and --format for files: say one kind")
    if path is not None:
        changed.file.path = path
        paths.append("file.path")
    if file_format is not None:
        changed.file.format = file_format.to_proto()
        paths.append("file.format")
    if not paths:
        raise Failed("nothing to change: say --name, --url, --secret, --path or --format")
    changed.destination_id = names.destination_named(session, destination).destination_id
    request = sync_pb2.UpdateDestinationRequest(destination=changed, request_id=uuid4().hex)
    request.update_mask.paths.extend(paths)
    response = session.sync().UpdateDestination(request)
    if as_json:
        show_json(response)
        return
    say(f"updated {response.destination.name!r}")


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
