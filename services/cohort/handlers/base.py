"""What do all handlers of CohortService work with? One engine, its saved cohorts, and a runner over both."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.clock import Clock
from libs.engine import Engine
from libs.errors import Invalid
from libs.gen.cohort.v1 import cohort_pb2_grpc, event_pb2
from libs.rpc.values import struct
from services.cohort.messages import as_of
from services.cohort.references import NO_REFERENCES, check_references
from services.cohort.rule import Rule
from services.cohort.run import Moment, Result, Runner
from services.cohort.store import CohortStore
from services.cohort.translate import read_rule


class Handlers(cohort_pb2_grpc.CohortServiceServicer):
    """The base of each group of handlers: what they share, and what more than one of them asks."""

    def __init__(self, engine: Engine, store: CohortStore, clock: Clock) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._runner = Runner(engine, clock, store)

    def _rule(self, message: Any, path: str) -> Rule:
        """Read the rule of a message. Raises `Invalid`, `Missing`."""
        if not message.HasField("rule"):
            raise Invalid("INVALID_RULE", f"{path}: is required, or a cohort_id", path)
        rule = read_rule(message.rule, self._engine.calendar, path)
        check_references(rule, path, self._rule_of)
        return rule

    def _rule_of(self, cohort_id: str, field: str) -> Rule:
        """Return a rule that refers to what a cohort refers to; a static one's refers to nothing."""
        record = self._store.get(cohort_id, field)
        return NO_REFERENCES if record.static else self._runner.rule_of(record)

    def _evaluate(self, request: Any) -> Result:
        """Return the members of the cohort that a request names, at the moment it names."""
        record = self._store.get(request.cohort_id)
        moment = self._runner.moment(as_of(request), request.min_revision)
        return Result(moment, self._runner.members(record, moment), name=record.name)

    def _members(self, moment: Moment, page: NDArray[np.uint32], fields: Any) -> list[event_pb2.Member]:
        """Return members with their profiles, or the fields asked for, as the snapshot has them.

        Those erased since the snapshot are left out.
        """
        page = self._engine.present(page)
        ids = self._engine.customer_ids(page)
        profiles = self._engine.profiles(moment.snapshot, page, frozenset(fields))
        return [
            event_pb2.Member(customer_id=customer_id, data=struct(data))
            for customer_id, data in zip(ids, profiles, strict=True)
        ]
