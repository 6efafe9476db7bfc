"""When may a cohort's members change by the passing of time alone? The instant from which to look again.

A window of calendar days moves when a day starts, one of hours or minutes at any ms; all else stands still. An
event of the future counts from its time on, so where there is one, any ms may matter too.
"""

from collections.abc import Callable, Iterator

from libs.index.calendar import Calendar
from services.cohort.plan import MILLISECONDS
from services.cohort.references import references
from services.cohort.rule import All, Any, DaysAgo, Did, Last, Not, Rule, Sequence

RuleOf = Callable[[str], Rule | None]
"""Gives the rule of a saved cohort, None for a static one. Raises `Missing`."""


def next_change(cohort_id: str, rule_of: RuleOf, as_of: int, latest: int, calendar: Calendar) -> int | None:
    """Return the first instant, ms, after as_of at which members may differ if nothing happens; None: never.

    `latest` is the time, ms, of the last event there is.
    """
    if latest > as_of:
        return as_of + 1
    windows = [window for rule in _all_rules(cohort_id, rule_of) for window in _windows(rule)]
    if any(isinstance(window, Last) and window.unit in MILLISECONDS for window in windows):
        return as_of + 1
    return calendar.start(calendar.day(as_of) + 1) if windows else None


def _all_rules(cohort_id: str, rule_of: RuleOf) -> Iterator[Rule]:
    """Yield the rule of a cohort and of each that it leads to, each once."""
    waiting, met = [cohort_id], {cohort_id}
    while waiting:
        rule = rule_of(waiting.pop())
        if rule is None:
            continue
        yield rule
        named = {each for _, each in references(rule, "")} - met
        met |= named
        waiting += named


def _windows(rule: Rule) -> Iterator[Last | DaysAgo]:
    """Yield the windows of a rule that move with time."""
    match rule:
        case All(rules) | Any(rules):
            for each in rules:
                yield from _windows(each)
        case Not(inner):
            yield from _windows(inner)
        case Did(when=Last() | DaysAgo() as window) | Sequence(when=Last() | DaysAgo() as window):
            yield window
