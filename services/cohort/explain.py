"""Why is a customer in, or not? The verdict at every node of a rule, and the events and values behind it.

Leaves are asked of the engine for the one customer; what stands above them follows by logic. `turns` says when
time alone turns the verdict.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pyroaring import BitMap

from libs.engine import Engine
from libs.index import plan as plans
from libs.index.matches import Found
from services.cohort import rule as rules
from services.cohort.plan import DAYS, MILLISECONDS
from services.cohort.rule import All, Any, Did, Not, Rule, Span
from services.cohort.run import Moment

DAY_MS = 86_400_000
Planned = Callable[[Rule, Moment, str], plans.Plan]
"""Resolves a rule, at a moment, that stands at a field path: `Runner.plan`."""
NONE: Found = (np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Node:
    """One node at a field path: whether it `holds`, the log `rows` of its events, newest first, what is below."""

    path: str
    rule: Rule
    holds: bool
    rows: tuple[int, ...] = ()
    children: tuple["Node", ...] = ()


class Subject:
    """One customer at a moment. One who was never seen (None) satisfies nothing."""

    def __init__(self, engine: Engine, plan: Planned, moment: Moment, customer: int | None) -> None:
        self.calendar = engine.calendar
        self.as_of = moment.as_of
        self._engine = engine
        self._plan = plan
        self._moment = moment
        self._snapshot = moment.snapshot
        self._customer = customer
        self._one = BitMap() if customer is None else BitMap([customer])
        self.known = self._satisfies(plans.All(()))
        """Whether the customer is in the universe."""

    def holds(self, rule: Rule, path: str, at: int | None = None) -> bool:
        """Say whether the customer satisfies a rule with its windows as of `at` (None: as_of).

        Events after as_of are left out whatever `at` is. Raises `NotBuilt`.
        """
        moment = self._moment if at is None else replace(self._moment, as_of=at)
        return self._satisfies(self._plan(rule, moment, path))

    def _satisfies(self, plan: plans.Plan) -> bool:
        return bool(self._one) and bool(self._engine.among(plan, self._snapshot, self.as_of, self._one))

    def events(self, did: Did, path: str) -> Found:
        """Return times and log rows of the customer's events up to as_of that a behaviour is about, newest first."""
        if self._customer is None:
            return NONE
        asked = self._behaviour(replace(did, count=None, aggregate=None, first_time=False), path)
        if not did.first_time:
            return self._engine.matches(asked, self._snapshot, self.as_of, self._customer)
        ever = self._behaviour(Did(did.event_type, did.where), path)
        times, rows = self._engine.matches(ever, self._snapshot, self.as_of, self._customer)
        if not len(times) or not asked.first <= times[-1] < asked.end:
            return NONE
        return times[-1:], rows[-1:]

    def _behaviour(self, did: Did, path: str) -> plans.Did:
        plan = self._plan(did, self._moment, path)
        assert isinstance(plan, plans.Did)
        return plan


def explain(rule: Rule, subject: Subject, path: str = "rule") -> Node:
    """Explain every node of a rule. Raises `NotBuilt`."""
    match rule:
        case All(rules) | Any(rules):
            kind = "all" if isinstance(rule, All) else "any"
            below = tuple(
                explain(each, subject, f"{path}.{kind}.rules[{place}]") for place, each in enumerate(rules)
            )
        case Not(inner):
            below = (explain(inner, subject, f"{path}.not.rule"),)
        case _:
            return Node(path, rule, subject.holds(rule, path), _rows(rule, subject, path))
    return Node(path, rule, combined(rule, [each.holds for each in below], subject.known), (), below)


def combined(rule: Rule, below: Sequence[bool], known: bool) -> bool:
    """Return the verdict of a group by those below it, for a customer in the universe or not."""
    match rule:
        case All():
            return known and all(below)
        case Not():
            return known and not below[0]
    return any(below)


def leaves(node: Node) -> Iterator[Node]:
    """Yield what has no group below it, in pre-order; not the groups of nothing."""
    for each in node.children:
        yield from leaves(each)
    if not isinstance(node.rule, All | Any | Not):
        yield node


def _rows(rule: Rule, subject: Subject, path: str) -> tuple[int, ...]:
    match rule:
        case Did():
            return tuple(subject.events(rule, path)[1].tolist())
        case rules.Sequence(steps, within, when):
            windows: list[rules.Window] = [when, *[None] * (len(steps) - 1)]
            found = [
                subject.events(Did(step.event_type, step.where, window), path)
                for step, window in zip(steps, windows, strict=True)
            ]
            return chain(found, within)
    return ()


def chain(steps: Sequence[Found], within: Span | None) -> tuple[int, ...]:
    """Return the log rows, last step first, of the events that complete a sequence with the newest first step.

    `steps` has the events of each step, newest first. From one first step the earliest events possible are taken,
    which end the soonest, so that what is found too long has no shorter way.
    """
    longest = None if within is None else milliseconds(within)
    rising = [(times[::-1], rows[::-1]) for times, rows in steps]
    for start, row in zip(*(each.tolist() for each in steps[0]), strict=True):
        time, taken = start, [row]
        for times, rows in rising[1:]:
            place = int(np.searchsorted(times, time, side="right"))
            if place == len(times):
                break
            time = int(times[place])
            taken.append(int(rows[place]))
        if len(taken) == len(steps) and (longest is None or time - start <= longest):
            return tuple(reversed(taken))
    return ()


def milliseconds(length: Span) -> int:
    """Return how long a span is, exactly: a day is 24 hours."""
    exact = MILLISECONDS.get(length.unit)
    return length.amount * (DAYS[length.unit] * DAY_MS if exact is None else exact)
