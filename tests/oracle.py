"""Who satisfies a rule? The naive answer: every customer, every event, in plain Python, from the JSON of a rule.

Knows nothing of the index, the plan or protobuf. Slow and obvious on purpose; where it and the engine differ,
the contract decides.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Any
from zoneinfo import ZoneInfo

from libs.patterns import compile_pattern

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPANS = {"MINUTE": timedelta(minutes=1), "HOUR": timedelta(hours=1)}
DAYS = {"DAY": 1, "WEEK": 7, "MONTH": 30}
COMPLEMENTS = {"NOT_EQUALS": "EQUALS", "NOT_IN": "IN", "NOT_CONTAINS": "CONTAINS", "IS_NOT_SET": "IS_SET"}


@dataclass(frozen=True)
class Event:
    """One event. `time` is in ms."""

    customer_id: str
    event_type: str
    time: int
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """All that is known: events, profiles by customer, the project's time zone, rules of cohorts by id."""

    events: Sequence[Event]
    profiles: Mapping[str, Mapping[str, Any]]
    zone: ZoneInfo
    cohorts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def local_date(self, time: int) -> date:
        """Return the calendar day of an instant, ms."""
        return (EPOCH + timedelta(milliseconds=time)).astimezone(self.zone).date()

    def universe(self, as_of: int) -> set[str]:
        """Return everybody there is."""
        return {e.customer_id for e in self.events if e.time <= as_of} | set(self.profiles)


def matching(rule: Mapping[str, Any], world: World, as_of: int) -> set[str]:
    """Return the customers that satisfy a rule, given as JSON, at an instant, ms."""
    return {customer for customer in world.universe(as_of) if holds(rule, world, as_of, customer)}


def holds(rule: Mapping[str, Any], world: World, as_of: int, customer: str) -> bool:
    """Say whether one customer satisfies a rule."""
    [(kind, body)] = rule.items()
    if kind == "all":
        return all(holds(each, world, as_of, customer) for each in body.get("rules", []))
    if kind == "any":
        return any(holds(each, world, as_of, customer) for each in body.get("rules", []))
    if kind == "not":
        return not holds(body["rule"], world, as_of, customer)
    if kind == "profile":
        return condition_holds(body.get("where"), world.profiles.get(customer, {}), world.zone)
    if kind == "cohort":
        return holds(world.cohorts[body["cohortId"]], world, as_of, customer)
    if kind == "sequence":
        return sequence_holds(body, world, as_of, customer)
    assert kind == "did"
    events = events_of(body, world, as_of, customer)
    if body.get("firstTime"):
        events = sorted(events, key=lambda event: event.time)[:1]  # stable: events stand as they arrived
    events = [event for event in events if in_window(body.get("when"), event.time, world, as_of)]
    counted = count_holds(body.get("count", {"op": "AT_LEAST", "value": 1}), len(events))
    return counted and ("aggregate" not in body or aggregate_holds(body["aggregate"], events, world))


def events_of(body: Mapping[str, Any], world: World, as_of: int, customer: str) -> list[Event]:
    """Return a customer's events of a type that satisfy a condition, as they arrived."""
    return [
        event
        for event in world.events
        if event.customer_id == customer
        and event.event_type == body["eventType"]
        and event.time <= as_of
        and condition_holds(body.get("where"), event.data, world.zone)
    ]


def aggregate_holds(aggregate: Mapping[str, Any], events: Sequence[Event], world: World) -> bool:
    """Say whether a figure over events passes."""
    function = aggregate["function"]
    if function == "ACTIVE_DAYS":
        days = {world.local_date(event.time) for event in events}
        return bool(days) and count_holds(aggregate, len(days))
    values = [event.data[aggregate["attribute"]] for event in events if aggregate["attribute"] in event.data]
    if function != "DISTINCT":
        values = [value for value in values if kind_of(value) == "number"]
    if not values:
        return False
    if function == "DISTINCT":
        return count_holds(aggregate, len({(kind_of(value), value) for value in values}))
    figure: dict[str, Callable[[], float]] = {
        "SUM": lambda: exact_sum(values),
        "AVERAGE": lambda: exact_sum(values) / len(values),
        "MINIMUM": lambda: min(values),
        "MAXIMUM": lambda: max(values),
    }
    return count_holds(aggregate, figure[function]())


def exact_sum(values: Sequence[float]) -> float:
    """Return the correctly rounded sum; infinite where it overflows."""
    total = sum(map(Fraction, values), Fraction())
    try:
        return float(total)
    except OverflowError:
        return inf if total > 0 else -inf


def sequence_holds(body: Mapping[str, Any], world: World, as_of: int, customer: str) -> bool:
    """Say whether some choice of one event a step is in order: every choice is tried."""
    first, *later = [
        sorted({event.time for event in events_of(step, world, as_of, customer)}) for step in body["steps"]
    ]
    within = inf
    if "within" in body:
        hours = {"DAY": 24, "WEEK": 168, "MONTH": 720, "HOUR": 1, "MINUTE": 1 / 60}
        within = round(body["within"]["amount"] * hours[body["within"]["unit"]] * 3_600_000)
    return any(
        reachable(start, later, start + within)
        for start in first
        if in_window(body.get("when"), start, world, as_of)
    )


def reachable(behind: int, steps: Sequence[Sequence[int]], end: float) -> bool:
    """Say whether events for all steps come one behind the other, after an instant and up to an end."""
    if not steps:
        return True
    return any(reachable(time, steps[1:], end) for time in steps[0] if behind < time <= end)


def count_holds(count: Mapping[str, Any], number: float) -> bool:
    """Say whether a number of events, or a figure over them, passes."""
    value = count["value"]
    return {
        "AT_LEAST": number >= value,
        "AT_MOST": number <= value,
        "EXACTLY": number == value,
        "MORE_THAN": number > value,
        "LESS_THAN": number < value,
        "BETWEEN": value <= number <= count.get("upper", value),
    }[count["op"]]


def in_window(window: Mapping[str, Any] | None, time: int, world: World, as_of: int) -> bool:
    """Say whether an instant lies in a window."""
    if window is None:
        return True
    [(kind, body)] = window.items()
    if kind == "last":
        amount, unit = body["amount"], body["unit"]
        if unit in SPANS:
            return time > as_of - amount * SPANS[unit] / timedelta(milliseconds=1)
        first = world.local_date(as_of) - timedelta(days=amount * DAYS[unit] - 1)
        return world.local_date(time) >= first
    if kind == "daysAgo":
        today = world.local_date(as_of)
        first, last = (today - timedelta(days=body.get(end, 0)) for end in ("from", "to"))
        return first <= world.local_date(time) <= last
    assert kind == "between"
    return not_before(body.get("from"), time, world) and not_behind(body.get("to"), time, world)


def not_before(bound: str | None, time: int, world: World) -> bool:
    """Say whether an instant is in a window with this first end."""
    if bound is None:
        return True
    if "T" in bound:
        return time >= instant(bound)
    return world.local_date(time) >= date.fromisoformat(bound)


def not_behind(bound: str | None, time: int, world: World) -> bool:
    """Say whether an instant is in a window with this last end."""
    if bound is None:
        return True
    if "T" in bound:
        return time < instant(bound)
    return world.local_date(time) <= date.fromisoformat(bound)


def instant(text: str) -> int:
    """Return the ms of an instant as rules write it."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def condition_holds(condition: Mapping[str, Any] | None, data: Mapping[str, Any], zone: ZoneInfo) -> bool:
    """Say whether one event's, or one profile's, attributes satisfy a condition."""
    if condition is None:
        return True
    [(kind, body)] = condition.items()
    if kind == "all":
        return all(condition_holds(each, data, zone) for each in body.get("conditions", []))
    if kind == "any":
        return any(condition_holds(each, data, zone) for each in body.get("conditions", []))
    if kind == "not":
        return not condition_holds(body["condition"], data, zone)
    op = body["op"]
    if op in COMPLEMENTS:
        return not passes({**body, "op": COMPLEMENTS[op]}, data, zone)
    return passes(body, data, zone)


def passes(test: Mapping[str, Any], data: Mapping[str, Any], zone: ZoneInfo) -> bool:
    """Say whether one attribute passes a test that is no complement."""
    op, values, ignore_case = test["op"], test.get("values", []), test.get("ignoreCase", False)
    if test["attribute"] not in data:
        return False
    value = data[test["attribute"]]
    if op == "IS_SET":
        return True
    if op == "MATCHES":
        pattern = compile_pattern(values[0], ignore_case=ignore_case)
        return isinstance(value, str) and pattern.search(value) is not None
    if op in ("EQUALS", "IN", "CONTAINS", "STARTS_WITH", "ENDS_WITH"):
        return any(
            kind_of(value) == kind_of(each)
            and compares(op, fold(value, ignore_case), fold(each, ignore_case))
            for each in values
        )
    if kind_of(value) != kind_of(values[0]) or isinstance(value, bool):
        return False
    if isinstance(value, str):
        value, values = date_value(value, zone), [date_value(each, zone) for each in values]
        if value is None:
            return False
    return {
        "GREATER_THAN": value > values[0],
        "AT_LEAST": value >= values[0],
        "LESS_THAN": value < values[0],
        "AT_MOST": value <= values[0],
        "BETWEEN": values[0] <= value <= values[-1],
    }[op]


def compares(op: str, value: Any, asked: Any) -> bool:
    """Say whether one value compares so with another of its kind."""
    if op in ("EQUALS", "IN"):
        return bool(value == asked)
    if op == "CONTAINS":
        return asked in value
    return bool(value.startswith(asked) if op == "STARTS_WITH" else value.endswith(asked))


def fold(value: Any, ignore_case: bool) -> Any:
    """Return a value as it is compared."""
    return value.casefold() if ignore_case and isinstance(value, str) else value


@lru_cache(maxsize=1 << 12)
def date_value(text: str, zone: ZoneInfo) -> int | None:
    """Return the instant, ms, that a text means as a date; None where it is none."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return None
        start = (datetime(day.year, day.month, day.day, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
        minutes = range(start - 26 * 3_600_000, start + 40 * 3_600_000, 60_000)
        local = (EPOCH + timedelta(milliseconds=each) for each in minutes)
        return next(ms for ms, t in zip(minutes, local, strict=True) if t.astimezone(zone).date() >= day)
    shape = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
    if not re.fullmatch(shape, text):
        return None
    try:
        return instant(text)
    except ValueError:
        return None


def kind_of(value: Any) -> str:
    """Return a value's kind."""
    if isinstance(value, bool):
        return "bool"
    return "string" if isinstance(value, str) else "number"
