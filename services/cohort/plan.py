"""What must the engine evaluate for a rule at an instant? Windows become spans of time, tests what they accept.

Pure: a rule, an instant and a calendar give one plan. Rules hold no clock, so the same rule saved today means
the days before tomorrow when it is evaluated tomorrow. What no engine evaluates yet is refused by the path of
its field (`NotBuilt`), never ignored.
"""

from collections.abc import Callable
from typing import Any as Anything

from libs.index import condition as index
from libs.index import plan, strings
from libs.index.calendar import DAY_MS, Calendar
from libs.index.plan import EVER, Plan
from services.cohort.condition import AllOf, AnyOf, Condition, NotOf, Op, Test, Value
from services.cohort.operands import ORDERED, date_instant
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
    Window,
)

DAYS = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30}
MILLISECONDS = {Unit.MINUTE: 60_000, Unit.HOUR: 3_600_000}
EXACT_MS = {**MILLISECONDS, **{unit: days * DAY_MS for unit, days in DAYS.items()}}
"""The units of `within`: a day is 24 hours there, whatever the clocks do."""
EQUALITY = frozenset({Op.EQUALS, Op.NOT_EQUALS, Op.IN, Op.NOT_IN})
PRESENCE = frozenset({Op.IS_SET, Op.IS_NOT_SET})
NEGATED = {Op.NOT_EQUALS, Op.NOT_IN, Op.NOT_CONTAINS, Op.IS_NOT_SET}
"""Exact complements of EQUALS, IN, CONTAINS, IS_SET."""
LIKE = {
    Op.CONTAINS: strings.How.CONTAINS,
    Op.NOT_CONTAINS: strings.How.CONTAINS,
    Op.STARTS_WITH: strings.How.STARTS_WITH,
    Op.ENDS_WITH: strings.How.ENDS_WITH,
    Op.MATCHES: strings.How.MATCHES,
}
CohortPlan = Callable[[str, str], plan.Plan]
"""Returns the plan of a saved cohort, given its id and the path of the field that names it."""


def make_plan(
    rule: Rule, as_of: int, calendar: Calendar, path: str = "rule", cohort_plan: CohortPlan | None = None
) -> Plan:
    """Resolve a rule at an instant, ms. Raises `NotBuilt` with the path of what is not evaluated yet.

    Without `cohort_plan` there are no saved cohorts to refer to.
    """

    def make(inner: Rule, at: str) -> Plan:
        return make_plan(inner, as_of, calendar, at, cohort_plan)

    match rule:
        case All(rules):
            return plan.All(tuple(make(each, f"{path}.all.rules[{n}]") for n, each in enumerate(rules)))
        case Any(rules):
            return plan.Any(tuple(make(each, f"{path}.any.rules[{n}]") for n, each in enumerate(rules)))
        case Not(inner):
            return plan.Not(make(inner, f"{path}.not.rule"))
        case Profile(where):
            return plan.Holds(_where(where, calendar))
        case Did():
            return _did(rule, as_of, calendar)
        case InCohort(cohort_id):
            if cohort_plan is None:
                return not_built(f"{path}.cohort", "cohort")
            return cohort_plan(cohort_id, f"{path}.cohort.cohortId")
        case Sequence():
            return _sequence(rule, as_of, calendar)


def _did(rule: Did, as_of: int, calendar: Calendar) -> Plan:
    first, end = span(rule.when, as_of, calendar)
    count = rule.count or ONCE
    where = _where(rule.where, calendar)
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


def _sequence(rule: Sequence, as_of: int, calendar: Calendar) -> Plan:
    first, end = span(rule.when, as_of, calendar)
    steps = tuple(plan.Step(step.event_type, _where(step.where, calendar)) for step in rule.steps)
    within = None if rule.within is None else rule.within.amount * EXACT_MS[rule.within.unit]
    return plan.Sequence(steps, first, end, within)


def span(window: Window, as_of: int, calendar: Calendar) -> tuple[int, int]:
    """Return the instants, ms, at which a window starts (in) and ends (out), never behind as_of."""
    match window:
        case None:
            return EVER, as_of + 1
        case Last(amount, unit) if unit in MILLISECONDS:
            return as_of - amount * MILLISECONDS[unit] + 1, as_of + 1
        case Last(amount, unit):
            return calendar.start(calendar.day(as_of) - amount * DAYS[unit] + 1), as_of + 1
        case DaysAgo(first, last):
            today = calendar.day(as_of)
            return calendar.start(today - first), min(calendar.start(today - last + 1), as_of + 1)
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


def _where(where: Condition | None, calendar: Calendar) -> index.Condition | None:
    return None if where is None else _condition(where, calendar)


def _condition(condition: Condition, calendar: Calendar) -> index.Condition:
    match condition:
        case AllOf(conditions):
            return index.AllOf(tuple(_condition(each, calendar) for each in conditions))
        case AnyOf(conditions):
            return index.AnyOf(tuple(_condition(each, calendar) for each in conditions))
        case NotOf(inner):
            return index.NotOf(_condition(inner, calendar))
        case Test():
            return _test(condition, calendar)


def _test(test: Test, calendar: Calendar) -> index.Condition:
    op, values, negated = test.op, test.values, test.op in NEGATED
    texts = tuple(value for value in values if isinstance(value, str))
    if op in PRESENCE:
        return index.Test(test.attribute, index.Present(), negated)
    if op in LIKE:
        return index.Test(test.attribute, strings.Like(LIKE[op], texts, test.ignore_case), negated)
    if op in ORDERED:
        accepts = _dates(op, texts, calendar) if texts else _range(op, _numbers(values))
        return index.Test(test.attribute, accepts, negated)
    if not (test.ignore_case and texts):
        return index.Test(test.attribute, _one_of(values), negated)
    folded = index.Test(test.attribute, strings.Like(strings.How.EQUALS, texts, True), negated)
    others = tuple(value for value in values if not isinstance(value, str))
    if not others:
        return folded
    both = (folded, index.Test(test.attribute, _one_of(others), negated))
    return index.AllOf(both) if negated else index.AnyOf(both)


def _numbers(values: tuple[Value, ...]) -> list[float]:
    return [value for value in values if isinstance(value, float)]


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


def _dates(op: Op, texts: tuple[str, ...], calendar: Calendar) -> strings.DateRange:
    """Return which instants, and which days by their first instants, a comparison with dates accepts."""
    ends = [end for text in texts if (end := date_instant(text, calendar)) is not None]
    if op in (Op.LESS_THAN, Op.AT_MOST):
        last = ends[0] - (op is Op.LESS_THAN)
        return strings.DateRange(last=last, last_day=calendar.day(last))
    first = ends[0] + (op is Op.GREATER_THAN)
    first_day = calendar.day(first - 1) + 1  # days start at instants in their order
    if op is Op.BETWEEN:
        return strings.DateRange(first, ends[1], first_day, calendar.day(ends[1]))
    return strings.DateRange(first=first, first_day=first_day)
