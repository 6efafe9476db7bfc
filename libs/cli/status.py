"""What does a server hold, and what has it done? `cohort status`."""

import grpc
import typer

from libs.cli.options import Json
from libs.cli.output import instant, note, say, show_json, show_table
from libs.cli.session import Session, session_of
from libs.cli.syncs import state_words
from libs.gen.cohort.v1 import admin_pb2, sync_pb2
from libs.rpc.errors import Failure

UNITS = ("bytes", "KB", "MB", "GB", "TB")
THOUSAND = 1000
LIST_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(context: typer.Context, as_json: Json = False) -> None:
    """Show whether the services serve, what was taken in, calls, syncs, and what log and index take by part.

    The calls are those of the process that answers: of the ingest service where services run on their own. --metrics
    of `serve` shows the same to Prometheus. Memory includes mapped files.

    Example: cohort status
    """
    session = session_of(context)
    response = session.admin().GetStatus(admin_pb2.GetStatusRequest())
    if as_json:
        show_json(response)
        return
    behind = f"{response.lag.ToMilliseconds()} ms behind" if response.lag.ToMilliseconds() else "up to date"
    say(f"version {response.version}, revision {response.revision}, the index is {behind}")
    _show_services(response)
    _show_intake(response)
    rows = [[part.part, size(part.disk_bytes), size(part.memory_bytes)] for part in response.parts]
    total = sum(part.disk_bytes for part in response.parts), sum(part.memory_bytes for part in response.parts)
    show_table(["part", ">disk", ">memory"], [*rows, ["all", *map(size, total)]])
    if response.calls:
        show_table(["calls", ">ended", ">failed", ">half within", ">99% within"], map(_call, response.calls))
    _show_syncs(session)


def _show_services(response: admin_pb2.GetStatusResponse) -> None:
    for each in response.services:
        name = each.service.rpartition(".")[2]
        say(f"{name} serves" if each.serving else f"{name} does not serve: {each.reason}")


def _show_intake(response: admin_pb2.GetStatusResponse) -> None:
    if not response.HasField("intake"):
        return
    taken = response.intake
    say(
        f"since it began: {taken.events_accepted:,} events taken, {taken.events_duplicate:,} duplicates, "
        f"{taken.events_rejected:,} rejected; {taken.customers_accepted:,} profiles taken, "
        f"{taken.customers_rejected:,} rejected; {taken.commits:,} commits, {taken.waiting:,} waiting"
    )


def _call(call: admin_pb2.CallStatus) -> list[str]:
    return [
        f"{call.service}/{call.method}",
        f"{call.calls:,}",
        f"{call.failed:,}" if call.failed else "",
        _milliseconds(call, "median"),
        _milliseconds(call, "p99"),
    ]


def _milliseconds(call: admin_pb2.CallStatus, which: str) -> str:
    return f"{getattr(call, which).ToNanoseconds() / 1e6:g} ms" if call.HasField(which) else "longer"


def _show_syncs(session: Session) -> None:
    """Show every sync with its last run; where the sync service is elsewhere or down, say so and go on."""
    rows: list[list[str]] = []
    token = ""  # nosec B105 # of a page
    try:
        while True:
            page = session.sync().ListSyncs(sync_pb2.ListSyncsRequest(page_token=token), timeout=LIST_SECONDS)
            rows += map(_sync, page.syncs)
            token = page.next_page_token
            if not token:
                break
    except grpc.RpcError as error:
        note(f"syncs are not shown: {Failure.of(error).code.name}; where is --sync-target?")
        return
    if rows:
        show_table(["sync", "state", "last run", "ended", ">added", ">removed"], rows)


def _sync(sync: sync_pb2.Sync) -> list[str]:
    if not sync.HasField("last_run"):
        return [sync.sync_id, state_words(sync), "", "", "", ""]
    run = sync.last_run
    return [
        sync.sync_id,
        state_words(sync),
        sync_pb2.SyncRun.State.Name(run.state).lower(),
        instant(run, "end_time"),
        f"{run.delivered_adds:,}",
        f"{run.delivered_removes:,}",
    ]


def size(number: float) -> str:
    """Write a number of bytes with three digits; nothing for none."""
    if not number:
        return ""
    unit = 0
    while number >= THOUSAND and unit < len(UNITS) - 1:
        number /= THOUSAND
        unit += 1
    return f"{number:.3g} {UNITS[unit]}" if unit else f"{int(number)} bytes"
