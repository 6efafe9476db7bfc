"""Does a preview say what the run behind it does? To the customer, the batch and the call, and sends nothing."""

import random

import pytest

from services.sync.destinations.facebook.target import FacebookTarget
from services.sync.destinations.webhook import WebhookTarget
from tests.contract.sync.harness import SyncHarness, until
from tests.fakes.plugin import plugin
from tests.fakes.webhook import Answer


async def preview(sync: SyncHarness, sync_id: str) -> dict:
    answer = await sync.call("PreviewSync", {"syncId": sync_id})
    assert answer.pop("revision")
    return answer


async def check(sync: SyncHarness, sync_id: str, expected: dict, count_calls) -> None:
    """Preview, run, and compare the two."""
    assert await preview(sync, sync_id) == expected
    before = count_calls()
    run = await sync.run(sync_id)
    assert run.get("deliveredAdds", 0) == expected.get("adds", 0)
    assert run.get("deliveredRemoves", 0) == expected.get("removes", 0)
    assert run.get("rejected", []) == expected.get("unmatched", [])
    assert count_calls() - before == expected.get("calls", 0)


async def test_pages_of_a_webhook_are_foreseen(sync, cohorts, receiver, monkeypatch):
    monkeypatch.setattr(WebhookTarget, "page_size", 10)
    cohort_id = cohorts.add_cohort("C", [f"c-{n:02}" for n in range(25)])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    calls = lambda: len(receiver.calls)  # noqa: E731
    await check(sync, sync_id, {"adds": 25, "batches": 3, "calls": 3}, calls)
    await check(sync, sync_id, {}, calls)
    cohorts.cohorts[cohort_id].members = {f"c-{n:02}" for n in range(20, 40)}
    await check(sync, sync_id, {"adds": 15, "removes": 20, "batches": 4, "calls": 4}, calls)


async def test_who_cannot_be_matched_is_foreseen_by_reason_and_no_audience_is_made(sync, cohorts, graph):
    people = {"ann": "ann@example.com", "bob": "bob@example.com", "cyd": "", "dan": "no address", "eve": ""}
    cohorts.profiles.update({name: {"email": email} for name, email in people.items()})
    cohort_id = cohorts.add_cohort("C", people)
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    unmatched = [{"reason": "INVALID", "count": 1}, {"reason": "UNMATCHED", "count": 2}]
    first = {"adds": 2, "batches": 1, "calls": 3, "unmatched": unmatched}
    assert await preview(sync, sync_id) == first
    assert graph.calls == []
    await check(sync, sync_id, first, lambda: len(graph.calls))
    await check(sync, sync_id, {"unmatched": unmatched}, lambda: len(graph.calls))
    cohorts.cohorts[cohort_id].members -= {"bob", "cyd"}
    second = {"removes": 1, "batches": 1, "calls": 1, "unmatched": [{"reason": "INVALID", "count": 1}]}
    second["unmatched"].append({"reason": "UNMATCHED", "count": 1})
    await check(sync, sync_id, second, lambda: len(graph.calls))


async def test_a_plugin_is_asked_what_it_wants_and_nothing_else(sync, cohorts):
    async with plugin(batch=2) as served:
        settings = {"name": "mine", "grpc": {"target": served.target}}
        made = await sync.call("CreateDestination", {"destination": settings})
        cohort_id = cohorts.add_cohort("C", ["ann", "bob", "cyd"])
        sync_id = (await sync.sync(cohort_id, made["destination"]["destinationId"]))["syncId"]
        assert await preview(sync, sync_id) == {"adds": 3, "batches": 2, "calls": 5}
        assert served.audiences == []
        run = await sync.run(sync_id)
        assert (run["attempts"], run["batches"]) == (5, 2)


async def test_a_file_is_one_batch(sync, cohorts, tmp_path):
    cohort_id = cohorts.add_cohort("C", ["ann", "bob"])
    sync_id = (await sync.sync(cohort_id, await sync.file(tmp_path / "out.csv")))["syncId"]
    assert await preview(sync, sync_id) == {"adds": 2, "batches": 1, "calls": 1}
    assert not (tmp_path / "out.csv").exists()


async def test_a_full_set_takes_pages_for_everybody_and_counts_who_is_new(sync, cohorts, graph, monkeypatch):
    monkeypatch.setattr(FacebookTarget, "page_size", 2)
    cohorts.profiles.update({name: {"email": f"{name}@example.com"} for name in ("ann", "bob", "cyd")})
    cohort_id = cohorts.add_cohort("C", ["ann", "bob"])
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph), mode="REPLACE"))["syncId"]
    await sync.run(sync_id)
    cohorts.cohorts[cohort_id].members = {"ann", "bob", "cyd"}
    await check(sync, sync_id, {"adds": 1, "batches": 2, "calls": 2}, lambda: len(graph.calls))


@pytest.mark.parametrize("seed", range(4))
async def test_it_is_exact_over_unlucky_histories(sync, cohorts, receiver, monkeypatch, seed):
    monkeypatch.setattr(WebhookTarget, "page_size", 5)
    dice = random.Random(seed)
    people = [f"c-{n:02}" for n in range(40)]
    cohort_id = cohorts.add_cohort("C")
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    for _ in range(15):
        members = cohorts.cohorts[cohort_id].members
        members ^= set(dice.sample(people, dice.randrange(1, 20)))
        match dice.choice(["renumber", "come back", "fail", "nothing"]):
            case "renumber":
                cohorts.renumber()
            case "come back":
                person = dice.choice(people)
                cohorts.erase(person)
                members.add(person)
            case "fail":
                receiver.misbehave(*[Answer()] * dice.randrange(2), Answer(500), Answer(500), Answer(500))
                await sync.run(sync_id)
                receiver._state.answers.clear()
        foreseen = await preview(sync, sync_id)
        before = len(receiver.calls)
        run = await sync.run(sync_id)
        assert run.get("deliveredAdds", 0) == foreseen.get("adds", 0)
        assert run.get("deliveredRemoves", 0) == foreseen.get("removes", 0)
        assert len(receiver.calls) - before == foreseen.get("calls", 0)


async def test_what_cannot_be_foreseen_says_why(sync, cohorts, receiver):
    assert (await sync.failure("PreviewSync", {"syncId": "x"})).reason == "SYNC_NOT_FOUND"
    cohort_id = cohorts.add_cohort("C", ["ann"])
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    gone = cohorts.cohorts.pop(cohort_id)
    assert (await sync.failure("PreviewSync", {"syncId": sync_id})).reason == "COHORT_DELETED"
    cohorts.cohorts[cohort_id] = gone
    receiver.misbehave(Answer(hang=True))
    run = (await sync.call("RunSync", {"syncId": sync_id}))["run"]
    await until(lambda: receiver.calls)
    assert await preview(sync, sync_id) == {"adds": 1, "batches": 1, "calls": 1}
    cohorts.renumber()
    refused = await sync.failure("PreviewSync", {"syncId": sync_id})
    assert (refused.code.name, refused.reason) == ("FAILED_PRECONDITION", "RUN_IN_PROGRESS")
    receiver.release()
    await sync.ended(run["runId"])


async def test_a_plugin_loses_who_leaves_though_somebody_like_them_stays(sync, cohorts):
    async with plugin() as served:
        settings = {"name": "mine", "grpc": {"target": served.target}}
        made = await sync.call("CreateDestination", {"destination": settings})
        cohort_id = cohorts.add_cohort("C", ["ann", "bob"])  # both without the attribute it wants
        sync_id = (await sync.sync(cohort_id, made["destination"]["destinationId"]))["syncId"]
        await sync.run(sync_id)
        cohorts.cohorts[cohort_id].members = {"bob"}
        assert await preview(sync, sync_id) == {"removes": 1, "batches": 1, "calls": 3}
        await sync.run(sync_id)
        assert set(served.members(served.audiences[0])) == {"bob"}
