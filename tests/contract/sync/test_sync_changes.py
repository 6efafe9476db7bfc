"""Is a changed profile sent, and nothing that has not changed? Over every type of destination."""

import hashlib
import json

import pytest

from services.sync.destinations.webhook import WebhookTarget
from tests.contract.sync.harness import SyncHarness
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.graph import error
from tests.fakes.plugin import plugin
from tests.fakes.webhook import Answer


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def counts(run: dict) -> tuple[str, int, int, int, int]:
    """The state, planned and delivered adds and removes of a run."""
    names = ("plannedAdds", "plannedRemoves", "deliveredAdds", "deliveredRemoves")
    added, removed, done, gone = (run.get(name, 0) for name in names)
    return run["state"], added, removed, done, gone


def people(cohorts: FakeCohortService, *names: str) -> str:
    """Save a cohort of these, each with an address."""
    cohorts.profiles.update({name: {"email": f"{name}@example.com"} for name in names})
    return cohorts.add_cohort("C", names)


async def test_a_new_address_takes_the_old_one_off_an_audience(sync, cohorts, graph):
    cohort_id = people(cohorts, "ann", "bob", "cyd")
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    named = cohorts.resolved
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 0, 0, 0)
    assert cohorts.resolved == named, "nobody's profile is read where nothing has changed"
    cohorts.profiles["bob"] = {"email": "new@example.com"}
    cohorts.profiles["cyd"] = {"email": "cyd@example.com", "plan": "PRO"}
    assert (await sync.call("PreviewSync", {"syncId": sync_id}))["adds"] == 1
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 1, 1, 1)
    (audience,) = graph.audiences
    wanted = {sha(f"{name}@example.com") for name in ("ann", "new", "cyd")}
    assert graph.values(audience.audience_id, "EMAIL") == wanted
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 0, 0, 0)


async def test_who_loses_their_address_is_removed_and_listed_until_they_have_one(sync, cohorts, graph):
    cohort_id = people(cohorts, "ann", "bob")
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    cohorts.profiles["bob"] = {"email": "no address"}
    run = await sync.run(sync_id)
    assert counts(run) == ("PARTIAL", 1, 1, 0, 1)
    assert run["rejected"] == [{"reason": "INVALID", "count": 1}]
    assert "standing" not in run
    named, calls = cohorts.resolved, len(graph.calls)
    for _ in range(2):
        run = await sync.run(sync_id)
        assert counts(run) == ("PARTIAL", 1, 0, 0, 0)
        assert (run["rejected"], run["standing"]) == ([{"reason": "INVALID", "count": 1}], 1)
    assert (cohorts.resolved, len(graph.calls)) == (named, calls)
    cohorts.profiles["bob"] = {}
    run = await sync.run(sync_id)
    assert run["rejected"] == [{"reason": "UNMATCHED", "count": 1}]
    cohorts.profiles["bob"] = {"email": "bob@example.com"}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)


async def test_a_refused_customer_is_tried_again_when_the_profile_changes_and_not_before(
    sync, cohorts, graph
):
    cohort_id = people(cohorts, "ann", "bob")
    graph.refuse = {sha("bob@example.com")}
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    assert counts(await sync.run(sync_id)) == ("PARTIAL", 2, 0, 1, 0)
    uploads = len(graph.uploads())
    cohorts.profiles["bob"] = {"email": "bob@example.com", "plan": "PRO"}  # the same row
    run = await sync.run(sync_id)
    assert (counts(run), run.get("standing", 0)) == (("PARTIAL", 1, 0, 0, 0), 0)
    assert (await sync.run(sync_id))["standing"] == 1
    assert len(graph.uploads()) == uploads
    cohorts.profiles["bob"] = {"email": "better@example.com"}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)


async def test_who_leaves_is_no_longer_listed_and_is_tried_when_back(sync, cohorts, graph):
    cohort_id = people(cohorts, "ann", "bob")
    cohorts.profiles["bob"] = {}
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    assert counts(await sync.run(sync_id))[0] == "PARTIAL"
    cohorts.cohorts[cohort_id].members = {"ann"}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 0, 0, 0)
    cohorts.profiles["bob"] = {"email": "bob@example.com"}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 0, 0, 0)
    cohorts.cohorts[cohort_id].members = {"ann", "bob"}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)


async def test_a_changed_profile_is_an_addition_at_a_webhook(sync, cohorts, receiver):
    cohort_id = people(cohorts, "ann", "bob")
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver), maxRemoveFraction=0.0))["syncId"]
    await sync.run(sync_id)
    cohorts.profiles["bob"]["plan"] = "PRO"
    assert await sync.call("PreviewSync", {"syncId": sync_id}) == {
        "adds": 1,
        "batches": 1,
        "calls": 1,
        "revision": f"rev-{cohorts.member_sets}",
    }
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)
    assert receiver.members(sync_id) == cohorts.profiles
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 0, 0, 0)


async def test_a_changed_profile_is_an_addition_in_a_file(sync, cohorts, tmp_path):
    cohort_id, path = people(cohorts, "ann", "bob"), tmp_path / "out.jsonl"
    sync_id = (await sync.sync(cohort_id, await sync.file(path, "JSON_LINES")))["syncId"]
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 2, 0, 2, 0)
    cohorts.profiles["bob"]["plan"] = "PRO"
    assert (await sync.call("PreviewSync", {"syncId": sync_id}))["adds"] == 1
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)
    rows = {row["customerId"]: row["data"] for row in map(json.loads, path.read_text().splitlines())}
    assert rows == cohorts.profiles
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 0, 0, 0)


async def test_a_changed_profile_is_a_removal_and_an_addition_at_a_plugin_in_pages_apart(sync, cohorts):
    async with plugin() as served:
        settings = {"name": "mine", "grpc": {"target": served.target}}
        made = await sync.call("CreateDestination", {"destination": settings})
        cohort_id = people(cohorts, "ann", "bob", "cyd")
        destination_id = made["destination"]["destinationId"]
        sync_id = (await sync.sync(cohort_id, destination_id, maxRemoveFraction=0.0))["syncId"]
        await sync.run(sync_id)
        served.requests.clear()
        cohorts.profiles["bob"] = {"email": "new@example.com"}
        cohorts.profiles["ann"]["plan"] = "not what the plug-in wants"
        foreseen = await sync.call("PreviewSync", {"syncId": sync_id})
        assert (foreseen["adds"], foreseen["removes"], foreseen["batches"]) == (1, 1, 2)
        run = await sync.run(sync_id)
        assert (counts(run), run["batches"]) == (("SUCCEEDED", 1, 1, 1, 1), 2)
        first, second = served.requests
        assert [(one.customer_id, one.data["email"]) for one in first.removes] == [("bob", "bob@example.com")]
        assert [(one.customer_id, one.data["email"]) for one in second.adds] == [("bob", "new@example.com")]
        assert served.members(served.audiences[0])["bob"] == {"email": "new@example.com"}


async def test_other_match_keys_make_other_rows_of_everybody(sync, cohorts, graph):
    cohort_id = people(cohorts, "ann", "bob")
    destination_id = await sync.facebook(graph)
    sync_id = (await sync.sync(cohort_id, destination_id))["syncId"]
    await sync.run(sync_id)
    settings = {"destinationId": destination_id, "facebookAds": {"matchKeys": ["EXTERN_ID"]}}
    update = {"destination": settings, "updateMask": "facebookAds.matchKeys"}
    await sync.call("UpdateDestination", update)
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 2, 2, 2, 2)
    (audience,) = graph.audiences
    assert graph.people(audience.audience_id) == {frozenset({("EXTERN_ID", name)}) for name in ("ann", "bob")}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 0, 0, 0)


async def test_add_only_takes_no_old_row_off(sync, cohorts, graph):
    cohort_id = people(cohorts, "ann", "bob")
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph), mode="ADD_ONLY"))["syncId"]
    await sync.run(sync_id)
    cohorts.profiles["ann"] = {"email": "new@example.com"}
    cohorts.profiles["bob"] = {}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)
    (audience,) = graph.audiences
    wanted = {sha(f"{name}@example.com") for name in ("ann", "bob", "new")}
    assert graph.values(audience.audience_id, "EMAIL") == wanted


async def test_a_change_whose_answer_was_lost_and_that_was_taken_back_is_sent_again(
    sync: SyncHarness, cohorts, receiver
):
    cohort_id = people(cohorts, "ann")
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    await sync.run(sync_id)
    cohorts.profiles["ann"] = {"email": "new@example.com"}
    receiver.misbehave(*[Answer(500, apply=True)] * 3)
    assert counts(await sync.run(sync_id)) == ("FAILED", 1, 0, 0, 0)
    cohorts.profiles["ann"] = {"email": "ann@example.com"}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)
    assert receiver.members(sync_id) == cohorts.profiles


async def test_a_change_that_a_failed_run_did_not_send_is_sent_by_the_next(
    sync, cohorts, receiver, monkeypatch
):
    monkeypatch.setattr(WebhookTarget, "page_size", 2)
    cohort_id = people(cohorts, "ann", "bob", "cyd")
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    await sync.run(sync_id)
    for name in ("ann", "bob", "cyd"):
        cohorts.profiles[name] = {"email": f"new-{name}@example.com"}
    receiver.misbehave(Answer(), Answer(400))
    assert counts(await sync.run(sync_id)) == ("FAILED", 3, 0, 2, 0)
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)
    assert receiver.members(sync_id) == cohorts.profiles


@pytest.mark.parametrize("renumbered", [False, True])
async def test_a_guard_does_not_count_who_is_added_again(sync, cohorts, graph, renumbered):
    names = [f"c-{n}" for n in range(10)]
    cohort_id = people(cohorts, *names)
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph), maxRemoveFraction=0.1))["syncId"]
    await sync.run(sync_id)
    if renumbered:
        cohorts.renumber()
    for name in names:
        cohorts.profiles[name] = {"email": f"new-{name}@example.com"}
    cohorts.cohorts[cohort_id].members.discard("c-9")
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 9, 10, 9, 10)
    cohorts.cohorts[cohort_id].members -= {"c-7", "c-8"}
    run = await sync.run(sync_id)
    assert counts(run) == ("FAILED", 0, 0, 0, 0)
    assert "would remove 2 of 9 customers delivered" in run["error"]
    change = {"sync": {"syncId": sync_id, "maxRemoveFraction": 0.5}, "updateMask": "maxRemoveFraction"}
    await sync.call("UpdateSync", change)
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 0, 2, 0, 2)


async def test_rows_behind_a_failure_are_settled_with_the_key_that_was_sent(sync, cohorts, graph):
    cohort_id = people(cohorts, "ann")
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    await sync.run(sync_id)
    cohorts.profiles["ann"] = {"email": "second@example.com"}
    graph.misbehave(error(4711, apply=True, on="POST users"))
    assert counts(await sync.run(sync_id)) == ("FAILED", 1, 1, 0, 1)
    cohorts.profiles["ann"] = {"email": "third@example.com"}
    assert counts(await sync.run(sync_id)) == ("SUCCEEDED", 1, 0, 1, 0)
    (audience,) = graph.audiences
    assert graph.values(audience.audience_id, "EMAIL") == {sha("third@example.com")}
