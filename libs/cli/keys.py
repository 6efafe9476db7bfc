"""Who may call, and for what? `cohort keys create|list|revoke`."""

from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli.errors import Failed
from libs.cli.options import Everything, Json, Limit, Yes
from libs.cli.output import count, instant, note, say, show_json, show_table
from libs.cli.paging import listing
from libs.cli.parts import keep_private
from libs.cli.session import can_ask, session_of
from libs.gen.cohort.v1 import admin_pb2
from libs.rpc.scopes import Scope

app = typer.Typer(no_args_is_help=True, help="API keys: make, list and revoke them.")

Project = Annotated[
    str, typer.Option("--project", help="The project, where your key is the operator's. Default: its own.")
]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for: 'shop backend'.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; none implies another. Repeatable. Needed without --operator."),
    ] = None,
    project: Project = "",
    operator: Annotated[
        bool, typer.Option("--operator", help="With --data-dir: a key for everything, in every project.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Make it in this data directory, while no server runs on it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an API key. Its secret is printed this once, alone on stdout, and kept nowhere.

    ingest sends events and customers, read asks, manage changes cohorts, destinations and syncs and
    erases customers, admin makes keys.

    Example: cohort keys create 'shop backend' --scope ingest --scope read
    """
    scopes = [each.value for each in (scope or (list(Scope) if operator else []))]
    if operator and data_dir is None:
        raise Failed(
            "an operator's key is made on the data directory: add --data-dir DIR, with no server on it"
        )
    wanted = admin_pb2.ApiKey(name=name, scopes=scopes, project_id=project)
    if data_dir is not None:
        response = _offline(data_dir, wanted, operator)
    else:
        request = admin_pb2.CreateApiKeyRequest(api_key=wanted, request_id=uuid4().hex)
        response = session_of(context).admin().CreateApiKey(request)
    if as_json:
        show_json(response)
        return
    made = response.api_key
    note(
        f"key {made.key_id} {made.name!r} of project {made.project_id}: {_scopes(made)}. Its secret, this once:"
    )
    say(response.secret)


@app.command("list")
def list_(
    context: typer.Context,
    project: Project = "",
    limit: Limit = 1000,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List API keys, oldest first, revoked ones too. Last uses are a few seconds behind.

    Example: cohort keys list
    """
    request = admin_pb2.ListApiKeysRequest(project_id=project)
    call = session_of(context).admin().ListApiKeys
    response = listing(call, request, "api_keys", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    rows = [
        [
            key.key_id,
            key.name,
            _scopes(key),
            instant(key, "create_time"),
            instant(key, "last_use_time") or "never",
            instant(key, "revoke_time"),
        ]
        for key in response.api_keys
    ]
    show_table(["id", "name", "scopes", "made", "last used", "revoked"], rows)
    if response.next_page_token:
        note(f"the first {count(len(rows))}: --limit N or --all shows more")


@app.command()
def revoke(
    context: typer.Context,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The id of the key, as `cohort keys list` shows it.")
    ],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make an API key useless, at once and for good.

    Example: cohort keys revoke key_0000000001a1b2c3d4
    """
    if can_ask(yes):
        typer.confirm(f"Revoke {key}? Whoever uses it is shut out at once.", abort=True)
    response = session_of(context).admin().RevokeApiKey(admin_pb2.RevokeApiKeyRequest(key_id=key))
    if as_json:
        show_json(response)
        return
    say(f"revoked {response.api_key.key_id} {response.api_key.name!r}")


def _scopes(key: Any) -> str:
    return "operator" if key.operator else ", ".join(key.scopes)


def _offline(data_dir: Path, wanted: Any, operator: bool) -> Any:
    """Make a key without a server."""
    from libs.clock import system_clock
    from libs.errors import Fault
    from libs.storage.directory import Change, Directory
    from libs.storage.failures import StorageError
    from libs.storage.projects import DEFAULT
    from services.ingest.admin import write_key
    from services.ingest.keys import made

    project_id = wanted.project_id or DEFAULT
    try:
        key, secret = made(
            wanted.name, wanted.scopes, project_id=project_id, now=system_clock(), operator=operator
        )
        keep_private()
        directory = Directory(data_dir, writable=True)
    except (StorageError, Fault) as error:
        raise Failed(str(error)) from error

    def change(changes: Change) -> tuple[bytes, bytes]:
        if project_id != DEFAULT and changes.project(project_id) is None:
            raise Failed(f"{data_dir} holds no project {project_id}")
        response = admin_pb2.CreateApiKeyResponse(
            api_key=write_key(changes.add_key(key), None), secret=secret
        )
        return response.SerializeToString(), b""

    try:
        return admin_pb2.CreateApiKeyResponse.FromString(directory.mutate(None, key.create_time, change))
    finally:
        directory.close()
