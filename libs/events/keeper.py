"""Who writes what a start would like to find, while commits go on? One thread for one thing at a time.

Nothing it does is needed for an answer to be right: what fails is said in the log and tried again with the next.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from libs.errors import frames

log = structlog.get_logger()


class Keeper:
    """The thread. For one thread that asks."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "keeper")
        self._task: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether it is at work."""
        return self._task is not None and not self._task.done()

    def submit(self, task: Callable[[], None]) -> Future[None]:
        """Do something when what is being done is done."""
        self._task = self._executor.submit(_logged, task)
        return self._task

    def do(self, task: Callable[[], None]) -> None:
        """Do something when what is being done is done, and wait for it. Raises what it raises. From any thread."""
        self._executor.submit(task).result()

    def wait(self) -> None:
        """Return when nothing is to be done any more."""
        if self._task:
            self._task.result()

    def close(self) -> None:
        """End the thread, once it is done."""
        self._executor.shutdown(wait=True)


def _logged(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception as error:
        log.error("keeping files failed", error=type(error).__name__, where=frames(error))
