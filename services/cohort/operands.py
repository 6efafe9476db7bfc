"""Which values does an operator take? Reads tests of one attribute off the wire, and refuses bad ones."""

from collections.abc import Sequence
from math import isfinite

from google.protobuf import struct_pb2

from libs.gen.cohort.v1 import rule_pb2
from libs.index.calendar import Calendar
from libs.instants import parse_date, parse_instant
from libs.patterns import compile_pattern
from services.cohort.comparisons import check_name
from services.cohort.condition import Op, Test, Value
from services.cohort.limits import MAX_VALUES
from services.cohort.refusal import bad

NUMBER_OF_VALUES = {
    **dict.fromkeys((Op.IS_SET, Op.IS_NOT_SET), 0),
    **dict.fromkeys((Op.EQUALS, Op.NOT_EQUALS, Op.MATCHES), 1),
    **dict.fromkeys((Op.GREATER_THAN, Op.AT_LEAST, Op.LESS_THAN, Op.AT_MOST), 1),
    Op.BETWEEN: 2,
}
"""How many values an operator takes; those that are not here take one or more."""
ORDERED = (Op.GREATER_THAN, Op.AT_LEAST, Op.LESS_THAN, Op.AT_MOST, Op.BETWEEN)
OF_STRINGS = (Op.CONTAINS, Op.NOT_CONTAINS, Op.STARTS_WITH, Op.ENDS_WITH, Op.MATCHES)
SEVERAL = {Op.EQUALS: Op.IN, Op.NOT_EQUALS: Op.NOT_IN}


def read_test(message: rule_pb2.Test, path: str, calendar: Calendar) -> Test:
    """Read a test of one attribute. Raises `Invalid`."""
    check_name(message.attribute, f"{path}.attribute", "an attribute's name")
    known = rule_pb2.Test.Op
    if message.op not in known.values() or message.op == rule_pb2.Test.OP_UNSPECIFIED:
        bad(f"{path}.op", f"is required: {', '.join(known.keys()[1:])}")
    op, at = Op(known.Name(message.op)), f"{path}.values"
    if len(message.values) > MAX_VALUES:
        bad(at, f"has at most {MAX_VALUES:,} values")
    values = tuple(_scalar(each, at, place) for place, each in enumerate(message.values))
    _check_number(op, values, at)
    if op in OF_STRINGS:
        _check_strings(op, values, at)
    if op is Op.MATCHES:
        _check_pattern(str(values[0]), f"{at}[0]", message.ignore_case)
    if op in ORDERED:
        _check_order(op, values, at, calendar)
    return Test(message.attribute, op, values, message.ignore_case)


def date_instant(text: str, calendar: Calendar) -> int | None:
    """Return the instant, ms, that a date of a condition means, None where a text is no date.

    A bare date is the start of that day in the calendar's time zone.
    """
    day = parse_date(text)
    return parse_instant(text) if day is None else calendar.start(day)


def _scalar(value: struct_pb2.Value, path: str, place: int) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        if not isfinite(value.number_value):
            bad(f"{path}[{place}]", "must be a finite number")
        return value.number_value
    return bad(f"{path}[{place}]", "must be a string, a number or a boolean")


def _check_number(op: Op, values: Sequence[Value], path: str) -> None:
    wanted = NUMBER_OF_VALUES.get(op)
    if wanted == 0 and values:
        bad(path, f"{op.value} takes none")
    if wanted != 0 and not values:
        bad(path, f"{op.value} needs a value")
    if op in SEVERAL and len(values) > 1:
        bad(path, f"{op.value} takes one value; use {SEVERAL[op].value} for several")
    if wanted is not None and len(values) != wanted:
        bad(path, f"{op.value} takes {wanted} value{'s' * (wanted > 1)}")


def _check_strings(op: Op, values: Sequence[Value], path: str) -> None:
    for place, value in enumerate(values):
        if not isinstance(value, str):
            bad(f"{path}[{place}]", "must be a string")


def _check_pattern(pattern: str, path: str, ignore_case: bool) -> None:
    try:
        compile_pattern(pattern, ignore_case=ignore_case)
    except ValueError as error:
        bad(path, f"must be a regular expression in RE2 syntax: {str(error)[:200]}")


def _check_order(op: Op, values: Sequence[Value], path: str, calendar: Calendar) -> None:
    ends: list[float] = []
    for value in values:
        end = date_instant(value, calendar) if isinstance(value, str) else value
        if end is None or isinstance(value, bool) or type(value) is not type(values[0]):
            bad(path, "must be numbers, or dates as in 2026-01-31, all of one kind")
        ends.append(end)
    if op is Op.BETWEEN and ends[0] > ends[1]:
        bad(path, "the lower value must come first")
