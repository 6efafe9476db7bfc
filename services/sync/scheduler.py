"""Who wakes a sync when it is due? APScheduler, with timers in memory only.

It holds no truth: when a sync is due stands in LMDB, is put here at start and at each change, and is checked
again when the timer goes off. So a timer that is early, late or of a sync long gone does no harm.

Timers sleep by the monotonic clock, which stands still while the machine sleeps and knows of no clock being set.
So the clock is looked at every half minute: what is overdue is woken then, and a clock set back is told of.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from libs.clock import Clock
from services.sync.model import SyncId

LOOK_SECONDS = 30.0
"""How late a timer may go off behind a step of the clock, or a machine's sleep."""
STEP_MS = 5_000
"""A clock that runs so much behind in that time was set back; one that is kept in step never does."""


class Scheduler:
    """One timer a sync. `wake` is called in the event loop with the sync that is due by `clock`.

    `set_back` is awaited where the clock was set back, and the timers are to be set anew.
    """

    def __init__(
        self, wake: Callable[[SyncId], None], clock: Clock, set_back: Callable[[], Awaitable[None]]
    ) -> None:
        self._wake = wake
        self._clock = clock
        self._set_back = set_back
        self._timers = AsyncIOScheduler(timezone=UTC)
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let timers go off, in the running event loop."""
        self._timers.start()
        self._looking = asyncio.create_task(self._look())

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

    async def _look(self) -> None:
        """Look at the clock, again and again."""
        while True:
            shown, passed = self._clock(), time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            await self.look(shown, round((time.monotonic() - passed) * 1000))

    async def look(self, shown: int, passed: int) -> None:
        """Wake what is overdue; `passed` ms ago the clock showed `shown`."""
        if self._clock() < shown + passed - STEP_MS:
            await self._set_back()
        self._timers.wakeup()

    def stop(self) -> None:
        """Let no timer go off any more."""
        if self._looking is not None:
            self._looking.cancel()
        if self._timers.running:
            self._timers.shutdown(wait=False)
