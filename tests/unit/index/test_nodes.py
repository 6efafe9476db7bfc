"""The nodes of a key cover any days exactly: their union, and the rows of the days without, are who was there."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.index import nodes as module
from libs.index.nodes import Days, NodeWriter, build_nodes, read_nodes

SPAN = 70
FIRST = -20
"""Days around 1970: blocks are aligned to it, also before."""
Customers = list[list[int]]


def days_of(customers: Customers, first: int = FIRST) -> Days:
    """Return the days that have customers; day i starts at instant 10 i and ends with the next one."""
    filled = [place for place, day in enumerate(customers) if day]
    numbers = [first + place for place in filled]
    starts = np.array(numbers, np.int64) * 10
    rows = np.cumsum([0, *(len(customers[place]) for place in filled)]).tolist()
    return Days(numbers, starts, starts + 10, rows)


def flat(customers: Customers) -> np.ndarray:
    return np.array([customer for day in customers for customer in day], np.uint32)


def built(customers: Customers, days: Days) -> tuple[module.Nodes, set[tuple[int, int]]]:
    made = list(build_nodes(flat(customers), np.array(days.numbers, np.int64), np.array(days.rows[1:])))
    writer = NodeWriter()
    places = writer.add(iter(made))
    return read_nodes(writer.arrays(), *places), {(level, block) for level, block, _ in made}


def check(customers: Customers, one: int, two: int, first_day: int = FIRST) -> tuple[int, int]:
    """Cover the days one … two − 1; return how many bitmaps and spans of rows it takes."""
    days = days_of(customers, first_day)
    nodes, _ = built(customers, days)
    first, last = days.inside((first_day + one) * 10, (first_day + two) * 10)
    bitmaps, spans = nodes.cover(days, first, last)
    found = {customer for bitmap in bitmaps for customer in bitmap}
    found |= {int(customer) for start, end in spans for customer in flat(customers)[start:end]}
    assert found == {customer for day in customers[one:two] for customer in day}
    return len(bitmaps), len(spans)


day_lists = st.lists(
    st.one_of(
        st.just([]),
        st.lists(st.integers(0, 9), max_size=3),
        st.lists(st.integers(0, 9), min_size=2, max_size=4),
    ),
    min_size=SPAN,
    max_size=SPAN,
)
# The first day of a block is empty, or too small for a node of its own, and the others are not.
EMPTY_FIRST: Customers = [[] if day % 4 == 0 else [day, day] for day in range(SPAN)]
SMALL_BEHIND_EMPTY: Customers = [[[], [7], [1, 2], [3, 4]][day % 4] for day in range(SPAN)]
SMALL_QUARTER: Customers = [[] if d % 16 == 4 else [d] if d % 16 == 5 else [d, d] for d in range(SPAN)]


@pytest.fixture(autouse=True)
def _nodes_of_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NODE_ROWS", 2)


@pytest.mark.parametrize("customers", [EMPTY_FIRST, SMALL_BEHIND_EMPTY, SMALL_QUARTER])
def test_days_without_nodes_are_not_lost_in_roll_ups(customers: Customers) -> None:
    for first in range(0, SPAN, 3):
        for last in range(first, SPAN + 1, 2):
            check(customers, first, last)


def test_any_days_are_covered_exactly() -> None:
    @settings(max_examples=150, deadline=None)
    @given(day_lists, st.integers(0, SPAN), st.integers(0, SPAN), st.integers(-3000, 3000))
    @example(EMPTY_FIRST, 0, SPAN, FIRST)
    @example(SMALL_BEHIND_EMPTY, 0, SPAN, FIRST)
    def any_days(customers: Customers, one: int, two: int, first_day: int) -> None:
        check(customers, min(one, two), max(one, two), first_day)

    any_days()


def test_full_days_are_rolled_up_and_covered_by_few_nodes() -> None:
    full: Customers = [[day, 99] for day in range(64)]
    assert check(full, 0, 64, 64) == (1, 0)
    assert check(full, 1, 63, 64) == (3 + 3 + 2 + 3 + 3, 0)
    assert check(full, 5, 6, 64) == (1, 0)
    assert check(full, 5, 5, 64) == (0, 0)


def test_what_lies_outside_the_segment_does_not_break_a_block() -> None:
    part_of_a_block: Customers = [[day, 99] for day in range(20)]
    assert check(part_of_a_block, 0, 20, 70) == (1, 0)


def test_a_key_of_few_rows_has_no_nodes_and_one_span_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NODE_ROWS", 100)
    assert check([[day] for day in range(3)], 0, 3, 2) == (0, 1)


def test_a_block_of_one_day_has_no_node_of_its_own() -> None:
    lonely: Customers = [[] for _ in range(16)] + [[1, 2]] + [[] for _ in range(15)]
    days = days_of(lonely, 0)
    assert built(lonely, days)[1] == {(1, 16)}
    assert check(lonely, 0, 32, 0) == (1, 0)
