"""What differs between a cohort and what its destination holds? The plan of a run.

Members now less members delivered, and the reverse, by customer. Numbers stand for customers within an epoch;
customers that were given other numbers since (a new epoch, or erased and come back) are matched by their ids
before anything is counted. Only bitmaps are compared, and ids are asked for only where both sides differ.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pyroaring import BitMap

from libs.errors import Refused
from services.sync.delivered import Entry, Removal
from services.sync.destinations.base import Feed
from services.sync.diff import size, slices, subtract
from services.sync.in_flight import Sent
from services.sync.members import Members, MemberSet
from services.sync.model import Mode, Sync
from services.sync.plans import Plan
from services.sync.progress import RunError
from services.sync.store import Store

GROUP = 1000
"""Customers named at a time: one message of the cohort service."""


async def make_plan(
    store: Store, client: Members, sync: Sync, members: MemberSet, check_going: Callable[[], None]
) -> Plan:
    """Compare members with what was delivered. Raises `MembersError`, and what `check_going` raises."""
    plan = await _matched(store, client, sync, members, check_going)
    if sync.mode is Mode.ADD_ONLY:
        return replace(plan, gone={}, removes=0)
    if await store.writing(partial(_reopen, store=store, sync=sync, members=members)):
        plan = await store.reading(partial(_compare, store=store, sync=sync, members=members))
    return replace(plan, orphans=await _orphans(store, client, sync, members, plan))


async def foresee(store: Store, client: Members, sync: Sync, members: MemberSet) -> Plan:
    """Return the plan that a run would make, for counting.

    A run under way goes on undisturbed. Raises `MembersError`, and `Refused` where that cannot be.
    """

    def check_idle(txn: Any) -> None:
        ledger = store.delivered.ledger(txn, sync.sync_id)
        if ledger.epoch != members.epoch and store.running(txn, sync) is not None:
            raise Refused(
                "RUN_IN_PROGRESS",
                "a run of this sync is under way with other numbers for customers: wait for its end",
            )

    await store.writing(check_idle)
    plan = await _matched(store, client, sync, members, lambda: None)
    if sync.mode is Mode.ADD_ONLY:
        return replace(plan, gone={}, removes=0)
    for entry in await store.reading(partial(_returned, store=store, sync=sync, members=members)):
        plan.adds.setdefault(entry.shard, BitMap()).add(entry.number)
    return replace(plan, orphans=await _orphans(store, client, sync, members, plan))


async def _matched(
    store: Store, client: Members, sync: Sync, members: MemberSet, check_going: Callable[[], None]
) -> Plan:
    """Compare, once those delivered have the numbers that they have now."""
    sync_id, delivered = sync.sync_id, store.delivered
    await store.writing(lambda txn: delivered.begin_epoch(txn, sync_id, members.epoch, members.numbers))
    compare = partial(_compare, store=store, sync=sync, members=members)
    plan = await store.reading(compare)
    if plan.adds and plan.removes:
        for group in slices(plan.adds, GROUP):
            check_going()
            named = await client.resolve(members.epoch, group, profiles=False)
            entries = [member.entry for member in named]
            await store.writing(partial(delivered.match, sync_id=sync_id, entries=entries))
        plan = await store.reading(compare)
    return plan


def _returned(txn: Any, store: Store, sync: Sync, members: MemberSet) -> list[Entry]:
    """Return members who were sent to be removed, may have been, and count as delivered."""
    back = []
    for sent in store.in_flight.left(txn, sync.sync_id):
        entry = store.delivered.find(txn, sync.sync_id, sent.entry.customer_id) if sent.removing else None
        if entry is not None and entry.number in members.numbers.get(entry.shard, ()):
            back.append(entry)
    return back


def _reopen(txn: Any, store: Store, sync: Sync, members: MemberSet) -> int:
    """Take members who were sent to be removed, and may have been, for not delivered; return how many."""
    back = _returned(txn, store, sync, members)
    store.delivered.acknowledge(txn, sync.sync_id, (), [entry.customer_id for entry in back])
    store.in_flight.begin(txn, sync.sync_id, [Sent(members.epoch, entry) for entry in back])
    return len(back)


async def _orphans(
    store: Store, client: Members, sync: Sync, members: MemberSet, plan: Plan
) -> tuple[Removal, ...]:
    """Return who was sent, not acknowledged, and has to be taken off first.

    That is who is no member, found by name where the numbers are of another epoch. Who was sent under a key is
    taken off in any case: the key may be another by now, and a set does not mind a removal before an addition.
    """
    everybody = await store.reading(lambda txn: store.in_flight.left(txn, sync.sync_id))
    left = [sent for sent in everybody if not sent.removing]
    named: set[str] = set()
    if any(sent.epoch != members.epoch and not sent.entry.key for sent in left):
        for group in slices(plan.adds, GROUP):
            found = await client.resolve(members.epoch, group, profiles=False)
            named.update(member.entry.customer_id for member in found)

    def stays(sent: Sent) -> bool:
        if sent.entry.key:
            return False
        if sent.epoch != members.epoch:
            return sent.entry.customer_id in named
        return sent.entry.number in members.numbers.get(sent.entry.shard, ())

    return tuple(Removal(sent.entry.customer_id, sent.entry.key) for sent in left if not stays(sent))


def _compare(txn: Any, store: Store, sync: Sync, members: MemberSet) -> Plan:
    rows = store.delivered.ledger(txn, sync.sync_id).rows
    numbers = store.delivered.numbers(txn, sync.sync_id)
    gone = subtract(numbers, members.numbers)
    stale = rows - size(numbers)
    adds = subtract(members.numbers, numbers)
    return Plan(members, sync.mode, adds, gone, size(gone) + stale, rows)


def check_mode(feed: Feed, sync: Sync) -> None:
    """Raise `RunError` where a feed that has been prepared cannot do the mode of a sync."""
    if sync.mode not in feed.modes:
        raise RunError(
            f"the destination cannot do {sync.mode}, only {', '.join(sorted(feed.modes))}: "
            "change the mode of the sync"
        )


def check_guard(sync: Sync, plan: Plan) -> None:
    """Raise `RunError` where the plan removes more than the sync's guard allows."""
    guard = sync.max_remove_fraction
    if guard is not None and plan.removes > guard * plan.delivered:
        raise RunError(
            f"the run would remove {plan.removes} of {plan.delivered} customers delivered, more than "
            f"max_remove_fraction {guard:g} allows; nothing was sent. "
            "If that is right, raise the fraction and run again"
        )
