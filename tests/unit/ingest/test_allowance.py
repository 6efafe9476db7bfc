"""What may a project send: its rate, its burst, its room, and what is said where it may not."""

import pytest

from libs.errors import Overloaded
from libs.storage.projects import Quota
from services.ingest.allowance import BURST_SECONDS, Allowance
from tests.contract.harness import StepClock


class World:
    """A project whose limits, log and clock are set by hand."""

    def __init__(self, **limits: int) -> None:
        self.clock = StepClock()
        self.quota = Quota(**limits)
        self.bytes = 0
        self.allowance = Allowance(lambda: self.quota, lambda: self.bytes, self.clock)

    def refused(self, items: int) -> Overloaded:
        with pytest.raises(Overloaded) as caught:
            self.allowance.take(items)
        return caught.value


def test_without_limits_everything_comes_in() -> None:
    world = World()
    world.bytes = 1 << 60
    for _ in range(3):
        world.allowance.take(200_000)


def test_a_burst_comes_in_at_once_and_then_what_the_rate_gives() -> None:
    world = World(events_per_second=100)
    world.allowance.take(100 * BURST_SECONDS)
    fault = world.refused(50)
    assert (fault.reason, round(fault.retry_after, 2)) == ("EVENT_RATE_LIMIT", 0.5)
    world.clock.now += 499
    assert world.refused(50).retry_after < 0.01
    world.clock.now += int(1000 * world.refused(50).retry_after)
    world.allowance.take(50)
    world.refused(1)


def test_what_was_refused_costs_nothing_and_the_bucket_holds_no_more_than_a_burst() -> None:
    world = World(events_per_second=10)
    world.clock.now += 3_600_000
    world.allowance.take(100)
    for _ in range(100):
        world.refused(10)
    world.clock.now += 1000
    world.allowance.take(10)


def test_a_batch_greater_than_a_burst_comes_in_and_is_paid_for_after() -> None:
    world = World(events_per_second=10)
    world.allowance.take(1000)  # 100 in the bucket, 900 owed
    assert round(world.refused(10).retry_after) == 91
    assert round(world.refused(5000).retry_after) == 100
    world.clock.now += 91_000
    world.allowance.take(10)


def test_over_any_time_no_more_comes_in_than_rate_and_burst_and_one_batch() -> None:
    world = World(events_per_second=70)
    taken = 0
    for step in range(1, 2000):
        items = step * 7919 % 1500 + 1
        try:
            world.allowance.take(items)
        except Overloaded:
            pass
        else:
            taken += items
        world.clock.now += 37
    assert 70 * 1999 * 0.037 * 0.8 < taken <= 70 * (1999 * 0.037 + BURST_SECONDS) + 1500


def test_a_limit_that_is_changed_or_lifted_holds_from_the_next_request_on() -> None:
    world = World(events_per_second=1)
    world.allowance.take(10)
    world.refused(1)
    world.quota = Quota(events_per_second=100)
    world.allowance.take(1000)
    world.refused(1)
    world.quota = Quota()
    world.allowance.take(1_000_000)


def test_a_clock_set_back_takes_nothing_and_gives_nothing() -> None:
    world = World(events_per_second=10)
    world.allowance.take(100)
    world.clock.now -= 3_600_000
    world.refused(1)
    world.clock.now += 1000
    world.allowance.take(10)
    world.refused(1)


def test_a_full_log_refuses_without_spending_the_rate() -> None:
    world = World(events_per_second=1, log_bytes=100)
    world.bytes = 100
    assert world.refused(10).reason == "LOG_BYTES_LIMIT"
    world.bytes = 99
    world.allowance.take(10)
