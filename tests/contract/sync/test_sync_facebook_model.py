"""Does an audience hold exactly what it should over long, unlucky histories? Random ones, against a plain model.

Answers are lost before and after they take effect, runs fail and the service restarts, while members come, go,
are renumbered, erased, share addresses and change them. Whenever a run ends without an error, the audience is
the set of the members' addresses as they are, and whoever is missing cannot be matched or is refused.
"""

import hashlib
import random

import pytest

from services.sync.destinations.facebook.rows import upload_form
from services.sync.destinations.facebook.target import FacebookTarget
from tests.contract.sync.harness import IMPATIENT
from tests.fakes.graph import error, html

PEOPLE = [f"c-{n:02}" for n in range(40)]
STEPS = 25


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def bad_luck(dice: random.Random) -> list:
    """Make troubles for the next calls: passing ones, and enough of them to fail a run."""
    kinds = [
        lambda: html(502, apply=dice.random() < 0.5, on=dice.choice(("POST users", "DELETE users", ""))),
        lambda: error(2, status=500, apply=dice.random() < 0.5),
        lambda: error(190, apply=dice.random() < 0.5, on="POST users"),
        lambda: error(4711, apply=dice.random() < 0.5),
    ]
    return [dice.choice(kinds)() for _ in range(dice.choice((1, 2, IMPATIENT.attempts, 4)))]


@pytest.mark.parametrize("seed", range(8))
async def test_the_audience_is_the_addresses_of_the_members(sync, cohorts, graph, monkeypatch, seed):
    monkeypatch.setattr(FacebookTarget, "page_size", 5)
    dice = random.Random(seed)
    graph.samples, graph.cumulative = dice.random() < 0.5, dice.random() < 0.5
    graph.refuse = {sha(f"{name}@example.com") for name in dice.sample(PEOPLE, 3)}

    def address(name: str) -> str:
        return dice.choice((f"{name}@example.com", f"{name}@example.com", "shared@example.com", "", "bad"))

    for name in PEOPLE:
        cohorts.profiles[name] = {"email": address(name)}
    cohort_id = cohorts.add_cohort("C")
    sync_id = (await sync.sync(cohort_id, await sync.facebook(graph)))["syncId"]
    ended = 0
    for _ in range(STEPS):
        members = cohorts.cohorts[cohort_id].members
        for _ in range(dice.randrange(1, 3)):
            match dice.choice(
                ["swap", "swap", "renumber", "erase", "restart", "change", "unlucky", "unlucky"]
            ):
                case "swap":
                    members ^= set(dice.sample(PEOPLE, dice.randrange(15)))
                case "renumber":
                    cohorts.renumber()
                case "erase":
                    cohorts.erase(dice.choice(PEOPLE))
                case "restart":
                    await sync.restart()
                case "change":
                    for name in dice.sample(PEOPLE, 4):
                        cohorts.profiles[name] = {"email": address(name)}
                case "unlucky":
                    graph.misbehave(*bad_luck(dice))
        now = {name: sha(cohorts.profiles[name]["email"]) for name in PEOPLE}
        run = await sync.run(sync_id)
        assert _adds_up(run), run
        graph._troubles.clear()
        if run["state"] == "FAILED":
            continue
        ended += 1
        delivered = await _delivered(sync, sync_id)
        (audience,) = graph.audiences or (None,)
        found = graph.values(audience.audience_id, "EMAIL") if audience else set()
        assert found == set(delivered.values())
        assert delivered.keys() <= members
        assert all(value == now[name] for name, value in delivered.items())
        for name in members - delivered.keys():
            assert "@" not in cohorts.profiles[name]["email"] or now[name] in graph.refuse
    assert ended > STEPS // 3


async def _delivered(sync, sync_id: str) -> dict[str, str]:
    """Return whom the service has noted as delivered, and the address that was uploaded."""

    def read(txn) -> dict[str, str]:
        store = sync.app._store
        numbers = store.delivered.numbers(txn, sync_id)
        found = store.delivered.find_removed(txn, sync_id, numbers, b"", 10_000)
        return {removal.customer_id: upload_form(removal.key)[1][0] for removal in found.removals}

    return await sync.app._store.reading(read)


def _adds_up(run: dict) -> bool:
    rejected = sum(one["count"] for one in run.get("rejected", ()))
    planned = run.get("plannedAdds", 0) + run.get("plannedRemoves", 0)
    done = run.get("deliveredAdds", 0) + run.get("deliveredRemoves", 0) + rejected
    return done == planned if run["state"] in ("SUCCEEDED", "PARTIAL") else done <= planned
