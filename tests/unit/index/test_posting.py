"""The nodes of a key cover any days exactly: their union, and the rows of the days without, are who was there."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from libs.index import posting
from libs.index.posting import LEVELS, build_nodes, cover

DAYS = 32
Days = list[list[int]]


def ends(days: Days) -> np.ndarray:
    return np.cumsum([len(day) for day in days])


def flat(days: Days) -> np.ndarray:
    return np.array([customer for day in days for customer in day], np.uint32)


def who(days: Days, first: int, last: int) -> set[int]:
    """Return who a cover of days gives, nodes and rows of the days without."""
    nodes = build_nodes(flat(days), ends(days))
    found: set[int] = set()
    for piece in cover(nodes, first, last):
        if isinstance(piece, BitMap):
            found |= set(piece)
        else:
            found |= {customer for day in days[slice(*piece)] for customer in day}
    return found


day_lists = st.lists(
    st.one_of(
        st.just([]),
        st.lists(st.integers(0, 9), max_size=3),
        st.lists(st.integers(0, 9), min_size=2, max_size=4),
    ),
    min_size=DAYS,
    max_size=DAYS,
)
# The first day of a roll-up is empty, or too small for a node of its own, and the others are not.
EMPTY_FIRST: Days = [[] if day % 4 == 0 else [day, day] for day in range(DAYS)]
SMALL_BEHIND_EMPTY: Days = [[[], [7], [1, 2], [3, 4]][day % 4] for day in range(DAYS)]
SMALL_QUARTER: Days = [[] if day % 16 == 4 else [day] if day % 16 == 5 else [day, day] for day in range(DAYS)]


@pytest.fixture(autouse=True)
def _nodes_of_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "NODE_ROWS", 2)


@pytest.mark.parametrize("days", [EMPTY_FIRST, SMALL_BEHIND_EMPTY, SMALL_QUARTER])
def test_days_without_nodes_are_not_lost_in_roll_ups(days: Days) -> None:
    for first in range(DAYS):
        for last in range(first, DAYS + 1):
            expected = {customer for day in days[first:last] for customer in day}
            assert who(days, first, last) == expected


def test_any_days_are_covered_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(max_examples=150, deadline=None)
    @given(day_lists, st.integers(0, DAYS), st.integers(0, DAYS))
    @example(EMPTY_FIRST, 0, DAYS)
    @example(SMALL_BEHIND_EMPTY, 0, DAYS)
    def check(days: Days, one: int, two: int) -> None:
        first, last = min(one, two), max(one, two)
        assert who(days, first, last) == {customer for day in days[first:last] for customer in day}

    check()


def test_full_days_are_rolled_up_and_covered_by_few_nodes() -> None:
    days: Days = [[day, 99] for day in range(DAYS)]
    nodes = build_nodes(flat(days), ends(days))
    assert set(nodes) == {(level, day) for level in LEVELS for day in range(0, DAYS, level)}
    assert len(list(cover(nodes, 0, DAYS))) == DAYS // max(LEVELS)
    assert len(list(cover(nodes, 1, 31))) == 3 + 3 + 3 + 3
    assert len(list(cover(nodes, 5, 6))) == 1
    assert list(cover(nodes, 5, 5)) == []


def test_a_key_of_few_rows_has_no_nodes_and_one_span_of_rows_a_day() -> None:
    days: Days = [[day] for day in range(DAYS)]
    nodes = build_nodes(flat(days), ends(days))
    assert nodes == {}
    assert [piece for piece in cover(nodes, 3, 5) if isinstance(piece, tuple)] == [(3, 4), (4, 5)]


def test_a_roll_up_of_nothing_is_not_built() -> None:
    days: Days = [[] for _ in range(16)] + [[1, 2]] + [[] for _ in range(15)]
    assert set(build_nodes(flat(days), ends(days))) == {(level, 16 // level * level) for level in LEVELS}
