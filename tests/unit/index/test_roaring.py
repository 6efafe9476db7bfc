"""Bitmaps built from arrays are those that roaring itself builds, at and around the borders of containers."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import roaring

BORDERS = [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537]


def sample(size: int, span: int, seed: int) -> NDArray[np.uint32]:
    """Return distinct values below a span, ascending."""
    chosen = np.random.default_rng(seed).choice(span, size, replace=False)
    return np.sort(chosen).astype(np.uint32)


@pytest.mark.parametrize("size", BORDERS)
@pytest.mark.parametrize("first", [0, 65_535, 65_536, 1 << 31, (1 << 32) - 65_537])
def test_consecutive_values_give_the_same_bitmap(size: int, first: int) -> None:
    values = np.arange(first, first + size, dtype=np.uint64).astype(np.uint32)
    built = roaring.from_sorted(values)
    assert built == BitMap(values.tolist())
    assert len(built) == size
    np.testing.assert_array_equal(roaring.to_array(built), values)


@pytest.mark.parametrize("size", BORDERS)
@pytest.mark.parametrize("span", [65_537, 300_000, 1 << 22])
def test_scattered_values_in_any_order_give_the_same_bitmap(size: int, span: int) -> None:
    values = sample(size, span, size + span)
    expected = BitMap(values.tolist())
    assert roaring.from_sorted(values) == expected
    twice = np.concatenate([values[::-1], values])
    assert roaring.from_values(twice) == expected
    mask = np.zeros(span, np.bool_)
    mask[values] = True
    assert roaring.from_mask(mask) == expected
    assert roaring.from_mask(mask, 65_536) == BitMap((values.astype(np.uint64) + 65_536).tolist())


def test_what_is_built_can_be_changed_united_and_written() -> None:
    built = roaring.from_values(sample(5000, 70_000, 1))
    expected = BitMap(sample(5000, 70_000, 1).tolist())
    assert BitMap.deserialize(built.serialize()) == expected
    assert built - expected == BitMap()
    assert built & BitMap([9, 10]) == expected & BitMap([9, 10])
    joined = roaring.union([built])
    joined.add(1 << 31)
    assert (1 << 31) not in built
    assert roaring.union([]) == BitMap()
    assert roaring.union([BitMap([1]), BitMap([2]), BitMap([1, 3])]) == BitMap([1, 2, 3])
