"""What may be done with syncs and runs? The rules, each applied inside its caller's transaction.

Guarantees: one sync of a (cohort, destination) pair, one run of a sync at a time.
Nothing here waits, sends or keeps a timer: `services.sync.runner` acts on what has been committed. Instants
are ms and are passed in; failures are `libs.errors`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from libs.errors import Conflict, Missing, Refused, Taken
from libs.zones import ZoneInfo
from services.sync.model import (
    Mode,
    Once,
    Run,
    RunState,
    Schedule,
    Sync,
    SyncId,
    SyncState,
)
from services.sync.registry import Registry
from services.sync.schedule import Timetable
from services.sync.store import Store

PAUSED_BY_USER = "PAUSED_BY_USER"
COHORT_DELETED = "COHORT_DELETED"
LATE_MS = 60_000
"""How late a timer may be, whatever the catch-up window: a busy or sleeping machine, a step of the clock."""


@dataclass(frozen=True, slots=True)
class SyncDraft:
    """What a new sync is to be."""

    cohort_id: str
    destination_id: str
    schedule: Schedule
    mode: Mode
    max_remove_fraction: float | None


@dataclass(frozen=True, slots=True)
class SyncChange:
    """What is to change: None leaves as is; `guard` is a one-tuple, as its value may be None."""

    schedule: Schedule | None = None
    mode: Mode | None = None
    guard: tuple[float | None] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sync stands behind a change, and the run that the change began, which is to be launched.

    `skipped` says why a run that was due did not begin: LATE, OVERLAP.
    """

    sync: Sync
    run: Run | None = None
    skipped: str = ""


class Lifecycle:
    """The rules, over one store. `project_zone` returns the zone of schedules that name none."""

    def __init__(self, store: Store, registry: Registry, project_zone: Callable[[], ZoneInfo]) -> None:
        self._store = store
        self._registry = registry
        self._project_zone = project_zone

    # Syncs

    def sync(self, txn: Any, sync_id: str, field: str = "syncId") -> Sync:
        """Return a sync. Raises `Missing`."""
        found = self._store.sync(txn, sync_id)
        if found is None:
            raise Missing("SYNC_NOT_FOUND", f"there is no sync {sync_id[:64]!r}", "sync", sync_id[:64], field)
        return found

    def create_sync(self, txn: Any, draft: SyncDraft, now: int) -> Outcome:
        """Save a new sync.

        Raises `Missing` for the destination, `Taken` where the pair has a sync, and as `Registry.check_use`.
        """
        destination = self._registry.find(txn, draft.destination_id, "sync.destinationId")
        holder = self._store.sync_of_pair(txn, draft.cohort_id, draft.destination_id)
        if holder is not None:
            raise Taken(
                "SYNC_EXISTS",
                f"sync {holder} keeps this cohort in step at this destination already: change its schedule with "
                f"UpdateSync (cohort syncs edit), or delete it first (cohort syncs delete)",
                "sync",
                holder,
            )
        self._registry.check_use(txn, destination, draft.mode, None)
        sync = Sync(
            sync_id=SyncId(self._store.new_id(txn, "syn")),
            cohort_id=draft.cohort_id,
            destination_id=destination.destination_id,
            schedule=draft.schedule,
            mode=draft.mode,
            max_remove_fraction=draft.max_remove_fraction,
            state=SyncState.ACTIVE,
            state_reason="",
            anchor=now,
            next_run=None,
            last_run=None,
            create_time=now,
            update_time=now,
        )
        return self._activate(txn, sync, now)

    def update_sync(self, txn: Any, sync_id: str, etag: str, change: SyncChange, now: int) -> Outcome:
        """Change a sync. Raises `Missing`, `Conflict`, and `Refused` for `once` while it is running."""
        sync = self.sync(txn, sync_id, "sync.syncId")
        if etag and etag != str(sync.version):
            raise Conflict(
                "ETAG_MISMATCH", f"sync {sync_id} was changed since it was read: read it again and retry"
            )
        sync = replace(sync, version=sync.version + 1, update_time=now)
        if change.mode is not None:
            destination = self._registry.find(txn, sync.destination_id)
            self._registry.check_use(txn, destination, change.mode, sync.sync_id)
            sync = replace(sync, mode=change.mode)
        if change.guard is not None:
            sync = replace(sync, max_remove_fraction=change.guard[0])
        if change.schedule is None:
            return self._keep(txn, sync)
        sync = replace(sync, schedule=change.schedule, anchor=now)
        if sync.state is SyncState.PAUSED:
            return self._keep(txn, sync)
        return self._activate(txn, sync, now)

    def pause_sync(self, txn: Any, sync_id: str, now: int, reason: str = PAUSED_BY_USER) -> Outcome:
        """Take a sync off its schedule. One that is paused, or done, stays as it is. Raises `Missing`."""
        sync = self.sync(txn, sync_id)
        if sync.state is not SyncState.ACTIVE:
            return Outcome(sync)
        return self._keep(
            txn,
            replace(
                sync,
                state=SyncState.PAUSED,
                state_reason=reason,
                next_run=None,
                version=sync.version + 1,
                update_time=now,
            ),
        )

    def resume_sync(self, txn: Any, sync_id: str, now: int) -> Outcome:
        """Put a sync on its schedule again, from now. Raises `Missing`, `Refused` where it is done."""
        sync = self.sync(txn, sync_id)
        if sync.state is SyncState.ACTIVE:
            return Outcome(sync)
        if sync.state is SyncState.DONE:
            raise Refused(
                "SYNC_DONE",
                f"sync {sync_id} was to run once and has: use RunSync, or give it a schedule with UpdateSync",
            )
        return self._activate(txn, replace(sync, version=sync.version + 1, update_time=now), now)

    def delete_sync(self, txn: Any, sync_id: str) -> Sync:
        """Delete a sync with its runs and return it. Raises `Missing`, `Refused` while it is running."""
        sync = self.sync(txn, sync_id)
        self._check_idle(txn, sync)
        self._store.delete_sync(txn, sync)
        return sync

    def _activate(self, txn: Any, sync: Sync, now: int) -> Outcome:
        sync = replace(sync, state=SyncState.ACTIVE, state_reason="")
        if isinstance(sync.schedule.rhythm, Once):
            return Outcome(*self._begin(txn, replace(sync, next_run=None), now))
        return self._keep(txn, self._rescheduled(sync, now))

    def _rescheduled(self, sync: Sync, now: int) -> Sync:
        return replace(sync, next_run=self._timetable(sync).next(now))

    def _timetable(self, sync: Sync) -> Timetable:
        name = sync.schedule.time_zone
        zone = ZoneInfo(name) if name else self._project_zone()
        return Timetable(sync.schedule, sync.anchor, zone, sync.sync_id)

    def _keep(self, txn: Any, sync: Sync) -> Outcome:
        self._store.put_sync(txn, sync)
        return Outcome(sync)

    # Runs

    def run(self, txn: Any, run_id: str) -> Run:
        """Return a run. Raises `Missing`."""
        found = self._store.run(txn, run_id)
        if found is None:
            raise Missing("RUN_NOT_FOUND", f"there is no run {run_id[:64]!r}", "run", run_id[:64], "runId")
        return found

    def begin_run(self, txn: Any, sync_id: str, now: int) -> tuple[Sync, Run]:
        """Begin a run, whatever the schedule. Raises `Missing`, `Refused` where one is under way."""
        return self._begin(txn, self.sync(txn, sync_id), now)

    def _begin(self, txn: Any, sync: Sync, now: int) -> tuple[Sync, Run]:
        self._check_idle(txn, sync)
        run = Run(self._store.new_run_id(txn), sync.sync_id, start_time=now)
        self._store.put_run(txn, run)
        self._store.prune_runs(txn, sync.sync_id)
        sync = replace(sync, last_run=run.run_id)
        self._store.put_sync(txn, sync)
        return sync, run

    def _check_idle(self, txn: Any, sync: Sync) -> None:
        running = self._store.running(txn, sync)
        if running is not None:
            raise Refused(
                "RUN_IN_PROGRESS",
                f"run {running.run_id} of sync {sync.sync_id} is under way: wait for its end, or cancel it",
                {"run_id": running.run_id},
            )

    def cancel_run(self, txn: Any, run_id: str) -> Run:
        """Ask a run to stop behind the batch it is at. Raises `Missing`, `Refused` where it has ended."""
        run = self.run(txn, run_id)
        if run.state is not RunState.RUNNING:
            raise Refused("RUN_ENDED", f"run {run_id} has ended already: {run.state}")
        run = replace(run, cancelled=True)
        self._store.put_run(txn, run)
        return run

    def fall_due(self, txn: Any, sync_id: str, now: int) -> Outcome | None:
        """Begin the run that is due, and say when the next one is.

        None where the sync is gone or off its schedule. No run begins where none is due yet, where it is too
        late for it (the machine slept), or, as overlaps are skipped, while one is under way.
        """
        sync = self._store.sync(txn, sync_id)
        if sync is None or sync.state is not SyncState.ACTIVE or sync.next_run is None:
            return None
        due = sync.next_run
        if due > now:
            return Outcome(sync)
        is_late = now - due > LATE_MS and not self._timetable(sync).is_missed(due, now, LATE_MS)
        sync = self._rescheduled(sync, now)
        if is_late or self._store.running(txn, sync) is not None:
            return Outcome(self._keep(txn, sync).sync, skipped="LATE" if is_late else "OVERLAP")
        return Outcome(*self._begin(txn, sync, now))

    def end_run(
        self, txn: Any, run_id: str, now: int, state: RunState, error: str = "", attempts: int = 0
    ) -> Run:
        """End a run that is under way; `once` is done with that. A run that has ended stays as it is."""
        run = self.run(txn, run_id)
        if run.state is not RunState.RUNNING:
            return run
        self._store.in_flight.give_up(txn, run.sync_id)
        self._store.plans.end(txn, run.sync_id)
        run = replace(run, state=state, end_time=now, error=error, attempts=max(attempts, run.attempts))
        self._store.put_run(txn, run)
        sync = self.sync(txn, run.sync_id)
        if isinstance(sync.schedule.rhythm, Once) and sync.state is SyncState.ACTIVE:
            self._store.put_sync(txn, replace(sync, state=SyncState.DONE, version=sync.version + 1))
        return run

    def recover(self, txn: Any, now: int) -> list[Outcome]:
        """Put things right behind a stop: return the runs that were cut off, and say when syncs are due.

        A sync that missed a run it is to make up for is due now; one that missed an older one is not.
        """
        cut_off = []
        for sync in [sync for _, sync in self._store.syncs(txn)]:
            run = self._store.running(txn, sync)
            if run is not None:
                cut_off.append(Outcome(sync, run))
            if sync.next_run is not None and sync.next_run <= now:
                make_up = self._timetable(sync).is_missed(sync.next_run, now)
                sync = replace(sync, next_run=now) if make_up else self._rescheduled(sync, now)
                self._store.put_sync(txn, sync)
        self.set_back(txn, now)
        return cut_off

    def set_back(self, txn: Any, now: int) -> None:
        """Say anew when syncs are due, where the clock was set back: none waits for what was far ahead."""
        for sync in [sync for _, sync in self._store.syncs(txn)]:
            following = self._rescheduled(sync, now).next_run if sync.next_run is not None else None
            if sync.next_run is not None and following is not None and now < following < sync.next_run:
                self._store.put_sync(txn, replace(sync, next_run=following))
