"""Is the answer still wanted? Lets work in a thread stop early once its call has hung up or run out of time.

Whoever starts work sets a `Stop` for it, which threads begun by `asyncio.to_thread` see too; long work asks
`check` at places where it may be left. Without a `Stop` nothing is ever interrupted.
"""

from contextvars import ContextVar


class Interrupted(Exception):
    """Nobody waits for what this work would give."""


class Stop:
    """Says whether one call's work is to stop. Set from any thread, once."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = False


_stop: ContextVar[Stop | None] = ContextVar("stop", default=None)


def begin() -> Stop:
    """Let the work of this task, and of threads it begins, be stopped by what is returned."""
    stop = Stop()
    _stop.set(stop)
    return stop


def check() -> None:
    """Raise `Interrupted` if this work is to stop. Costs some 0.1 µs."""
    stop = _stop.get()
    if stop is not None and stop.asked:
        raise Interrupted
