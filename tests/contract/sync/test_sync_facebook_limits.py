"""Is Meta left alone as it asks, by all syncs of an ad account, and what lasts told to a person once?"""

import pytest

from services.sync.destinations.retrying import Patience
from tests.contract.sync.harness import TOKEN, StepClock, SyncHarness
from tests.contract.sync.test_sync_facebook import hashes, people
from tests.contract.sync.test_sync_webhook import counts
from tests.fakes.graph import Trouble, error, html

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


class Sleeper(StepClock):
    """A clock that sleeping steps; keeps how long it was slept."""

    def __init__(self) -> None:
        super().__init__(NOON)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += round(seconds * 1000)


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
async def sync(tmp_path, cohorts, sleeper):
    patience = Patience(attempts=3, sleep=sleeper.sleep)
    harness = SyncHarness(tmp_path / "data", cohorts, patience=patience, clock=sleeper)
    await harness.start()
    yield harness
    await harness.stop()


@pytest.mark.parametrize(
    ("trouble", "least", "most"),
    [
        (error(80003), 0.5, 1),
        (error(17, status=403), 0.5, 1),
        (html(429), 0.5, 1),
        (error(4, headers={"Retry-After": "90"}), 90, 91),
        (Trouble(429, "<html></html>", "text/html", headers={"Retry-After": "90"}), 90, 91),
        (error(2, status=503, headers={"Retry-After": "20"}), 20, 21),
        (Trouble(503, "<html></html>", "text/html", headers={"Retry-After": "20"}), 20, 21),
    ],
)
async def test_a_pause_is_as_long_as_meta_asks(sync, cohorts, graph, sleeper, trouble, least, most):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    graph.misbehave(trouble)
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (1, 0, 1, 0))
    assert least <= sum(sleeper.slept) <= most


async def test_a_longer_pause_than_is_borne_with_is_left_to_the_next_run_of_every_sync(
    sync, cohorts, graph, sleeper
):
    destination_id = await sync.facebook(graph)
    first, second = [
        (await sync.sync(cohorts.add_cohort(name, people(cohorts, name)), destination_id))["syncId"]
        for name in ("a", "b")
    ]
    graph.misbehave(error(17, headers={"Retry-After": "7200"}))
    assert "another 120 minutes" in (await sync.run(first))["error"]
    calls = len(graph.calls)
    assert "another 120 minutes" in (await sync.run(second))["error"]
    assert len(graph.calls) == calls
    assert sleeper.slept == []
    sleeper.now += 7_200_000
    assert (await sync.run(second))["state"] == "SUCCEEDED"
    assert (await sync.run(first))["state"] == "SUCCEEDED"


async def test_a_token_that_expires_pauses_the_sync_until_there_is_another(sync, cohorts, graph):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann"))
    destination_id = await sync.facebook(graph)
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    await sync.run(sync_id)
    graph.tokens.clear()
    cohorts.cohorts[cohort_id].members |= people(cohorts, "bob")
    assert (await sync.run(sync_id))["state"] == "FAILED"
    paused = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
    assert (paused["state"], paused["stateReason"]) == ("PAUSED", "TOKEN_INVALID")
    assert "nextRunTime" not in paused
    assert TOKEN not in str(paused)
    graph.tokens.add("EAAB-new")
    token = {"destinationId": destination_id, "facebookAds": {"accessToken": "EAAB-new"}}
    await sync.call("UpdateDestination", {"destination": token, "updateMask": "facebookAds.accessToken"})
    resumed = (await sync.call("ResumeSync", {"syncId": sync_id}))["sync"]
    assert resumed["nextRunTime"] == "2026-01-01T13:00:00Z"
    assert counts(await sync.run(sync_id)) == (1, 0, 1, 0)
    assert graph.values(graph.audiences[0].audience_id, "EMAIL") == hashes("ann", "bob")


async def test_an_audience_that_is_blocked_midway_keeps_what_it_had_until_it_is_free(sync, cohorts, graph):
    cohort_id = cohorts.add_cohort("C", people(cohorts, "ann", "bob"))
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    audience_id = graph.audiences[0].audience_id
    graph.blocked.add(audience_id)
    cohorts.cohorts[cohort_id].members = {"ann"} | people(cohorts, "cem")
    for _ in range(2):
        run = await sync.run(sync_id)
        assert (run["state"], counts(run)) == ("FAILED", (1, 1, 0, 0))
        assert "look at it in Ads Manager" in run["error"]
    shown = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
    assert (shown["state"], shown["stateReason"]) == ("PAUSED", "AUDIENCE_BLOCKED")
    graph.blocked.clear()
    await sync.call("ResumeSync", {"syncId": sync_id})
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (1, 1, 1, 1))
    assert graph.values(audience_id, "EMAIL") == hashes("ann", "cem")
