"""What is a run to do, and how far is it? The plan as it is kept, and the place that has been acknowledged.

A plan is written before anything is sent and does not change. The place moves in the transaction that notes an
acknowledged page, so that a run which is cut off goes on behind that page, under the same plan and the same page
numbers. One of each for every sync with a run under way. A run that puts the full set in place of what was there
also keeps whom the destination has taken so far (`staged`), to be noted as delivered at once at the end. Plans and
those staged are sealed, as they have keys that were uploaded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pyroaring import BitMap

from libs.storage.cover import covering
from libs.storage.environment import Environment, scan
from libs.storage.vault import Vault
from services.sync.delivered import Entry, Removal
from services.sync.destinations.base import Addition
from services.sync.diff import size
from services.sync.members import MemberSet
from services.sync.model import Mode, RunId, SyncId

PLANS, PLACES, STAGED = TABLES = ("plans", "places", "staged")


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs: numbers to add, numbers that are gone, and how many customers are to be removed.

    Who is delivered and has another key now is in both, and counted in `updates`; only in `adds` where adding
    somebody again is enough.
    """

    members: MemberSet
    mode: Mode
    adds: dict[str, BitMap]
    gone: dict[str, BitMap]
    removes: int
    delivered: int
    """How many customers the destination holds before the run."""
    orphans: tuple[Removal, ...] = ()
    """Customers who may be there since a page was sent and not acknowledged, and are to be taken off first."""
    standing: dict[str, int] = field(default_factory=dict)
    """How many more members are to be added and are left out, as nothing has changed since they were, by reason."""
    updates: int = 0
    keying: bytes = b""
    """What the keys of the plan are made of, beside profiles."""

    @property
    def planned_adds(self) -> int:
        """How many members the destination does not hold as they are now."""
        return size(self.adds) + sum(self.standing.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be sent."""
        return not (self.adds or self.removes or self.orphans)

    @property
    def is_full_set(self) -> bool:
        """Whether everybody is sent, in place of what was there; nobody cannot be, and is removed one by one."""
        return self.mode is Mode.REPLACE and size(self.members.numbers) > 0


class Place(msgspec.Struct, frozen=True):
    """How far the drafts of a plan are: what lies before has been acknowledged, or had nothing to send.

    `removed` is the key to go on from in the delivered rows, None when all removals are through; `added` is the
    (shard, number) of the last member. `state` is the feed's own.
    """

    pages: int = 0
    orphans: int = 0
    removed: bytes | None = b""
    added: tuple[str, int] | None = None
    is_last: bool = False
    """Whether the last page sent said that it was the last."""
    rejected_adds: int = 0
    held: int = 0
    state: bytes = b""


class LeftOut(msgspec.Struct, frozen=True):
    """Members of a shard who cannot be matched for one reason; `numbers` is a bitmap, as bytes."""

    reason: str
    shard: str
    numbers: bytes


@dataclass(slots=True)
class Draft:
    """What a page is made of: whom to add and remove, and who is left out, with the reason."""

    adds: list[Addition] = field(default_factory=list)
    removes: list[Removal] = field(default_factory=list)
    unmatched: list[LeftOut] = field(default_factory=list)
    standing: list[tuple[Addition, str]] = field(default_factory=list)
    orphans: bool = False
    """Whether its removals are of people who were never noted as delivered, and so are in no figure."""
    behind: Place = field(default_factory=Place)
    """How far the plan is behind this draft; only what concerns drafts is set."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.adds and not self.removes


class _Kept(msgspec.Struct, frozen=True):
    run_id: RunId
    cohort_id: str
    cohort_name: str
    revision: str
    epoch: str
    mode: Mode
    numbers: dict[str, bytes]
    adds: dict[str, bytes]
    gone: dict[str, bytes]
    removes: int
    delivered: int
    orphans: tuple[Removal, ...]
    standing: dict[str, int]
    updates: int
    keying: bytes


class Plans:
    """The plans of the runs under way in one environment, sealed by a vault."""

    def __init__(self, environment: Environment, vault: Vault) -> None:
        self._environment = environment
        self._plans_cover, self._staged_cover = covering(vault, PLANS), covering(vault, STAGED)

    @property
    def _plans(self) -> Any:
        return self._environment[PLANS]

    @property
    def _places(self) -> Any:
        return self._environment[PLACES]

    @property
    def _staged(self) -> Any:
        return self._environment[STAGED]

    def begin(self, txn: Any, sync_id: SyncId, run_id: RunId, plan: Plan) -> None:
        """Keep the plan of a run that has just been made."""
        self.end(txn, sync_id)
        members = plan.members
        kept = _Kept(
            run_id,
            members.cohort_id,
            members.cohort_name,
            members.revision,
            members.epoch,
            plan.mode,
            _packed(members.numbers),
            _packed(plan.adds),
            _packed(plan.gone),
            plan.removes,
            plan.delivered,
            plan.orphans,
            plan.standing,
            plan.updates,
            plan.keying,
        )
        key = sync_id.encode()
        txn.put(key, self._plans_cover.seal(msgspec.msgpack.encode(kept), key), db=self._plans)

    def find(self, txn: Any, sync_id: SyncId, run_id: RunId) -> Plan | None:
        """Return the plan of a run, None where it was cut off before it had one."""
        key = sync_id.encode()
        found = txn.get(key, db=self._plans)
        kept = msgspec.msgpack.decode(self._plans_cover.open(found, key), type=_Kept) if found else None
        if kept is None or kept.run_id != run_id:
            return None
        numbers = _unpacked(kept.numbers)
        return Plan(
            MemberSet(kept.cohort_id, kept.cohort_name, kept.revision, kept.epoch, numbers),
            kept.mode,
            _unpacked(kept.adds),
            _unpacked(kept.gone),
            kept.removes,
            kept.delivered,
            kept.orphans,
            kept.standing,
            kept.updates,
            kept.keying,
        )

    def place(self, txn: Any, sync_id: SyncId) -> Place:
        """Return how far the run under way is."""
        found = txn.get(sync_id.encode(), db=self._places)
        return msgspec.msgpack.decode(found, type=Place) if found else Place()

    def move(self, txn: Any, sync_id: SyncId, place: Place) -> None:
        """Note how far the run under way is."""
        txn.put(sync_id.encode(), msgspec.msgpack.encode(place), db=self._places)

    def end(self, txn: Any, sync_id: SyncId) -> None:
        """Forget the plan of a run that has ended, and how far it was."""
        txn.delete(sync_id.encode(), db=self._plans)
        txn.delete(sync_id.encode(), db=self._places)
        prefix = sync_id.encode()
        with txn.cursor(db=self._staged) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                found = cursor.delete()

    # The full set

    def stage(self, txn: Any, sync_id: SyncId, entries: Iterable[Entry]) -> None:
        """Note customers whom the destination has taken for the full set."""
        for entry in entries:
            key = sync_id.encode() + entry.customer_id.encode()
            txn.put(key, self._staged_cover.seal(msgspec.msgpack.encode(entry), key), db=self._staged)

    def staged(self, txn: Any, sync_id: SyncId) -> Iterator[Entry]:
        """Yield the customers of the full set, by customer id."""
        prefix = sync_id.encode()
        for key, value in scan(txn, self._staged, prefix):
            if not key.startswith(prefix):
                return
            yield msgspec.msgpack.decode(self._staged_cover.open(value, key), type=Entry)

    def is_staged(self, txn: Any, sync_id: SyncId, customer_id: str) -> bool:
        """Return whether a customer is in the full set."""
        return txn.get(sync_id.encode() + customer_id.encode(), db=self._staged) is not None


def _packed(numbers: dict[str, BitMap]) -> dict[str, bytes]:
    return {shard: bitmap.serialize() for shard, bitmap in numbers.items()}


def _unpacked(packed: dict[str, bytes]) -> dict[str, BitMap]:
    return {shard: BitMap.deserialize(data) for shard, data in packed.items()}
