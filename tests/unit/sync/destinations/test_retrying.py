"""How often is something tried, and how long is it waited for?"""

import pytest

from services.sync.destinations.base import Blocked, DeliveryError, Passing
from services.sync.destinations.retrying import Patience, persist


class Caller:
    """Fails as told, then answers; keeps how long it was waited in between."""

    def __init__(self, *failures: DeliveryError) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.slept: list[float] = []

    async def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def persist(self) -> str:
        return await persist(self, Patience(sleep=self.sleep), "the place")


async def test_what_passes_is_tried_again_after_pauses_that_grow_at_random():
    caller = Caller(*[Passing("busy")] * 5)
    assert await caller.persist() == "done"
    assert caller.calls == 6
    assert all(0 <= slept <= most for slept, most in zip(caller.slept, (1, 2, 4, 8, 16), strict=True))
    assert len(set(caller.slept)) == 5


async def test_six_times_are_the_most_and_the_last_failure_is_told():
    caller = Caller(*[Passing("busy")] * 6)
    with pytest.raises(DeliveryError, match=r"the place was called 6 times and did not do it: busy$"):
        await caller.persist()


async def test_a_pause_that_is_asked_for_is_kept_to_the_second():
    caller = Caller(Passing("busy", 7.0), Passing("busy", 300.0))
    assert await caller.persist() == "done"
    assert caller.slept == [7.0, 300.0]


async def test_a_pause_of_more_than_five_minutes_is_left_to_the_next_run():
    caller = Caller(Passing("busy", 301.0))
    with pytest.raises(DeliveryError, match=r"called once .* busy, and asked to be left alone for 301 s"):
        await caller.persist()
    assert caller.slept == []


@pytest.mark.parametrize("failure", [DeliveryError("no"), Blocked("GONE", "no")])
async def test_what_does_not_pass_is_not_tried_again(failure):
    caller = Caller(failure)
    with pytest.raises(type(failure), match=r"^no$"):
        await caller.persist()
    assert caller.calls == 1
