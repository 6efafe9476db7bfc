"""Which time does this message mean? Reads windows and spans off the wire, and refuses bad ones."""

from libs.gen.cohort.v1 import rule_pb2
from libs.index.calendar import Calendar
from libs.instants import parse_date, parse_instant
from services.cohort.limits import MAX_AMOUNT, MAX_DAYS
from services.cohort.plan import ends, starts
from services.cohort.refusal import bad
from services.cohort.rule import Between, Bound, Day, DaysAgo, Instant, Last, Span, Unit, Window


def read_window(message: rule_pb2.Window, path: str, calendar: Calendar) -> Window:
    """Read a window that is present. Raises `Invalid`."""
    match message.WhichOneof("window"):
        case "last":
            span = read_span(message.last, f"{path}.last")
            return Last(span.amount, span.unit)
        case "between":
            return _read_between(message.between, f"{path}.between", calendar)
        case "days_ago":
            return _read_days_ago(message.days_ago, f"{path}.daysAgo")
    return bad(path, "set one of last, between, daysAgo")


def read_span(message: rule_pb2.Span, path: str) -> Span:
    """Read a length of time. Raises `Invalid`."""
    if message.unit not in rule_pb2.Span.Unit.values() or message.unit == rule_pb2.Span.UNIT_UNSPECIFIED:
        bad(f"{path}.unit", "is required: MINUTE, HOUR, DAY, WEEK or MONTH")
    unit = Unit(rule_pb2.Span.Unit.Name(message.unit))
    if not 1 <= message.amount <= MAX_AMOUNT[unit]:
        days = "" if unit is Unit.DAY else f" ({MAX_DAYS:,} days)"
        bad(f"{path}.amount", f"must be from 1 to {MAX_AMOUNT[unit]:,} {unit.value.lower()}s{days}")
    return Span(message.amount, unit)


def _read_between(message: rule_pb2.Between, path: str, calendar: Calendar) -> Between:
    first = _read_bound(message.start, f"{path}.from") if message.HasField("start") else None
    last = _read_bound(message.to, f"{path}.to") if message.HasField("to") else None
    if first is None and last is None:
        bad(path, "set `from`, `to`, or both")
    if first is not None and last is not None and _reversed(first, last, calendar):
        bad(f"{path}.from", "must not be behind the later end")
    return Between(first, last)


def _reversed(first: Bound, last: Bound, calendar: Calendar) -> bool:
    if isinstance(first, Day) and isinstance(last, Day):
        return first.number > last.number
    begin, end = starts(first, calendar), ends(last, 0, calendar)
    return begin >= end if isinstance(last, Day) else begin > end


def _read_bound(text: str, path: str) -> Bound:
    day = parse_date(text)
    if day is not None:
        return Day(day)
    instant = parse_instant(text)
    if instant is None:
        bad(path, "must be a date as in 2026-01-31, or an instant as in 2026-01-31T23:59:59Z")
    return Instant(instant, text)


def _read_days_ago(message: rule_pb2.DaysAgo, path: str) -> DaysAgo:
    if not message.HasField("start"):
        bad(f"{path}.from", "is required")
    if not 0 <= message.start <= MAX_DAYS:
        bad(f"{path}.from", f"must be from 0 to {MAX_DAYS:,} days")
    if not 0 <= message.to <= message.start:
        bad(f"{path}.to", "must be from 0 to the earlier end, which comes first")
    return DaysAgo(message.start, message.to)
