"""Who satisfies a rule? The second answer: DuckDB's, by a query that says what the rule says, from its JSON.

Independent of the engine and of `tests.oracle`: sets, counts, windows, calendar days, time zones and regular
expressions are SQL's own. What SQL does not say naturally is `Unsayable`: comparisons with dates, whose kinds and
skipped days are the contract's own, and sums that are not exact in doubles.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf
from typing import Any

import duckdb

from tests.oracle import World

KINDS = {"s": "VARCHAR", "n": "DOUBLE", "b": "BOOLEAN", "f": "VARCHAR"}
"""A column for each kind of an attribute's values; `f` has the case-folded strings."""
SPAN_MS = {"MINUTE": 60_000, "HOUR": 3_600_000}
EXACT_MS = {**SPAN_MS, "DAY": 86_400_000, "WEEK": 604_800_000, "MONTH": 2_592_000_000}
DAYS = {"DAY": 1, "WEEK": 7, "MONTH": 30}
COMPLEMENTS = {"NOT_EQUALS": "EQUALS", "NOT_IN": "IN", "NOT_CONTAINS": "CONTAINS", "IS_NOT_SET": "IS_SET"}
ORDERED = {"GREATER_THAN": ">", "AT_LEAST": ">=", "LESS_THAN": "<", "AT_MOST": "<="}
COMPARED = {"AT_LEAST": ">=", "AT_MOST": "<=", "EXACTLY": "=", "MORE_THAN": ">", "LESS_THAN": "<"}


class Unsayable(Exception):
    """SQL has no natural words for this part of a rule."""


class Tables:
    """A world as tables: `events`, and `universe` with what is known of each customer."""

    def __init__(self, world: World, as_of: int) -> None:
        self._world = world
        self._as_of = as_of
        self._db = duckdb.connect(config={"threads": 1})
        self._db.execute("SET TimeZone = 'UTC'")
        attributes = sorted({name for e in world.events for name in e.data} | {"never seen"})
        self._places = {name: f"a{place}" for place, name in enumerate(attributes)}
        known = sorted({name for data in world.profiles.values() for name in data})
        for name in known:
            self._places.setdefault(name, f"a{len(self._places)}")
        fixed = ["customer VARCHAR", "event_type VARCHAR", "arrival INTEGER", "time BIGINT"]
        self._make(
            "happened",
            fixed,
            [(e.customer_id, e.event_type, place, e.time, e.data) for place, e in enumerate(world.events)],
        )
        self._make("profiles", fixed[:1], [(name, data) for name, data in world.profiles.items()])
        self._db.execute(
            f"CREATE VIEW events AS SELECT *, {self._day('time')} AS day FROM happened WHERE time <= {as_of}"
        )
        self._db.execute(
            "CREATE VIEW universe AS SELECT * FROM (SELECT DISTINCT customer FROM events"
            " UNION SELECT customer FROM profiles) LEFT JOIN profiles USING (customer)"
        )

    def _make(self, name: str, fixed: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        columns = [
            *fixed,
            *(f"{place}_{kind} {kept}" for place in self._places.values() for kind, kept in KINDS.items()),
        ]
        self._db.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
        if rows:
            marks = f"({', '.join('?' * len(columns))})"
            flat = [value for *given, data in rows for value in [*given, *self._values(data)]]
            self._db.execute(f"INSERT INTO {name} VALUES {', '.join([marks] * len(rows))}", flat)

    def _values(self, data: Mapping[str, Any]) -> list[Any]:
        found: list[Any] = []
        for name in self._places:
            value = data.get(name)
            text = value if isinstance(value, str) else None
            number = (
                float(value) + 0.0 if isinstance(value, int | float) and not isinstance(value, bool) else None
            )
            found += [text, number, value if isinstance(value, bool) else None]
            found.append(None if text is None else text.casefold())
        return found

    def matching(self, rule: Mapping[str, Any]) -> set[str]:
        """Return the customers that satisfy a rule. Raises `Unsayable`."""
        query = f"SELECT u.customer FROM universe u WHERE {self._rule(rule)}"
        return {row[0] for row in self._db.execute(query).fetchall()}

    def close(self) -> None:
        """Forget the tables."""
        self._db.close()

    def _day(self, time: str) -> str:
        return f"timezone('{self._world.zone.key}', make_timestamptz({time} * 1000))::DATE"

    def _rule(self, rule: Mapping[str, Any]) -> str:
        [(kind, body)] = rule.items()
        match kind:
            case "all":
                return _joined("AND", [self._rule(each) for each in body.get("rules", [])], "true")
            case "any":
                return _joined("OR", [self._rule(each) for each in body.get("rules", [])], "false")
            case "not":
                return f"NOT {self._rule(body['rule'])}"
            case "profile":
                return self._condition(body.get("where"), "u")
            case "cohort":
                return self._rule(self._world.cohorts[body["cohortId"]])
            case "sequence":
                return self._sequence(body)
        return self._did(body)

    def _did(self, body: Mapping[str, Any]) -> str:
        events = self._events(body, "h")
        when = self._window(body.get("when"), "e")
        if body.get("firstTime"):
            order = "row_number() OVER (PARTITION BY h.customer ORDER BY h.time, h.arrival)"
            source, kept = (
                f"(SELECT h.*, {order} AS place FROM events h WHERE {events})",
                f"e.place = 1 AND {when}",
            )
        else:
            source, kept = f"(SELECT h.* FROM events h WHERE {events})", when
        mine = f"FROM {source} e WHERE e.customer = u.customer AND {kept}"
        count = _compared("(SELECT count(*) " + mine + ")", body.get("count", {"op": "AT_LEAST", "value": 1}))
        return f"({count} AND {self._aggregate(body['aggregate'], mine)})" if "aggregate" in body else count

    def _events(self, step: Mapping[str, Any], alias: str) -> str:
        return (
            f"{alias}.event_type = {_text(step['eventType'])} AND {self._condition(step.get('where'), alias)}"
        )

    def _aggregate(self, aggregate: Mapping[str, Any], mine: str) -> str:
        function = aggregate["function"]
        if function == "ACTIVE_DAYS":
            return _compared(f"(SELECT nullif(count(DISTINCT e.day), 0) {mine})", aggregate)
        place = self._places.get(aggregate["attribute"], self._places["never seen"])
        if function == "DISTINCT":
            different = " + ".join(f"count(DISTINCT e.{place}_{kind})" for kind in "snb")
            return _compared(f"(SELECT nullif({different}, 0) {mine})", aggregate)
        if function in ("SUM", "AVERAGE"):
            self._check_exact(aggregate["attribute"])
        name = {"SUM": "sum", "AVERAGE": "avg", "MINIMUM": "min", "MAXIMUM": "max"}[function]
        return _compared(f"(SELECT {name}(e.{place}_n) {mine})", aggregate)

    def _check_exact(self, attribute: str) -> None:
        """Refuse to add what doubles do not add exactly: all but halves of moderate size."""
        for event in self._world.events:
            value = event.data.get(attribute, 0)
            if isinstance(value, int | float) and not (abs(value) < 1e6 and float(value * 2).is_integer()):
                raise Unsayable("a sum that is not exact")

    def _sequence(self, body: Mapping[str, Any]) -> str:
        names = [f"s{place}" for place in range(len(body["steps"]))]
        tests = [f"{name}.customer = u.customer" for name in names]
        tests += [self._events(step, name) for step, name in zip(body["steps"], names, strict=True)]
        tests += [f"{one}.time < {then}.time" for one, then in pairwise(names)]
        if "within" in body:
            length = body["within"]["amount"] * EXACT_MS[body["within"]["unit"]]
            tests.append(f"{names[-1]}.time - {names[0]}.time <= {length}")
        tests.append(self._window(body.get("when"), names[0]))
        tables = ", ".join(f"events {name}" for name in names)
        return f"EXISTS (SELECT 1 FROM {tables} WHERE {' AND '.join(tests)})"

    def _window(self, window: Mapping[str, Any] | None, alias: str) -> str:
        if window is None:
            return "true"
        [(kind, body)] = window.items()
        today = self._day(str(self._as_of))
        if kind == "last" and body["unit"] in SPAN_MS:
            return f"{alias}.time > {self._as_of - body['amount'] * SPAN_MS[body['unit']]}"
        if kind == "last":
            return f"{alias}.day > {today} - {body['amount'] * DAYS[body['unit']]}"
        if kind == "daysAgo":
            return f"{alias}.day BETWEEN {today} - {body['from']} AND {today} - {body.get('to', 0)}"
        tests = []
        for end, of_day, of_instant in (("from", ">=", ">="), ("to", "<=", "<")):
            if end in body and "T" in body[end]:
                tests.append(f"{alias}.time {of_instant} epoch_ms(TIMESTAMPTZ '{body[end]}')")
            elif end in body:
                tests.append(f"{alias}.day {of_day} DATE '{body[end]}'")
        return " AND ".join(tests)

    def _condition(self, condition: Mapping[str, Any] | None, alias: str) -> str:
        if condition is None:
            return "true"
        [(kind, body)] = condition.items()
        match kind:
            case "all":
                return _joined(
                    "AND", [self._condition(each, alias) for each in body.get("conditions", [])], "true"
                )
            case "any":
                return _joined(
                    "OR", [self._condition(each, alias) for each in body.get("conditions", [])], "false"
                )
            case "not":
                return f"NOT {self._condition(body['condition'], alias)}"
        op = COMPLEMENTS.get(body["op"], body["op"])
        holds = f"coalesce({self._test(body, op, alias)}, false)"
        return f"(NOT {holds})" if op != body["op"] else holds

    def _test(self, test: Mapping[str, Any], op: str, alias: str) -> str:
        column = f"{alias}.{self._places.get(test['attribute'], self._places['never seen'])}"
        values, ignore_case = test.get("values", []), test.get("ignoreCase", False)
        if op == "IS_SET":
            return f"coalesce({column}_s, {column}_n::VARCHAR, {column}_b::VARCHAR) IS NOT NULL"
        if op == "MATCHES":
            return f"regexp_matches({column}_s, {_text(values[0])}, '{'i' if ignore_case else 'c'}')"
        if op in ("EQUALS", "IN"):
            return _joined("OR", [_equals(column, each, ignore_case) for each in values], "false")
        if op in ("CONTAINS", "STARTS_WITH", "ENDS_WITH"):
            call = {"CONTAINS": "contains", "STARTS_WITH": "starts_with", "ENDS_WITH": "suffix"}[op]
            strings = f"{column}_{'f' if ignore_case else 's'}"
            asked = [each.casefold() if ignore_case else each for each in values]
            return _joined("OR", [f"{call}({strings}, {_text(each)})" for each in asked], "false")
        if isinstance(values[0], str):
            raise Unsayable("a comparison with a date")
        if op == "BETWEEN":
            return f"{column}_n BETWEEN {_number(values[0])} AND {_number(values[1])}"
        return f"{column}_n {ORDERED[op]} {_number(values[0])}"


def _equals(column: str, value: str | float | bool, ignore_case: bool) -> str:
    if isinstance(value, bool):
        return f"coalesce({column}_b = {value}, false)"
    if isinstance(value, str):
        asked = value.casefold() if ignore_case else value
        return f"coalesce({column}_{'f' if ignore_case else 's'} = {_text(asked)}, false)"
    return f"coalesce({column}_n = {_number(value)}, false)"


def _compared(figure: str, test: Mapping[str, Any]) -> str:
    if test["op"] == "BETWEEN":
        holds = f"{figure} BETWEEN {_number(test['value'])} AND {_number(test['upper'])}"
    else:
        holds = f"{figure} {COMPARED[test['op']]} {_number(test['value'])}"
    return f"coalesce({holds}, false)"


def _joined(word: str, parts: Sequence[str], empty: str) -> str:
    return f"({f' {word} '.join(parts)})" if parts else empty


def _text(value: str) -> str:
    quoted = value.replace("'", "''")
    return f"'{quoted}'"


def _number(value: float) -> str:
    assert abs(value) < inf
    return f"{float(value)!r}::DOUBLE"
