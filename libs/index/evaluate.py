"""Who satisfies a plan? The one switch from a plan's nodes to bitmaps.

Pure: the same plan, snapshot and as_of give the same customers, however events are split into parts. Of the
plans that must all hold, the cheap ones come first; once few customers are left, the others are asked of those
customers alone.
"""

import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs import interrupt
from libs.index import access, behaviour, roaring
from libs.index.access import Question
from libs.index.behaviour import Gathered
from libs.index.condition import Condition, PlainColumns, mask
from libs.index.plan import (
    EVER,
    Aggregated,
    All,
    Any,
    Cohort,
    Did,
    First,
    Holds,
    Members,
    Not,
    Plan,
    Sequence,
)
from libs.index.planner import BITMAPS, COUNTS, NEITHER, Path
from libs.index.sinks import Wanted, counts_answer, fits
from libs.index.snapshot import Snapshot

FEW = 64
"""Customers that are always asked for alone: planning would cost more."""
UNIVERSE, PROFILES, LISTED = "universe", "profiles", "list"
COMBINED, UNNEEDED, COHORT = "combined", "not needed", "cohort"


@dataclass(frozen=True, slots=True)
class NodeCost:
    """How one node was evaluated: the paths taken, how many customers it gave, and the ns it took.

    A node that was asked of the customers that others left gives how many of those it kept. Time includes that of
    the nodes below.
    """

    access: str
    size: int
    nanoseconds: int


@dataclass(slots=True)
class Evaluation:
    """One evaluation: of a snapshot, at an instant (ms).

    `only` forces one access path wherever it is possible. `costs`, where it is not None, collects what each node
    of the plan, by its `id`, took.
    """

    snapshot: Snapshot
    as_of: int
    only: Path | None = None
    costs: dict[int, NodeCost] | None = None
    _universe: BitMap | None = field(default=None)
    _cohorts: dict[int, BitMap | None] = field(default_factory=dict)
    _asked: tuple[BitMap | None] | None = None

    @property
    def universe(self) -> BitMap:
        """Everybody there is. Not to be changed."""
        if self._universe is None:
            self._universe = self.snapshot.universe(self.as_of)
        return self._universe

    def run(self, plan: Plan, among: BitMap | None = None) -> BitMap:
        """Return the customers that satisfy a plan. Not to be changed.

        With `among`, some of the universe, what is said of any other customer does not matter. Raises
        `Interrupted` once nobody waits for the answer.
        """
        interrupt.check()
        if self._asked is None:
            self._asked = (among,)
        if self.costs is None:
            return self._present(plan, self._run(plan, among)[0])
        started = time.perf_counter_ns()
        found, access_path = self._run(plan, among)
        found = self._present(plan, found)
        size = len(found if among is None else found & among)
        self.costs[id(plan)] = NodeCost(access_path, size, time.perf_counter_ns() - started)
        return found

    def _present(self, plan: Plan, found: BitMap) -> BitMap:
        """Leave out who was erased: a part may have their events until the next compaction."""
        if not self.snapshot.erased or isinstance(plan, All | Any | Not):
            return found
        return found - self.snapshot.erased

    def _run(self, plan: Plan, among: BitMap | None) -> tuple[BitMap, str]:
        match plan:
            case All(plans):
                return self._all(plans, among), COMBINED
            case Any(plans):
                return roaring.union([self.run(each, among) for each in plans]), COMBINED
            case Not(inner):
                return (self.universe if among is None else among) - self.run(inner, among), COMBINED
            case Did():
                question = self.question(plan)
                found = self._did(plan, question, among)
                return found, paths(question)
            case First(did):
                questions = self.question(did), self.question(replace(did, first=EVER, end=did.first))
                return self._first(plan, *questions, among), paths(*questions)
            case Aggregated():
                return self._aggregated(plan, among)
            case Sequence():
                return self._sequence(plan, among)
            case Holds(where):
                return self._holds(where, among), PROFILES
            case Members(listed):
                return listed & (self.universe if among is None else among), LISTED
            case Cohort():
                return self._cohort(plan, among), COHORT

    def question(self, plan: Did) -> Question:
        """Look a leaf's event type, names and strings up."""
        snapshot = self.snapshot
        condition = None if plan.where is None else snapshot.bind(plan.where, plan.event_type)
        end = min(plan.end, self.as_of + 1)
        parts = snapshot.of_type(plan.event_type)
        return Question(parts, condition, plan.first, end, snapshot.customers, only=self.only)

    def _all(self, plans: tuple[Plan, ...], among: BitMap | None) -> BitMap:
        """Intersect: complements are taken away, never built, and come when the rest is known."""
        result = among
        kept = [each for each in plans if not isinstance(each, Not)]
        for each in sorted(kept, key=weight):
            if result is not None and not result:
                return result
            found = self.run(each, result)
            result = found if result is None else result & found
        if result is None:
            result = self.universe
        for complement in sorted((each for each in plans if isinstance(each, Not)), key=weight):
            if result:
                result = self.run(complement, result)
        return result

    def _did(self, plan: Did, question: Question, among: BitMap | None) -> BitMap:
        wanted = (plan.minimum, plan.maximum)
        if plan.minimum <= 0 and plan.maximum is None:
            return self.universe if among is None else among
        if plan.maximum is not None and plan.maximum < max(plan.minimum, 0):
            return BitMap()
        if among is not None and self.only in (None, Path.CUSTOMERS) and len(among) <= FEW:
            return self._counted_among(question, among, wanted)
        if self.only is Path.CUSTOMERS:
            return self._counted_among(question, self.universe if among is None else among, wanted)
        absent = plan.minimum <= 0  # who has too many is found, and taken away
        if absent:
            wanted = ((plan.maximum or 0) + 1, None)
        if wanted == (1, None):
            steps = question.steps(BITMAPS)
        else:
            steps = question.steps(COUNTS if counts_answer(wanted) else NEITHER)
        if among is not None and access.fewer(question, steps, among):
            return self._counted_among(question, among, (plan.minimum, plan.maximum))
        united = wanted == (1, None)
        found = access.exists(question, steps) if united else access.counted(question, steps, wanted)
        if absent:
            return (self.universe if among is None else among) - found
        return found

    def _first(self, plan: First, inside: Question, before: Question, among: BitMap | None) -> BitMap:
        """Those with an event in the span and none before it; `plan` says which of them, or else, are wanted."""
        did = plan.did
        one, none = fits(np.array((1, 0)), (did.minimum, did.maximum)).tolist()
        everybody = self.universe if among is None else among
        if one == none:
            return everybody if one else BitMap()
        found = self._did(replace(did, minimum=1, maximum=None), inside, among)
        if among is not None:
            found = found & among
        if found and did.first > EVER:
            earlier = replace(did, first=EVER, end=did.first, minimum=1, maximum=None)
            found = found - self._did(earlier, before, found)
        return found if one else everybody - found

    def _aggregated(self, plan: Aggregated, among: BitMap | None) -> tuple[BitMap, str]:
        events = plan.of
        did = events.did if isinstance(events, First) else events
        question = self.question(did)
        wanted = max(did.minimum, 1), did.maximum
        asked = [question]
        if isinstance(events, First):
            asked += [self.question(did), self.question(replace(did, first=EVER, end=did.first))]
            if not fits(np.array(1), wanted):
                return BitMap(), paths()
            among = self._first(First(replace(did, minimum=1, maximum=None)), asked[1], asked[2], among)
        found = self._gather(question, among)
        if isinstance(events, First):
            found = behaviour.earliest(found, question.customers)
        attribute = None if plan.attribute is None else self.snapshot.names.find(plan.attribute)
        calendar, customers = self.snapshot.calendar, question.customers
        members = behaviour.figured(found, wanted, plan.figure, attribute, plan.accepts, customers, calendar)
        return members, paths(*asked)

    def _sequence(self, plan: Sequence, among: BitMap | None) -> tuple[BitMap, str]:
        """Find who has an event for each step at all, then look at the times of theirs."""
        last = self.as_of + 1 if plan.within is None else plan.end + plan.within
        spans = [(plan.first, plan.end)] + [(plan.first + 1, last)] * (len(plan.steps) - 1)
        dids = [
            Did(step.event_type, step.where, first, end)
            for step, (first, end) in zip(plan.steps, spans, strict=True)
        ]
        questions = [self.question(did) for did in dids]
        for did, question in sorted(zip(dids, questions, strict=True), key=lambda pair: weight(pair[0])):
            found = self._did(did, question, among)
            among = found if among is None else found & among
            if not among:
                return among, paths(*questions)
        gathered = [self._gather(question, among) for question in questions]
        done = [(events.owners(), events.times()) for events in gathered]
        return behaviour.in_order(done, plan.within, self.snapshot.customers), paths(*questions)

    def _gather(self, question: Question, among: BitMap | None) -> Gathered:
        """Gather events; where few customers are left, or that path is forced, from their own rows."""
        if self.only is Path.CUSTOMERS:
            return behaviour.gather(question, self.universe if among is None else among, alone=True)
        few = among is not None and self.only is None and len(among) <= FEW
        return behaviour.gather(question, among, alone=few)

    def _counted_among(self, question: Question, among: BitMap, wanted: Wanted) -> BitMap:
        customers = roaring.to_array(among)
        return roaring.from_sorted(customers[fits(access.counts(question, customers), wanted)])

    def _holds(self, where: Condition | None, among: BitMap | None) -> BitMap:
        if where is None:
            return self.universe if among is None else among
        condition = self.snapshot.bind(where, None)
        profiles = self.snapshot.profiles
        if among is not None and len(among) <= self.snapshot.customers // 64:
            customers = roaring.to_array(among)
            columns = PlainColumns(
                len(customers),
                lambda attribute, kind: (
                    profiles.values((attribute, kind), customers)
                    if (attribute, kind) in profiles.columns
                    else None
                ),
            )
            return roaring.from_sorted(customers[mask(condition, columns)])
        found = profiles.matching(condition, self.snapshot.customers)
        return found if among is not None else found & self.universe

    def _cohort(self, plan: Cohort, among: BitMap | None) -> BitMap:
        """Evaluate a saved cohort: at most twice, however often cohorts lead to it.

        The first time it is asked of those that are left; the second of all that this evaluation was asked of,
        which answers every later one.
        """
        met = id(plan) in self._cohorts
        found = self._cohorts.get(id(plan))
        if found is not None:
            return found
        assert self._asked is not None
        whole = met or among is self._asked[0]
        self._cohorts.setdefault(id(plan), None)
        found = self.run(plan.plan, self._asked[0] if whole else among)
        if whole:
            self._cohorts[id(plan)] = found
        return found

    def every_node(self, plan: Plan) -> list[BitMap]:
        """Return the customers of every node of a plan, in pre-order, each as if it were evaluated alone."""
        match plan:
            case All(plans) | Any(plans):
                below = [self.every_node(each) for each in plans]
                heads = [nodes[0] for nodes in below]
                if isinstance(plan, Any):
                    own = roaring.union(heads)
                else:
                    own = BitMap.intersection(*heads) if heads else self.universe
                return [own, *(node for nodes in below for node in nodes)]
            case Not(inner):
                nodes = self.every_node(inner)
                return [self.universe - nodes[0], *nodes]
        return [self.run(plan)]

    def explained(self, plan: Plan) -> list[NodeCost]:
        """Return what every node of a plan took, in pre-order, once it was run with `costs`."""
        assert self.costs is not None
        own = self.costs.get(id(plan), NodeCost(UNNEEDED, 0, 0))
        match plan:
            case All(plans) | Any(plans):
                return [own, *(cost for each in plans for cost in self.explained(each))]
            case Not(inner):
                return [own, *self.explained(inner)]
        return [own]


def weight(plan: Plan) -> float:
    """Return about how dear a plan is beside others: what it reads is not known yet, only what it asks."""
    match plan:
        case All(plans):
            return min(map(weight, plans), default=0.0)
        case Any(plans):
            return sum(map(weight, plans))
        case Not(inner):
            return weight(inner)
        case Members():
            return 0.5
        case Holds():
            return 1.0
        case Cohort():
            return 6.0
        case Did(where=None, minimum=minimum):
            return 2.0 if minimum <= 1 else 3.0
        case Did(minimum=minimum):
            return 4.0 if minimum <= 1 else 5.0
        case First(did):
            return 2.0 * weight(did)
        case Aggregated():
            return 20.0
    return 30.0


def paths(*questions: Question) -> str:
    """Name the paths that were taken."""
    return ", ".join(sorted(set().union(*(question.used for question in questions)))) or UNIVERSE


def evaluate(plan: Plan, snapshot: Snapshot, as_of: int, only: Path | None = None) -> BitMap:
    """Return the customers that satisfy a plan at an instant, ms. Not to be changed by the caller."""
    return Evaluation(snapshot, as_of, only).run(plan)


def customers(bitmap: BitMap, first: int, limit: int) -> NDArray[np.uint32]:
    """Return a page of a bitmap: `limit` values behind the first `first`, ascending, (n,) uint32."""
    stop = min(first + limit, len(bitmap))
    return roaring.to_array(bitmap[first:stop]) if first < stop else np.empty(0, np.uint32)
