"""Who may come in next? So many calls at a time, the rest in a queue that is fair to callers, and bounded.

A call waits before its message is read, so that waiting costs nearly no memory; callers take turns, so that one
with a thousand calls, or a thousand connections, does not hold up one with a single call. Who is inside and waits
for its own client, to send a message or to take one, keeps its place only while nobody else wants it. For the
event loop's thread.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from libs.errors import Overloaded

T = TypeVar("T")
RETRY_SECONDS = 1.0
Names = tuple[str, ...]
"""Who calls, from the widest name to the narrowest: a project, a key in it, a connection of that key."""
Turn = asyncio.Future[None]


class Line:
    """Calls that wait. The first names of their callers take turns, among those with one the second, and so on."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, Line] = OrderedDict()
        self._calls: deque[Turn] = deque()

    def __bool__(self) -> bool:
        return bool(self._calls or self._lines)

    def add(self, caller: Names, call: Turn) -> None:
        """Put a call behind the others of its caller, and a caller that is new behind the others."""
        line = self
        for name in caller:
            line = line._lines.setdefault(name, Line())
        line._calls.append(call)

    def take(self) -> Turn:
        """Take out the call whose turn it is. Only of a line where somebody waits."""
        if self._calls:
            return self._calls.popleft()
        name, line = self._lines.popitem(last=False)
        call = line.take()
        if line:
            self._lines[name] = line  # behind all others
        return call

    def remove(self, caller: Names, call: Turn) -> bool:
        """Take out a call that no longer waits; say whether it was there."""
        if not caller:
            there = call in self._calls
            if there:
                self._calls.remove(call)
            return there
        line = self._lines.get(caller[0])
        if line is None or not line.remove(caller[1:], call):
            return False
        if not line:
            del self._lines[caller[0]]
        return True


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
        self._line = Line()
        self._at_clients_pace: OrderedDict[asyncio.Timeout, float] = OrderedDict()

    @asynccontextmanager
    async def turn(self, caller: Names) -> AsyncIterator[None]:
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

    async def _enter(self, caller: Names) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        self._press()
        if self._waiting >= self._most:
            raise Overloaded(
                "TOO_MANY_CALLS", f"too many {self._what} are under way; try again later", RETRY_SECONDS
            )
        turn: Turn = asyncio.get_running_loop().create_future()
        self._line.add(caller, turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # let in and hung up at once
                self._leave()
            elif self._line.remove(caller, turn):  # else somebody who left has passed it over already
                self._waiting -= 1
            raise

    def _leave(self) -> None:
        """Give the place to the next caller's first call that still waits."""
        while self._line:
            turn = self._line.take()
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
