"""How far is a run, and may it go on? The record of one run under way, and the ways it is told to stop.

RunError
├── Cancelled          somebody cancelled the run
└── Stopped            the service is stopping
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from services.sync.destinations.base import Target
from services.sync.model import Run
from services.sync.store import Store


class RunError(Exception):
    """The run cannot go on. The message is for people."""


class Cancelled(RunError):
    """Somebody cancelled the run."""


class Stopped(RunError):
    """The service is stopping."""


class Progress:
    """The record of the run that delivers to `target`. `stopping` says whether the service stops."""

    def __init__(self, store: Store, run: Run, target: Target, stopping: Callable[[], bool]) -> None:
        self.run_id = run.run_id
        self._store = store
        self._target = target
        self._stopping = stopping
        self._made_before = run.attempts  # where it was cut off

    @property
    def attempts(self) -> int:
        """How many calls the run has made to its destination."""
        return self._made_before + self._target.attempts

    def read(self, txn: Any) -> Run:
        """Return the record."""
        run = self._store.run(txn, self.run_id)
        assert run is not None  # a sync that is running cannot be deleted
        return run

    def update(self, txn: Any, **changes: Any) -> Run:
        """Change the record, with the calls made so far, and return it."""
        run = replace(self.read(txn), attempts=self.attempts, **changes)
        self._store.put_run(txn, run)
        return run

    def check_going(self, run: Run | None = None) -> None:
        """Raise `Cancelled` where this record says so, and `Stopped` where the service stops."""
        if run is not None and run.cancelled:
            raise Cancelled("the run was cancelled")
        if self._stopping():
            raise Stopped("the service is stopping")

    async def check(self) -> None:
        """Raise `Cancelled` or `Stopped` where the run is not to go on."""
        self.check_going(await self._store.reading(self.read))
