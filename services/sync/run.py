"""What does one run do? Plans exactly what differs, delivers it, and notes each acknowledgement.

What the destination acknowledges, the cached bitmap and the counters of the run move in one transaction, so
that whenever this stops, the rest is sent by the same run, if the service was stopped or killed, and by the next
one after a failure. Memory does not grow with the cohort: bitmaps, and one
or two groups of customers at a time. Neighbours: `planning`, `feeding` (destinations that take changes),
`progress` (the record of the run).
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, BinaryIO

import msgspec

from services.sync.delivered import Entry
from services.sync.destinations.base import Feed, Snapshot, Target
from services.sync.diff import slices
from services.sync.feeding import Feeding
from services.sync.members import Member, Members
from services.sync.model import Run, RunState, Sync
from services.sync.planning import GROUP, Planner, check_guard, check_mode
from services.sync.plans import Plan
from services.sync.progress import Progress
from services.sync.store import Store

SNAPSHOT_GROUP = 5000
"""Members written to a snapshot at a time: a few megabytes with their profiles."""
LINES_BYTES = 1 << 20
"""How much is read back at a time of what was noted for a snapshot."""
ERASED = "ERASED"
"""Why a member of the plan was not delivered: it was erased between the plan and its delivery."""


class Delivery:
    """One run of `sync` to an opened destination. `stopping` says whether to stop behind the batch."""

    def __init__(
        self,
        store: Store,
        members: Members,
        sync: Sync,
        run: Run,
        target: Target,
        stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._client = members
        self._sync = sync
        self._target = target
        self._progress = Progress(store, run, target, stopping)
        target.check_going = self._progress.check

    @property
    def attempts(self) -> int:
        """How many calls were made to the destination, those before the run was cut off included."""
        return self._progress.attempts

    async def perform(self) -> RunState:
        """Run to the end, or go on to the end, and return how it ended: SUCCEEDED, or PARTIAL.

        Raises `RunError`, `MembersError`, `DeliveryError`; what was acknowledged before counts as delivered.
        """
        await self._progress.check()
        if isinstance(self._target, Feed):
            await self._target.prepare()
        plan = await self._plan()
        rejected_adds = 0
        if isinstance(self._target, Feed):
            feeding = Feeding(self._store, self._client, self._sync, plan, self._progress)
            rejected_adds = await feeding.deliver(self._target)
        elif isinstance(self._target, Snapshot):
            await self._replace(self._target, plan)
        run = await self._store.writing(partial(self._end, plan=plan, rejected_adds=rejected_adds))
        return RunState.PARTIAL if run.rejected else RunState.SUCCEEDED

    async def _plan(self) -> Plan:
        """Return the plan of the run: the one it had when it was cut off, or a new one, written down."""
        sync, run_id, plans = self._sync, self._progress.run_id, self._store.plans
        kept = await self._store.reading(lambda txn: plans.find(txn, sync.sync_id, run_id))
        if kept is not None:
            return kept
        if isinstance(self._target, Feed):
            check_mode(self._target, sync)
        check_going = self._progress.check_going
        plan = await Planner(self._store, self._client, sync, self._target, check_going).plan()
        check_guard(sync, plan)

        def record(txn: Any) -> Run:
            plans.begin(txn, sync.sync_id, run_id, plan)
            return self._progress.update(
                txn,
                revision=plan.members.revision,
                planned_adds=plan.planned_adds,
                planned_removes=plan.removes,
                rejected=plan.standing,
                standing=sum(plan.standing.values()),
            )

        self._progress.check_going(await self._store.writing(record))
        return plan

    # Snapshots

    async def _replace(self, snapshot: Snapshot, plan: Plan) -> None:
        await self._store.writing(lambda txn: self._progress.update(txn, batches=1))
        with tempfile.TemporaryFile() as added:
            await snapshot.replace(self._everybody(snapshot, plan, added))
            added.seek(0)
            await self._store.writing(partial(self._acknowledge_snapshot, plan=plan, added=added))

    async def _everybody(
        self, snapshot: Snapshot, plan: Plan, added: BinaryIO
    ) -> AsyncIterator[Sequence[Member]]:
        """Yield all members, noting those that are new, or have changed, in `added`, one a line."""
        members = plan.members
        for group in slices(members.numbers, SNAPSHOT_GROUP):
            await self._progress.check()
            named = await self._client.resolve(members.epoch, group, profiles=True)
            new = [member for member in named if member.entry.number in plan.adds.get(member.entry.shard, ())]
            keys = await asyncio.to_thread(snapshot.keys, new)
            entries = [
                one.entry._replace(key=key)
                for one, key in zip(new, keys, strict=True)
                if isinstance(key, bytes)
            ]
            added.writelines(msgspec.json.encode(entry) + b"\n" for entry in entries)
            yield named

    def _acknowledge_snapshot(self, txn: Any, plan: Plan, added: BinaryIO) -> None:
        delivered, sync_id = self._store.delivered, self._sync.sync_id
        removed, after = 0, b"" if plan.removes else None
        while after is not None:
            removes, after = delivered.find_removed(txn, sync_id, plan.gone, after, GROUP)
            ids = [removal.customer_id for removal in removes]
            removed += delivered.acknowledge(txn, sync_id, (), ids)[1]
        count = 0
        while lines := added.readlines(LINES_BYTES):
            entries = [msgspec.json.decode(line, type=Entry) for line in lines]
            delivered.acknowledge(txn, sync_id, entries, ())
            count += len(entries)
        removed += self._progress.read(txn).delivered_removes  # where it was cut off behind this before
        self._progress.update(txn, delivered_adds=count, delivered_removes=removed)

    def _end(self, txn: Any, plan: Plan, rejected_adds: int) -> Run:
        """Note that what is kept is of this revision, and count the planned who are nowhere: they were erased."""
        sync_id, members = self._sync.sync_id, plan.members
        self._store.delivered.settle_keys(txn, sync_id, members.revision, plan.keying)
        self._store.refusals.sweep(txn, sync_id, members.epoch, members.numbers)
        run = self._progress.read(txn)
        erased = run.planned_adds - run.delivered_adds - rejected_adds - run.standing
        return self._progress.update(txn, rejected={**run.rejected, ERASED: erased}) if erased > 0 else run
