"""Does SyncService keep its contract? Shapes, the one-sync rule, states, request ids, paging, refusals."""

import asyncio
from zoneinfo import ZoneInfo

import pytest

from tests.contract.sync.harness import StepClock, SyncHarness, until
from tests.fakes.webhook import Answer, WebhookReceiver

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
HOUR = 3_600_000


@pytest.fixture
def clock() -> StepClock:
    return StepClock(NOON)


@pytest.fixture
def receiver():
    with (
        WebhookReceiver() as started
    ):  # without a secret: signatures of a clock that stands still are too old
        yield started


@pytest.fixture
async def sync(tmp_path, cohorts, clock):
    harness = SyncHarness(tmp_path / "data", cohorts, clock=clock)
    await harness.start()
    yield harness
    await harness.stop()


async def test_a_sync_has_its_shape_and_does_not_run_at_creation(sync, cohorts, receiver):
    cohort_id, destination_id = cohorts.add_cohort("C", ["ann"]), await sync.webhook(receiver)
    made = await sync.sync(cohort_id, destination_id, schedule={"every": {"duration": "90.5s"}})
    assert made == {
        "syncId": made["syncId"],
        "cohortId": cohort_id,
        "destinationId": destination_id,
        "schedule": {"every": {"duration": "90.500s"}},
        "mode": "MIRROR",
        "state": "ACTIVE",
        "nextRunTime": "2026-01-01T12:01:30.500Z",
        "createTime": "2026-01-01T12:00:00Z",
        "updateTime": "2026-01-01T12:00:00Z",
        "etag": made["etag"],
    }
    assert await sync.call("ListSyncRuns", {"syncId": made["syncId"]}) == {}
    assert (await sync.call("ListSyncs")) == {"syncs": [made]}
    await sync.run(made["syncId"])
    shown = (await sync.call("GetSync", {"syncId": made["syncId"]}))["sync"]
    assert shown["lastRun"]["state"] == "SUCCEEDED"


async def test_one_sync_of_a_pair_paused_ones_too_until_deleted(sync, cohorts, receiver):
    cohort_id, destination_id = cohorts.add_cohort("C", ["ann"]), await sync.webhook(receiver)
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    request = {"sync": {"cohortId": cohort_id, "destinationId": destination_id, "schedule": {"hourly": {}}}}
    for _ in range(2):
        taken = await sync.failure("CreateSync", request)
        assert taken.code.name == "ALREADY_EXISTS"
        assert taken.reason == "SYNC_EXISTS"
        assert taken.resource == sync_id
        assert sync_id in taken.message
        await sync.call("PauseSync", {"syncId": sync_id})
    in_use = await sync.failure("DeleteDestination", {"destinationId": destination_id})
    assert in_use.reason == "DESTINATION_IN_USE"
    assert sync_id in in_use.message
    await sync.run(sync_id)
    await sync.call("DeleteSync", {"syncId": sync_id})
    assert (await sync.failure("GetSync", {"syncId": sync_id})).reason == "SYNC_NOT_FOUND"
    assert (await sync.failure("ListSyncRuns", {"syncId": sync_id})).code.name == "NOT_FOUND"
    anew = (await sync.call("CreateSync", request))["sync"]["syncId"]
    assert anew != sync_id
    assert (await sync.run(anew))["deliveredAdds"] == 1, "nothing is known of the deleted sync"
    await sync.call("DeleteSync", {"syncId": anew})
    await sync.call("DeleteDestination", {"destinationId": destination_id})
    assert await sync.call("ListDestinations") == {}


async def test_pause_resume_and_update_of_the_schedule(sync, cohorts, receiver, clock):
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver))
    sync_id = {"syncId": made["syncId"]}
    paused = (await sync.call("PauseSync", sync_id))["sync"]
    assert (paused["state"], paused["stateReason"]) == ("PAUSED", "PAUSED_BY_USER")
    assert "nextRunTime" not in paused
    clock.now += 150 * 60_000
    resumed = (await sync.call("ResumeSync", sync_id))["sync"]
    assert resumed["state"] == "ACTIVE"
    assert "stateReason" not in resumed
    assert resumed["nextRunTime"] == "2026-01-01T15:00:00Z"
    clock.now += 60_000
    change = {**sync_id, "schedule": {"daily": {"time": "09:00"}, "timeZone": "Asia/Kolkata"}}
    updated = (await sync.call("UpdateSync", {"sync": change, "updateMask": "schedule"}))["sync"]
    assert updated["nextRunTime"] == "2026-01-02T03:30:00Z"
    assert updated["etag"] != made["etag"]
    stale = {"sync": {**change, "etag": made["etag"]}, "updateMask": "schedule"}
    conflict = await sync.failure("UpdateSync", stale)
    assert (conflict.code.name, conflict.reason) == ("ABORTED", "ETAG_MISMATCH")
    hourly = {"sync": {**sync_id, "schedule": {"hourly": {}}, "etag": updated["etag"]}}
    again = (await sync.call("UpdateSync", {**hourly, "updateMask": "schedule"}))["sync"]
    assert again["nextRunTime"] == "2026-01-01T15:31:00Z", "counted from the update"


async def test_daily_without_a_zone_is_in_the_projects(sync, cohorts, receiver, clock):
    await sync.stop()
    sync.options["zone"] = lambda: ZoneInfo("Asia/Kolkata")
    await sync.start()
    schedule = {"daily": {"time": "09:00"}, "catchupWindow": "7200s"}
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver), schedule=schedule)
    assert made["nextRunTime"] == "2026-01-02T03:30:00Z"
    assert made["schedule"] == schedule


async def test_a_run_begun_before_the_service_starts_is_not_taken_for_cut_off(tmp_path, cohorts, receiver):
    harness = SyncHarness(tmp_path / "other", cohorts)
    await harness.serve()
    cohort_id, destination_id = cohorts.add_cohort("C", ["ann"]), await harness.webhook(receiver)
    receiver.misbehave(Answer(hang=True))
    made = await harness.sync(cohort_id, destination_id, schedule={"once": {}})
    await until(lambda: receiver.calls)
    await harness.app.start()
    receiver.release()
    run = await harness.ended(made["lastRun"]["runId"])
    assert run["state"] == "SUCCEEDED"
    await harness.stop()


async def test_once_runs_at_once_and_is_done(sync, cohorts, receiver):
    cohort_id = cohorts.add_cohort("C", ["ann"])
    made = await sync.sync(cohort_id, await sync.webhook(receiver), schedule={"once": {}})
    assert made["state"] == "ACTIVE"
    run = await sync.ended(made["lastRun"]["runId"])
    assert run["state"] == "SUCCEEDED"
    done = (await sync.call("GetSync", {"syncId": made["syncId"]}))["sync"]
    assert done["state"] == "DONE"
    assert "nextRunTime" not in done
    assert (await sync.failure("ResumeSync", {"syncId": made["syncId"]})).reason == "SYNC_DONE"
    change = {"sync": {"syncId": made["syncId"], "schedule": {"hourly": {}}}, "updateMask": "schedule"}
    assert (await sync.call("UpdateSync", change))["sync"]["state"] == "ACTIVE"


async def test_a_sync_that_falls_due_runs_and_skips_overlaps(sync, cohorts, receiver, clock):
    cohort_id = cohorts.add_cohort("C", ["ann"])
    made = await sync.sync(cohort_id, await sync.webhook(receiver))
    receiver.misbehave(Answer(hang=True))
    clock.now += HOUR
    sync.app._runner.follow(made["syncId"])  # the real timer waits by the real clock; this one stands still
    await until(lambda: receiver.calls)
    clock.now += HOUR
    await sync.app._runner._fall_due(made["syncId"])
    receiver.release()
    runs = (await sync.call("ListSyncRuns", {"syncId": made["syncId"]}))["runs"]
    assert len(runs) == 1
    assert (await sync.ended(runs[0]["runId"]))["state"] == "SUCCEEDED"
    shown = (await sync.call("GetSync", {"syncId": made["syncId"]}))["sync"]
    assert shown["nextRunTime"] == "2026-01-01T15:00:00Z"


@pytest.mark.parametrize(
    ("down", "runs", "next_run"),
    [(90, 1, "14:00"), (119, 1, "14:00"), (59, 0, "13:00"), (60, 1, "14:00"), (60 * 24, 1, "13:00")],
)
async def test_a_run_missed_by_an_hour_or_less_is_made_up_once(
    sync, cohorts, receiver, clock, down, runs, next_run
):
    made = await sync.sync(cohorts.add_cohort("C"), await sync.webhook(receiver))
    await sync.stop()
    clock.now += down * 60_000
    await sync.start()
    sync_id = {"syncId": made["syncId"]}
    if runs:
        async with asyncio.timeout(10):
            while "lastRun" not in (shown := (await sync.call("GetSync", sync_id))["sync"]):
                pass
        await sync.ended(shown["lastRun"]["runId"])
    listed = (await sync.call("ListSyncRuns", sync_id)).get("runs", [])
    assert len(listed) == runs
    assert (await sync.call("GetSync", sync_id))["sync"]["nextRunTime"].endswith(f"T{next_run}:00Z")


async def test_a_repeated_request_id_changes_nothing_twice(sync, cohorts, receiver):
    destination = {"name": "hook", "webhook": {"url": receiver.url}}
    request = {"destination": destination, "requestId": "r-1"}
    first = await sync.call("CreateDestination", request)
    assert await sync.call("CreateDestination", request) == first
    reused = await sync.failure("CreateDestination", {**request, "destination": {**destination, "name": "x"}})
    assert (reused.code.name, reused.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    cohort_id = cohorts.add_cohort("C", ["ann"])
    destination_id = first["destination"]["destinationId"]
    create = {
        "sync": {"cohortId": cohort_id, "destinationId": destination_id, "schedule": {"hourly": {}}},
        "requestId": "r-2",
    }
    made = await sync.call("CreateSync", create)
    run = {"syncId": made["sync"]["syncId"], "requestId": "r-3"}
    started = await sync.call("RunSync", run)
    await sync.ended(started["run"]["runId"])
    assert await sync.call("RunSync", run) == started
    assert len((await sync.call("ListSyncRuns", {"syncId": run["syncId"]}))["runs"]) == 1
    cohorts.cohorts.clear()
    await sync.restart()
    assert await sync.call("CreateSync", create) == made


async def test_lists_are_paged_by_tokens_of_their_own(sync, cohorts, receiver):
    cohort_ids = [cohorts.add_cohort(f"C{n}") for n in range(3)]
    for name in ("b", "a", "c"):
        await sync.webhook(receiver, name)
    page = await sync.call("ListDestinations", {"pageSize": 2})
    assert [d["name"] for d in page["destinations"]] == ["a", "b"]
    rest = await sync.call("ListDestinations", {"pageToken": page["nextPageToken"]})
    assert [d["name"] for d in rest["destinations"]] == ["c"]
    assert "nextPageToken" not in rest
    destination_id = rest["destinations"][0]["destinationId"]
    made = [(await sync.sync(cohort_id, destination_id))["syncId"] for cohort_id in cohort_ids]
    runs = [(await sync.run(made[0]))["runId"] for _ in range(3)]
    one = await sync.call("ListSyncs", {"pageSize": 2})
    two = await sync.call("ListSyncs", {"pageSize": 2, "pageToken": one["nextPageToken"]})
    assert [s["syncId"] for s in one["syncs"] + two["syncs"]] == made
    only = await sync.call("ListSyncs", {"cohortId": cohort_ids[1]})
    assert [s["syncId"] for s in only["syncs"]] == [made[1]]
    newest = await sync.call("ListSyncRuns", {"syncId": made[0], "pageSize": 2})
    oldest = await sync.call("ListSyncRuns", {"syncId": made[0], "pageToken": newest["nextPageToken"]})
    assert [r["runId"] for r in newest["runs"] + oldest["runs"]] == runs[::-1]
    for method, request in (
        ("ListSyncs", {"cohortId": cohort_ids[0], "pageToken": one["nextPageToken"]}),
        ("ListSyncRuns", {"syncId": made[1], "pageToken": newest["nextPageToken"]}),
        ("ListDestinations", {"pageToken": "garbled"}),
        ("ListDestinations", {"pageToken": "ä"}),
    ):
        foreign = await sync.failure(method, request)
        assert (foreign.code.name, foreign.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_FOREIGN")
    negative = await sync.failure("ListSyncs", {"pageSize": -1})
    assert negative.violations[0][0] == "pageSize"


async def test_what_a_sync_names_must_exist(sync, cohorts, receiver):
    cohort_id, destination_id = cohorts.add_cohort("C"), await sync.webhook(receiver)
    request = {"cohortId": "nope", "destinationId": destination_id, "schedule": {"hourly": {}}}
    missing = await sync.failure("CreateSync", {"sync": request})
    assert (missing.code.name, missing.reason) == ("NOT_FOUND", "COHORT_NOT_FOUND")
    assert missing.violations[0][0] == "sync.cohortId"
    request = {"cohortId": cohort_id, "destinationId": "n" * 600, "schedule": {"hourly": {}}}
    missing = await sync.failure("CreateSync", {"sync": request})
    assert (missing.reason, missing.violations[0][0]) == ("DESTINATION_NOT_FOUND", "sync.destinationId")
    await cohorts.stop()
    request = {"cohortId": cohort_id, "destinationId": destination_id, "schedule": {"hourly": {}}}
    assert (await sync.failure("CreateSync", {"sync": request})).code.name == "UNAVAILABLE"


async def test_a_destination_can_be_renamed_and_its_settings_changed_one_by_one(sync, receiver):
    destination_id = await sync.webhook(receiver)
    await sync.webhook(receiver, "other")
    taken = await sync.failure(
        "CreateDestination", {"destination": {"name": "other", "webhook": {"url": receiver.url}}}
    )
    assert taken.code.name == "ALREADY_EXISTS"
    update = {
        "destination": {
            "destinationId": destination_id,
            "name": "new",
            "webhook": {"url": f"{receiver.url}/b"},
        },
        "updateMask": "name,webhook.url",
    }
    changed = (await sync.call("UpdateDestination", update))["destination"]
    assert (changed["name"], changed["webhook"]) == ("new", {"url": f"{receiver.url}/b"})
    assert [d["name"] for d in (await sync.call("ListDestinations"))["destinations"]] == ["new", "other"]
    for mask in ("file.path", "createTime", ""):
        bad = await sync.failure("UpdateDestination", {**update, "updateMask": mask})
        assert bad.violations[0][0] == "updateMask"


PATH = "destination.file.path"
FILE = {"path": "/tmp/x.csv", "format": "CSV"}


@pytest.mark.parametrize(
    ("destination", "code", "field"),
    [
        ({"name": "", "file": FILE}, "INVALID_ARGUMENT", "destination.name"),
        ({"name": "n" * 257, "file": FILE}, "INVALID_ARGUMENT", "destination.name"),
        ({"name": "n"}, "INVALID_ARGUMENT", "destination"),
        ({"name": "n", "webhook": {}}, "INVALID_ARGUMENT", "destination.webhook.url"),
        ({"name": "n", "webhook": {"url": "ftp://h/"}}, "INVALID_ARGUMENT", "destination.webhook.url"),
        ({"name": "n", "webhook": {"url": "http://u:p@h/"}}, "INVALID_ARGUMENT", "destination.webhook.url"),
        ({"name": "n", "webhook": {"url": "http://[x/"}}, "INVALID_ARGUMENT", "destination.webhook.url"),
        ({"name": "n", "webhook": {"url": "http://h:99999"}}, "INVALID_ARGUMENT", "destination.webhook.url"),
        (
            {"name": "n", "webhook": {"url": "http://127.0.0.1/", "signingSecret": "whsec_"}},
            "INVALID_ARGUMENT",
            "destination.webhook.signingSecret",
        ),
        ({"name": "n", "file": {**FILE, "path": "a.csv"}}, "INVALID_ARGUMENT", "destination.file.path"),
        ({"name": "n", "file": {"path": "/tmp/x"}}, "INVALID_ARGUMENT", "destination.file.format"),
        ({"name": "n", "file": {**FILE, "path": "s3://u:p@bucket/x"}}, "INVALID_ARGUMENT", PATH),
        ({"name": "n", "file": {**FILE, "path": "simplecache::s3://b/x"}}, "INVALID_ARGUMENT", PATH),
        ({"name": "n", "file": {**FILE, "path": "sftp://10.0.0.1/x"}}, "INVALID_ARGUMENT", PATH),
        ({"name": "n", "file": {**FILE, "path": "file://host/x"}}, "INVALID_ARGUMENT", PATH),
        ({"name": "n", "grpc": {"target": "plugin"}}, "INVALID_ARGUMENT", "destination.grpc.target"),
        ({"name": "n", "grpc": {"target": "10.0.0.1:50060"}}, "INVALID_ARGUMENT", "destination.grpc.target"),
    ],
)
async def test_bad_destinations_are_refused_by_field(sync, destination, code, field):
    failure = await sync.failure("CreateDestination", {"destination": destination})
    assert (failure.code.name, failure.violations[0][0]) == (code, field)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"schedule": {}}, "INVALID_ARGUMENT", "sync.schedule"),
        ({"schedule": {"every": {}}}, "INVALID_ARGUMENT", "sync.schedule.every.duration"),
        (
            {"schedule": {"every": {"duration": "59.9s"}}},
            "INVALID_ARGUMENT",
            "sync.schedule.every.duration",
        ),
        (
            {"schedule": {"every": {"duration": "-1s"}}},
            "INVALID_ARGUMENT",
            "sync.schedule.every.duration",
        ),
        (
            {"schedule": {"every": {"duration": "315576000000s"}}},
            "INVALID_ARGUMENT",
            "sync.schedule.every.duration",
        ),
        ({"schedule": {"daily": {"time": "9:00"}}}, "INVALID_ARGUMENT", "sync.schedule.daily.time"),
        ({"schedule": {"daily": {"time": "24:00"}}}, "INVALID_ARGUMENT", "sync.schedule.daily.time"),
        (
            {"schedule": {"daily": {"time": "09:00"}, "timeZone": "Mars/Base"}},
            "INVALID_ARGUMENT",
            "sync.schedule.timeZone",
        ),
        ({"schedule": {"hourly": {}, "timeZone": "localtime"}}, "INVALID_ARGUMENT", "sync.schedule.timeZone"),
        ({"schedule": {"weekly": {"day": "MONDAY"}}}, "INVALID_ARGUMENT", "sync.schedule.weekly.time"),
        ({"schedule": {"weekly": {"time": "09:00"}}}, "INVALID_ARGUMENT", "sync.schedule.weekly.day"),
        (
            {"schedule": {"weekly": {"day": 8, "time": "09:00"}}},
            "INVALID_ARGUMENT",
            "sync.schedule.weekly.day",
        ),
        ({"schedule": {"cron": {}}}, "INVALID_ARGUMENT", "sync.schedule.cron.expression"),
        (
            {"schedule": {"cron": {"expression": "0 0 30 2 *"}}},
            "INVALID_ARGUMENT",
            "sync.schedule.cron.expression",
        ),
        ({"schedule": {"hourly": {}, "jitter": "-5s"}}, "INVALID_ARGUMENT", "sync.schedule.jitter"),
        ({"schedule": {"once": {}, "jitter": "5s"}}, "INVALID_ARGUMENT", "sync.schedule.jitter"),
        (
            {"schedule": {"hourly": {}, "catchupWindow": "-1s"}},
            "INVALID_ARGUMENT",
            "sync.schedule.catchupWindow",
        ),
        ({"mode": 77}, "INVALID_ARGUMENT", "sync.mode"),
        ({"maxRemoveFraction": 1.5}, "INVALID_ARGUMENT", "sync.maxRemoveFraction"),
        ({"cohortId": ""}, "INVALID_ARGUMENT", "sync.cohortId"),
        ({"destinationId": ""}, "INVALID_ARGUMENT", "sync.destinationId"),
    ],
)
async def test_bad_syncs_are_refused_by_field(sync, cohorts, fields, code, field):
    base = {"cohortId": cohorts.add_cohort("C"), "destinationId": "d", "schedule": {"hourly": {}}}
    failure = await sync.failure("CreateSync", {"sync": {**base, **fields}})
    assert (failure.code.name, failure.violations[0][0]) == (code, field)


@pytest.mark.parametrize(
    ("kind", "settings", "mode"),
    [
        ("file", {"path": "/tmp/x.csv", "format": "CSV"}, "ADD_ONLY"),
        ("webhook", {"url": "http://127.0.0.1:9/"}, "REPLACE"),
    ],
)
async def test_a_mode_that_the_destination_cannot_do_is_refused(sync, cohorts, kind, settings, mode):
    made = await sync.call("CreateDestination", {"destination": {"name": "d", kind: settings}})
    asked = {
        "cohortId": cohorts.add_cohort("C"),
        "destinationId": made["destination"]["destinationId"],
        "schedule": {"hourly": {}},
    }
    refused = await sync.failure("CreateSync", {"sync": {**asked, "mode": mode}})
    assert (refused.reason, refused.violations[0][0]) == ("MODE_NOT_SUPPORTED", "sync.mode")
    sync_id = (await sync.call("CreateSync", {"sync": asked}))["sync"]["syncId"]
    change = {"sync": {"syncId": sync_id, "mode": mode}, "updateMask": "mode"}
    assert (await sync.failure("UpdateSync", change)).reason == "MODE_NOT_SUPPORTED"
