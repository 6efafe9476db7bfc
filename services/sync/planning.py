"""What differs between a cohort and what its destination holds? The plan of a run.

Members now less members delivered, and the reverse, by customer. Numbers stand for customers within an epoch;
customers that were given other numbers since (a new epoch, or erased and come back) are matched by their ids
before anything is counted. Only bitmaps are compared, and ids are asked for only where both sides differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyroaring import BitMap

from services.sync.diff import size, slices, subtract
from services.sync.members import Members, MemberSet
from services.sync.model import Mode, Sync
from services.sync.progress import RunError
from services.sync.store import Store

GROUP = 1000
"""Customers named at a time: one message of the cohort service."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs: numbers to add, numbers that are gone, and how many customers are to be removed."""

    adds: dict[str, BitMap]
    gone: dict[str, BitMap]
    removes: int
    delivered: int
    """How many customers the destination holds before the run."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.adds and not self.removes


async def make_plan(
    store: Store, client: Members, sync: Sync, members: MemberSet, check_going: Callable[[], None]
) -> Plan:
    """Compare members with what was delivered. Raises `MembersError`, and what `check_going` raises."""
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
    if sync.mode is Mode.ADD_ONLY:
        return Plan(plan.adds, {}, 0, plan.delivered)
    return plan


def _compare(txn: Any, store: Store, sync: Sync, members: MemberSet) -> Plan:
    rows = store.delivered.ledger(txn, sync.sync_id).rows
    numbers = store.delivered.numbers(txn, sync.sync_id)
    gone = subtract(numbers, members.numbers)
    stale = rows - size(numbers)
    return Plan(subtract(members.numbers, numbers), gone, size(gone) + stale, rows)


def check_guard(sync: Sync, plan: Plan) -> None:
    """Raise `RunError` where the plan removes more than the sync's guard allows."""
    guard = sync.max_remove_fraction
    if guard is not None and plan.removes > guard * plan.delivered:
        raise RunError(
            f"the run would remove {plan.removes} of {plan.delivered} customers delivered, more than "
            f"max_remove_fraction {guard:g} allows; nothing was sent. "
            "If that is right, raise the fraction and run again"
        )
