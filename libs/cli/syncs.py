"""How is a cohort kept in step with a destination? `cohort syncs …`; the runs are `libs.cli.sync_runs`."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli import names, sync_runs
from libs.cli.errors import Failed
from libs.cli.options import Json, Yes
from libs.cli.output import instant, say, show_facts, show_json, show_table
from libs.cli.paging import joined
from libs.cli.schedules import (
    Around,
    CatchUpOption,
    CronOption,
    DailyOption,
    EveryOption,
    HourlyOption,
    JitterOption,
    OnceOption,
    Rhythm,
    WeeklyOption,
    ZoneOption,
    schedule_words,
    span_words,
)
from libs.cli.session import Session, can_ask, session_of
from libs.cli.sync_runs import SyncId, run_words
from libs.gen.cohort.v1 import sync_pb2

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


ModeOption = Annotated[Mode | None, typer.Option("--mode", help="What a run sends. Default: mirror.")]
Guard = Annotated[
    float | None,
    typer.Option(
        "--max-remove-fraction", min=0, max=1, help="Fail a run that would remove more than this, 0 to 1."
    ),
]
NoGuard = Annotated[bool, typer.Option("--no-guard", help="Remove as many as it takes, from now on.")]


@app.command()
def add(
    context: typer.Context,
    cohort: Annotated[str, typer.Argument(help="A saved cohort, by name or id.")],
    destination: Annotated[str, typer.Argument(help="A destination, by name or id.")],
    every: EveryOption = None,
    hourly: HourlyOption = False,
    daily: DailyOption = None,
    weekly: WeeklyOption = None,
    cron: CronOption = None,
    once: OnceOption = False,
    time_zone: ZoneOption = None,
    jitter: JitterOption = None,
    catch_up: CatchUpOption = None,
    mode: ModeOption = None,
    max_remove_fraction: Guard = None,
    as_json: Json = False,
) -> None:
    """Keep a destination in step with a cohort. The first run is the next scheduled one; --once runs at once.

    Example: cohort syncs add "High spenders" crm --daily 09:00 --time-zone Europe/Berlin

    Example: cohort syncs add "High spenders" ads --cron '30 8 * * MON-FRI' --jitter 10m
    """
    session = session_of(context)
    sync = sync_pb2.Sync(max_remove_fraction=max_remove_fraction)
    if not Rhythm(every, hourly, daily, weekly, cron, once).put(sync.schedule):
        raise Failed("say when it runs: --every 15m, --hourly, --daily, --weekly, --cron or --once")
    Around(time_zone, jitter, catch_up).put(sync.schedule)
    sync.cohort_id = names.cohort_named(session, cohort).cohort_id
    sync.destination_id = names.destination_named(session, destination).destination_id
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
            run_words(one.last_run, warnings=False) if one.HasField("last_run") else "never run",
        ]
        for one in response.syncs
    ]
    show_table(["id", "cohort", "destination", "schedule", "state", "next run", "last run"], rows)


@app.command()
def show(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Show a sync.

    Example: cohort syncs show "High spenders"
    """
    session = session_of(context)
    sync_id = names.sync_named(session, sync)
    response = session.sync().GetSync(sync_pb2.GetSyncRequest(sync_id=sync_id))
    if as_json:
        show_json(response)
        return
    cohorts = {one.cohort_id: one.name for one in names.cohorts(session).cohorts}
    destinations = {one.destination_id: one.name for one in names.destinations(session).destinations}
    show_facts(_facts(response.sync, cohorts, destinations))


def _facts(sync: Any, cohorts: dict[str, str], destinations: dict[str, str]) -> list[tuple[str, str]]:
    guard = f"{sync.max_remove_fraction:g} of those delivered" if sync.HasField("max_remove_fraction") else ""
    return [
        ("id", sync.sync_id),
        ("cohort", _named(cohorts, sync.cohort_id)),
        ("destination", _named(destinations, sync.destination_id)),
        ("schedule", schedule_words(sync.schedule)),
        ("catches up", _window_words(sync.schedule)),
        ("mode", sync_pb2.Sync.Mode.Name(sync.mode).lower().replace("_", "-")),
        ("removes at most", guard),
        ("state", state_words(sync)),
        ("next run", instant(sync, "next_run_time")),
        ("last run", run_words(sync.last_run) if sync.HasField("last_run") else "never run"),
    ]


def _window_words(schedule: Any) -> str:
    if not schedule.HasField("catchup_window"):
        return ""
    window = schedule.catchup_window
    return f"runs missed by up to {span_words(window)}" if window.ToMilliseconds() else "never"


def _named(names_by_id: dict[str, str], wanted: str) -> str:
    name = names_by_id.get(wanted)
    return f"{name} ({wanted})" if name else wanted


sync_runs.register(app)


@app.command()
def pause(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Stop the schedule of a sync until it is resumed. A run under way goes on.

    Example: cohort syncs pause "High spenders"
    """
    sync_id = names.sync_named(session_of(context), sync)
    request = sync_pb2.PauseSyncRequest(sync_id=sync_id, request_id=uuid4().hex)
    _changed(session_of(context).sync().PauseSync(request), as_json)


@app.command()
def resume(context: typer.Context, sync: SyncId, as_json: Json = False) -> None:
    """Start the schedule of a sync again, from now.

    Example: cohort syncs resume "High spenders"
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
    weekly: WeeklyOption = None,
    cron: CronOption = None,
    once: OnceOption = False,
    time_zone: ZoneOption = None,
    jitter: JitterOption = None,
    catch_up: CatchUpOption = None,
    mode: ModeOption = None,
    max_remove_fraction: Guard = None,
    no_guard: NoGuard = False,
    as_json: Json = False,
) -> None:
    """Change the schedule, the mode or the guard of a sync, at once. What is not said stays as it is.

    Example: cohort syncs edit "High spenders" --every 30m

    Example: cohort syncs edit "High spenders" --jitter 0s --no-guard
    """
    session = session_of(context)
    rhythm = Rhythm(every, hourly, daily, weekly, cron, once)
    around = Around(time_zone, jitter, catch_up)
    request = sync_pb2.UpdateSyncRequest(request_id=uuid4().hex)
    request.sync.sync_id = names.sync_named(session, sync)
    if rhythm != Rhythm() or around != Around():
        _put_schedule(session, request, rhythm, around)
    if mode is not None:
        request.sync.mode = mode.to_proto()
        request.update_mask.paths.append("mode")
    if max_remove_fraction is not None and no_guard:
        raise Failed("say --max-remove-fraction or --no-guard")
    if max_remove_fraction is not None:
        request.sync.max_remove_fraction = max_remove_fraction
    if max_remove_fraction is not None or no_guard:
        request.update_mask.paths.append("max_remove_fraction")
    if not request.update_mask.paths:
        raise Failed("nothing to change: say a schedule, --mode, --max-remove-fraction or --no-guard")
    _changed(session.sync().UpdateSync(request), as_json)


def _put_schedule(session: Session, request: Any, rhythm: Rhythm, around: Around) -> None:
    """Put the schedule there is, with what is to change of it, into an UpdateSyncRequest."""
    current = session.sync().GetSync(sync_pb2.GetSyncRequest(sync_id=request.sync.sync_id)).sync
    request.sync.schedule.CopyFrom(current.schedule)
    request.sync.etag = current.etag
    rhythm.put(request.sync.schedule)
    if request.sync.schedule.WhichOneof("schedule") == "once":
        request.sync.schedule.ClearField("jitter")
    around.put(request.sync.schedule)
    request.update_mask.paths.append("schedule")


@app.command()
def delete(context: typer.Context, sync: SyncId, yes: Yes = False) -> None:
    """Delete a sync. The destination keeps the members it has.

    Example: cohort syncs delete "High spenders" --yes
    """
    if can_ask(yes):
        typer.confirm(f"Delete the sync {sync}? The destination keeps its members.", abort=True)
    sync_id = names.sync_named(session_of(context), sync)
    request = sync_pb2.DeleteSyncRequest(sync_id=sync_id, request_id=uuid4().hex)
    session_of(context).sync().DeleteSync(request)
    say(f"deleted sync {sync}")


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
