"""Which customers of an engine does a static cohort list? Lists of ids, turned into its numbers once.

A list may name customers who have not been seen yet. They are looked for among those who have come since, so
that a list costs its length once, and after that no more than what is new.
"""

import threading
from dataclasses import dataclass

from pyroaring import BitMap

from libs.engine import Engine
from libs.index.snapshot import Snapshot
from services.cohort.store import CohortStore


@dataclass(frozen=True, slots=True)
class Resolved:
    """A list as one engine knows it: `numbers` of the first `customers` it has had, and ids `unseen` by then."""

    numbers: BitMap
    unseen: frozenset[str]
    customers: int


class Statics:
    """The lists of saved cohorts for one engine. Every method may be called from any thread."""

    def __init__(self, engine: Engine, store: CohortStore) -> None:
        self._engine = engine
        self._store = store
        self._held: dict[str, Resolved] = {}
        self._lock = threading.Lock()

    def members(self, cohort_id: str, snapshot: Snapshot) -> BitMap:
        """Return the numbers of who is listed, in the universe or not. Not to be changed.

        Besides all of the snapshot's customers there may be later ones, whom its universe does not have.
        """
        held = self._held.get(cohort_id)
        if held is None or (held.unseen and held.customers < snapshot.customers):
            with self._lock:
                held = self._held.get(cohort_id)
                if held is None:
                    held = self._resolve(self._store.listed(cohort_id), snapshot)
                self._held[cohort_id] = held = self._continue(held, snapshot)
        return held.numbers

    def size(self, customer_ids: list[str], snapshot: Snapshot, as_of: int) -> int:
        """Return how many customers of a list are in the universe at an instant, ms."""
        return len(self._resolve(customer_ids, snapshot).numbers & snapshot.universe(as_of))

    def forget(self, cohort_id: str) -> None:
        """Drop what is held of a cohort that was deleted, or whose list has changed."""
        with self._lock:  # who is reading the list as it was must not put it back
            self._held.pop(cohort_id, None)

    def _resolve(self, customer_ids: list[str], snapshot: Snapshot) -> Resolved:
        found = self._engine.numbers(customer_ids, snapshot)
        named = zip(customer_ids, found, strict=True)
        unseen = frozenset(customer_id for customer_id, number in named if number is None)
        numbers = BitMap([number for number in found if number is not None])
        return Resolved(numbers, unseen, snapshot.customers)

    def _continue(self, held: Resolved, snapshot: Snapshot) -> Resolved:
        """Look for those still unseen among the customers who have come since."""
        if not held.unseen or held.customers >= snapshot.customers:
            return held
        news = range(held.customers, snapshot.customers)
        named = zip(news, self._engine.customer_ids(news), strict=True)
        seen = {customer_id: number for number, customer_id in named if customer_id in held.unseen}
        return Resolved(held.numbers | BitMap(seen.values()), held.unseen - seen.keys(), snapshot.customers)
