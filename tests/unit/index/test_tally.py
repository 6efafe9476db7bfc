"""Running counts are those of counting the rows, also where a customer has more events than a byte holds."""

import numpy as np
import pytest

from libs.index.tally import TOP, Totals, make_tally

DAYS = 32


def rows_of_customers(seed: int, heavy: int) -> np.ndarray:
    """Return the customers of rows in time order; customer 3 has `heavy` events among them."""
    random = np.random.default_rng(seed)
    return random.permutation(np.concatenate((random.integers(0, 40, 600), np.full(heavy, 3)))).astype(
        np.uint32
    )


@pytest.mark.parametrize("heavy", [0, 100, 256, 300, 5000])
def test_any_stretch_is_counted_exactly_up_to_255(heavy: int) -> None:
    random = np.random.default_rng(heavy)
    customer = rows_of_customers(heavy, heavy)
    day_rows = np.sort(random.integers(0, len(customer) + 1, DAYS + 1))
    day_rows[0], day_rows[-1] = 0, len(customer)
    tally = make_tally(customer, day_rows)
    assert tally is not None
    for _ in range(200):
        first, end = sorted(random.integers(0, len(customer) + 1, 2).tolist())
        expected = np.minimum(np.bincount(customer[first:end], minlength=tally.before.shape[1]), TOP)
        np.testing.assert_array_equal(tally.between(customer, first, end), expected)


def test_sums_over_parts_stop_at_255() -> None:
    random = np.random.default_rng(1)
    totals, exact = Totals(50), np.zeros(50, np.int64)
    for _ in range(20):
        counts = random.integers(0, 60, random.integers(1, 51)).astype(np.uint8)
        totals.add(counts, 59)
        exact[: len(counts)] += counts
        customer = random.integers(0, 50, 100).astype(np.uint32)
        totals.add_rows(customer)
        exact += np.bincount(customer, minlength=50)
    assert exact.max() > TOP
    np.testing.assert_array_equal(totals.counts, np.minimum(exact, TOP))


def test_a_sparse_segment_has_none() -> None:
    assert make_tally(np.array([100_000], np.uint32), np.linspace(0, 1, DAYS + 1).astype(np.int64)) is None
