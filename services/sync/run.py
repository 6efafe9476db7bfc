"""What does one run do? Plans exactly what differs, delivers it, and notes each acknowledgement.

The plan is members now less members delivered, and the reverse, by customer. Numbers stand for customers
within an epoch; customers that were given other numbers since (a new epoch, or erased and come back) are
matched by their ids before anything is counted or sent. What the destination acknowledges, the cached bitmap
and the counters of the run move in one transaction, so that whenever this stops, the next run sends the rest.
Memory does not grow with the cohort: bitmaps, and one group of customers at a time.
"""

import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import msgspec
from msgspec.structs import replace
from pyroaring import BitMap

from services.sync.delivered import Entry
from services.sync.destinations.base import Feed, Page, Snapshot, Target
from services.sync.diff import size, slices, subtract
from services.sync.members import Member, Members, MemberSet
from services.sync.model import Run, RunId, RunState, Sync
from services.sync.store import Store

GROUP = 1000
"""Customers named at a time where no page says how many: one message of the cohort service."""
SNAPSHOT_GROUP = 5000
"""Members written to a snapshot at a time: a few megabytes with their profiles."""
ERASED = "ERASED"
"""Why a member of the plan was not delivered: it was erased between the plan and its delivery."""


class RunError(Exception):
    """The run cannot go on. The message is for people."""


class Cancelled(RunError):
    """Somebody cancelled the run."""


class Stopped(RunError):
    """The service is stopping."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs: numbers to add, numbers that are gone, and how many customers are to be removed."""

    adds: dict[str, BitMap]
    gone: dict[str, BitMap]
    removes: int
    delivered: int
    """How many customers the destination holds before the run."""


class Delivery:
    """One run of `sync` to an opened destination. `stopping` says whether to stop behind the batch."""

    def __init__(
        self,
        store: Store,
        members: Members,
        sync: Sync,
        run_id: RunId,
        target: Target,
        stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._members = members
        self._sync = sync
        self._run_id = run_id
        self._target = target
        self._stopping = stopping

    async def perform(self) -> RunState:
        """Run to the end and return how it ended: SUCCEEDED, or PARTIAL.

        Raises `RunError`, `MembersError`, `DeliveryError`; what was acknowledged before counts as delivered.
        """
        members = await self._members.get(self._sync.cohort_id)
        plan = await self._plan(members)
        self._check_guard(plan)
        if isinstance(self._target, Feed):
            await self._feed(self._target, members, plan)
        elif isinstance(self._target, Snapshot):
            await self._replace(self._target, members, plan)
        run = await self._store.writing(self._count_erased)
        return RunState.PARTIAL if run.rejected else RunState.SUCCEEDED

    # Planning

    async def _plan(self, members: MemberSet) -> Plan:
        sync_id, delivered = self._sync.sync_id, self._store.delivered
        await self._store.writing(
            lambda txn: delivered.begin_epoch(txn, sync_id, members.epoch, members.numbers)
        )
        plan = await self._store.reading(lambda txn: self._compare(txn, members))
        if plan.adds and plan.removes:
            for group in slices(plan.adds, GROUP):
                self._check_going()
                named = await self._members.resolve(members.epoch, group, profiles=False)
                entries = [member.entry for member in named]
                await self._store.writing(partial(delivered.match, sync_id=sync_id, entries=entries))
            plan = await self._store.reading(lambda txn: self._compare(txn, members))
        return plan

    def _compare(self, txn: Any, members: MemberSet) -> Plan:
        delivered = self._store.delivered
        rows = delivered.ledger(txn, self._sync.sync_id).rows
        numbers = delivered.numbers(txn, self._sync.sync_id)
        gone = subtract(numbers, members.numbers)
        stale = rows - size(numbers)
        return Plan(subtract(members.numbers, numbers), gone, size(gone) + stale, rows)

    def _check_guard(self, plan: Plan) -> None:
        guard = self._sync.max_remove_fraction
        if guard is not None and plan.removes > guard * plan.delivered:
            raise RunError(
                f"the run would remove {plan.removes} of {plan.delivered} customers delivered, more than "
                f"max_remove_fraction {guard:g} allows; nothing was sent. "
                "If that is right, raise the fraction and run again"
            )

    async def _record(self, members: MemberSet, plan: Plan, batches: int) -> None:
        """Write down the plan, before anything is sent."""

        def record(txn: Any) -> Run:
            return self._update(
                txn,
                revision=members.revision,
                planned_adds=size(plan.adds),
                planned_removes=plan.removes,
                batches=batches,
            )

        self._check_going(await self._store.writing(record))

    # Delivering

    async def _feed(self, feed: Feed, members: MemberSet, plan: Plan) -> None:
        pages = -(-(size(plan.adds) + plan.removes) // feed.page_size)
        await self._record(members, plan, pages)
        number = 0
        async for adds, removes in self._pages(members, plan, feed.page_size):
            number += 1
            page = Page(
                self._sync.sync_id,
                self._run_id,
                members.cohort_id,
                members.cohort_name,
                number,
                pages,
                adds,
                removes,
            )
            await feed.send(page)
            entries = [member.entry for member in adds]
            run = await self._store.writing(partial(self._acknowledge, adds=entries, removes=removes))
            if number < pages:
                self._check_going(run)

    async def _pages(
        self, members: MemberSet, plan: Plan, page_size: int
    ) -> AsyncIterator[tuple[list[Member], list[str]]]:
        """Yield (adds, removes), removes first: a run that stops half-way has taken people off."""
        removes: list[str] = []
        after: bytes | None = b"" if plan.removes else None
        while after is not None:
            find = partial(
                self._store.delivered.find_removed,
                sync_id=self._sync.sync_id,
                gone=plan.gone,
                after=after,
                most=page_size,
            )
            removes, after = await self._store.reading(find)
            if after is not None:
                yield [], removes
        for group in slices(plan.adds, page_size, first=page_size - len(removes)):
            yield await self._members.resolve(members.epoch, group, profiles=True), removes
            removes = []
        if removes:
            yield [], removes

    async def _replace(self, snapshot: Snapshot, members: MemberSet, plan: Plan) -> None:
        await self._record(members, plan, 1)
        with tempfile.TemporaryFile() as added:
            await snapshot.replace(self._everybody(members, plan, added))
            added.seek(0)
            await self._store.writing(partial(self._acknowledge_snapshot, plan=plan, added=added))

    async def _everybody(
        self, members: MemberSet, plan: Plan, added: BinaryIO
    ) -> AsyncIterator[Sequence[Member]]:
        """Yield all members, noting those that are new in `added`, one a line."""
        for group in slices(members.numbers, SNAPSHOT_GROUP):
            self._check_going(await self._store.reading(self._run))
            named = await self._members.resolve(members.epoch, group, profiles=True)
            new = [m.entry for m in named if m.entry.number in plan.adds.get(m.entry.shard, ())]
            added.writelines(msgspec.json.encode(entry) + b"\n" for entry in new)
            yield named

    def _acknowledge(self, txn: Any, adds: Sequence[Entry], removes: Sequence[str]) -> Run:
        run = self._run(txn)
        added, removed = self._store.delivered.acknowledge(txn, self._sync.sync_id, adds, removes)
        return self._update(
            txn,
            delivered_adds=run.delivered_adds + added,
            delivered_removes=run.delivered_removes + removed,
            attempts=self._target.attempts,
        )

    def _acknowledge_snapshot(self, txn: Any, plan: Plan, added: BinaryIO) -> None:
        delivered, sync_id = self._store.delivered, self._sync.sync_id
        removed, after = 0, b"" if plan.removes else None
        while after is not None:
            removes, after = delivered.find_removed(txn, sync_id, plan.gone, after, GROUP)
            removed += delivered.acknowledge(txn, sync_id, (), removes)[1]
        entries = (msgspec.json.decode(line, type=Entry) for line in added)
        count, _ = delivered.acknowledge(txn, sync_id, entries, ())
        self._update(txn, delivered_adds=count, delivered_removes=removed, attempts=self._target.attempts)

    # The record of the run

    def _run(self, txn: Any) -> Run:
        run = self._store.run(txn, self._run_id)
        assert run is not None  # a sync that is running cannot be deleted
        return run

    def _update(self, txn: Any, **changes: Any) -> Run:
        run = replace(self._run(txn), **changes)
        self._store.put_run(txn, run)
        return run

    def _count_erased(self, txn: Any) -> Run:
        run = self._run(txn)
        erased = run.planned_adds - run.delivered_adds
        return self._update(txn, rejected={ERASED: erased}) if erased else run

    def _check_going(self, run: Run | None = None) -> None:
        if run is not None and run.cancelled:
            raise Cancelled("the run was cancelled")
        if self._stopping():
            raise Stopped("the service is stopping")
