"""Is this message a rule? Reads rules off the wire and refuses bad ones by the path of the field at fault.

Paths use the JSON names that people type: `rule.all.rules[1].did.where.test.values`. What the contract has and
this version does not is refused by name (`NotBuilt`), never ignored.

    Invalid (INVALID_RULE)      the rule can never mean anything
    Invalid (RULE_TOO_LARGE)    past the limits on nodes and depth
    NotBuilt (NOT_BUILT_YET)    a part of the contract that this version does not serve
"""

from collections.abc import Callable
from math import isfinite
from typing import Any as Anything
from typing import NoReturn

from google.protobuf import struct_pb2

from libs.errors import Invalid, NotBuilt
from libs.gen.cohort.v1 import rule_pb2
from libs.index.calendar import Calendar
from libs.index.condition import AllOf, AnyOf, Condition, NotOf, NumberRange, OneOf, Present, Test
from libs.instants import parse_date, parse_instant
from services.cohort.plan import ends, starts
from services.cohort.rule import (
    All,
    Any,
    Between,
    Bound,
    Count,
    Day,
    Did,
    Instant,
    Last,
    Not,
    Profile,
    Rule,
    Unit,
    Window,
)

MAX_NODES = 500
MAX_DEPTH = 32
MAX_VALUES = 10_000
MAX_NAME_BYTES = 256
MAX_AMOUNT = {
    Unit.MINUTE: 36_500 * 1440,
    Unit.HOUR: 36_500 * 24,
    Unit.DAY: 36_500,
    Unit.WEEK: 36_500 // 7,
    Unit.MONTH: 36_500 // 30,
}

Op = rule_pb2.Test
EQUALITY = {Op.EQUALS: False, Op.IN: False, Op.NOT_EQUALS: True, Op.NOT_IN: True}
"""Which operators accept given values, and whether they are negated."""
COMPARISON: dict[int, Callable[[float], NumberRange]] = {
    Op.GREATER_THAN: lambda x: NumberRange(lower=x, lower_open=True),
    Op.AT_LEAST: lambda x: NumberRange(lower=x),
    Op.LESS_THAN: lambda x: NumberRange(upper=x, upper_open=True),
    Op.AT_MOST: lambda x: NumberRange(upper=x),
}
PRESENCE = {Op.IS_SET: False, Op.IS_NOT_SET: True}


def read_rule(message: rule_pb2.Rule, calendar: Calendar, path: str = "rule") -> Rule:
    """Read a rule. Raises `Invalid` or `NotBuilt` with the path of the field at fault."""
    return _Reader(calendar).rule(message, path, 1)


def bad(path: str, message: str) -> NoReturn:
    """Refuse the field at a path."""
    raise Invalid("INVALID_RULE", f"{path}: {message}", path)


def not_built(path: str, what: str) -> NoReturn:
    """Refuse a part of the contract that this version does not serve."""
    raise NotBuilt("NOT_BUILT_YET", f"{path}: this version of Cohort does not evaluate {what} yet", path)


class _Reader:
    """Reads one rule, counting its nodes."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._nodes = 0

    def rule(self, message: rule_pb2.Rule, path: str, depth: int) -> Rule:
        self._enter(path, depth)
        kind = message.WhichOneof("rule")
        match kind:
            case "all":
                return All(self._rules(message.all.rules, f"{path}.all.rules", depth))
            case "any":
                return Any(self._rules(message.any.rules, f"{path}.any.rules", depth))
            case "negation":
                if not message.negation.HasField("rule"):
                    bad(f"{path}.not.rule", "is required")
                return Not(self.rule(message.negation.rule, f"{path}.not.rule", depth + 1))
            case "did":
                return self._did(message.did, f"{path}.did", depth)
            case "profile":
                where = self._where(message.profile, f"{path}.profile.where", depth)
                return Profile(where)
            case "cohort" | "sequence":
                return not_built(f"{path}.{kind}", f"`{kind}`")
        return bad(path, "set one of all, any, not, did, profile, cohort, sequence")

    def _enter(self, path: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise Invalid("RULE_TOO_LARGE", f"{path}: a rule has at most {MAX_DEPTH} levels", path)
        if self._nodes > MAX_NODES:
            raise Invalid(
                "RULE_TOO_LARGE", f"{path}: a rule has at most {MAX_NODES} rules and conditions", path
            )

    def _rules(self, messages: Anything, path: str, depth: int) -> tuple[Rule, ...]:
        return tuple(self.rule(each, f"{path}[{place}]", depth + 1) for place, each in enumerate(messages))

    def _did(self, message: rule_pb2.Did, path: str, depth: int) -> Did:
        _check_name(message.event_type, f"{path}.eventType", "an event type")
        if message.HasField("aggregate"):
            not_built(f"{path}.aggregate", "`aggregate`")
        if message.first_time:
            not_built(f"{path}.firstTime", "`firstTime`")
        where = self._where(message, f"{path}.where", depth)
        when = self._window(message.when, f"{path}.when") if message.HasField("when") else None
        count = read_count(message.count, f"{path}.count") if message.HasField("count") else Count()
        return Did(message.event_type, where, when, count)

    def _where(self, holder: Anything, path: str, depth: int) -> Condition | None:
        return self._condition(holder.where, path, depth + 1) if holder.HasField("where") else None

    def _condition(self, message: rule_pb2.Condition, path: str, depth: int) -> Condition:
        self._enter(path, depth)
        match message.WhichOneof("condition"):
            case "all":
                return AllOf(self._conditions(message.all.conditions, f"{path}.all.conditions", depth))
            case "any":
                return AnyOf(self._conditions(message.any.conditions, f"{path}.any.conditions", depth))
            case "negation":
                if not message.negation.HasField("condition"):
                    bad(f"{path}.not.condition", "is required")
                inner = self._condition(message.negation.condition, f"{path}.not.condition", depth + 1)
                return NotOf(inner)
            case "test":
                return read_test(message.test, f"{path}.test")
        return bad(path, "set one of all, any, not, test")

    def _conditions(self, messages: Anything, path: str, depth: int) -> tuple[Condition, ...]:
        return tuple(
            self._condition(each, f"{path}[{place}]", depth + 1) for place, each in enumerate(messages)
        )

    def _window(self, message: rule_pb2.Window, path: str) -> Window:
        match message.WhichOneof("window"):
            case "last":
                return _read_last(message.last, f"{path}.last")
            case "between":
                return self._between(message.between, f"{path}.between")
            case "days_ago":
                return not_built(f"{path}.daysAgo", "`daysAgo`")
        return bad(path, "set one of last, between, daysAgo")

    def _between(self, message: rule_pb2.Between, path: str) -> Between:
        first = _read_bound(message.start, f"{path}.from") if message.HasField("start") else None
        last = _read_bound(message.to, f"{path}.to") if message.HasField("to") else None
        if first is None and last is None:
            bad(path, "set `from`, `to`, or both")
        if first is not None and last is not None and self._reversed(first, last):
            bad(f"{path}.from", "lies behind `to`")
        return Between(first, last)

    def _reversed(self, first: Bound, last: Bound) -> bool:
        if isinstance(first, Day) and isinstance(last, Day):
            return first.number > last.number
        begin, end = starts(first, self._calendar), ends(last, 0, self._calendar)
        return begin >= end if isinstance(last, Day) else begin > end


def _check_name(name: str, path: str, what: str) -> None:
    if not name:
        bad(path, "is required")
    if len(name.encode()) > MAX_NAME_BYTES:
        bad(path, f"{what} has at most {MAX_NAME_BYTES} bytes")


def read_count(message: rule_pb2.Count, path: str) -> Count:
    """Read a test of a number of events as the range of numbers that pass."""
    op = rule_pb2.Count
    if message.op not in op.Op.values() or message.op == op.OP_UNSPECIFIED:
        bad(f"{path}.op", "is required: AT_LEAST, AT_MOST, EXACTLY, MORE_THAN, LESS_THAN or BETWEEN")
    if not message.HasField("value"):
        bad(f"{path}.value", "is required")
    value, upper = message.value, message.upper
    if value < 0:
        bad(f"{path}.value", "is 0 or more")
    if message.op == op.BETWEEN:
        if not message.HasField("upper"):
            bad(f"{path}.upper", "is required with BETWEEN")
        if upper < value:
            bad(f"{path}.upper", "lies below `value`")
        return Count(value, upper)
    if message.HasField("upper"):
        bad(f"{path}.upper", "goes with BETWEEN only")
    ranges = {
        op.AT_LEAST: Count(value, None),
        op.AT_MOST: Count(0, value),
        op.EXACTLY: Count(value, value),
        op.MORE_THAN: Count(value + 1, None),
        op.LESS_THAN: Count(0, value - 1),
    }
    return ranges[message.op]


def _read_last(message: rule_pb2.Span, path: str) -> Last:
    if message.unit not in rule_pb2.Span.Unit.values() or message.unit == rule_pb2.Span.UNIT_UNSPECIFIED:
        bad(f"{path}.unit", "is required: MINUTE, HOUR, DAY, WEEK or MONTH")
    unit = Unit(rule_pb2.Span.Unit.Name(message.unit))
    if not 1 <= message.amount <= MAX_AMOUNT[unit]:
        bad(f"{path}.amount", f"is from 1 to {MAX_AMOUNT[unit]} (36,500 days)")
    return Last(message.amount, unit)


def _read_bound(text: str, path: str) -> Bound:
    day = parse_date(text)
    if day is not None:
        return Day(day)
    instant = parse_instant(text)
    if instant is None:
        bad(path, "is a date as in 2026-01-31, or an instant as in 2026-01-31T23:59:59Z")
    return Instant(instant)


def read_test(message: rule_pb2.Test, path: str) -> Test:
    """Read a test of one attribute."""
    _check_name(message.attribute, f"{path}.attribute", "an attribute's name")
    op, values = message.op, f"{path}.values"
    if op not in Op.Op.values() or op == Op.OP_UNSPECIFIED:
        bad(f"{path}.op", f"is required: {', '.join(Op.Op.keys()[1:])}")
    given = [_scalar(each, f"{values}[{place}]") for place, each in enumerate(message.values)]
    if len(given) > MAX_VALUES:
        bad(values, f"has at most {MAX_VALUES} values")
    name = Op.Op.Name(op)
    if op in PRESENCE:
        if given:
            bad(values, f"{name} takes none")
        return Test(message.attribute, Present(), PRESENCE[op])
    if not given:
        bad(values, f"{name} needs a value")
    if op in (Op.EQUALS, Op.NOT_EQUALS) and len(given) > 1:
        bad(values, f"{name} takes one value; use {'IN' if op == Op.EQUALS else 'NOT_IN'} for several")
    if message.ignore_case and op in EQUALITY and any(isinstance(each, str) for each in given):
        not_built(f"{path}.ignoreCase", "`ignoreCase`")
    if op in EQUALITY:
        return Test(message.attribute, _one_of(given), EQUALITY[op])
    if op in COMPARISON or op == Op.BETWEEN:
        return Test(message.attribute, _range(op, given, values))
    return not_built(f"{path}.op", f"`{name}`")


def _scalar(value: struct_pb2.Value, path: str) -> str | float | bool:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        if not isfinite(value.number_value):
            bad(path, "is a finite number")
        return value.number_value
    return bad(path, "is a string, a number or a boolean")


def _one_of(given: list[str | float | bool]) -> OneOf:
    return OneOf(
        frozenset(each for each in given if isinstance(each, str)),
        frozenset(each for each in given if isinstance(each, float)),
        frozenset(each for each in given if isinstance(each, bool)),
    )


def _range(op: int, given: list[str | float | bool], path: str) -> NumberRange:
    expected = 2 if op == Op.BETWEEN else 1
    name = Op.Op.Name(op)
    if len(given) != expected:
        bad(path, f"{name} takes {expected} value{'s' * (expected > 1)}")
    if all(isinstance(each, str) for each in given):
        if any(parse_date(str(each)) is None and parse_instant(str(each)) is None for each in given):
            bad(path, f"{name} takes numbers, or dates as in 2026-01-31")
        not_built(path, f"`{name}` of dates")
    numbers = [each for each in given if isinstance(each, float)]
    if len(numbers) != expected:
        bad(path, f"{name} takes numbers, or dates as in 2026-01-31")
    if op != Op.BETWEEN:
        return COMPARISON[op](numbers[0])
    lower, upper = numbers
    if lower > upper:
        bad(path, "the lower value comes first")
    return NumberRange(lower, upper)
