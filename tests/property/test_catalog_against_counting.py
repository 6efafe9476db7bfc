"""The catalog of random events and profiles says what counting them says, however they are split."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.events.batch import Kind
from libs.index import columns
from libs.index.catalog import Asked, KindSummary, read_catalog
from libs.index.completion import Completion
from tests import oracle, strategies
from tests.property.test_rules_against_oracle import SPLITS, Split
from tests.strategies import Scene
from tests.world import indexed

KINDS = {"string": Kind.STRING, "number": Kind.NUMBER, "bool": Kind.BOOL}
PREFIXES = st.sampled_from(["", "", "a", "B", "str", "1", "20"])


@pytest.fixture(autouse=True)
def _raw_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "RAW_SHARE", 1)


def counted(rows: Iterable[Mapping[str, Any]], prefix: str, limit: int) -> dict[str, dict[Kind, KindSummary]]:
    """Count values by attribute and kind."""
    values: dict[tuple[str, Kind], list[Any]] = {}
    for data in rows:
        for name, value in data.items():
            values.setdefault((name, KINDS[oracle.kind_of(value)]), []).append(value)
    found: dict[str, dict[Kind, KindSummary]] = {}
    for (name, kind), held in values.items():
        if kind is Kind.NUMBER:
            summary = KindSummary(len(held), min(held) + 0.0, max(held) + 0.0)
        else:
            begins = [
                value
                for value in held
                if not prefix or (isinstance(value, str) and value.casefold().startswith(prefix.casefold()))
            ]
            counts = Counter(begins)
            most = sorted(counts.values(), reverse=True)[:limit]
            summary = KindSummary(
                len(held), distinct=len(counts), top=[(value, n) for value, n in counts.items()]
            )
            assert len(most) <= limit
        found.setdefault(name, {})[kind] = summary
    return found


def same(
    shown: dict[str, dict[Kind, KindSummary]], expected: dict[str, dict[Kind, KindSummary]], limit: int
) -> None:
    """Compare; of values that are equally frequent any may be shown."""
    assert {name: set(kinds) for name, kinds in shown.items()} == {
        n: set(kinds) for n, kinds in expected.items()
    }
    for name, kinds in shown.items():
        for kind, summary in kinds.items():
            wanted = expected[name][kind]
            assert (summary.count, summary.distinct) == (wanted.count, wanted.distinct)
            assert (summary.minimum, summary.maximum) == (wanted.minimum, wanted.maximum)
            assert set(summary.top) <= set(wanted.top)
            counts = sorted((count for _, count in wanted.top), reverse=True)
            assert [count for _, count in summary.top] == counts[:limit]


@settings(max_examples=150, deadline=None)
@given(strategies.scenes, SPLITS, PREFIXES, st.sampled_from([1, 2, 20]), st.sets(st.integers(0, 4)))
def test_the_catalog_counts_what_there_is_without_who_was_erased(
    scene: Scene, split: Split, prefix: str, limit: int, places: set[int]
) -> None:
    engine, world = indexed(scene.world, *split), scene.world
    known = sorted({each.customer_id for each in world.events} | world.profiles.keys())
    gone = {known[place] for place in places if place < len(known)}
    if gone:
        engine.index.erase(np.array(sorted(map(engine.customers.add, gone)), np.uint32))
        world = replace(
            world,
            events=tuple(event for event in world.events if event.customer_id not in gone),
            profiles={who: data for who, data in world.profiles.items() if who not in gone},
        )
    completion = Completion(engine.values)
    for attribute in ("", "x") if not prefix else ("x",):
        catalog = read_catalog(engine.snapshot(), Asked("", False, attribute, prefix, limit), completion)
        assert catalog.events == len(world.events)
        assert set(catalog.event_types) == {event.event_type for event in world.events}
        for event_type, summary in catalog.event_types.items():
            events = [event for event in world.events if event.event_type == event_type]
            assert (summary.events, summary.customers) == (len(events), len({e.customer_id for e in events}))
            times = [event.time for event in events]
            assert (summary.first_time, summary.last_time) == (min(times), max(times))
            rows = [only(event.data, attribute) for event in events]
            same(summary.attributes, counted(rows, prefix, limit), limit)
        rows = [only(data, attribute) for data in world.profiles.values()]
        same(catalog.profile_attributes, counted(rows, prefix, limit), limit)


def only(data: Mapping[str, Any], attribute: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if attribute in ("", name)}
