"""What must the engine evaluate for a rule at an instant? Windows become spans of time; the rest stays as it is.

Pure: a rule, an instant and a calendar give one plan. Rules hold no clock, so the same rule saved today means
the days before tomorrow when it is evaluated tomorrow.
"""

from libs.index import plan
from libs.index.calendar import Calendar
from libs.index.plan import EVER, Plan
from services.cohort.rule import All, Any, Between, Bound, Day, Did, Last, Not, Profile, Rule, Unit, Window

DAYS = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30}
MILLISECONDS = {Unit.MINUTE: 60_000, Unit.HOUR: 3_600_000}


def make_plan(rule: Rule, as_of: int, calendar: Calendar) -> Plan:
    """Resolve a rule at an instant, ms."""
    match rule:
        case All(rules):
            return plan.All(tuple(make_plan(each, as_of, calendar) for each in rules))
        case Any(rules):
            return plan.Any(tuple(make_plan(each, as_of, calendar) for each in rules))
        case Not(inner):
            return plan.Not(make_plan(inner, as_of, calendar))
        case Profile(where):
            return plan.Holds(where)
        case Did(event_type, where, when, count):
            first, end = span(when, as_of, calendar)
            return plan.Did(event_type, where, first, end, count.minimum, count.maximum)


def span(window: Window, as_of: int, calendar: Calendar) -> tuple[int, int]:
    """Return the instants, ms, at which a window starts (in) and ends (out), never behind as_of."""
    match window:
        case None:
            return EVER, as_of + 1
        case Last(amount, unit) if unit in MILLISECONDS:
            return as_of - amount * MILLISECONDS[unit] + 1, as_of + 1
        case Last(amount, unit):
            return calendar.start(calendar.day(as_of) - amount * DAYS[unit] + 1), as_of + 1
        case Between(first, last):
            return starts(first, calendar), min(ends(last, as_of, calendar), as_of + 1)


def starts(bound: Bound, calendar: Calendar) -> int:
    """Return the instant, ms, at which a window with this first end starts."""
    if bound is None:
        return EVER
    return calendar.start(bound.number) if isinstance(bound, Day) else bound.milliseconds


def ends(bound: Bound, as_of: int, calendar: Calendar) -> int:
    """Return the first instant, ms, behind a window with this last end."""
    if bound is None:
        return as_of + 1
    return calendar.start(bound.number + 1) if isinstance(bound, Day) else bound.milliseconds
