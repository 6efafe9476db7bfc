"""When may a file be closed that threads read? A gate that all pass, and that is shut while nobody is inside.

A thread that is inside passes again without waiting, so reads may be nested. Passing costs a microsecond.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A gate for the threads of one process."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._inside = 0
        self._shut = False
        self._local = threading.local()

    def enter(self) -> None:
        """Go in; waits while the gate is shut. Each is followed by a `leave` of the same thread."""
        depth: int = getattr(self._local, "depth", 0)
        if not depth:
            with self._condition:
                while self._shut:
                    self._condition.wait()
                self._inside += 1
        self._local.depth = depth + 1

    def leave(self) -> None:
        """Go out."""
        self._local.depth -= 1
        if not self._local.depth:
            with self._condition:
                self._inside -= 1
                if self._shut:
                    self._condition.notify_all()

    @contextmanager
    def shut(self, seconds: float) -> Iterator[bool]:
        """Shut it once nobody is inside. Yields False, and is open, where somebody still is after some seconds."""
        with self._condition:
            while self._shut:
                self._condition.wait()
            self._shut = True
            empty = self._condition.wait_for(lambda: self._inside == 0, seconds)
            if not empty:
                self._open()
        try:
            yield empty
        finally:
            if empty:
                with self._condition:
                    self._open()

    def _open(self) -> None:
        self._shut = False
        self._condition.notify_all()
