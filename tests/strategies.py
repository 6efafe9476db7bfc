"""Which events and rules hurt? Hypothesis strategies: few customers, few values, many coincidences.

Instants cluster around midnights of two zones and days on which clocks change; values mix kinds under one
attribute; rules use every construct of this version. Strategies that depend on a moment are made once for each:
making one takes hypothesis longer than drawing from it.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from math import fsum
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.oracle import EPOCH, Event, World

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia"]
MOMENTS = [
    1_774_746_000_000,  # 2026-03-29T01:00:00Z: clocks go forward in Berlin
    1_792_889_999_999,  # 2026-10-25T00:59:59.999Z: the last ms before they go back
    1_541_300_400_000,  # 2018-11-04T03:00:00Z: midnight is skipped in Sao Paulo
    1_325_239_200_000,  # 2011-12-30T10:00:00Z: Apia skips the day
    1_767_225_600_000,  # 2026-01-01T00:00:00Z
    1_767_222_000_000,  # … and in Berlin
]
CUSTOMERS = ["ann", "bob", "cid", "Dan", "dan", "émil", "日本"]
EVENT_TYPES = ["view", "purchase", "odd type"]
ATTRIBUTES = ["brand", "price", "x"]
STRINGS = ["", "a", "A", "1000", "true", "ü"]
CASES = ["straße", "STRASSE", "Ü", "u\u0308", "ﬁx", "FIX", "İ", "Σας", "ΣΑΣ", "日本語", "a\nb", "ba", "Ab"]
DATES = [
    *(f"{day}{time}" for day in ("2026-03-29", "2018-11-04", "2026-01-01") for time in ("", "T00:00:00Z")),
    "2025-12-31",
    "2026-03-30",
    "2018-11-05",
    "2011-12-29",
    "2011-12-30",
    "2011-12-31",
    "2011-12-30T10:00:00Z",
    "2026-01-01T00:00:00+01:00",
    "2025-12-31T23:59:59.9999Z",
    "2018-11-04T03:00:00.000Z",
    "2018-11-04T00:00:00-03:00",
    "2026-03-29T03:30:00.5+02:00",
]
NO_DATES = ["2026-02-30", "2026-1-1", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "２０２６-01-01"]
PARTS = ["", "a", "A", "SS", "ß", "ü", "i", "σ", "日", "01", "b\n", "e"]
PATTERNS = ["", "^a", "a$", "[ab]+", "\\d{4}", "^.$", "日本|ü", "(?i)ß", "S", "^\\w+$"]
NUMBERS = [-1.0, -0.0, 0.0, 1.0, 2.5, 1000.0, 1e308, 5e-324, 0.1]

DAYS_OFF = [-40, -8, -7, -2, -1, 0, 0, 0, 1, 2]
MS_OFF = [-HOUR_MS, -1, 0, 0, 0, 1, HOUR_MS, 12 * HOUR_MS]

strings = st.one_of(
    st.sampled_from(STRINGS), st.sampled_from(CASES), st.sampled_from(DATES), st.sampled_from(NO_DATES)
)
scalars = st.one_of(strings, strings, st.sampled_from(NUMBERS), st.booleans())
data = st.dictionaries(st.sampled_from(ATTRIBUTES), scalars, max_size=3)


@cache
def instants(moment: int) -> st.SearchStrategy[int]:
    """Instants, ms, around a moment."""
    return st.builds(
        lambda day, ms: moment + day * DAY_MS + ms, st.sampled_from(DAYS_OFF), st.sampled_from(MS_OFF)
    )


@cache
def events(moment: int) -> st.SearchStrategy[list[Event]]:
    """Events around a moment."""
    one = st.builds(Event, st.sampled_from(CUSTOMERS), st.sampled_from(EVENT_TYPES), instants(moment), data)
    return st.lists(one, min_size=1, max_size=40)


profiles = st.dictionaries(st.sampled_from([*CUSTOMERS, "only a profile"]), data, max_size=5)


def _json(**fields: Any) -> dict[str, Any]:
    return {name.rstrip("_"): value for name, value in fields.items() if value is not None}


def _test(attribute: str, op: str, values: list[Any], ignore_case: bool = False) -> dict[str, Any]:
    case = {"ignoreCase": True} if ignore_case else {}
    return {"test": {"attribute": attribute, "op": op, "values": values, **case}}


def _date_range(days: list[str]) -> dict[str, Any]:
    return _test("x", "BETWEEN", sorted(days))


attributes = st.sampled_from([*ATTRIBUTES, "never seen"])
ignored = st.booleans()
tests = st.one_of(
    st.builds(
        _test, attributes, st.sampled_from(["EQUALS", "NOT_EQUALS"]), scalars.map(lambda v: [v]), ignored
    ),
    st.builds(
        _test,
        attributes,
        st.sampled_from(["IN", "NOT_IN"]),
        st.lists(scalars, min_size=1, max_size=4),
        ignored,
    ),
    st.builds(
        _test,
        attributes,
        st.sampled_from(["CONTAINS", "NOT_CONTAINS", "STARTS_WITH", "ENDS_WITH"]),
        st.lists(st.sampled_from([*PARTS, *CASES]), min_size=1, max_size=3),
        ignored,
    ),
    st.builds(_test, attributes, st.just("MATCHES"), st.sampled_from(PATTERNS).map(lambda v: [v]), ignored),
    st.builds(
        _test,
        attributes,
        st.sampled_from(["GREATER_THAN", "AT_LEAST", "LESS_THAN", "AT_MOST"]),
        st.sampled_from(DATES).map(lambda v: [v]),
    ),
    st.lists(st.sampled_from([d for d in DATES if "T" not in d]), min_size=2, max_size=2).map(_date_range),
    st.builds(
        _test,
        attributes,
        st.sampled_from(["GREATER_THAN", "AT_LEAST", "LESS_THAN", "AT_MOST"]),
        st.sampled_from(NUMBERS).map(lambda v: [v]),
    ),
    st.builds(
        _test,
        attributes,
        st.just("BETWEEN"),
        st.lists(st.sampled_from(NUMBERS), min_size=2, max_size=2).map(sorted),
    ),
    st.builds(_test, attributes, st.sampled_from(["IS_SET", "IS_NOT_SET"]), st.just([])),
)
conditions = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"all": {"conditions": each}}),
        st.lists(inner, max_size=3).map(lambda each: {"any": {"conditions": each}}),
        inner.map(lambda each: {"not": {"condition": each}}),
    ),
    max_leaves=4,
)
counts = st.one_of(
    st.builds(
        lambda op, value: {"op": op, "value": value},
        st.sampled_from(["AT_LEAST", "AT_MOST", "EXACTLY", "MORE_THAN", "LESS_THAN"]),
        st.integers(0, 3),
    ),
    st.builds(
        lambda low, more: {"op": "BETWEEN", "value": low, "upper": low + more},
        st.integers(0, 2),
        st.integers(0, 2),
    ),
)


figure_ops = st.sampled_from(["AT_LEAST", "AT_MOST", "EXACTLY", "MORE_THAN", "LESS_THAN", "BETWEEN"])


def _aggregate(function: str, attribute: str, op: str, ends: list[float]) -> dict[str, Any]:
    fields = _json(attribute=None if function == "ACTIVE_DAYS" else attribute)
    if op == "BETWEEN":
        fields["upper"] = max(ends)
    return {"function": function, "op": op, "value": min(ends), **fields}


totals = st.lists(st.sampled_from([0.1, 0.1, 1.0, 2.5, -1.0, 1000.0, 5e-324]), max_size=5).map(fsum)
"""What some of the numbers there are add up to: where rounding twice would show."""
aggregates = st.one_of(
    st.builds(
        _aggregate,
        st.sampled_from(["SUM", "SUM", "AVERAGE", "MINIMUM", "MAXIMUM"]),
        attributes,
        figure_ops,
        st.lists(st.one_of(st.sampled_from(NUMBERS), totals), min_size=2, max_size=2),
    ),
    st.builds(
        _aggregate,
        st.sampled_from(["DISTINCT", "ACTIVE_DAYS"]),
        attributes,
        figure_ops,
        st.lists(st.integers(0, 4).map(float), min_size=2, max_size=2),
    ),
)
asked_types = st.sampled_from([*EVENT_TYPES, *EVENT_TYPES, "never seen"])


def _iso(time: int) -> str:
    return (EPOCH + timedelta(milliseconds=time)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _between(first: tuple[int, bool], last: tuple[int, bool]) -> dict[str, Any]:
    """Make a window that is never reversed: ends a day or more apart, or both of one form."""
    (one, one_day), (two, two_day) = first, last
    low, high = min(one, two), max(one, two)
    if one_day != two_day:
        low -= 2 * DAY_MS
    return {"between": {"from": _end(low, one_day), "to": _end(high, two_day)}}


def _end(time: int, day: bool) -> str:
    return _iso(time)[:10] if day else _iso(time)


@cache
def windows(moment: int) -> st.SearchStrategy[dict[str, Any]]:
    """Windows with ends around a moment."""
    ends = st.tuples(instants(moment), st.booleans())
    return st.one_of(
        st.builds(
            lambda amount, unit: {"last": {"amount": amount, "unit": unit}},
            st.sampled_from([1, 2, 7, 8, 24, 41]),
            st.sampled_from(["MINUTE", "HOUR", "DAY", "DAY", "WEEK", "MONTH"]),
        ),
        st.builds(
            lambda last, more: {"daysAgo": _json(from_=last + more, to=last or None)},
            st.sampled_from([0, 0, 1, 2, 7]),
            st.sampled_from([0, 1, 6, 40]),
        ),
        st.builds(_between, ends, ends),
        ends.map(lambda end: {"between": {"from": _end(*end)}}),
        ends.map(lambda end: {"between": {"to": _end(*end)}}),
    )


@cache
def dids(moment: int) -> st.SearchStrategy[dict[str, Any]]:
    """Behaviour around a moment."""
    return st.builds(
        lambda event_type, where, when, count, aggregate, first: {
            "did": _json(
                eventType=event_type,
                where=where,
                when=when,
                count=count,
                aggregate=aggregate,
                firstTime=first,
            )
        },
        asked_types,
        st.one_of(st.none(), conditions),
        st.one_of(st.none(), windows(moment), windows(moment)),
        st.one_of(st.none(), counts),
        st.one_of(st.none(), st.none(), aggregates),
        st.sampled_from([None, None, True]),
    )


@cache
def sequences(moment: int) -> st.SearchStrategy[dict[str, Any]]:
    """Behaviour in order, the first of it around a moment."""
    step = st.builds(
        lambda event_type, where: _json(eventType=event_type, where=where),
        asked_types,
        st.one_of(st.none(), st.none(), conditions),
    )
    within = st.builds(
        lambda amount, unit: {"amount": amount, "unit": unit},
        st.sampled_from([1, 2, 7, 24, 60]),
        st.sampled_from(["MINUTE", "HOUR", "DAY", "DAY", "WEEK", "MONTH"]),
    )
    return st.builds(
        lambda steps, within, when: {"sequence": _json(steps=steps, within=within, when=when)},
        st.lists(step, min_size=2, max_size=4),
        st.one_of(st.none(), within, within),
        st.one_of(st.none(), windows(moment)),
    )


profile_rules = st.one_of(st.none(), conditions).map(lambda where: {"profile": _json(where=where)})


COHORTS = ("first", "second", "third")
"""Saved cohorts; each may refer to those before it."""


@cache
def cohorts(moment: int) -> st.SearchStrategy[dict[str, dict[str, Any]]]:
    """Rules of saved cohorts about what happened around a moment."""
    return st.fixed_dictionaries({name: rules(moment, COHORTS[:place]) for place, name in enumerate(COHORTS)})


@cache
def rules(moment: int, known: tuple[str, ...] = COHORTS) -> st.SearchStrategy[dict[str, Any]]:
    """Rules about what happened around a moment, which may refer to some saved cohorts."""
    named = [st.sampled_from(known).map(lambda name: {"cohort": {"cohortId": name}})] if known else []
    return st.recursive(
        st.one_of(dids(moment), dids(moment), dids(moment), sequences(moment), profile_rules, *named),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda each: {"all": {"rules": each}}),
            st.lists(inner, max_size=3).map(lambda each: {"any": {"rules": each}}),
            inner.map(lambda each: {"not": {"rule": each}}),
        ),
        max_leaves=4,
    )


@dataclass(frozen=True)
class Scene:
    """A world, questions about it, and the instant they are asked for, ms; `later` comes in afterwards."""

    world: World
    rules: list[dict[str, Any]]
    as_of: int
    later: World


@cache
def _scenes_at(moment: int, zone: ZoneInfo) -> st.SearchStrategy[Scene]:
    world = st.builds(World, events(moment), profiles, st.just(zone), cohorts(moment))
    asked = st.lists(st.one_of(dids(moment), sequences(moment), rules(moment)), min_size=3, max_size=6)
    return st.builds(Scene, world, asked, instants(moment), world)


scenes = st.builds(
    lambda moment, zone: (moment, ZoneInfo(zone)), st.sampled_from(MOMENTS), st.sampled_from(ZONES)
).flatmap(lambda at: _scenes_at(*at))


@cache
def _dense_rules(moment: int) -> st.SearchStrategy[dict[str, Any]]:
    """Figures, first times and orders with few conditions, so that many customers satisfy them."""
    types = st.sampled_from(EVENT_TYPES[:2])
    seldom = st.one_of(st.none(), st.none(), st.none(), conditions)
    when = st.one_of(st.none(), windows(moment))
    figure = st.builds(
        _aggregate,
        st.sampled_from(["SUM", "SUM", "AVERAGE", "MINIMUM", "MAXIMUM", "DISTINCT", "ACTIVE_DAYS"]),
        st.just("price"),
        figure_ops,
        st.lists(st.one_of(st.sampled_from([0.1, 0.3, 1.0, 2.0, 3.0]), totals), min_size=2, max_size=2),
    )
    did = st.builds(
        lambda event_type, where, when, figure, first: {
            "did": _json(eventType=event_type, where=where, when=when, aggregate=figure, firstTime=first)
        },
        types,
        seldom,
        when,
        figure,
        st.sampled_from([None, None, True]),
    )
    step = st.builds(lambda event_type, where: _json(eventType=event_type, where=where), types, seldom)
    within = st.builds(
        lambda amount, unit: {"amount": amount, "unit": unit},
        st.sampled_from([1, 2, 12, 24]),
        st.sampled_from(["HOUR", "DAY", "WEEK"]),
    )
    sequence = st.builds(
        lambda steps, within, when: {"sequence": _json(steps=steps, within=within, when=when)},
        st.lists(step, min_size=2, max_size=3),
        st.one_of(st.none(), within, within),
        when,
    )
    return st.one_of(did, did, sequence)


@cache
def _dense_scenes_at(moment: int, zone: ZoneInfo) -> st.SearchStrategy[Scene]:
    prices = st.sampled_from([0.1, 0.1, 0.2, 0.3, 1.0, 2.5, 1000.0, "a", True])
    one = st.builds(
        Event,
        st.sampled_from(CUSTOMERS[:3]),
        st.sampled_from(EVENT_TYPES[:2]),
        instants(moment),
        st.one_of(st.builds(lambda price: {"price": price}, prices), data),
    )
    world = st.builds(
        World, st.lists(one, min_size=12, max_size=40), st.just({"only a profile": {}}), st.just(zone)
    )
    asked = st.lists(_dense_rules(moment), min_size=3, max_size=6)
    return st.builds(Scene, world, asked, st.just(moment + 3 * DAY_MS), world)


dense_scenes = st.builds(
    lambda moment, zone: (moment, ZoneInfo(zone)), st.sampled_from(MOMENTS), st.sampled_from(ZONES)
).flatmap(lambda at: _dense_scenes_at(*at))
"""Scenes of few customers with many events each, asked for figures, first times and orders."""
