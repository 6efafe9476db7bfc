"""Running counts are those of counting the rows, also where a customer has more events than a byte holds."""

import numpy as np
import pytest

from libs.index.sinks import TOP
from libs.index.tally import checkpoints, find_heavy, make_tally

CUSTOMERS = 41


def rows_of_customers(seed: int, heavy: int) -> np.ndarray:
    """Return the customers of rows in time order; customer 3 has `heavy` events among them."""
    random = np.random.default_rng(seed)
    rows = np.concatenate((random.integers(0, 40, 600), np.full(heavy, 3), [40]))
    return random.permutation(rows).astype(np.uint32)


def bounded(customer: np.ndarray) -> np.ndarray:
    return np.minimum(np.bincount(customer, minlength=CUSTOMERS), TOP)


@pytest.mark.parametrize("heavy", [0, 100, 256, 300, 5000])
def test_any_stretch_is_counted_exactly_up_to_255(heavy: int) -> None:
    random = np.random.default_rng(heavy)
    customer = rows_of_customers(heavy, heavy)
    tally = make_tally(customer, None, len(customer), find_heavy(customer, CUSTOMERS), 15)
    assert tally is not None
    for _ in range(200):
        first, end = sorted(random.integers(0, len(customer) + 1, 2).tolist())
        counts = tally.between(lambda low, high: customer[low:high], first, end)
        np.testing.assert_array_equal(counts, bounded(customer[first:end]))


@pytest.mark.parametrize("heavy", [0, 300, 5000])
def test_a_key_of_some_rows_is_counted_in_stretches_of_all_rows(heavy: int) -> None:
    random = np.random.default_rng(heavy)
    customer = rows_of_customers(heavy, heavy)
    mine = np.flatnonzero(random.random(len(customer)) < 0.5).astype(np.uint32)
    tally = make_tally(customer[mine], mine, len(customer), find_heavy(customer, CUSTOMERS), 15)
    assert tally is not None
    for _ in range(100):
        first, end = sorted(random.integers(0, len(customer) + 1, 2).tolist())
        counts = tally.between(lambda low, high: customer[mine[(mine >= low) & (mine < high)]], first, end)
        np.testing.assert_array_equal(counts, bounded(customer[mine[(mine >= first) & (mine < end)]]))


def test_a_sparse_key_has_no_running_counts() -> None:
    customer = np.array([5, 900], np.uint32)
    heavy = find_heavy(customer, 901)
    assert checkpoints(2, heavy, 8) == 0
    assert checkpoints(901, heavy, 8) == 8
    assert make_tally(customer, None, 2, heavy, 0) is None
