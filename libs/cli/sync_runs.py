"""What do the runs of a sync do, have done and would do? `cohort syncs run|runs|cancel|preview`."""

import re
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any
from uuid import uuid4

import typer
from google.protobuf.duration_pb2 import Duration
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from libs.cli import names
from libs.cli.errors import Failed
from libs.cli.options import Everything, Json, Limit
from libs.cli.output import console, count, duration, instant, note, say, show_json, show_table
from libs.cli.paging import listing
from libs.cli.session import Session, session_of
from libs.gen.cohort.v1 import sync_pb2

POLL_SECONDS = 0.2
"""How often a run is asked about: often enough for a person."""
LINE_SECONDS = 3.0
"""How often progress is told where no terminal shows a bar."""
RUN_ID = re.compile(r"run_[0-9a-f]{22}")

SyncId = Annotated[
    str,
    typer.Argument(metavar="SYNC", help="The sync's id, or the name of its cohort where that has one sync."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to `syncs`."""
    app.command()(preview)
    app.command()(run)
    app.command()(runs)
    app.command()(cancel)


def preview(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Say what a run would do now, and send nothing.

    Example: cohort syncs preview "High spenders"
    """
    session = session_of(context)
    request = sync_pb2.PreviewSyncRequest(sync_id=names.sync_named(session, sync))
    response = session.sync().PreviewSync(request)
    if as_json:
        show_json(response)
        return
    if not (response.adds or response.removes or response.calls):
        say("a run now would send nothing: the destination has what it is to have")
    else:
        effort = f"{count(response.batches, 'batch', 'batches')}, {count(response.calls, 'call')}"
        say(f"a run now would add {count(response.adds)} and remove {count(response.removes)}: {effort}")
    if response.unmatched:
        rows = [[one.reason, count(one.count)] for one in response.unmatched]
        show_table(["left out because", ">customers"], rows)


def run(
    context: typer.Context,
    sync: SyncId,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end; exit with 1 unless it succeeds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a sync now, whatever its schedule.

    Example: cohort syncs run "High spenders" --wait
    """
    session = session_of(context)
    sync_id = names.sync_named(session, sync)
    response: Any = session.sync().RunSync(sync_pb2.RunSyncRequest(sync_id=sync_id, request_id=uuid4().hex))
    if wait:
        response = follow(session, response.run.run_id)
    if as_json:
        show_json(response)
    else:
        say(f"run {response.run.run_id}: {run_words(response.run)}")
    if wait and response.run.state != sync_pb2.SyncRun.SUCCEEDED:
        raise typer.Exit(1)


def runs(
    context: typer.Context,
    sync: SyncId,
    limit: Limit = 20,
    everything: Everything = False,
    followed: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow", help="Follow a run under way to its end. Default: at a terminal."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs of a sync, newest first: what each planned and delivered. Follows the one under way.

    Ctrl-C ends the following, not the run.

    Example: cohort syncs runs "High spenders" --limit 5
    """
    session = session_of(context)
    request = sync_pb2.ListSyncRunsRequest(sync_id=names.sync_named(session, sync))
    response = listing(session.sync().ListSyncRuns, request, "runs", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    titles = ["run", "started", ">took", "state", ">added", ">removed", ">left out", "notes"]
    show_table(titles, [_row(one) for one in response.runs])
    if response.next_page_token:
        note(f"the newest {count(len(response.runs))}: --limit N or --all shows more")
    under_way = [one for one in response.runs if one.state == sync_pb2.SyncRun.RUNNING]
    if under_way and (sys.stdout.isatty() if followed is None else followed):
        ended = follow(session, under_way[0].run_id)
        say(f"run {ended.run.run_id}: {run_words(ended.run)}")


def cancel(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Stop the run of a sync that is under way, behind the batch it is at. What was delivered stays so.

    Example: cohort syncs cancel "High spenders"
    """
    session = session_of(context)
    run_id = sync if RUN_ID.fullmatch(sync) else _under_way(session, names.sync_named(session, sync))
    request = sync_pb2.CancelSyncRunRequest(run_id=run_id, request_id=uuid4().hex)
    response = session.sync().CancelSyncRun(request)
    if as_json:
        show_json(response)
    else:
        say(f"run {run_id} stops behind the batch it is at")


def _under_way(session: Session, sync_id: str) -> str:
    found = session.sync().GetSync(sync_pb2.GetSyncRequest(sync_id=sync_id)).sync
    if found.last_run.state != sync_pb2.SyncRun.RUNNING:
        raise Failed(f"no run of sync {sync_id} is under way")
    return str(found.last_run.run_id)


def follow(session: Session, run_id: str, pause: Callable[[float], None] = time.sleep) -> Any:
    """Show how a run goes on until it has ended, and return its GetSyncRunResponse.

    A bar on stderr where that is a terminal, elsewhere a line every few seconds.
    """
    stub, request = session.sync(), sync_pb2.GetSyncRunRequest(run_id=run_id)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    at_terminal = sys.stderr.isatty()
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not at_terminal) as bar:
        task, told = bar.add_task(run_id, total=None), time.monotonic()
        while True:
            response = stub.GetSyncRun(request)
            if response.run.state != sync_pb2.SyncRun.RUNNING:
                return response
            done, total = progress(response.run)
            bar.update(task, description=_stage(response.run), completed=done, total=total or None)
            if not at_terminal and time.monotonic() - told >= LINE_SECONDS:
                told = time.monotonic()
                note(f"{run_id}: {_stage(response.run)}, {count(done)} of {count(total)}")
            pause(POLL_SECONDS)


def progress(run: Any) -> tuple[int, int]:
    """Return how many changes of a run are settled, and how many there are to settle."""
    total = run.planned_adds + run.planned_removes
    settled = run.delivered_adds + run.delivered_removes + sum(one.count for one in run.rejected)
    return min(settled, total), total


def _stage(run: Any) -> str:
    if not run.revision:
        return "planning"
    return f"delivering, {count(run.attempts, 'call')}" if run.attempts else "delivering"


def _row(run: Any) -> list[str]:
    took = Duration()
    took.FromMilliseconds(max(0, run.end_time.ToMilliseconds() - run.start_time.ToMilliseconds()))
    return [
        run.run_id,
        instant(run, "start_time"),
        duration(took) if run.HasField("end_time") else "",
        state_word(run),
        _of(run.delivered_adds, run.planned_adds),
        _of(run.delivered_removes, run.planned_removes),
        ", ".join(f"{count(one.count)} {one.reason}" for one in run.rejected),
        "; ".join(text for text in (run.error, *run.warnings) if text),
    ]


def _of(delivered: int, planned: int) -> str:
    return count(planned) if delivered == planned else f"{count(delivered)} of {count(planned)}"


def state_word(run: Any) -> str:
    """Write the state of a run."""
    return str(sync_pb2.SyncRun.State.Name(run.state).lower())


def run_words(run: Any, *, warnings: bool = True) -> str:
    """Write how a run stands: `succeeded: 3 of 3 added, 1 of 1 removed`; errors always, warnings if wanted."""
    done = (
        f"{count(run.delivered_adds)} of {count(run.planned_adds)} added, "
        f"{count(run.delivered_removes)} of {count(run.planned_removes)} removed"
    )
    refused = "".join(f", {count(one.count)} {one.reason}" for one in run.rejected)
    said = "".join(f"; {text}" for text in (run.error, *(run.warnings if warnings else ())) if text)
    return f"{state_word(run)}: {done}{refused}{said}"
