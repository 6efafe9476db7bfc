"""What must the engine evaluate for a rule at an instant? Windows become spans of time, tests what they accept.

Pure: a rule, an instant and a calendar give one plan. Rules hold no clock, so the same rule saved today means
the days before tomorrow when it is evaluated tomorrow. What no engine evaluates yet is refused by the path of
its field (`NotBuilt`), never ignored.
"""

from collections.abc import Callable
from typing import Any as Anything
from typing import NoReturn

from libs.index import condition as index
from libs.index import plan
from libs.index.calendar import DAY_MS, Calendar
from libs.index.plan import EVER, Plan
from services.cohort.condition import AllOf, AnyOf, Condition, NotOf, Op, Test, Value
from services.cohort.operands import ORDERED
from services.cohort.refusal import not_built
from services.cohort.rule import (
    ONCE,
    Aggregate,
    All,
    Any,
    Between,
    Bound,
    Comparison,
    Day,
    DaysAgo,
    Did,
    InCohort,
    Last,
    Not,
    Profile,
    Rule,
    Sequence,
    Unit,
)

DAYS = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30}
MILLISECONDS = {Unit.MINUTE: 60_000, Unit.HOUR: 3_600_000}
EXACT_MS = {**MILLISECONDS, **{unit: days * DAY_MS for unit, days in DAYS.items()}}
"""The units of `within`: a day is 24 hours there, whatever the clocks do."""
EQUALITY = frozenset({Op.EQUALS, Op.NOT_EQUALS, Op.IN, Op.NOT_IN})
PRESENCE = frozenset({Op.IS_SET, Op.IS_NOT_SET})
NEGATED = {Op.NOT_EQUALS, Op.NOT_IN, Op.IS_NOT_SET}
"""Exact complements of EQUALS, IN, IS_SET."""


def no_reference(cohort_id: str, path: str) -> NoReturn:
    """Refuse a reference: nobody is there to look the cohort up."""
    not_built(path, "cohort")


def make_plan(
    rule: Rule,
    as_of: int,
    calendar: Calendar,
    path: str = "rule",
    referred: Callable[[str, str], Plan] = no_reference,
) -> Plan:
    """Resolve a rule at an instant, ms. Raises `NotBuilt` with the path of what is not evaluated yet.

    `referred` gives the plan of the cohort of an id that a node, of a path, refers to.
    """
    match rule:
        case All(rules):
            return plan.All(_plans(rules, as_of, calendar, f"{path}.all.rules", referred))
        case Any(rules):
            return plan.Any(_plans(rules, as_of, calendar, f"{path}.any.rules", referred))
        case Not(inner):
            return plan.Not(make_plan(inner, as_of, calendar, f"{path}.not.rule", referred))
        case Profile(where):
            return plan.Holds(_where(where, f"{path}.profile.where"))
        case Did():
            return _did(rule, as_of, calendar, f"{path}.did")
        case InCohort(cohort_id):
            return referred(cohort_id, f"{path}.cohort")
        case Sequence():
            return _sequence(rule, as_of, calendar, f"{path}.sequence")


def _plans(
    rules: tuple[Rule, ...], as_of: int, calendar: Calendar, path: str, referred: Callable[[str, str], Plan]
) -> tuple[Plan, ...]:
    return tuple(
        make_plan(each, as_of, calendar, f"{path}[{place}]", referred) for place, each in enumerate(rules)
    )


def _did(rule: Did, as_of: int, calendar: Calendar, path: str) -> Plan:
    if isinstance(rule.when, DaysAgo):
        not_built(f"{path}.when.daysAgo", "daysAgo")
    first, end = span(rule.when, as_of, calendar)
    count = rule.count or ONCE
    where = _where(rule.where, f"{path}.where")
    did = plan.Did(rule.event_type, where, first, end, count.minimum, count.maximum)
    events = plan.First(did) if rule.first_time else did
    return events if rule.aggregate is None else _aggregated(rule.aggregate, events)


def _aggregated(aggregate: Aggregate, events: plan.Did | plan.First) -> Plan:
    figure = plan.Figure(aggregate.function.value)
    return plan.Aggregated(events, figure, aggregate.attribute, _accepted(aggregate))


def _accepted(aggregate: Aggregate) -> index.NumberRange:
    op, value = aggregate.op, aggregate.value
    if op in (Comparison.AT_LEAST, Comparison.MORE_THAN):
        return index.NumberRange(lower=value, lower_open=op is Comparison.MORE_THAN)
    if op in (Comparison.AT_MOST, Comparison.LESS_THAN):
        return index.NumberRange(upper=value, upper_open=op is Comparison.LESS_THAN)
    return index.NumberRange(value, value if aggregate.upper is None else aggregate.upper)


def _sequence(rule: Sequence, as_of: int, calendar: Calendar, path: str) -> Plan:
    if isinstance(rule.when, DaysAgo):
        not_built(f"{path}.when.daysAgo", "daysAgo")
    first, end = span(rule.when, as_of, calendar)
    steps = tuple(
        plan.Step(step.event_type, _where(step.where, f"{path}.steps[{place}].where"))
        for place, step in enumerate(rule.steps)
    )
    within = None if rule.within is None else rule.within.amount * EXACT_MS[rule.within.unit]
    return plan.Sequence(steps, first, end, within)


def span(window: Last | Between | None, as_of: int, calendar: Calendar) -> tuple[int, int]:
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


def _where(where: Condition | None, path: str) -> index.Condition | None:
    return None if where is None else _condition(where, path)


def _condition(condition: Condition, path: str) -> index.Condition:
    match condition:
        case AllOf(conditions):
            return index.AllOf(_conditions(conditions, f"{path}.all.conditions"))
        case AnyOf(conditions):
            return index.AnyOf(_conditions(conditions, f"{path}.any.conditions"))
        case NotOf(inner):
            return index.NotOf(_condition(inner, f"{path}.not.condition"))
        case Test():
            accepts = _accepts(condition, f"{path}.test")
            return index.Test(condition.attribute, accepts, condition.op in NEGATED)


def _conditions(conditions: tuple[Condition, ...], path: str) -> tuple[index.Condition, ...]:
    return tuple(_condition(each, f"{path}[{place}]") for place, each in enumerate(conditions))


def _accepts(test: Test, path: str) -> index.OneOf | index.NumberRange | index.Present:
    op, values = test.op, test.values
    if op in EQUALITY:
        if test.ignore_case and any(isinstance(value, str) for value in values):
            not_built(f"{path}.ignoreCase", "ignoreCase")
        return _one_of(values)
    if op in ORDERED:
        numbers = [value for value in values if isinstance(value, float)]
        if not numbers:
            not_built(f"{path}.values", f"{op.value} of dates")
        return _range(op, numbers)
    if op in PRESENCE:
        return index.Present()
    return not_built(f"{path}.op", op.value)


def _one_of(values: tuple[Value, ...]) -> index.OneOf:
    by_kind: dict[type, list[Anything]] = {str: [], float: [], bool: []}
    for value in values:
        by_kind[type(value)].append(value)
    return index.OneOf(*map(frozenset, by_kind.values()))


def _range(op: Op, numbers: list[float]) -> index.NumberRange:
    if op is Op.GREATER_THAN:
        return index.NumberRange(lower=numbers[0], lower_open=True)
    if op is Op.AT_LEAST:
        return index.NumberRange(lower=numbers[0])
    if op is Op.LESS_THAN:
        return index.NumberRange(upper=numbers[0], upper_open=True)
    if op is Op.AT_MOST:
        return index.NumberRange(upper=numbers[0])
    return index.NumberRange(numbers[0], numbers[1])
