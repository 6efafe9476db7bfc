"""How much memory may the requests of all callers take at once? Bytes, taken before they are there, and given back.

A request's size is not known before it is read, so the largest there is is taken first, and what it did not need is
given back as soon as it is there. Who finds no room waits, callers in turn as at a door. For the event loop's thread.
"""

import asyncio

from libs.errors import Overloaded
from libs.rpc.door import RETRY_SECONDS, Line, Names, Pace, Turn


class Budget:
    """So many bytes for all. What one waits for, it waits for without holding any of the same budget."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._held = 0
        self._line = Line()
        self._sizes: dict[Turn, int] = {}
        self._next: Turn | None = None
        self.pace = Pace()
        """Of those who hold bytes while their client sends."""

    @property
    def free(self) -> int:
        """Bytes that nobody has."""
        return self._free

    @property
    def is_short(self) -> bool:
        """Whether somebody waits."""
        return bool(self._sizes)

    async def take(self, caller: Names, size: int, patience: float) -> int:
        """Take bytes, when it is the caller's turn; return how many: all there are, where it wants more.

        Where there are too few, the slowest client that has some is given `patience` seconds to be done.
        """
        size = min(size, self._most)
        if size <= self._free and not self._sizes:
            self._free -= size
            return size
        self.pace.press(patience)
        turn: Turn = asyncio.get_running_loop().create_future()
        self._sizes[turn] = size
        self._line.add(caller, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give(size)
            else:
                self._forget(caller, turn)
            raise
        return size

    def overdraw(self, size: int) -> int:
        """Take bytes that are there already, whether there is room or not; return how many."""
        self._free -= size
        return size

    def give(self, size: int) -> None:
        """Give bytes back."""
        self._free += size
        self._admit()

    def hold(self, size: int) -> None:
        """Keep bytes, that were taken, for as long as one likes. Raises `Overloaded` past half of the budget."""
        if self._held + size > self._most // 2:
            raise Overloaded(
                "TOO_MUCH_HELD", "the requests of open streams take too much memory; try again", RETRY_SECONDS
            )
        self._held += size

    def let_go(self, size: int) -> None:
        """End `hold`; the bytes are still to be given back."""
        self._held -= size

    def _forget(self, caller: Names, turn: Turn) -> None:
        """Take one out who hung up, and who may have been in the way of others."""
        if turn is self._next:
            self._next = None
        elif not self._line.remove(caller, turn):
            return
        del self._sizes[turn]
        self._admit()

    def _admit(self) -> None:
        """Let those in whose turn it is, as far as there is room; who is next is not passed over for smaller ones."""
        while self._next or self._line:
            turn = self._next or self._line.take()
            self._next = turn
            if not turn.done():
                if self._sizes[turn] > self._free:
                    return
                self._free -= self._sizes[turn]
                turn.set_result(None)
            self._next = None
            del self._sizes[turn]
