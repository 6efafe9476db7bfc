"""When does time alone change a verdict? The instants at which a window gains or loses an event, in order.

As time passes and nothing else happens, windows relative to now leave events behind, and windows of days gone by
(`daysAgo`) take some in; nothing else moves. So each behaviour can change only at instants that follow from the
times of the customer's events, and only there is it asked again.
"""

from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from libs.index.calendar import Calendar
from services.cohort.explain import Node, Subject, combined, leaves
from services.cohort.plan import DAYS, MILLISECONDS
from services.cohort.rule import (
    ONCE,
    All,
    Any,
    DaysAgo,
    Did,
    InCohort,
    Last,
    Not,
    Rule,
    Sequence,
)

MAX_TURNS = 10_000
"""How often leaves are asked again in all. A count has at most two; only figures over very many events come near."""

RuleOf = Callable[[str, str], Rule]


def changes_at(root: Node, subject: Subject, rule_of: RuleOf) -> int | None:
    """Return the first instant, ms, behind as_of at which the verdict of `root` is another, None for never.

    `rule_of` gives the rule of a saved cohort by its id; the field path it is told is the leaf's.
    """
    verdicts = {leaf.path: leaf.holds for leaf in leaves(root)}
    turns = sorted(
        ((instant, leaf) for leaf in leaves(root) for instant in _turns(leaf, subject, rule_of)),
        key=_instant,
    )
    if len(turns) > MAX_TURNS:  # the leaves of one instant are asked together or not at all
        turns = [turn for turn in turns[:MAX_TURNS] if turn[0] < turns[MAX_TURNS][0]]
    for instant, turning in groupby(turns, key=_instant):
        for _, leaf in turning:
            verdicts[leaf.path] = subject.holds(leaf.rule, leaf.path, instant)
        if verdict(root, verdicts, subject.known) != root.holds:
            return instant
    return None


def _instant(turn: tuple[int, Node]) -> int:
    return turn[0]


def verdict(node: Node, verdicts: dict[str, bool], known: bool) -> bool:
    """Return the verdict of a node by those of its leaves, by path."""
    if isinstance(node.rule, All | Any | Not):
        return combined(node.rule, [verdict(each, verdicts, known) for each in node.children], known)
    return verdicts[node.path]


def _turns(leaf: Node, subject: Subject, rule_of: RuleOf) -> list[int]:
    """Return the instants behind as_of at which a leaf may change, ascending, each once."""
    moving = _behaviours(leaf.rule, leaf.path, rule_of, set())
    found = [_of_behaviour(did, counted, leaf.path, subject) for did, counted in moving]
    together: list[int] = np.unique(np.concatenate([np.empty(0, np.int64), *found])).tolist()
    return together


def _behaviours(rule: Rule, path: str, rule_of: RuleOf, seen: set[str]) -> Iterator[tuple[Did, bool]]:
    """Yield what a rule asks of behaviour, and whether of the number of events alone.

    A cohort that is referred to is followed once.
    """
    match rule:
        case All(rules) | Any(rules):
            for each in rules:
                yield from _behaviours(each, path, rule_of, seen)
        case Not(inner):
            yield from _behaviours(inner, path, rule_of, seen)
        case Did():
            yield rule, rule.aggregate is None and not rule.first_time
        case Sequence(steps, _, when):  # the first step alone is asked to be in the window
            yield Did(steps[0].event_type, steps[0].where, when), False
        case InCohort(cohort_id) if cohort_id not in seen:
            seen.add(cohort_id)
            yield from _behaviours(rule_of(cohort_id, path), path, rule_of, seen)


def _of_behaviour(did: Did, counted: bool, path: str, subject: Subject) -> NDArray[np.int64]:
    """Return the instants behind as_of at which a behaviour may change, (n,) int64 ms."""
    if not isinstance(did.when, Last | DaysAgo):
        return np.empty(0, np.int64)
    times, _ = subject.events(Did(did.event_type, did.where), path)
    instants = _moves(times, did.when, subject.calendar)
    instants = instants[instants > subject.as_of]
    if not counted or isinstance(did.when, DaysAgo):
        return instants
    count = (
        did.count or ONCE
    )  # events leave oldest first: it turns when too few are left, or no more too many
    places = [count.minimum - 1, -1 if count.maximum is None else count.maximum]
    return instants[[place for place in places if 0 <= place < len(instants)]]


def _moves(times: NDArray[np.int64], window: Last | DaysAgo, calendar: Calendar) -> NDArray[np.int64]:
    """Return when events of some times leave a window, in their order; of `DaysAgo`, then when they enter it."""
    if isinstance(window, Last) and window.unit in MILLISECONDS:
        return times + window.amount * MILLISECONDS[window.unit]
    days = calendar.days(times)
    if isinstance(window, Last):
        return _starts(days + window.amount * DAYS[window.unit], calendar)
    return _starts(np.concatenate((days + window.first + 1, days + window.last)), calendar)


def _starts(days: NDArray[np.int64], calendar: Calendar) -> NDArray[np.int64]:
    """Return the first instants of some days, in their order, each day looked up once."""
    unique, places = np.unique(days, return_inverse=True)
    return np.array([calendar.start(day) for day in unique.tolist()], np.int64)[places]
