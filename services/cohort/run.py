"""How is a rule run? A snapshot, a plan, an evaluation: what every RPC of the service that asks "who" shares."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf import timestamp_pb2
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.clock import Clock
from libs.engine import Engine
from libs.errors import Invalid
from libs.gen.cohort.v1 import rule_pb2
from libs.index.evaluate import NodeCost, customers
from libs.index.plan import Members, Plan
from libs.index.snapshot import Snapshot
from services.cohort.forgetting import Forgetting
from services.cohort.links import Linker
from services.cohort.rule import All, Any, InCohort, Not, Rule
from services.cohort.static import Statics
from services.cohort.store import CohortRecord, CohortStore, find
from services.cohort.translate import read_rule

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The instants a Timestamp can hold: 0001-01-01 to 9999-12-31."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a question is asked of: a snapshot, at an instant (ms); `revision` is the snapshot's token.

    `cohorts` are the saved cohorts when it was asked.
    """

    snapshot: Snapshot
    as_of: int
    revision: str
    cohorts: Mapping[str, CohortRecord]


@dataclass(frozen=True, slots=True)
class Result:
    """Who matches a rule at a moment, and the `nanoseconds` it took.

    Where asked: the sizes of all nodes, and how each was evaluated with its field path, both in pre-order.
    """

    moment: Moment
    members: BitMap
    nodes: tuple[int, ...] = ()
    nanoseconds: int = 0
    name: str = ""
    costs: tuple[tuple[str, NodeCost], ...] = ()

    def page(self, first: int, limit: int) -> NDArray[np.uint32]:
        """Return the numbers of `limit` members behind the first `first`, ascending."""
        return customers(self.members, first, limit)


class Runner:
    """Runs rules and saved cohorts on one engine. Every method may be called from any thread."""

    def __init__(self, engine: Engine, clock: Clock, store: CohortStore) -> None:
        self.engine = engine
        self.statics = Statics(engine, store)
        self._forgetting = Forgetting(engine, store, self.statics)
        self._store = store
        self._clock = clock
        self._rules: dict[str, tuple[str, Rule]] = {}

    def moment(self, as_of: timestamp_pb2.Timestamp | None, min_revision: str) -> Moment:
        """Take a snapshot of everything acknowledged so far, for an instant (None: now)."""
        instant = self._clock() if as_of is None else milliseconds(as_of)
        cohorts = self._store.cohorts()
        snapshot = self.engine.snapshot(min_revision)
        self._forgetting.follow(snapshot)
        return Moment(snapshot, instant, self.engine.token(snapshot), cohorts)

    def run(
        self,
        rule: Rule,
        as_of: timestamp_pb2.Timestamp | None,
        min_revision: str,
        *,
        nodes: bool = False,
        explain: bool = False,
    ) -> Result:
        """Run a rule, timing it from the catching up with the log to the last bitmap."""
        started = time.perf_counter_ns()
        moment = self.moment(as_of, min_revision)
        plan = self.plan(rule, moment)
        costs: list[NodeCost] = []
        if explain:
            members, costs = self.engine.explain(plan, moment.snapshot, moment.as_of)
        else:
            members = self.engine.evaluate(plan, moment.snapshot, moment.as_of)
        taken = time.perf_counter_ns() - started
        sizes = self.engine.every_node(plan, moment.snapshot, moment.as_of) if nodes else []
        explained = tuple(zip(paths(rule), costs, strict=True)) if explain else ()
        return Result(moment, members, tuple(map(len, sizes)), taken, costs=explained)

    def members(self, cohort: CohortRecord, moment: Moment) -> BitMap:
        """Return the members of a saved cohort. Not to be changed."""
        return self.matching(self.rule_of(cohort), moment)

    def matching(self, rule: Rule, moment: Moment, path: str = "rule") -> BitMap:
        """Return who matches a rule that stands at a field path. Not to be changed."""
        return self.engine.evaluate(self.plan(rule, moment, path), moment.snapshot, moment.as_of)

    def plan(self, rule: Rule, moment: Moment, path: str = "rule") -> Plan:
        """Plan a rule that stands at a field path, with the cohorts it refers to as they were at a moment."""

        def rule_of(cohort_id: str, field: str) -> Rule:
            return self.rule_of(find(moment.cohorts, cohort_id, field))

        def listed(cohort_id: str, field: str) -> Members | None:
            if find(moment.cohorts, cohort_id, field).static:
                return Members(self.statics.members(cohort_id, moment.snapshot))
            return None

        return Linker(rule_of, listed, moment.as_of, self.engine.calendar).plan(rule, path)

    def members_among(self, cohort: CohortRecord, moment: Moment, customers: BitMap) -> BitMap:
        """Return which of some customers are members of a saved cohort."""
        plan = self.plan(self.rule_of(cohort), moment)
        return self.engine.among(plan, moment.snapshot, moment.as_of, customers)

    def rule_of(self, cohort: CohortRecord) -> Rule:
        """Return the rule of a saved cohort; each version of it is read once. A static one's names itself."""
        if cohort.static:
            return InCohort(cohort.cohort_id)
        held = self._rules.get(cohort.cohort_id)
        if held is None or held[0] != cohort.etag:
            rule = read_rule(rule_pb2.Rule.FromString(cohort.rule), self.engine.calendar)
            held = self._rules[cohort.cohort_id] = (cohort.etag, rule)
        return held[1]

    def forget(self, cohort_id: str) -> None:
        """Drop what is held of a deleted cohort."""
        self._rules.pop(cohort_id, None)
        self.statics.forget(cohort_id)


def paths(rule: Rule, path: str = "rule") -> list[str]:
    """Return the field path of every node of a rule, in pre-order."""
    match rule:
        case All(rules) | Any(rules):
            kind = "all" if isinstance(rule, All) else "any"
            below = [paths(each, f"{path}.{kind}.rules[{place}]") for place, each in enumerate(rules)]
            return [path, *(each for inner in below for each in inner)]
        case Not(inner):
            return [path, *paths(inner, f"{path}.not.rule")]
    return [path]


def milliseconds(as_of: timestamp_pb2.Timestamp) -> int:
    """Return an instant floored to ms since 1970. Raises `Invalid` for one that no timestamp may hold."""
    if not (FIRST_SECOND <= as_of.seconds <= LAST_SECOND and 0 <= as_of.nanos < 1_000_000_000):
        raise Invalid("INVALID_TIME", "as_of is no instant of the years 1 to 9999", "as_of")
    return as_of.seconds * 1000 + as_of.nanos // 1_000_000
