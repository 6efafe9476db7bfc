"""How does SQL say a rule? The best form of DuckDB (sets of customers) and of ClickHouse (bitmaps of them).

Both read the table `events` sorted by (event, day, customer), `profiles`, and `everybody`, the universe.
"""

from typing import Any

from libs.index.calendar import DAY_MS
from tests.bench.world import TODAY

OPS = {
    "EQUALS": "=",
    "NOT_EQUALS": "<>",
    "GREATER_THAN": ">",
    "MORE_THAN": ">",
    "AT_LEAST": ">=",
    "LESS_THAN": "<",
    "AT_MOST": "<=",
}

TEXT_FUNCTIONS = {"CONTAINS": "contains", "STARTS_WITH": "starts_with", "MATCHES": "regexp_matches"}
"""DuckDB's."""


def literal(value: str | float) -> str:
    """Write a value."""
    return f"'{value}'" if isinstance(value, str) else repr(float(value))


def condition(where: dict[str, Any]) -> str:
    """Write a condition. Every event has every attribute, so that SQL's logic is two-valued too."""
    [(kind, body)] = where.items()
    if kind == "test":
        values = [literal(value) for value in body["values"]]
        if body["op"] == "IN":
            return f'"{body["attribute"]}" IN ({", ".join(values)})'
        if body["op"] == "BETWEEN":
            return f'"{body["attribute"]}" BETWEEN {values[0]} AND {values[1]}'
        if body["op"] in TEXT_FUNCTIONS:
            return f'{TEXT_FUNCTIONS[body["op"]]}("{body["attribute"]}", {values[0]})'
        return f'"{body["attribute"]}" {OPS[body["op"]]} {values[0]}'
    if kind == "not":
        return f"NOT ({condition(body['condition'])})"
    word = {"all": " AND ", "any": " OR "}[kind]
    return "(" + word.join(condition(each) for each in body["conditions"]) + ")"


def first_day(body: dict[str, Any]) -> int | None:
    """Return the first day of a window of calendar days, None for ever."""
    return TODAY - body["when"]["last"]["amount"] + 1 if "when" in body else None


def least(body: dict[str, Any]) -> int:
    """Return how many events are wanted."""
    return int(body.get("count", {"value": 1})["value"])


def rows(body: dict[str, Any]) -> str:
    """Write which events a `did` looks at."""
    tests = [f"event = '{body['eventType']}'"]
    day = first_day(body)
    if day is not None:
        tests.append(f"day >= {day}")
    if "where" in body:
        tests.append(condition(body["where"]))
    return " AND ".join(tests)


def duckdb(rule: dict[str, Any]) -> str:
    """Write a query that returns the customers of a rule, each once."""
    [(kind, body)] = rule.items()
    if kind == "sequence":
        return _in_order(body)
    if kind == "did":
        if "firstTime" in body:
            ever = {name: field for name, field in body.items() if name != "when"}
            grouped = f"SELECT customer FROM events WHERE {rows(ever)} GROUP BY customer"
            return f"{grouped} HAVING min(day) >= {first_day(body)}"
        if "aggregate" in body:
            return f"SELECT customer FROM events WHERE {rows(body)} GROUP BY customer HAVING {_figure(body)}"
        if least(body) == 1:
            return f"SELECT DISTINCT customer FROM events WHERE {rows(body)}"
        return f"SELECT customer FROM events WHERE {rows(body)} GROUP BY customer HAVING count(*) >= {least(body)}"
    if kind == "profile":
        return f"SELECT customer FROM profiles WHERE {condition(body['where'])}"
    if kind == "not":
        return f"SELECT customer FROM everybody WHERE customer NOT IN ({duckdb(body['rule'])})"
    if kind == "any":
        return " UNION ".join(f"({duckdb(each)})" for each in body["rules"])
    kept = [each for each in body["rules"] if "not" not in each]
    taken = [each["not"]["rule"] for each in body["rules"] if "not" in each]
    first = f"({duckdb(kept[0])})" if kept else "everybody"
    tests = [f"customer IN ({duckdb(each)})" for each in kept[1:]]
    tests += [f"customer NOT IN ({duckdb(each)})" for each in taken]
    return f"SELECT customer FROM {first} WHERE {' AND '.join(tests or ['true'])}"


def _figure(body: dict[str, Any]) -> str:
    asked = body["aggregate"]
    name = f'"{asked.get("attribute")}"'
    figure = {
        "SUM": f"sum({name})",
        "AVERAGE": f"avg({name})",
        "MAXIMUM": f"max({name})",
        "DISTINCT": f"count(DISTINCT {name})",
        "ACTIVE_DAYS": "count(DISTINCT day)",
    }[asked["function"]]
    return f"{figure} {OPS[asked['op']]} {literal(asked['value'])}"


def _in_order(body: dict[str, Any]) -> str:
    """Write two steps, the second at most so many days behind: for each first one, the next of the second."""
    one, two = ({**step} for step in body["steps"])
    if "when" in body:
        one["when"] = body["when"]
    first, second = (f"(SELECT customer, time FROM events WHERE {rows(step)})" for step in (one, two))
    late = body["within"]["amount"] * DAY_MS
    return (
        f"SELECT DISTINCT a.customer FROM {first} a ASOF JOIN {second} b "
        f"ON a.customer = b.customer AND a.time < b.time WHERE b.time - a.time <= {late}"
    )


def clickhouse(rule: dict[str, Any]) -> str:
    """Write an expression that is the bitmap of a rule's customers."""
    [(kind, body)] = rule.items()
    if kind == "did":
        if least(body) == 1:
            return f"(SELECT groupBitmapState(customer) FROM events WHERE {rows(body)})"
        counted = f"SELECT customer FROM events WHERE {rows(body)} GROUP BY customer HAVING count() >= {least(body)}"
        return f"(SELECT groupBitmapState(customer) FROM ({counted}))"
    if kind == "profile":
        return f"(SELECT groupBitmapState(customer) FROM profiles WHERE {condition(body['where'])})"
    everybody = "(SELECT groupBitmapState(customer) FROM everybody)"
    if kind == "not":
        return f"bitmapAndnot({everybody}, {clickhouse(body['rule'])})"
    if kind == "any":
        return _fold("bitmapOr", [clickhouse(each) for each in body["rules"]])
    kept = [clickhouse(each) for each in body["rules"] if "not" not in each] or [everybody]
    taken = [clickhouse(each["not"]["rule"]) for each in body["rules"] if "not" in each]
    return _fold("bitmapAndnot", [_fold("bitmapAnd", kept), *taken])


def _fold(function: str, parts: list[str]) -> str:
    folded = parts[0]
    for part in parts[1:]:
        folded = f"{function}({folded}, {part})"
    return folded
