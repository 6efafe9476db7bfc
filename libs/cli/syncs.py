"""How is a cohort kept in step with a destination? `cohort syncs …`."""

import time
from enum import StrEnum
from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli import names
from libs.cli.errors import Failed
from libs.cli.options import Everything, Json, Limit, Yes
from libs.cli.output import count, instant, note, say, show_facts, show_json, show_table
from libs.cli.paging import joined, listing
from libs.cli.schedules import (
    DailyOption,
    EveryOption,
    HourlyOption,
    OnceOption,
    ZoneOption,
    schedule_of,
    schedule_words,
)
from libs.cli.session import Session, can_ask, session_of
from libs.gen.cohort.v1 import sync_pb2

POLL_SECONDS = 0.2
"""How often --wait asks how a run goes on: often enough for a person."""

app = typer.Typer(
    no_args_is_help=True, help="Keep destinations in step with cohorts: schedules, runs, results."
)


class Mode(StrEnum):
    """What a run sends."""

    MIRROR = "mirror"
    ADD_ONLY = "add-only"
    REPLACE = "replace"

    def to_proto(self) -> Any:
        """Return the enum value of the contract."""
        return sync_pb2.Sync.Mode.Value(self.name)


SyncId = Annotated[
    str,
    typer.Argument(metavar="SYNC", help="The sync's id, or the name of its cohort where that has one sync."),
]
ModeOption = Annotated[Mode | None, typer.Option("--mode", help="What a run sends. Default: mirror.")]
Guard = Annotated[
    float | None,
    typer.Option(
        "--max-remove-fraction", min=0, max=1, help="Fail a run that would remove more than this, 0 to 1."
    ),
]


@app.command()
def add(
    context: typer.Context,
    cohort: Annotated[str, typer.Argument(help="A saved cohort, by name or id.")],
    destination: Annotated[str, typer.Argument(help="A destination, by name or id.")],
    every: EveryOption = None,
    hourly: HourlyOption = False,
    daily: DailyOption = None,
    once: OnceOption = False,
    time_zone: ZoneOption = None,
    mode: ModeOption = None,
    max_remove_fraction: Guard = None,
    as_json: Json = False,
) -> None:
    """Keep a destination in step with a cohort. The first run is the next scheduled one; --once runs at once.

    Example: cohort syncs add "High spenders" crm --daily 09:00 --time-zone Europe/Berlin
    """
    session = session_of(context)
    schedule = schedule_of(every, hourly, daily, once, time_zone)
    if schedule is None:
        raise Failed("say when it runs: --every 15m, --hourly, --daily 09:00 or --once")
    sync = sync_pb2.Sync(
        cohort_id=names.cohort_named(session, cohort).cohort_id,
        destination_id=names.destination_named(session, destination).destination_id,
        schedule=schedule,
        max_remove_fraction=max_remove_fraction,
    )
    if mode is not None:
        sync.mode = mode.to_proto()
    response = session.sync().CreateSync(sync_pb2.CreateSyncRequest(sync=sync, request_id=uuid4().hex))
    if as_json:
        show_json(response)
        return
    say(f"added sync {response.sync.sync_id}: {schedule_words(response.sync.schedule)}{_next(response.sync)}")


@app.command("list")
def list_syncs(context: typer.Context, as_json: Json = False) -> None:
    """List the syncs, oldest first, with their last runs.

    Example: cohort syncs list
    """
    session = session_of(context)
    response = joined(session.sync().ListSyncs, sync_pb2.ListSyncsRequest(), "syncs")
    if as_json:
        show_json(response)
        return
    cohorts = {one.cohort_id: one.name for one in names.cohorts(session).cohorts}
    destinations = {one.destination_id: one.name for one in names.destinations(session).destinations}
    rows = [
        [
            one.sync_id,
            cohorts.get(one.cohort_id, one.cohort_id),
            destinations.get(one.destination_id, one.destination_id),
            schedule_words(one.schedule),
            state_words(one),
            instant(one, "next_run_time"),
            run_words(one.last_run) if one.HasField("last_run") else "never run",
        ]
        for one in response.syncs
    ]
    show_table(["id", "cohort", "destination", "schedule", "state", "next run", "last run"], rows)


@app.command()
def show(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Show a sync.

    Example: cohort syncs show 01J8ZQ
    """
    sync_id = names.sync_named(session_of(context), sync)
    response = session_of(context).sync().GetSync(sync_pb2.GetSyncRequest(sync_id=sync_id))
    if as_json:
        show_json(response)
        return
    shown = response.sync
    guard = f"{shown.max_remove_fraction:g}" if shown.HasField("max_remove_fraction") else ""
    facts = [
        ("id", shown.sync_id),
        ("cohort", shown.cohort_id),
        ("destination", shown.destination_id),
        ("schedule", schedule_words(shown.schedule)),
        ("mode", sync_pb2.Sync.Mode.Name(shown.mode).lower().replace("_", "-")),
        ("removes at most", guard),
        ("state", state_words(shown)),
        ("next run", instant(shown, "next_run_time")),
        ("last run", run_words(shown.last_run) if shown.HasField("last_run") else "never run"),
    ]
    show_facts(facts)


@app.command()
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
    sync_id = names.sync_named(session_of(context), sync)
    response: Any = session.sync().RunSync(sync_pb2.RunSyncRequest(sync_id=sync_id, request_id=uuid4().hex))
    if wait:
        response = wait_for(session, response.run.run_id)
    if as_json:
        show_json(response)
    else:
        say(f"run {response.run.run_id}: {run_words(response.run)}")
    if wait and response.run.state != sync_pb2.SyncRun.SUCCEEDED:
        raise typer.Exit(1)


def wait_for(session: Session, run_id: str) -> Any:
    """Return the GetSyncRunResponse of a run that has ended."""
    stub = session.sync()
    while True:
        response = stub.GetSyncRun(sync_pb2.GetSyncRunRequest(run_id=run_id))
        if response.run.state != sync_pb2.SyncRun.RUNNING:
            return response
        time.sleep(POLL_SECONDS)


@app.command()
def pause(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Stop the schedule of a sync until it is resumed. A run under way goes on.

    Example: cohort syncs pause 01J8ZQ
    """
    sync_id = names.sync_named(session_of(context), sync)
    request = sync_pb2.PauseSyncRequest(sync_id=sync_id, request_id=uuid4().hex)
    _changed(session_of(context).sync().PauseSync(request), as_json)


@app.command()
def resume(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Start the schedule of a sync again, from now.

    Example: cohort syncs resume 01J8ZQ
    """
    sync_id = names.sync_named(session_of(context), sync)
    request = sync_pb2.ResumeSyncRequest(sync_id=sync_id, request_id=uuid4().hex)
    _changed(session_of(context).sync().ResumeSync(request), as_json)


@app.command()
def edit(
    context: typer.Context,
    sync: SyncId,
    every: EveryOption = None,
    hourly: HourlyOption = False,
    daily: DailyOption = None,
    once: OnceOption = False,
    time_zone: ZoneOption = None,
    mode: ModeOption = None,
    max_remove_fraction: Guard = None,
    as_json: Json = False,
) -> None:
    """Change the schedule, the mode or the guard of a sync. Takes effect at once.

    Example: cohort syncs edit 01J8ZQ --every 30m
    """
    schedule = schedule_of(every, hourly, daily, once, time_zone)
    request = sync_pb2.UpdateSyncRequest(request_id=uuid4().hex)
    sync_id = names.sync_named(session_of(context), sync)
    request.sync.sync_id = sync_id
    if schedule is not None:
        request.sync.schedule.CopyFrom(schedule)
        request.update_mask.paths.append("schedule")
    if mode is not None:
        request.sync.mode = mode.to_proto()
        request.update_mask.paths.append("mode")
    if max_remove_fraction is not None:
        request.sync.max_remove_fraction = max_remove_fraction
        request.update_mask.paths.append("max_remove_fraction")
    if not request.update_mask.paths:
        raise Failed("nothing to change: say a schedule, --mode or --max-remove-fraction")
    _changed(session_of(context).sync().UpdateSync(request), as_json)


@app.command()
def delete(context: typer.Context, sync: SyncId, yes: Yes = False) -> None:
    """Delete a sync. The destination keeps the members it has.

    Example: cohort syncs delete 01J8ZQ --yes
    """
    if can_ask(yes):
        typer.confirm(f"Delete the sync {sync}? The destination keeps its members.", abort=True)
    sync_id = names.sync_named(session_of(context), sync)
    request = sync_pb2.DeleteSyncRequest(sync_id=sync_id, request_id=uuid4().hex)
    session_of(context).sync().DeleteSync(request)
    say(f"deleted sync {sync}")


@app.command()
def runs(
    context: typer.Context,
    sync: SyncId,
    limit: Limit = 20,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List the runs of a sync, newest first: what each planned and delivered.

    Example: cohort syncs runs 01J8ZQ --limit 5
    """
    sync_id = names.sync_named(session_of(context), sync)
    request = sync_pb2.ListSyncRunsRequest(sync_id=sync_id)
    call = session_of(context).sync().ListSyncRuns
    response = listing(call, request, "runs", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    rows = [
        [one.run_id, instant(one, "start_time"), instant(one, "end_time"), run_words(one)]
        for one in response.runs
    ]
    show_table(["run", "started", "ended", "result"], rows)
    if response.next_page_token:
        note(f"the newest {count(len(response.runs))}: --limit N or --all shows more")


def _changed(response: Any, as_json: bool) -> None:
    if as_json:
        show_json(response)
        return
    sync = response.sync
    say(f"sync {sync.sync_id} is {state_words(sync)}: {schedule_words(sync.schedule)}{_next(sync)}")


def _next(sync: Any) -> str:
    when = instant(sync, "next_run_time")
    return f", next run {when}" if when else ""


def state_words(sync: Any) -> str:
    """Write the state of a sync, and why it is so."""
    state = sync_pb2.Sync.State.Name(sync.state).lower()
    return f"{state} ({sync.state_reason})" if sync.state_reason else state


def run_words(run: Any) -> str:
    """Write how a run stands: `succeeded: 3 of 3 added, 1 of 1 removed`."""
    state = sync_pb2.SyncRun.State.Name(run.state).lower()
    done = (
        f"{count(run.delivered_adds)} of {count(run.planned_adds)} added, "
        f"{count(run.delivered_removes)} of {count(run.planned_removes)} removed"
    )
    refused = "".join(f", {count(one.count)} {one.reason}" for one in run.rejected)
    said = "".join(f"; {text}" for text in (run.error, *run.warnings) if text)
    return f"{state}: {done}{refused}{said}"
