"""Do syncs run when their schedules say so: at once behind a change, across stops, sleeps and steps of the clock?"""

import asyncio
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from libs.logs import Level, configure
from tests.contract.sync.harness import Json, StepClock, SyncHarness, until
from tests.fakes.webhook import Answer, WebhookReceiver

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z, a Thursday
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.fixture
def clock() -> StepClock:
    return StepClock(NOON)


@pytest.fixture
def receiver():
    with WebhookReceiver() as started:  # unsigned: signatures of a clock that stands still are too old
        yield started


@pytest.fixture
def said() -> Iterator[StringIO]:
    """What is logged."""
    lines, before = StringIO(), structlog.get_config()
    configure(Level.INFO, lines, keep=False)
    yield lines
    structlog.configure(**before)


@pytest.fixture
async def sync(tmp_path, cohorts, clock):
    harness = SyncHarness(tmp_path / "data", cohorts, clock=clock)
    await harness.start()
    yield harness
    await harness.stop()


async def shown(sync: SyncHarness, sync_id: str) -> Json:
    found: Json = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
    return found


async def run_states(sync: SyncHarness, sync_id: str, least: int = 0) -> list[str]:
    """Return the states of the runs, newest first, when there are so many and none is under way."""
    async with asyncio.timeout(15):
        while True:
            runs = (await sync.call("ListSyncRuns", {"syncId": sync_id})).get("runs", [])
            states = [run["state"] for run in runs]
            if "RUNNING" not in states and len(states) >= least:
                return states
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    ("schedule", "next_run"),
    [
        ({"weekly": {"day": "MONDAY", "time": "09:00"}}, "2026-01-05T09:00:00Z"),
        ({"weekly": {"day": "THURSDAY", "time": "12:00"}}, "2026-01-08T12:00:00Z"),
        ({"weekly": {"day": "SUNDAY", "time": "09:00"}, "timeZone": "Asia/Kolkata"}, "2026-01-04T03:30:00Z"),
        ({"cron": {"expression": "*/15 * * * *"}}, "2026-01-01T12:15:00Z"),
        ({"cron": {"expression": "30 9 * * 7"}, "timeZone": "Europe/Berlin"}, "2026-01-04T08:30:00Z"),
        ({"cron": {"expression": "30 9 * * 0"}, "timeZone": "Europe/Berlin"}, "2026-01-04T08:30:00Z"),
        ({"cron": {"expression": "0 0 1 feb *"}, "catchupWindow": "0s"}, "2026-02-01T00:00:00Z"),
    ],
)
async def test_every_schedule_comes_back_as_it_was_sent(sync, cohorts, receiver, schedule, next_run):
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver), schedule=schedule)
    assert (made["schedule"], made["nextRunTime"]) == (schedule, next_run)
    await sync.restart()
    assert await shown(sync, made["syncId"]) == made


async def test_jitter_is_in_the_time_shown_and_stays_the_same(sync, cohorts, receiver, clock):
    schedule = {"daily": {"time": "13:00"}, "jitter": "1800s"}
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver), schedule=schedule)
    assert made["schedule"] == schedule
    assert "2026-01-01T13:00:00" <= made["nextRunTime"] < "2026-01-01T13:30:00"
    await sync.restart()
    assert (await shown(sync, made["syncId"]))["nextRunTime"] == made["nextRunTime"]
    await sync.call("PauseSync", {"syncId": made["syncId"]})
    resumed = (await sync.call("ResumeSync", {"syncId": made["syncId"]}))["sync"]
    assert resumed["nextRunTime"] == made["nextRunTime"]
    clock.now = NOON + 90 * MINUTE
    await sync.app._runner._fall_due(made["syncId"])
    assert await run_states(sync, made["syncId"]) == ["SUCCEEDED"]
    assert (await shown(sync, made["syncId"]))["nextRunTime"].startswith("2026-01-02T13:")


async def test_another_schedule_takes_effect_at_once(sync, cohorts, receiver, clock):
    made = await sync.sync(
        cohorts.add_cohort("C"),
        await sync.webhook(receiver),
        schedule={"weekly": {"day": 1, "time": "09:00"}},
    )
    sync_id = made["syncId"]
    change = {"syncId": sync_id, "schedule": {"every": {"duration": "60s"}}}
    updated = (await sync.call("UpdateSync", {"sync": change, "updateMask": "schedule"}))["sync"]
    assert updated["nextRunTime"] == "2026-01-01T12:01:00Z"
    clock.now += MINUTE
    sync.app._runner.follow(sync_id)  # the real timer waits by the real clock; this one stands still
    assert await run_states(sync, sync_id, least=1) == ["SUCCEEDED"]


async def test_a_paused_sync_runs_by_hand_only_and_takes_changes(sync, cohorts, receiver, clock):
    made = await sync.sync(cohorts.add_cohort("C", ["ann"]), await sync.webhook(receiver))
    sync_id = made["syncId"]
    await sync.call("PauseSync", {"syncId": sync_id})
    change = {"syncId": sync_id, "schedule": {"daily": {"time": "18:00"}}}
    updated = (await sync.call("UpdateSync", {"sync": change, "updateMask": "schedule"}))["sync"]
    assert updated["state"] == "PAUSED"
    assert "nextRunTime" not in updated
    clock.now += DAY
    await sync.app._runner._fall_due(sync_id)
    await sync.restart()
    assert await run_states(sync, sync_id) == []
    assert (await sync.run(sync_id))["deliveredAdds"] == 1
    assert (await shown(sync, sync_id))["state"] == "PAUSED"
    resumed = (await sync.call("ResumeSync", {"syncId": sync_id}))["sync"]
    assert (resumed["state"], resumed["nextRunTime"]) == ("ACTIVE", "2026-01-02T18:00:00Z")
    assert await run_states(sync, sync_id) == ["SUCCEEDED"], "what fell due while paused is not made up for"


async def test_a_run_under_way_goes_on_while_its_sync_is_paused(sync, cohorts, receiver):
    made = await sync.sync(cohorts.add_cohort("C", ["ann"]), await sync.webhook(receiver))
    receiver.misbehave(Answer(hang=True))
    run = (await sync.call("RunSync", {"syncId": made["syncId"]}))["run"]
    await until(lambda: receiver.calls)
    await sync.call("PauseSync", {"syncId": made["syncId"]})
    receiver.release()
    assert (await sync.ended(run["runId"]))["state"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("slept", "window", "runs"), [(59, None, 1), (61, None, 0), (61, "7200s", 1), (1, "0s", 1), (2, "0s", 0)]
)
async def test_a_timer_that_goes_off_too_late_is_let_go(sync, cohorts, receiver, clock, slept, window, runs):
    schedule = {"daily": {"time": "13:00"}, **({"catchupWindow": window} if window else {})}
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver), schedule=schedule)
    clock.now = NOON + HOUR + slept * MINUTE
    await sync.app._runner._fall_due(made["syncId"])
    assert len(await run_states(sync, made["syncId"])) == runs
    assert (await shown(sync, made["syncId"]))["nextRunTime"] == "2026-01-02T13:00:00Z"


async def test_a_machine_that_slept_runs_what_is_due_when_the_clock_is_looked_at(
    sync, cohorts, receiver, clock
):
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver))
    before = clock.now
    clock.now += 90 * MINUTE
    sync.app._runner._scheduler.set(made["syncId"], clock.now)  # as APScheduler has it: due, and not woken
    await sync.app._runner._scheduler.look(before, 30_000)
    assert await run_states(sync, made["syncId"], least=1) == ["SUCCEEDED"]


async def test_a_clock_that_was_set_back_keeps_nobody_waiting(sync, cohorts, receiver, clock):
    destination_id = await sync.webhook(receiver)
    clock.now = NOON + 30 * DAY
    daily = await sync.sync(cohorts.add_cohort("C"), destination_id, schedule={"daily": {"time": "13:00"}})
    hourly = await sync.sync(cohorts.add_cohort("D"), destination_id)
    assert daily["nextRunTime"] == "2026-01-31T13:00:00Z"
    clock.now = NOON
    await sync.app._runner._scheduler.look(NOON + 30 * DAY, 30_000)
    assert (await shown(sync, daily["syncId"]))["nextRunTime"] == "2026-01-01T13:00:00Z"
    assert (await shown(sync, hourly["syncId"]))["nextRunTime"] == "2026-01-01T13:00:00Z"
    clock.now = NOON - 30 * DAY
    await sync.restart()
    assert (await shown(sync, daily["syncId"]))["nextRunTime"] == "2025-12-02T13:00:00Z"


async def test_a_clock_that_runs_on_moves_nothing(sync, cohorts, receiver, clock):
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver))
    await sync.app._runner._scheduler.look(NOON - 30_000, 30_000)
    assert await shown(sync, made["syncId"]) == made


async def test_a_run_under_way_is_the_only_one_whatever_falls_due_also_across_a_restart(
    sync, cohorts, receiver, clock, monkeypatch
):
    monkeypatch.setattr("services.sync.runner.DRAIN_SECONDS", 0)
    sync_id = (await sync.sync(cohorts.add_cohort("C", ["ann"]), await sync.webhook(receiver)))["syncId"]
    receiver.misbehave(Answer(hang=True), Answer(hang=True))
    begun = (await sync.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
    await until(lambda: receiver.calls)
    refused = await sync.failure("RunSync", {"syncId": sync_id})
    assert (refused.code.name, refused.reason) == ("FAILED_PRECONDITION", "RUN_IN_PROGRESS")
    assert begun in refused.message
    clock.now += HOUR
    await sync.app._runner._fall_due(sync_id)
    await sync.stop()
    clock.now += HOUR
    await sync.start()
    await until(lambda: len(receiver.calls) == 2)
    await sync.app._runner._fall_due(sync_id)
    runs = (await sync.call("ListSyncRuns", {"syncId": sync_id}))["runs"]
    assert [(run["runId"], run["state"]) for run in runs] == [(begun, "RUNNING")]
    receiver.release()
    assert await run_states(sync, sync_id) == ["SUCCEEDED"]
    assert (await shown(sync, sync_id))["nextRunTime"] == "2026-01-01T15:00:00Z"


async def test_a_run_that_falls_due_is_not_logged_as_part_of_the_call_that_set_its_timer(
    sync, cohorts, receiver, clock, said
):
    sync_id = (await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver)))["syncId"]
    clock.now += HOUR
    with structlog.contextvars.bound_contextvars(request_id="somebodys-call"):
        sync.app._runner.follow(sync_id)
    assert await run_states(sync, sync_id, least=1) == ["SUCCEEDED"]
    assert "run began" in said.getvalue()
    assert "somebodys-call" not in said.getvalue()
