"""Memory is taken before it is there, in turn, and given back."""

import asyncio
from typing import Any

import pytest

from libs.errors import Overloaded
from libs.rpc.budget import Budget
from libs.rpc.door import Door

HOUR = 3600.0
A, B = ("a",), ("b",)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def taking(budget: Budget, caller: str, size: int) -> "asyncio.Task[int]":
    return asyncio.create_task(budget.take((caller,), size, HOUR))


async def waiting(*tasks: "asyncio.Task[Any]") -> list[bool]:
    await settled()
    return [not task.done() for task in tasks]


async def test_who_finds_no_room_waits_until_enough_is_given_back() -> None:
    budget = Budget(100)
    assert await budget.take(A, 60, HOUR) == 60
    second = taking(budget, "a", 50)
    assert await waiting(second) == [True]
    budget.give(9)
    assert await waiting(second) == [True]
    budget.give(1)
    assert await second == 50
    assert budget.free == 0


async def test_callers_take_turns_and_small_requests_do_not_pass_over_a_large_one() -> None:
    budget = Budget(100)
    await budget.take(A, 100, HOUR)
    large, again, other = taking(budget, "a", 90), taking(budget, "a", 5), taking(budget, "b", 5)
    await settled()
    budget.give(20)
    assert await waiting(large, again, other) == [True, True, True]
    budget.give(75)
    assert await waiting(large, other, again) == [False, False, True]
    budget.give(5)
    assert await again == 5


async def test_who_wants_more_than_there_is_gets_all() -> None:
    budget = Budget(100)
    assert await budget.take(A, 1000, HOUR) == 100


@pytest.mark.parametrize("admitted", [False, True])
async def test_who_hangs_up_is_in_nobodys_way_and_keeps_nothing(admitted: bool) -> None:
    budget = Budget(100)
    await budget.take(A, 50, HOUR)
    large, small = taking(budget, "a", 90), taking(budget, "b", 50)
    await settled()
    if admitted:
        budget.give(50)
    else:
        budget.give(1)  # the large one is next, and does not fit
    large.cancel()
    assert await waiting(small) == [False]
    assert budget.free == (50 if admitted else 1)


async def test_one_of_many_who_hangs_up_in_the_queue_leaves_it() -> None:
    budget = Budget(10)
    await budget.take(A, 10, HOUR)
    tasks = [taking(budget, "a", 10) for _ in range(3)]
    await settled()
    tasks[1].cancel()
    await settled()
    budget.give(10)
    assert await waiting(tasks[0], tasks[2]) == [False, True]
    budget.give(10)
    assert await tasks[2] == 10


async def test_what_is_there_already_is_counted_and_keeps_others_out() -> None:
    budget = Budget(10)
    budget.overdraw(25)
    task = taking(budget, "a", 5)
    assert await waiting(task) == [True]
    budget.give(25)
    assert await task == 5


async def test_streams_may_keep_half() -> None:
    budget = Budget(100)
    budget.hold(50)
    with pytest.raises(Overloaded) as refused:
        budget.hold(1)
    assert refused.value.reason == "TOO_MUCH_HELD"
    assert refused.value.retry_after > 0
    budget.let_go(50)
    budget.hold(50)


async def test_a_client_that_is_slow_to_send_gives_its_room_up_to_who_waits_for_it() -> None:
    budget, door = Budget(10), Door(2, 0, patience=HOUR, stalled=HOUR)

    async def slow() -> None:
        async with door.turn(A):
            size = await budget.take(A, 10, HOUR)
            try:
                await door.patiently(asyncio.get_running_loop().create_future(), also=budget.pace)
            finally:
                budget.give(size)

    client = asyncio.create_task(slow())
    await settled()
    assert await budget.take(B, 10, 0.0) == 10
    with pytest.raises(Overloaded, match="too long"):
        await client
