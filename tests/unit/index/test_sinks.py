"""Customers come out of a sink as they went in, whether few or many, listed, marked or beside rows that pass."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index.sinks import TOP, Listed, Marked, Totals, counts_answer, fits, true_places

CUSTOMERS = 700
pieces = st.lists(st.tuples(st.integers(0, 2**32), st.sampled_from([0, 1, 2, 9, 300, 2000])), max_size=5)


def owners_of(seed: int, rows: int) -> NDArray[np.uint32]:
    random = np.random.default_rng(seed)
    return (random.integers(0, CUSTOMERS, rows) // (1 + seed % 7)).astype(np.uint32)


def passing_of(seed: int, rows: int) -> NDArray[np.bool_]:
    return np.random.default_rng(seed + 1).random(rows) < (0.0, 0.01, 0.5, 1.0)[seed % 4]


@given(pieces, st.lists(st.sets(st.integers(0, CUSTOMERS - 1), max_size=9), max_size=2))
def test_who_has_an_event_is_marked(found: list[tuple[int, int]], bitmaps: list[set[int]]) -> None:
    marked, listed = Marked(CUSTOMERS), Listed()
    expected = set().union(*bitmaps)
    for seed, rows in found:
        owners, passing = owners_of(seed, rows), passing_of(seed, rows)
        for sink in (marked, listed):
            sink.add(owners[: rows // 2])
            sink.where(passing, owners)
        expected |= {*owners[: rows // 2].tolist(), *owners[passing].tolist()}
    assert set(listed.joined().tolist()) | set().union(*bitmaps) == expected
    marked.unite([BitMap(each) for each in bitmaps])
    assert set(marked.bitmap()) == expected


@given(pieces, st.integers(1, 300), st.one_of(st.none(), st.integers(0, 300)), st.booleans())
def test_events_are_counted(
    found: list[tuple[int, int]], minimum: int, maximum: int | None, summed: bool
) -> None:
    wanted = (minimum, maximum)
    exact = not counts_answer(wanted)
    totals, expected = Totals(CUSTOMERS, exact=exact), np.zeros(CUSTOMERS, np.int64)
    for seed, rows in found:
        owners, passing = owners_of(seed, rows), passing_of(seed, rows)
        totals.add(owners)
        totals.where(passing, owners)
        expected += np.bincount(owners, minlength=CUSTOMERS)
        expected += np.bincount(owners[passing], minlength=CUSTOMERS)
        if summed and not exact:
            counts = np.random.default_rng(seed).integers(0, 90, CUSTOMERS // 2).astype(np.uint8)
            totals.add_counts(counts, 89)
            expected[: CUSTOMERS // 2] += counts
    assert set(totals.satisfying(wanted)) == set(np.flatnonzero(fits(expected, wanted)).tolist())


def test_sums_over_parts_stop_at_255() -> None:
    totals = Totals(2)
    for _ in range(3):
        totals.add_counts(np.array([200, 1], np.uint8), 200)
    totals.add(np.repeat(np.uint32([1]), 300))
    assert set(totals.satisfying((TOP, None))) == {0, 1}
    assert set(totals.satisfying((1, TOP - 1))) == set()


@given(st.integers(0, 2**32), st.integers(0, 40), st.sampled_from([0.0, 0.02, 0.3, 1.0]))
def test_places_are_where_a_mask_is_true(seed: int, rows: int, share: float) -> None:
    passing = np.random.default_rng(seed).random(rows * 7) < share
    assert true_places(passing).tolist() == np.flatnonzero(passing).tolist()
