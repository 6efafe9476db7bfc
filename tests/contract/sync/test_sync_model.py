"""Is the difference exact over long, unlucky histories? Random ones, against the plainest of models."""

import random

import pytest

from services.sync.destinations.webhook import WebhookTarget
from tests.fakes.webhook import Answer


class Ledger:
    """What a destination holds by its own account; complains of an add or a remove that changes nothing."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self._read = 0

    def read(self, pages: list[dict]) -> None:
        for page in pages[self._read :]:
            removes = {removed["customerId"] for removed in page["removes"]}
            adds = {added["customerId"] for added in page["adds"]}
            assert len(removes) + len(adds) <= WebhookTarget.page_size
            assert removes <= self.held, "removed a customer who was not delivered"
            assert not adds & self.held, "added a customer who was delivered"
            self.held = (self.held - removes) | adds
        self._read = len(pages)


@pytest.mark.parametrize("seed", range(6))
async def test_every_run_that_succeeds_leaves_the_destination_equal_to_the_cohort(
    sync, cohorts, receiver, monkeypatch, seed
):
    monkeypatch.setattr(WebhookTarget, "page_size", 7)
    dice = random.Random(seed)
    cohorts._shards = 1 + seed % 3
    people = [f"c-{n:02}" for n in range(60)]
    cohort_id = cohorts.add_cohort("C")
    sync_id = (await sync.sync(cohort_id, await sync.webhook(receiver)))["syncId"]
    ledger = Ledger()
    succeeded = 0
    for _ in range(25):
        members = cohorts.cohorts[cohort_id].members
        match dice.choice(["swap", "swap", "shuffle", "renumber", "erase", "come back", "restart", "fail"]):
            case "swap":
                members ^= set(dice.sample(people, dice.randrange(12)))
            case "shuffle":
                cohorts.cohorts[cohort_id].members = set(dice.sample(people, dice.randrange(60)))
            case "renumber":
                cohorts.renumber()
            case "erase":
                cohorts.erase(dice.choice(people))
            case "come back":
                person = dice.choice(people)
                cohorts.erase(person)
                members.add(person)
            case "restart":
                await sync.restart()
            case "fail":
                members ^= set(dice.sample(people, 30))
                receiver.misbehave(*[Answer()] * dice.randrange(4), Answer(400))
        run = await sync.run(sync_id)
        ledger.read(receiver.pages)
        assert run.get("deliveredAdds", 0) <= run.get("plannedAdds", 0)
        if run["state"] == "SUCCEEDED":
            succeeded += 1
            assert ledger.held == cohorts.cohorts[cohort_id].members
            assert run.get("deliveredAdds", 0) == run.get("plannedAdds", 0)
            assert run.get("deliveredRemoves", 0) == run.get("plannedRemoves", 0)
    assert succeeded > 10
