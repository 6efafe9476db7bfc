"""Who may come in next? So many calls at a time, the rest in a queue that is fair to callers, and bounded.

A call waits before its message is read, so that waiting costs nearly no memory; callers take turns, so that one
with a thousand calls, or a thousand connections, does not hold up one with a single call. Where the queue is full,
a caller with few calls in it takes the place of the last call of the caller with the most. Who is inside and waits
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
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, caller: Names, call: Turn) -> None:
        """Put a call behind the others of its caller, and a caller that is new behind the others."""
        line = self
        line._length += 1
        for name in caller:
            line = line._lines.setdefault(name, Line())
            line._length += 1
        line._calls.append(call)

    def take(self) -> Turn:
        """Take out the call whose turn it is. Only of a line where somebody waits."""
        self._length -= 1
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
                self._length -= 1
            return there
        line = self._lines.get(caller[0])
        if line is None or not line.remove(caller[1:], call):
            return False
        self._length -= 1
        if not line:
            del self._lines[caller[0]]
        return True

    def make_room(self, caller: Names) -> Turn | None:
        """Take out the last call of whoever has the most, if a call of `caller` has a better claim to its place.

        It has where, at the first name at which both differ, it would still have fewer than the other has left,
        so that places do not go to and fro. Costs a look at each name beside the caller's.
        """
        if not caller or not self._lines:
            return None
        most = max(self._lines.values(), key=len)
        own = self._lines.get(caller[0])
        number = len(own) if own is not None else 0
        if number + 1 < len(most):
            return self._take_last()
        call = own.make_room(caller[1:]) if own is not None else None
        if call is not None:
            self._length -= 1
        return call

    def _take_last(self) -> Turn:
        """Take out the last call of the caller with the most. One of several lasts, never all of a caller's."""
        self._length -= 1
        if not self._lines:
            return self._calls.pop()
        name = max(self._lines, key=lambda each: len(self._lines[each]))
        call = self._lines[name]._take_last()
        if not self._lines[name]:
            del self._lines[name]
        return call


class Pace:
    """Calls that hold something while they wait for their own client. The one that has waited longest goes first."""

    def __init__(self) -> None:
        self._since: OrderedDict[asyncio.Timeout, float] = OrderedDict()

    def add(self, limit: asyncio.Timeout, now: float) -> None:
        """Note that a call waits for its client from `now`, the loop's time."""
        self._since[limit] = now

    def drop(self, limit: asyncio.Timeout) -> None:
        """Note that it does no more."""
        self._since.pop(limit, None)

    def press(self, patience: float) -> None:
        """Have the one that has waited longest give up once it has for `patience` seconds."""
        if self._since:
            limit, since = self._since.popitem(last=False)
            limit.reschedule(max(asyncio.get_running_loop().time(), since + patience))


class Door:
    """Lets `places` calls in at a time and `waiting` wait. Times are in seconds."""

    def __init__(
        self, places: int, waiting: int, *, patience: float, stalled: float, what: str = "calls"
    ) -> None:
        self._free = places
        self._most = waiting
        self._stalled = stalled
        self._what = what
        self._waiting = 0
        self._line = Line()
        self.patience = patience
        self._pace = Pace()

    @asynccontextmanager
    async def turn(self, caller: Names) -> AsyncIterator[None]:
        """Come in when it is this caller's turn. Raises `Overloaded` where too many wait."""
        await self._enter(caller)
        try:
            yield
        finally:
            self._leave()

    async def patiently(
        self, step: Awaitable[T], *, idle: bool = False, also: Pace | None = None, short: bool = False
    ) -> T:
        """Do what takes as long as the client likes. Raises `Overloaded` if that is too long.

        Only within `turn`. An `idle` client owes nothing: it may take any time while nobody needs its place. `also`
        is the pace of what else the call holds meanwhile, and `short` whether others wait for that already.
        """
        now = asyncio.get_running_loop().time()
        patience = self.patience if self._waiting or short else None if idle else self._stalled
        limit = asyncio.timeout(patience)
        try:
            async with limit:
                self._pace.add(limit, now)
                if also is not None:
                    also.add(limit, now)
                try:
                    return await step
                finally:
                    self._pace.drop(limit)
                    if also is not None:
                        also.drop(limit)
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
        self._pace.press(self.patience)
        if self._waiting >= self._most:
            self._refuse_one(caller)
        turn: Turn = asyncio.get_running_loop().create_future()
        self._line.add(caller, turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                if turn.exception() is None:  # let in and hung up at once
                    self._leave()
            elif self._line.remove(caller, turn):  # else somebody who left has passed it over already
                self._waiting -= 1
            raise

    def _refuse_one(self, caller: Names) -> None:
        """Refuse the last call of a caller with too many places in the queue, or this one: raises `Overloaded`."""
        refusal = Overloaded(
            "TOO_MANY_CALLS", f"too many {self._what} are under way; try again later", RETRY_SECONDS
        )
        turn = self._line.make_room(caller)
        if turn is None:
            raise refusal
        self._waiting -= 1
        if not turn.done():
            turn.set_exception(refusal)

    def _leave(self) -> None:
        """Give the place to the next caller's first call that still waits."""
        while self._line:
            turn = self._line.take()
            self._waiting -= 1
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
