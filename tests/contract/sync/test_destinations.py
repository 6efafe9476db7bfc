"""Do all destinations keep one contract? The built-in ones and a plug-in, through the service, as people use them.

Each is driven through a bench that says how to make it, who is in it now, and how to make it fail.
"""

import csv
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest

from services.sync.destinations.webhook import WebhookTarget
from tests.contract.sync.harness import SECRET, TOKEN, SyncHarness
from tests.contract.sync.test_sync_webhook import counts
from tests.fakes.graph import GraphApi, error, html
from tests.fakes.plugin import Plugin, plugin
from tests.fakes.webhook import Answer, WebhookReceiver


class Bench:
    """One type of destination. `retries` says whether it is reached over a network."""

    retries = True
    modes: tuple[str, ...] = ()

    def __init__(self, sync: SyncHarness) -> None:
        self.sync = sync

    async def make(self, name: str = "d") -> str:
        """Save the destination and return its id."""
        made = await self.sync.call("CreateDestination", {"destination": {"name": name, **self.settings()}})
        return str(made["destination"]["destinationId"])

    def settings(self) -> dict:
        raise NotImplementedError

    def members(self, sync_id: str) -> set[str]:
        """Who is there now."""
        raise NotImplementedError

    def lose_an_answer(self) -> None:
        """Do what the next delivery asks, and answer as if it had failed."""

    def refuse_credentials(self) -> None:
        """Refuse the next call for good."""

    def refuse(self, customer_id: str) -> None:
        """Refuse one customer."""


class WebhookBench(Bench):
    modes = ("MIRROR", "ADD_ONLY")

    def __init__(self, sync: SyncHarness, receiver: WebhookReceiver) -> None:
        super().__init__(sync)
        self.receiver = receiver

    def settings(self) -> dict:
        return {"webhook": {"url": self.receiver.url, "signingSecret": SECRET}}

    def members(self, sync_id: str) -> set[str]:
        return set(self.receiver.members(sync_id))

    def lose_an_answer(self) -> None:
        self.receiver.misbehave(Answer(502, apply=True))

    def refuse_credentials(self) -> None:
        self.receiver.misbehave(Answer(401))


class FacebookBench(Bench):
    modes = ("MIRROR", "ADD_ONLY", "REPLACE")

    def __init__(self, sync: SyncHarness, graph: GraphApi) -> None:
        super().__init__(sync)
        self.graph = graph
        self.names: dict[str, str] = {}

    def settings(self) -> dict:
        facebook = {
            "adAccountId": "42",
            "accessToken": TOKEN,
            "matchKeys": ["EMAIL"],
            "graphUrl": self.graph.url,
        }
        return {"facebookAds": facebook}

    def members(self, sync_id: str) -> set[str]:
        known = {_hash(f"{name}@example.com"): name for name in PEOPLE}
        (audience,) = (one for one in self.graph.audiences if sync_id in one.description)
        return {known[value] for value in self.graph.values(audience.audience_id, "EMAIL")}

    def lose_an_answer(self) -> None:
        self.graph.misbehave(html(502, apply=True, on="POST users"))

    def refuse_credentials(self) -> None:
        self.graph.misbehave(error(190))

    def refuse(self, customer_id: str) -> None:
        self.graph.refuse.add(_hash(f"{customer_id}@example.com"))


class PluginBench(Bench):
    modes = ("MIRROR", "ADD_ONLY", "REPLACE")

    def __init__(self, sync: SyncHarness, served: Plugin) -> None:
        super().__init__(sync)
        self.plugin = served

    def settings(self) -> dict:
        return {"grpc": {"target": self.plugin.target}}

    def members(self, sync_id: str) -> set[str]:
        members = self.plugin.members(f"audience-of-{sync_id}")
        assert all(data == {"email": f"{name}@example.com"} for name, data in members.items())
        return set(members)

    def lose_an_answer(self) -> None:
        self.plugin.lose_answers = 1

    def refuse_credentials(self) -> None:
        self.plugin.troubles.append(grpc.StatusCode.UNAUTHENTICATED)

    def refuse(self, customer_id: str) -> None:
        self.plugin.refuse.add(customer_id)


class FileBench(Bench):
    retries = False
    modes = ("MIRROR", "REPLACE")

    def __init__(self, sync: SyncHarness, path: Path) -> None:
        super().__init__(sync)
        self.path = path

    def settings(self) -> dict:
        return {"file": {"path": str(self.path), "format": "CSV"}}

    def members(self, sync_id: str) -> set[str]:
        with self.path.open(newline="") as stream:
            return {row["customerId"] for row in csv.DictReader(stream)}

    def refuse_credentials(self) -> None:
        self.path.mkdir()


PEOPLE = ("ann", "bob", "cem", "dee", "eli")
KINDS = ("webhook", "facebook", "plugin", "file")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SECRET) as receiver:
        yield receiver


@asynccontextmanager
async def _bench(kind: str, sync: SyncHarness, tmp_path: Path) -> AsyncIterator[Bench]:
    if kind == "webhook":
        with _receiver() as receiver:
            yield WebhookBench(sync, receiver)
    elif kind == "facebook":
        with GraphApi({TOKEN}) as graph:
            yield FacebookBench(sync, graph)
    elif kind == "plugin":
        async with plugin(batch=2) as served:
            yield PluginBench(sync, served)
    else:
        yield FileBench(sync, tmp_path / "members.csv")


@pytest.fixture(params=KINDS)
async def bench(request, sync, tmp_path, monkeypatch) -> AsyncIterator[Bench]:
    from services.sync.destinations.facebook.target import FacebookTarget

    monkeypatch.setattr(WebhookTarget, "page_size", 2)
    monkeypatch.setattr(FacebookTarget, "page_size", 2)
    async with _bench(request.param, sync, tmp_path) as made:
        yield made


@pytest.fixture
def cohort(cohorts):
    """A cohort of three, all with an address."""
    for name in PEOPLE:
        cohorts.profiles[name] = {"email": f"{name}@example.com", "city": "Pune"}
    cohort_id = cohorts.add_cohort("Few", ["ann", "bob", "cem"])
    return cohort_id, cohorts.cohorts[cohort_id]


async def test_adds_and_removes_are_exactly_the_difference(sync, cohort, bench):
    cohort_id, saved = cohort
    sync_id = (await sync.sync(cohort_id, await bench.make()))["syncId"]
    assert counts(await sync.run(sync_id)) == (3, 0, 3, 0)
    assert bench.members(sync_id) == {"ann", "bob", "cem"}
    saved.members = {"cem", "dee", "eli"}
    assert counts(await sync.run(sync_id)) == (2, 2, 2, 2)
    assert bench.members(sync_id) == {"cem", "dee", "eli"}
    await sync.restart()
    assert counts(await sync.run(sync_id)) == (0, 0, 0, 0)
    saved.members = set()
    assert counts(await sync.run(sync_id)) == (0, 3, 0, 3)
    assert bench.members(sync_id) == set()


async def test_every_mode_does_what_it_says_and_others_are_refused(sync, cohort, bench):
    cohort_id, saved = cohort
    for mode in ("MIRROR", "ADD_ONLY", "REPLACE"):
        destination_id = await bench.make(mode)
        asked = {"cohortId": cohort_id, "destinationId": destination_id, "schedule": {"hourly": {}}}
        if mode not in bench.modes:
            refused = await sync.failure("CreateSync", {"sync": {**asked, "mode": mode}})
            assert refused.reason == "MODE_NOT_SUPPORTED"
            continue
        saved.members = {"ann", "bob", "cem"}
        sync_id = (await sync.sync(cohort_id, destination_id, mode=mode))["syncId"]
        await sync.run(sync_id)
        saved.members = {"cem", "dee"}
        run = await sync.run(sync_id)
        assert run["state"] == "SUCCEEDED"
        stay = {"ann", "bob"} if mode == "ADD_ONLY" else set()
        assert bench.members(sync_id) == {"cem", "dee"} | stay
        assert counts(run) == ((1, 0, 1, 0) if mode == "ADD_ONLY" else (1, 2, 1, 2))
        await sync.call("DeleteSync", {"syncId": sync_id})  # a file takes one


async def test_a_batch_that_comes_again_does_no_harm(sync, cohort, bench):
    cohort_id, _ = cohort
    sync_id = (await sync.sync(cohort_id, await bench.make()))["syncId"]
    bench.lose_an_answer()
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("SUCCEEDED", (3, 0, 3, 0))
    assert bench.members(sync_id) == {"ann", "bob", "cem"}
    assert run["attempts"] > run["batches"] or not bench.retries


async def test_bad_credentials_fail_the_run_pause_the_sync_and_say_so(sync, cohort, bench):
    cohort_id, _ = cohort
    destination_id = await bench.make()
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    bench.refuse_credentials()
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)[2:]) == ("FAILED", (0, 0))
    state = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
    if bench.retries:
        assert state["state"] == "PAUSED"
        assert state["stateReason"] in ("CREDENTIALS_REFUSED", "TOKEN_INVALID")
        assert "resume the sync" in run["error"]
        bench.refuse_credentials()
    tested = await sync.call("TestDestination", {"destinationId": destination_id})
    assert not tested.get("ok")


async def test_a_destination_that_works_says_so_and_takes_nobody(sync, cohort, bench):
    tested = await sync.call("TestDestination", {"destinationId": await bench.make()})
    assert tested["ok"], tested
    assert tested["message"]


@pytest.mark.parametrize("bench", ["facebook", "plugin"], indirect=True)  # others take all or nothing
async def test_a_refused_customer_is_not_delivered_is_counted_and_is_no_success(sync, cohort, bench):
    cohort_id, saved = cohort
    bench.refuse("bob")
    sync_id = (await sync.sync(cohort_id, await bench.make()))["syncId"]
    run = await sync.run(sync_id)
    assert (run["state"], counts(run)) == ("PARTIAL", (3, 0, 2, 0))
    assert sum(one["count"] for one in run["rejected"]) == 1
    assert bench.members(sync_id) == {"ann", "cem"}
    saved.members = {"ann"}
    assert counts(await sync.run(sync_id)) == (0, 1, 0, 1)
    assert bench.members(sync_id) == {"ann"}


async def test_a_run_goes_on_where_the_one_before_was_cut_off(sync, cohort, bench):
    cohort_id, saved = cohort
    sync_id = (await sync.sync(cohort_id, await bench.make()))["syncId"]
    run_id = (await sync.call("RunSync", {"syncId": sync_id}))["run"]["runId"]
    await sync.restart()
    await sync.ended(run_id)
    saved.members = {"ann", "bob", "dee"}
    assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
    assert bench.members(sync_id) == {"ann", "bob", "dee"}


class TestPlugins:
    """What only plug-ins have."""

    @pytest.fixture
    async def served(self) -> AsyncIterator[Plugin]:
        async with plugin(wants=("email", "tier"), batch=2) as one:
            yield one

    async def test_it_gets_what_it_wants_and_removals_have_what_was_sent(self, sync, cohorts, served):
        cohorts.profiles["ann"] = {"email": "a@example.com", "city": "Pune", "tier": 3}
        cohort_id = cohorts.add_cohort("C", ["ann"])
        sync_id = (await sync.sync(cohort_id, await PluginBench(sync, served).make()))["syncId"]
        run = await sync.run(sync_id)
        assert served.members(served.audiences[0]) == {"ann": {"email": "a@example.com", "tier": 3.0}}
        assert served.closed == [run["runId"]]
        cohorts.profiles["ann"] = {"email": "new@example.com"}
        cohorts.cohorts[cohort_id].members = set()
        await sync.run(sync_id)
        assert dict(served.requests[-1].removes[0].data) == {"email": "a@example.com", "tier": 3.0}

    async def test_batches_are_as_large_as_it_takes_and_are_numbered(self, sync, cohorts, served):
        cohort_id = cohorts.add_cohort("C", [f"p{n}" for n in range(5)])
        sync_id = (await sync.sync(cohort_id, await PluginBench(sync, served).make()))["syncId"]
        run = await sync.run(sync_id)
        assert [(one.batch_seq, len(one.adds)) for one in served.requests] == [(1, 2), (2, 2), (3, 1)]
        assert {one.run_id for one in served.requests} == {run["runId"]}
        assert run["batches"] == 3

    async def test_what_passes_is_tried_again_and_what_does_not_is_told_without_its_words(
        self, sync, cohorts, served
    ):
        cohort_id = cohorts.add_cohort("C", ["ann"])
        sync_id = (await sync.sync(cohort_id, await PluginBench(sync, served).make()))["syncId"]
        served.troubles = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert (await sync.run(sync_id))["state"] == "SUCCEEDED"
        cohorts.cohorts[cohort_id].members.add("bob")
        served.troubles = [grpc.StatusCode.INTERNAL]
        run = await sync.run(sync_id)
        assert run["state"] == "FAILED"
        assert "INTERNAL" in run["error"]
        assert "canary" not in str(run)
        served.troubles = [grpc.StatusCode.FAILED_PRECONDITION]
        await sync.run(sync_id)
        paused = (await sync.call("GetSync", {"syncId": sync_id}))["sync"]
        assert (paused["state"], paused["stateReason"]) == ("PAUSED", "DESTINATION_NOT_READY")

    async def test_one_that_loses_customers_is_not_believed(self, sync, cohorts, served, monkeypatch):
        cohort_id = cohorts.add_cohort("C", ["ann", "bob"])
        sync_id = (await sync.sync(cohort_id, await PluginBench(sync, served).make()))["syncId"]
        apply = served._apply

        def lossy(audience, request):
            answer = apply(audience, request)
            answer.accepted -= 1
            return answer

        monkeypatch.setattr(served, "_apply", lossy)
        run = await sync.run(sync_id)
        assert (run["state"], counts(run)) == ("FAILED", (2, 0, 0, 0))
        assert "accounts for 1 of 2" in run["error"]

    async def test_it_is_only_where_the_server_was_told(self, tmp_path, cohorts, served):
        strict = SyncHarness(tmp_path / "strict", cohorts, allow_loopback=False)
        await strict.start()
        settings = {"name": "p", "grpc": {"target": served.target}}
        refused = await strict.failure("CreateDestination", {"destination": settings})
        assert (refused.reason, refused.violations[0][0]) == ("HOST_REFUSED", "destination.grpc.target")
        await strict.stop()
        told = SyncHarness(
            tmp_path / "told", cohorts, allow_loopback=False, destination_hosts=[served.target]
        )
        await told.start()
        made = await told.call("CreateDestination", {"destination": settings})
        destination_id = made["destination"]["destinationId"]
        assert (await told.call("TestDestination", {"destinationId": destination_id}))["ok"]
        await told.stop()
