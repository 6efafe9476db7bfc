"""Who may come in next? So many calls at a time, the rest in a queue that is fair to connections, and bounded.

A call waits before its message is read, so that waiting costs nearly no memory; callers take turns, so that one
with a thousand calls does not hold up one with a single call. Who is inside and waits for its own client, to
send a message or to take one, keeps its place only while nobody else wants it. For the event loop's thread.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from libs.errors import Overloaded

T = TypeVar("T")
RETRY_SECONDS = 1.0


class Door:
    """Lets `places` calls in at a time and `waiting` wait. Times are in seconds."""

    def __init__(
        self, places: int, waiting: int, *, patience: float, stalled: float, what: str = "calls"
    ) -> None:
        self._free = places
        self._most = waiting
        self._patience, self._stalled = patience, stalled
        self._what = what
        self._waiting = 0
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._at_clients_pace: OrderedDict[asyncio.Timeout, float] = OrderedDict()

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Come in when it is this caller's turn. Raises `Overloaded` where too many wait."""
        await self._enter(caller)
        try:
            yield
        finally:
            self._leave()

    async def patiently(self, step: Awaitable[T], *, idle: bool = False) -> T:
        """Do what takes as long as the client likes. Raises `Overloaded` if that is too long.

        Only within `turn`. An `idle` client owes nothing: it may take any time while nobody needs its place.
        """
        now = asyncio.get_running_loop().time()
        patience = self._patience if self._waiting else None if idle else self._stalled
        limit = asyncio.timeout(patience)
        try:
            async with limit:
                self._at_clients_pace[limit] = now
                try:
                    return await step
                finally:
                    self._at_clients_pace.pop(limit, None)
        except TimeoutError:
            raise Overloaded(
                "CLIENT_TOO_SLOW",
                "the client took too long to send or take a message; try again",
                RETRY_SECONDS,
            ) from None

    async def _enter(self, caller: str) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        self._press()
        if self._waiting >= self._most:
            raise Overloaded(
                "TOO_MANY_CALLS", f"too many {self._what} are under way; try again later", RETRY_SECONDS
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # let in and hung up at once
                self._leave()
            else:
                self._give_up(caller, turn)
            raise

    def _give_up(self, caller: str, turn: asyncio.Future[None]) -> None:
        """Leave the queue, unless somebody who left has passed over this call already."""
        queue = self._queues.get(caller)
        if queue is not None and turn in queue:
            queue.remove(turn)
            self._waiting -= 1
            if not queue:
                del self._queues[caller]

    def _leave(self) -> None:
        """Give the place to the next caller's first call that still waits."""
        while self._queues:
            caller, queue = self._queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._queues[caller] = queue  # behind all others
            self._waiting -= 1
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _press(self) -> None:
        """Have the call that has waited longest for its client give up its place in time."""
        if self._at_clients_pace:
            limit, since = self._at_clients_pace.popitem(last=False)
            limit.reschedule(max(asyncio.get_running_loop().time(), since + self._patience))
