"""Who keeps the index up with the log while nobody asks? A thread that catches up after commits.

So a process that only takes events seals them too, and the first Run behind a long load has little to do.
"""

import threading
from collections.abc import Callable

import structlog

from libs.errors import frames

log = structlog.get_logger()


class Keeper:
    """Calls `catch_up` in a thread of its own after each `wake`, once for many."""

    def __init__(self, catch_up: Callable[[], None]) -> None:
        self._catch_up = catch_up
        self._woken = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="index-keeper", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new."""
        self._woken.set()

    def close(self) -> None:
        """End the thread; what it was at is finished."""
        self._closing = True
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._woken.wait()
            if self._closing:
                return
            self._woken.clear()
            try:
                self._catch_up()
            except Exception as error:
                log.error("catching up failed", error=type(error).__name__, where=frames(error))
