"""Who wakes a sync when it is due? APScheduler, with timers in memory only.

It holds no truth: when a sync is due stands in LMDB, is put here at start and at each change, and is checked
again when the timer goes off. So a timer that is early, late or of a sync long gone does no harm.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from libs.clock import Clock
from services.sync.model import SyncId


class Scheduler:
    """One timer a sync. `wake` is called in the event loop with the sync that is due by `clock`."""

    def __init__(self, wake: Callable[[SyncId], None], clock: Clock) -> None:
        self._wake = wake
        self._clock = clock
        self._timers = AsyncIOScheduler(timezone=UTC)

    def start(self) -> None:
        """Let timers go off, in the running event loop."""
        self._timers.start()

    def set(self, sync_id: SyncId, instant: int | None) -> None:
        """Wake a sync at this instant (ms) in place of the one before; None: not at all."""
        if instant is None:
            self._drop(sync_id)
            return
        delay = timedelta(milliseconds=max(0, instant - self._clock()))
        self._timers.add_job(
            self._ring,
            DateTrigger(datetime.now(UTC) + delay, UTC),
            args=(sync_id,),
            id=sync_id,
            replace_existing=True,
            misfire_grace_time=None,  # late is still due
        )

    def _drop(self, sync_id: SyncId) -> None:
        try:
            self._timers.remove_job(sync_id)
        except JobLookupError:
            return

    async def _ring(self, sync_id: SyncId) -> None:
        """Wake a sync; a coroutine, as APScheduler would run a plain function in a thread."""
        self._wake(sync_id)

    def stop(self) -> None:
        """Let no timer go off any more."""
        if self._timers.running:
            self._timers.shutdown(wait=False)
