"""Which runs are under way? Starts, ends and stops them, each in a task, and keeps the timers.

Everything it acts on has been committed first: `follow` reads a sync as it stands now, so the order in which
changes are reported does not matter. Neighbours: `lifecycle` (the rules), `run` (one run), `scheduler`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_fixed

from libs import tracing
from libs.clock import Clock
from libs.errors import Fault, Overloaded, frames
from services.sync.destinations.base import Blocked, DeliveryError, Target
from services.sync.lifecycle import COHORT_DELETED, Lifecycle, Outcome
from services.sync.measures import Measures
from services.sync.members import CohortGone, Members, MembersError
from services.sync.model import Destination, Run, RunId, RunState, Sync, SyncId, SyncState
from services.sync.progress import Cancelled, RunError, Stopped
from services.sync.run import Delivery
from services.sync.scheduler import Scheduler
from services.sync.store import Store

DRAIN_SECONDS = 10.0
"""How long runs may take to end their batch when the service stops: half of what the server grants."""
FULL_DISK_SECONDS = 5.0
"""How long to wait before the end of a run is written again where there was no room."""

T = TypeVar("T")

log = structlog.get_logger()


class Runner:
    """The runs of one store. `open_target` opens a destination."""

    def __init__(
        self,
        store: Store,
        lifecycle: Lifecycle,
        members: Members,
        open_target: Callable[[Destination], Awaitable[Target]],
        clock: Clock,
        measures: Measures | None = None,
    ) -> None:
        self._measures = measures or Measures(store)
        self._store = store
        self._lifecycle = lifecycle
        self._members = members
        self._open_target = open_target
        self._clock = clock
        self._scheduler = Scheduler(self._wake, clock, self._set_back)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._cut_off: list[Outcome] = []
        self._busy: defaultdict[SyncId, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def pausing(self, sync_id: SyncId) -> AsyncIterator[bool]:
        """Keep the runs of a sync waiting. Yields False, and keeps nobody waiting, where one is under way."""
        lock = self._busy[sync_id]
        if lock.locked() or await self._store.reading(lambda txn: self._is_running(txn, sync_id)):
            yield False
            return
        async with lock:
            yield True

    def _is_running(self, txn: Any, sync_id: SyncId) -> bool:
        sync = self._store.sync(txn, sync_id)
        return sync is not None and self._store.running(txn, sync) is not None

    async def recover(self) -> None:
        """Put things right behind the last stop; before a run can begin, as that would look cut off."""
        self._cut_off = await self._store.writing(lambda txn: self._lifecycle.recover(txn, self._clock()))

    async def start(self) -> None:
        """Go on with the runs that were cut off, and let syncs fall due."""
        for outcome in self._cut_off:
            self.act(outcome)
        self._cut_off = []
        self._scheduler.start()
        await self._follow_all()

    async def _set_back(self) -> None:
        """Set all timers anew, behind a step of the clock back."""
        await self._write(lambda txn: self._lifecycle.set_back(txn, self._clock()))
        await self._follow_all()

    async def _follow_all(self) -> None:
        sync_ids = await self._store.reading(lambda txn: [sync.sync_id for _, sync in self._store.syncs(txn)])
        for sync_id in sync_ids:
            self.follow(sync_id)

    def follow(self, sync_id: SyncId) -> None:
        """Set the timer of a sync as it stands now; one that is gone has none."""
        with self._store.read() as txn:  # one small read: microseconds
            sync = self._store.sync(txn, sync_id)
        self._scheduler.set(sync_id, sync.next_run if sync else None)

    async def pause_orphans(self) -> None:
        """Pause the syncs whose cohorts were deleted; the cohort service does not tell, so it is asked."""

        def active(txn: Any) -> list[Sync]:
            return [sync for _, sync in self._store.syncs(txn) if sync.state is SyncState.ACTIVE]

        syncs = await self._store.reading(active)  # before the cohorts: each of these had one
        existing = await self._members.existing() if syncs else None
        if existing is None:
            return
        for sync in syncs:
            if sync.cohort_id not in existing:
                pause = partial(self._lifecycle.pause_sync, sync_id=sync.sync_id, reason=COHORT_DELETED)
                self.act(await self._store.writing(partial(pause, now=self._clock())))

    def act(self, outcome: Outcome) -> None:
        """Do what follows from a change that has been committed: set the timer, launch the run."""
        self.follow(outcome.sync.sync_id)
        if outcome.run is not None and not self._stopping:  # the next start goes on with it
            self._spawn(self._traced(outcome.sync, outcome.run))

    async def stop(self) -> None:
        """Start nothing more, and let runs end the batch they are at."""
        self._stopping = True
        self._scheduler.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None], context: Context | None = None) -> None:
        task = asyncio.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self, sync_id: SyncId) -> None:
        if not self._stopping:
            # A timer remembers whose call set it, and what it begins is not of that call: not in the log either.
            self._spawn(self._fall_due(sync_id), Context())

    async def _fall_due(self, sync_id: SyncId) -> None:
        outcome = await self._write(lambda txn: self._lifecycle.fall_due(txn, sync_id, self._clock()))
        if outcome is not None:
            if outcome.skipped:
                log.info("run skipped", sync_id=sync_id, reason=outcome.skipped)
            self.act(outcome)

    async def _traced(self, sync: Sync, run: Run) -> None:
        with tracing.run_span(sync.sync_id, run.run_id) as told:
            ended = await self._perform(sync, run)
            if ended is not None:
                told |= {
                    "state": str(ended.state),
                    "adds": ended.delivered_adds,
                    "removes": ended.delivered_removes,
                }

    async def _perform(self, sync: Sync, run: Run) -> Run | None:
        """Deliver a run to its end and return it, or until the service stops: the next start goes on with it."""
        log.info("run goes on" if run.revision else "run began", sync_id=sync.sync_id, run_id=run.run_id)
        self._measures.began()
        attempts, destination = run.attempts, None
        state, failed = RunState.FAILED, _Failed()
        try:
            with self._store.read() as txn:
                destination = self._store.destination(txn, sync.destination_id)
            assert destination is not None  # one that a sync uses cannot be deleted
            target = await self._open_target(destination)
            delivery = Delivery(self._store, self._members, sync, run, target, lambda: self._stopping)
            try:
                async with self._busy[sync.sync_id]:
                    state = await delivery.perform()
            finally:
                attempts = delivery.attempts
                await target.close()
        except (asyncio.CancelledError, Stopped):
            log.info("run is cut off", sync_id=sync.sync_id, run_id=run.run_id)
            self._measures.cut_off()
            return None
        except Cancelled:
            state = RunState.CANCELLED
        except Exception as failure:
            failed = _failed(run.run_id, failure)
        ended = await self._end(sync.sync_id, run.run_id, state, failed.message, attempts, failed.pause)
        self.follow(sync.sync_id)
        self._measures.ended(destination.settings if destination else None, ended)
        log.info(
            "run ended",
            sync_id=sync.sync_id,
            run_id=run.run_id,
            state=str(ended.state),
            adds=ended.delivered_adds,
            removes=ended.delivered_removes,
            reason=failed.reason,
        )
        return ended

    async def _end(
        self, sync_id: SyncId, run_id: RunId, state: RunState, error: str, attempts: int, pause: str
    ) -> Run:
        """End a run, and pause its sync for the reason `pause` where there is one."""

        def end(txn: Any) -> Run:
            now = self._clock()
            if pause:
                self._lifecycle.pause_sync(txn, sync_id, now, pause)
            return self._lifecycle.end_run(txn, run_id, now, state, error, attempts)

        return await self._write(end)

    async def _write(self, work: Callable[[Any], T]) -> T:
        """Write what must be written, as often as it takes until there is room on the disk."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Overloaded),
            wait=wait_fixed(FULL_DISK_SECONDS),
            before_sleep=lambda _: log.error("no room to write about runs", reason="STORAGE_FULL"),
        )
        return cast(T, await retrying(self._store.writing, work))


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why a run failed: `reason` for the log, `message` for who may read the run, `pause` where its sync stops."""

    reason: str = ""
    message: str = ""
    pause: str = ""


def _failed(run_id: RunId, failure: Exception) -> _Failed:
    """Return what a failure means; only one that nobody foresaw is logged here, without its message."""
    match failure:
        case CohortGone():
            return _Failed(COHORT_DELETED, str(failure), COHORT_DELETED)
        case Blocked():
            return _Failed(failure.logged, str(failure), failure.reason)
        case Fault():
            return _Failed(failure.reason, str(failure))
        case RunError():
            return _Failed("RUN_REFUSED", str(failure))
        case MembersError():
            return _Failed("MEMBERS_UNAVAILABLE", str(failure))
        case DeliveryError():
            return _Failed("DELIVERY_FAILED", str(failure))
    kind = type(failure).__name__
    log.error("run failed inside", run_id=run_id, failure=kind, where=frames(failure))
    return _Failed("INTERNAL", f"the run failed inside the service ({kind}); its log says how")
