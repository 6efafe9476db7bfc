"""How is a rule written as text? In one canonical way, which reads back as the same rule."""

from collections.abc import Callable, Sequence
from datetime import date

from libs.instants import EPOCH
from services.cohort import rule as rules
from services.cohort.condition import AllOf, AnyOf, Condition, NotOf, Op, Test
from services.cohort.rule import Comparison, Did, Function, Profile, Rule, Step, Unit
from services.cohort.text.words import write_name, write_number, write_string, write_value

SIGNS = {
    Op.EQUALS: "=",
    Op.NOT_EQUALS: "!=",
    Op.GREATER_THAN: ">",
    Op.AT_LEAST: ">=",
    Op.LESS_THAN: "<",
    Op.AT_MOST: "<=",
}
SEVERAL = (Op.CONTAINS, Op.NOT_CONTAINS, Op.STARTS_WITH, Op.ENDS_WITH)
"""Operators of one value or `any of` several."""
COMPARED = {
    Comparison.AT_LEAST: ">=",
    Comparison.AT_MOST: "<=",
    Comparison.EXACTLY: "=",
    Comparison.MORE_THAN: ">",
    Comparison.LESS_THAN: "<",
}


def format_rule(rule: Rule, name_of: Callable[[str], str | None] = lambda _: None) -> str:
    """Write a rule; `name_of` gives the current name of a saved cohort by its id, None where it is not known."""
    match rule:
        case rules.All(inner):
            return _group([_within(each, rule, name_of) for each in inner], "and", "all", "everyone")
        case rules.Any(inner):
            return _group([_within(each, rule, name_of) for each in inner], "or", "any", "nobody")
        case rules.Not(negated):
            return f"not {_within(negated, rule, name_of)}"
        case Did():
            return _did(rule)
        case Profile(where):
            return f"profile{_where(where)}"
        case rules.InCohort(cohort_id):
            name = name_of(cohort_id)
            return f"cohort id {write_string(cohort_id)}" if name is None else f"cohort {write_string(name)}"
        case rules.Sequence(steps, within, when):
            length = f" within {_span(within.amount, within.unit)}" if within else ""
            return f"{' then '.join(map(_step, steps))}{length}{_window(when)}"


def _within(inner: Rule, outer: Rule, name_of: Callable[[str], str | None]) -> str:
    """Write a rule inside another, in parentheses where it is a group that they hold together."""
    text = format_rule(inner, name_of)
    group = isinstance(inner, rules.All | rules.Any) and len(inner.rules) > 1
    alone = isinstance(outer, rules.All | rules.Any) and len(outer.rules) == 1
    return f"({text})" if group and not alone else text


def format_condition(condition: Condition) -> str:
    """Write a condition, without parentheses around it."""
    match condition:
        case AllOf(inner):
            return _group([_inside(each, condition) for each in inner], "and", "all", "true")
        case AnyOf(inner):
            return _group([_inside(each, condition) for each in inner], "or", "any", "false")
        case NotOf(negated):
            return f"not {_inside(negated, condition)}"
        case Test():
            return _test(condition)


def _inside(inner: Condition, outer: Condition) -> str:
    text = format_condition(inner)
    alone = isinstance(outer, AllOf | AnyOf) and len(outer.conditions) == 1
    return f"({text})" if _is_group(inner) and not alone else text


def _is_group(condition: Condition) -> bool:
    return isinstance(condition, AllOf | AnyOf) and len(condition.conditions) > 1


def _group(members: Sequence[str], between: str, of_one: str, of_none: str) -> str:
    if len(members) > 1:
        return f" {between} ".join(members)
    return f"{of_one}({members[0]})" if members else of_none


def _where(where: Condition | None) -> str:
    if where is None:
        return ""
    text = format_condition(where)
    return f" where ({text})" if _is_group(where) or _tests(where) > 1 else f" where {text}"


def _tests(condition: Condition) -> int:
    match condition:
        case AllOf(inner) | AnyOf(inner):
            return sum(map(_tests, inner))
        case NotOf(negated):
            return _tests(negated)
        case Test():
            return 1


def _step(step: Step) -> str:
    return f"{write_name(step.event_type)}{_where(step.where)}"


def _did(did: Did) -> str:
    first = "first " if did.first_time else ""
    text = f"{first}{_step(Step(did.event_type, did.where))}{_count(did.count)}{_window(did.when)}"
    if did.aggregate is None:
        return text
    figure = did.aggregate
    if figure.function is Function.ACTIVE_DAYS:
        of = "active days"
    else:
        of = f"{figure.function.value.lower()} of {write_name(figure.attribute or '')}"
    return f"{of} of {text} {_compared(figure.op, figure.value, figure.upper)}"


def _compared(op: Comparison, value: float, upper: float | None) -> str:
    if upper is not None:
        return f"between {write_number(value)} and {write_number(upper)}"
    return f"{COMPARED[op]} {write_number(value)}"


def _count(count: rules.Count | None) -> str:
    if count is None:
        return ""
    op = count.op.value.lower().replace("_", " ")
    numbers = f"{count.value}" if count.upper is None else f"{count.value} and {count.upper}"
    last = count.value if count.upper is None else count.upper
    return f" {op} {numbers} time{'' if last == 1 else 's'}"


def _window(window: rules.Window) -> str:
    match window:
        case None:
            return ""
        case rules.Last(amount, unit):
            return f" in last {_span(amount, unit)}"
        case rules.DaysAgo(first, last):
            return f" between {first} and {last} days ago"
        case rules.Between(None, last):
            return f" until {_bound(last)}"
        case rules.Between(first, None):
            return f" since {_bound(first)}"
        case rules.Between(first, last):
            return f" from {_bound(first)} to {_bound(last)}"


def _bound(bound: rules.Bound) -> str:
    if isinstance(bound, rules.Day):
        return date.fromordinal(bound.number + EPOCH).isoformat()
    return "" if bound is None else bound.written


def _span(amount: int, unit: Unit) -> str:
    return f"{amount} {unit.value.lower()}{'' if amount == 1 else 's'}"


def _test(test: Test) -> str:
    values = [write_value(value) for value in test.values]
    op = SIGNS.get(test.op) or test.op.value.lower().replace("_", " ")
    match test.op:
        case Op.IN | Op.NOT_IN:
            said = f"{op} ({', '.join(values)})"
        case Op.BETWEEN:
            said = f"{op} {' and '.join(values)}"
        case _ if test.op in SEVERAL and len(values) > 1:
            said = f"{op} any of ({', '.join(values)})"
        case _:
            said = " ".join([op, *values])
    folded = " ignoring case" if test.ignore_case else ""
    return f"{write_name(test.attribute)} {said}{folded}"
