"""What differs between a cohort and what its destination holds? The plan of a run.

Members now less members delivered, and the reverse, by customer. Numbers stand for customers within an epoch;
customers that were given other numbers since (a new epoch, or erased and come back) are matched by their ids
before anything is counted. Bitmaps are compared; ids are asked for only where both sides differ, and profiles
only of those delivered who may have changed since the last run that sent everything (`revise`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pyroaring import BitMap

from libs.errors import Refused
from services.sync.delivered import Entry, Removal
from services.sync.destinations.base import Feed, Target, Unmatchable
from services.sync.diff import intersect, size, slices, subtract, unite
from services.sync.in_flight import Sent
from services.sync.members import Member, Members, MemberSet
from services.sync.model import Mode, Sync
from services.sync.plans import Plan
from services.sync.progress import RunError
from services.sync.store import Store

GROUP = 1000
"""Customers read at a time with their profiles: one message of the cohort service."""
NAMED = 10_000
"""Customers named at a time: ten messages of one call, some 15 ms."""


def _go_on() -> None:
    pass


class Planner:
    """Makes a plan for `sync`, whose destination `target` is opened, and prepared where it is a feed."""

    def __init__(
        self,
        store: Store,
        client: Members,
        sync: Sync,
        target: Target,
        check_going: Callable[[], None] = _go_on,
    ) -> None:
        self._store = store
        self._client = client
        self._sync = sync
        self._target = target
        self._check_going = check_going

    async def plan(self) -> Plan:
        """Compare members with what was delivered, now. Raises `MembersError`, and what `check_going` raises."""
        members = await self._pin()
        await self._number(members, alone=True)
        await self._match(members)
        if await self._store.reading(partial(self._uncertain, members=members)):
            await self._store.writing(partial(self._reopen, members=members))
        return await self._complete(await self._store.reading(partial(self._compare, members=members)))

    async def foresee(self) -> Plan:
        """Return the plan that a run would make now, for counting. A run under way goes on undisturbed.

        Raises `MembersError`, and `Refused` where that cannot be.
        """
        members = await self._pin()
        await self._number(members, alone=False)
        await self._match(members)
        plan = await self._store.reading(partial(self._compare, members=members))
        for entry in await self._store.reading(partial(self._uncertain, members=members)):
            plan.adds.setdefault(entry.shard, BitMap()).add(entry.number)
        return await self._complete(plan)

    async def _pin(self) -> MemberSet:
        """Ask who the members are, and who of them may have another key than the one that was uploaded."""
        ledger = await self._store.reading(lambda txn: self._store.delivered.ledger(txn, self._sync.sync_id))
        since = ledger.revision if ledger.keying == self._target.keying else ""
        return await self._client.get(self._sync.cohort_id, since)

    async def _number(self, members: MemberSet, *, alone: bool) -> None:
        """Count in these members' numbers from now on, where that is not so yet."""
        ledger = await self._store.reading(lambda txn: self._store.delivered.ledger(txn, self._sync.sync_id))
        known = ledger.epoch == members.epoch and members.numbers.keys() <= set(ledger.shards)
        if not known or not ledger.revision:
            await self._store.writing(partial(self._begin_epoch, members=members, alone=alone))

    def _begin_epoch(self, txn: Any, members: MemberSet, alone: bool) -> None:
        """Count in these members' numbers from now on; a run under way, which is not `alone`, keeps its own."""
        delivered, sync_id = self._store.delivered, self._sync.sync_id
        ledger = delivered.ledger(txn, sync_id)
        if not alone and ledger.epoch != members.epoch and self._store.running(txn, self._sync) is not None:
            raise Refused(
                "RUN_IN_PROGRESS",
                "a run of this sync is under way with other numbers for customers: wait for its end",
            )
        delivered.begin_epoch(txn, sync_id, members.epoch, members.numbers)
        if alone and not (ledger.rows or ledger.revision):  # all keys will be of this revision or later
            delivered.settle_keys(txn, sync_id, members.revision, self._target.keying)

    async def _match(self, members: MemberSet) -> None:
        """Give those delivered the numbers that they have now."""
        plan = await self._store.reading(partial(self._compare, members=members))
        if not (plan.adds and plan.removes):
            return
        for group in slices(plan.adds, NAMED):
            self._check_going()
            named = await self._client.resolve(members.epoch, group, profiles=False)
            entries = [member.entry for member in named]
            sync_id, delivered = self._sync.sync_id, self._store.delivered
            ids = [entry.customer_id for entry in entries]
            if await self._store.reading(partial(delivered.keys, sync_id=sync_id, customer_ids=ids)):
                await self._store.writing(partial(delivered.match, sync_id=sync_id, entries=entries))

    def _compare(self, txn: Any, members: MemberSet) -> Plan:
        """Compare bitmaps."""
        delivered, sync = self._store.delivered, self._sync
        rows = delivered.ledger(txn, sync.sync_id).rows
        numbers = delivered.numbers(txn, sync.sync_id)
        gone = subtract(numbers, members.numbers)
        removes = size(gone) + rows - size(numbers)  # those of other epochs have no number
        plan = Plan(members, sync.mode, subtract(members.numbers, numbers), gone, removes, rows)
        plan = replace(plan, keying=self._target.keying)
        if sync.mode is Mode.ADD_ONLY:
            plan = replace(plan, gone={}, removes=0)
        return plan if plan.is_full_set else self._leave_out(txn, plan)

    def _leave_out(self, txn: Any, plan: Plan) -> Plan:
        """Take those out of a plan who were not taken before, and of whom nothing has changed since."""
        if plan.members.changed is None:
            return plan
        standing: dict[str, int] = {}
        adds = plan.adds
        left_out = self._store.refusals.left_out(txn, self._sync.sync_id, plan.members.epoch)
        for reason, numbers in left_out.items():
            still = intersect(subtract(numbers, plan.members.changed), adds)
            if still:
                standing[reason] = size(still)
                adds = subtract(adds, still)
        return replace(plan, adds=adds, standing=standing)

    # What a run left behind without knowing what became of it

    def _uncertain(self, txn: Any, members: MemberSet) -> list[Entry]:
        """Return members who count as delivered, and were sent otherwise since, with unknown success.

        They were to be removed, or, where people are known by their customer ids, added once more.
        """
        by_key = isinstance(self._target, Feed) and self._target.by_key
        found = []
        for sent in self._store.in_flight.left(txn, self._sync.sync_id):
            customer_id = sent.entry.customer_id
            entry = self._store.delivered.find(txn, self._sync.sync_id, customer_id)
            if entry is None or entry.number not in members.numbers.get(entry.shard, ()):
                continue
            if sent.removing or not by_key:
                found.append(entry)
        return found

    def _reopen(self, txn: Any, members: MemberSet) -> None:
        """Take such members for not delivered."""
        back = self._uncertain(txn, members)
        sync_id = self._sync.sync_id
        self._store.delivered.acknowledge(txn, sync_id, (), [entry.customer_id for entry in back])
        self._store.in_flight.begin(txn, sync_id, [Sent(members.epoch, entry) for entry in back])

    async def _orphans(self, plan: Plan) -> tuple[Removal, ...]:
        """Return who was sent, not acknowledged, and has to be taken off first.

        That is who is no member, found by name where the numbers are of another epoch. Who was sent to a
        destination that knows people by their keys is taken off in any case: the key may be another by now, and
        a set does not mind a removal before an addition.
        """
        members, sync_id = plan.members, self._sync.sync_id
        everybody = await self._store.reading(lambda txn: self._store.in_flight.left(txn, sync_id))
        left = [sent for sent in everybody if not sent.removing]
        by_key = isinstance(self._target, Feed) and self._target.by_key
        named: set[str] = set()
        if any(sent.epoch != members.epoch for sent in left) and not by_key:
            for group in slices(plan.adds, NAMED):
                found = await self._client.resolve(members.epoch, group, profiles=False)
                named.update(member.entry.customer_id for member in found)

        def stays(sent: Sent) -> bool:
            if by_key:
                return False
            if sent.epoch != members.epoch:
                return sent.entry.customer_id in named
            return sent.entry.number in members.numbers.get(sent.entry.shard, ())

        return tuple(Removal(sent.entry.customer_id, sent.entry.key) for sent in left if not stays(sent))

    # Changed profiles

    async def _complete(self, plan: Plan) -> Plan:
        """Add what bitmaps do not say."""
        if not plan.is_full_set:
            plan = await self._revise(plan)
        if self._sync.mode is Mode.ADD_ONLY:
            return plan
        return replace(plan, orphans=await self._orphans(plan))

    async def _revise(self, plan: Plan) -> Plan:
        """Add the members delivered who have another key now; who has none any more is only removed."""
        members = plan.members
        numbers = await self._store.reading(
            lambda txn: self._store.delivered.numbers(txn, self._sync.sync_id)
        )
        candidates = subtract(intersect(numbers, members.numbers), plan.adds)
        if members.changed is not None:
            candidates = intersect(candidates, members.changed)
        updates: dict[str, BitMap] = {}
        lost: dict[str, BitMap] = {}
        for group in slices(candidates, GROUP):
            self._check_going()
            profiles = True if self._target.fields is None else self._target.fields
            named = await self._client.resolve(members.epoch, group, profiles=profiles)
            await self._compare_keys(named, updates, lost)
        if self._sync.mode is Mode.ADD_ONLY:
            return replace(plan, adds=unite(plan.adds, updates))
        removed = lost if self._target.replaces else unite(updates, lost)
        return replace(
            plan,
            adds=unite(plan.adds, unite(updates, lost)),
            gone=unite(plan.gone, removed),
            removes=plan.removes + size(removed),
            updates=0 if self._target.replaces else size(updates),
        )

    async def _compare_keys(
        self, named: list[Member], updates: dict[str, BitMap], lost: dict[str, BitMap]
    ) -> None:
        """Sort those out whose key is another than the one that was uploaded."""
        keys = await asyncio.to_thread(self._target.keys, named)
        ids = [member.entry.customer_id for member in named]
        uploaded = await self._store.reading(
            lambda txn: self._store.delivered.keys(txn, self._sync.sync_id, ids)
        )
        for member, key in zip(named, keys, strict=True):
            _, shard, number, _ = member.entry
            if isinstance(key, Unmatchable):
                lost.setdefault(shard, BitMap()).add(number)
            elif uploaded.get(member.entry.customer_id) != key:
                updates.setdefault(shard, BitMap()).add(number)


def check_mode(feed: Feed, sync: Sync) -> None:
    """Raise `RunError` where a feed that has been prepared cannot do the mode of a sync."""
    if sync.mode not in feed.modes:
        raise RunError(
            f"the destination cannot do {sync.mode}, only {', '.join(sorted(feed.modes))}: "
            "change the mode of the sync"
        )


def check_guard(sync: Sync, plan: Plan) -> None:
    """Raise `RunError` where the plan removes more than the sync's guard allows. Who is added again is not."""
    guard, leaving = sync.max_remove_fraction, plan.removes - plan.updates
    if guard is not None and leaving > guard * plan.delivered:
        raise RunError(
            f"the run would remove {leaving} of {plan.delivered} customers delivered, more than "
            f"max_remove_fraction {guard:g} allows; nothing was sent. "
            "If that is right, raise the fraction and run again"
        )
