"""How do lists of customers follow an erasure? The ids go from every static cohort before the next answer.

The log names who was erased until every destination has acknowledged; how far the lists have followed is kept
beside them, so that nothing is missed while this service is down, and a list made later with the same id stays.
What is left of the ids in the file is overwritten at once; where somebody is in the way, at the next erasure.
"""

import threading

import structlog

from libs.engine import Engine
from libs.index.snapshot import Snapshot
from libs.storage.trees import WipeError
from services.cohort.static import Statics
from services.cohort.store import CohortStore

log = structlog.get_logger()


class Forgetting:
    """Follows one engine's erasures in one store of saved cohorts. Any thread may ask."""

    def __init__(self, engine: Engine, store: CohortStore, statics: Statics) -> None:
        self._engine = engine
        self._store = store
        self._statics = statics
        self._seen = -1
        self._lock = threading.Lock()

    def follow(self, snapshot: Snapshot) -> None:
        """Take off every list who was erased by the revision of a snapshot. Raises `Overloaded` on a full disk."""
        erased = len(snapshot.erased)
        if erased <= self._seen or self._store.is_changing:  # a change looks before it begins
            return
        with self._lock:
            if erased <= self._seen:
                return
            log_id = self._engine.epoch
            found = self._engine.erasures(self._store.forgotten(log_id))
            if found:
                ids = frozenset(erasure.customer_id for _, erasure in found)
                for cohort_id in self._store.forget_customers(ids, log_id, found[-1][0]):
                    self._statics.forget(cohort_id)
            try:
                self._store.wipe()
            except WipeError as error:
                log.warning("lists not wiped yet", reason=str(error))
            self._seen = erased
