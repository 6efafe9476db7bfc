"""So many calls at a time, callers in turn, and no place for a client that only holds it."""

import asyncio
from typing import Any

import pytest

from libs.errors import Overloaded
from libs.rpc.door import Door

HOUR = 3600.0


def door(places: int, waiting: int = 100, patience: float = HOUR, stalled: float = HOUR) -> Door:
    return Door(places, waiting, patience=patience, stalled=stalled)


class Callers:
    """Calls that come in, say so, and stay until they are let go. A name is its caller's, and a number."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.inside: list[str] = []
        self._go: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        for name in names:
            self._go[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._call(name))
            await settled()

    async def _call(self, name: str) -> None:
        async with self._door.turn(tuple(name[:-1])):
            self.inside.append(name)
            await self._go[name].wait()

    async def go(self, name: str) -> None:
        self._go[name].set()
        await self.tasks[name]
        await settled()

    async def hang_up(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)
        await settled()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_callers_take_turns_however_many_calls_one_of_them_has() -> None:
    callers = Callers(door(1))
    await callers.come("a1", "a2", "a3", "a4", "b1", "c1")
    for _ in range(6):
        await callers.go(callers.inside[-1])
    assert callers.inside == ["a1", "a2", "b1", "c1", "a3", "a4"]


async def test_projects_take_turns_then_their_keys_then_connections() -> None:
    callers = Callers(door(1))
    await callers.come("zzz1", "pax1", "pax2", "pay1", "paz1", "pbx1", "pbx2", "qcx1", "qcx2")
    for _ in range(9):
        await callers.go(callers.inside[-1])
    assert callers.inside == ["zzz1", "pax1", "qcx1", "pbx1", "qcx2", "pay1", "pbx2", "paz1", "pax2"]


async def test_who_hangs_up_leaves_the_turns_of_others_as_they_were() -> None:
    callers = Callers(door(1))
    await callers.come("zzz1", "pax1", "pax2", "pay1", "pbx1", "qcx1")
    for name in ("pax1", "pax2", "qcx1"):
        await callers.hang_up(name)
    for _ in range(3):
        await callers.go(callers.inside[-1])
    assert callers.inside == ["zzz1", "pay1", "pbx1"]


async def test_past_the_queue_calls_are_refused_until_somebody_leaves() -> None:
    callers = Callers(door(1, waiting=1))
    await callers.come("a1", "b1", "c1")
    with pytest.raises(Overloaded) as refused:
        await callers.tasks["c1"]
    assert refused.value.reason == "TOO_MANY_CALLS"
    assert refused.value.retry_after > 0
    await callers.go("a1")
    await callers.come("d1")
    assert callers.inside == ["a1", "b1"]
    await callers.go("b1")
    assert callers.inside == ["a1", "b1", "d1"]
    await callers.go("d1")


async def refused(task: asyncio.Task[None]) -> bool:
    await settled()
    return task.done() and isinstance(task.exception(), Overloaded)


@pytest.mark.parametrize(
    ("crowd", "newcomer", "loses"),
    [
        (("pax1", "pax2", "pay1"), "qcx1", "pax2"),  # another project
        (("pax1", "pax2", "pay1"), "pbx1", "pax2"),  # another key of the project
        (("pax1", "pax2", "pax3"), "pay1", "pax3"),  # another connection of the key
        (("qax1", "pax1", "pax2"), "qbx1", "qbx1"),  # as many as the others have: nothing to take
        (("pax1", "pax2", "pax3"), "pax4", "pax4"),  # nobody takes one's own
    ],
)
async def test_in_a_full_queue_who_has_least_takes_the_last_place_of_who_has_most(
    crowd: tuple[str, ...], newcomer: str, loses: str
) -> None:
    callers = Callers(door(1, waiting=3))
    await callers.come("zzz1", *crowd, newcomer)
    for name in (*crowd, newcomer):
        assert await refused(callers.tasks[name]) == (name == loses)
    for _ in range(4):
        await callers.go(callers.inside[-1])
    assert sorted(callers.inside) == sorted({"zzz1", *crowd, newcomer} - {loses})


async def test_who_is_refused_for_another_and_hangs_up_at_once_gives_no_place_on() -> None:
    callers = Callers(door(1, waiting=2))
    await callers.come("zzz1", "pax1", "pax2")
    callers.tasks["qax1"] = asyncio.create_task(callers._call("qax1"))
    callers._go["qax1"] = asyncio.Event()
    await asyncio.sleep(0)
    callers.tasks["pax2"].cancel()
    await settled()
    assert callers.inside == ["zzz1"]
    for _ in range(3):
        await callers.go(callers.inside[-1])
    assert callers.inside == ["zzz1", "pax1", "qax1"]


async def test_those_who_hang_up_leave_the_queue_and_give_back_their_place() -> None:
    callers = Callers(door(1, waiting=2))
    await callers.come("a1", "a2", "b1")
    await callers.hang_up("a2")
    await callers.come("c1")
    await callers.hang_up("a1")
    assert callers.inside == ["a1", "b1"]
    await callers.go("b1")
    await callers.go("c1")
    await callers.come("d1")
    assert callers.inside == ["a1", "b1", "c1", "d1"]
    await callers.go("d1")


async def test_who_is_let_in_and_hangs_up_at_once_gives_the_place_on() -> None:
    entrance = door(1)
    async with entrance.turn(("a",)):
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        hasty = asyncio.create_task(patient(entrance, "b", never))
        await settled()
    hasty.cancel()
    assert await patient(entrance, "c", asyncio.sleep(0, "served")) == "served"
    assert hasty.cancelled()


async def patient(door: Door, caller: str, step: Any, *, idle: bool = False) -> Any:
    async with door.turn((caller,)):
        return await door.patiently(step, idle=idle)


async def test_a_slow_client_keeps_its_place_until_another_wants_it() -> None:
    entrance = door(1, patience=0.0)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    slow = asyncio.create_task(patient(entrance, "a", never))
    await settled()
    assert not slow.done()
    assert await patient(entrance, "b", asyncio.sleep(0, "served")) == "served"
    with pytest.raises(Overloaded, match="too long"):
        await slow


async def test_of_slow_clients_only_as_many_go_as_others_need() -> None:
    entrance = door(2, patience=0.0)
    never = [asyncio.get_running_loop().create_future() for _ in range(2)]
    slow = [asyncio.create_task(patient(entrance, f"{n}", each)) for n, each in enumerate(never)]
    await settled()
    assert await patient(entrance, "b", asyncio.sleep(0, "served")) == "served"
    assert [task.done() for task in slow] == [True, False]
    assert isinstance(slow[0].exception(), Overloaded)
    never[1].set_result("kept")
    assert await slow[1] == "kept"


async def test_nobody_may_hold_a_call_open_for_ever_but_the_idle() -> None:
    entrance = door(2, stalled=0.0)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    idle = asyncio.create_task(patient(entrance, "a", never, idle=True))
    with pytest.raises(Overloaded):
        await patient(entrance, "b", asyncio.get_running_loop().create_future())
    assert not idle.done()
    never.set_result(None)
    await idle
