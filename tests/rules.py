"""Which rules can be written? Hypothesis strategies for the whole language, in JSON form, all of them legal.

Unlike `strategies`, names and values are arbitrary strings: words of the language, backquotes, any script, none
that an evaluator would find. Written for the text form; every construct and operator is met.
"""

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from services.cohort.text.words import WORDS

Json = dict[str, Any]
ORDERED = ["GREATER_THAN", "AT_LEAST", "LESS_THAN", "AT_MOST"]
COMPARED = ["AT_LEAST", "AT_MOST", "EXACTLY", "MORE_THAN", "LESS_THAN"]
UNITS = ["MINUTE", "HOUR", "DAY", "WEEK", "MONTH"]
PATTERNS = ["", "^a+$", r"\d{2}\.\w", '"', "日|本", "a b", "`"]

texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.one_of(
    st.sampled_from(
        ["view", "purchase", "price", "brand", "data.x", "_", "a b", "`", "a``b", "ü", "日本", "\n"]
    ),
    st.sampled_from(sorted(WORDS)).flatmap(lambda word: st.sampled_from([word, word.title(), word.upper()])),
    texts.filter(bool),
)
numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.5, 1e308, 5e-324, 1e16, 0.1, 2.0**53, -1e-7]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**6), 10**6).map(float),
)
scalars = st.one_of(texts, numbers, st.booleans())


def present(**fields: Any) -> st.SearchStrategy[Json]:
    """Build an object of fields, leaving out those that are drawn as None."""
    return st.fixed_dictionaries(fields).map(
        lambda drawn: {name: value for name, value in drawn.items() if value is not None}
    )


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw nothing every other time."""
    return st.one_of(st.none(), strategy)


days = st.integers(0, 3_652_058).map(lambda number: (date(1, 1, 1) + timedelta(days=number)).isoformat())
instants = st.builds(
    "{}T{:02}:{:02}:{:02}{}{}".format,
    days,
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.sampled_from(["", ".5", ".123456789"]),
    st.sampled_from(["Z", "+05:30", "-23:59"]),
)
dates = st.one_of(days, instants)


def _test(op: Any, values: Any) -> st.SearchStrategy[Json]:
    return present(attribute=names, op=op, values=values, ignoreCase=st.sampled_from([None, True])).map(
        lambda test: {"test": test}
    )


tests = st.one_of(
    _test(st.sampled_from(["EQUALS", "NOT_EQUALS"]), scalars.map(lambda value: [value])),
    _test(st.sampled_from(["IN", "NOT_IN"]), st.lists(scalars, min_size=1, max_size=4)),
    _test(
        st.sampled_from(["CONTAINS", "NOT_CONTAINS", "STARTS_WITH", "ENDS_WITH"]),
        st.lists(texts, min_size=1, max_size=3),
    ),
    _test(st.just("MATCHES"), st.sampled_from(PATTERNS).map(lambda pattern: [pattern])),
    _test(st.sampled_from(ORDERED), st.one_of(numbers, dates).map(lambda value: [value])),
    _test(st.just("BETWEEN"), st.lists(numbers, min_size=2, max_size=2).map(sorted)),
    _test(st.just("BETWEEN"), st.lists(days, min_size=2, max_size=2).map(sorted)),
    _test(st.sampled_from(["IS_SET", "IS_NOT_SET"]), st.just([])),
)
conditions = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"all": {"conditions": each}}),
        st.lists(inner, max_size=3).map(lambda each: {"any": {"conditions": each}}),
        inner.map(lambda each: {"not": {"condition": each}}),
    ),
    max_leaves=5,
)
spans = st.fixed_dictionaries({"amount": st.integers(1, 1216), "unit": st.sampled_from(UNITS)})
windows = st.one_of(
    spans.map(lambda span: {"last": span}),
    st.tuples(days, days).map(lambda ends: {"between": {"from": min(ends), "to": max(ends)}}),
    dates.map(lambda end: {"between": {"from": end}}),
    dates.map(lambda end: {"between": {"to": end}}),
    instants.map(lambda end: {"between": {"from": end, "to": end}}),
    st.tuples(st.integers(0, 36_500), st.integers(0, 36_500)).map(
        lambda ends: {"daysAgo": {"from": max(ends), "to": min(ends)}}
    ),
)


def _compared(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.one_of(
        st.fixed_dictionaries({"op": st.sampled_from(COMPARED), "value": numbers}),
        st.tuples(numbers, numbers).map(
            lambda ends: {"op": "BETWEEN", "value": min(ends), "upper": max(ends)}
        ),
    )


counts = _compared(st.one_of(st.integers(0, 3), st.integers(0, 2**31 - 1)))
functions = st.one_of(
    st.fixed_dictionaries(
        {
            "function": st.sampled_from(["SUM", "AVERAGE", "MINIMUM", "MAXIMUM", "DISTINCT"]),
            "attribute": names,
        }
    ),
    st.just({"function": "ACTIVE_DAYS"}),
)
aggregates = st.builds(lambda function, test: {**function, **test}, functions, _compared(numbers))
dids = present(
    eventType=names,
    where=maybe(conditions),
    when=maybe(windows),
    count=maybe(counts),
    aggregate=maybe(aggregates),
    firstTime=st.sampled_from([None, True]),
)
sequences = present(
    steps=st.lists(present(eventType=names, where=maybe(conditions)), min_size=2, max_size=8),
    within=maybe(spans),
    when=maybe(windows),
)
leaves = st.one_of(
    dids.map(lambda did: {"did": did}),
    sequences.map(lambda sequence: {"sequence": sequence}),
    present(where=maybe(conditions)).map(lambda profile: {"profile": profile}),
    st.one_of(st.sampled_from(["coh_1", "coh_2"]), texts.filter(bool)).map(
        lambda cohort_id: {"cohort": {"cohortId": cohort_id}}
    ),
)
rules = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda each: {"all": {"rules": each}}),
        st.lists(inner, max_size=4).map(lambda each: {"any": {"rules": each}}),
        inner.map(lambda each: {"not": {"rule": each}}),
    ),
    max_leaves=6,
)
