"""Bytes of a client are a bitmap or are refused; the library in C is never given any that lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from libs.index.roaring_check import read_bitmap


def optimized(values: object) -> BitMap:
    bitmap = BitMap(values)
    bitmap.run_optimize()
    return bitmap


RUNS = range(70_000)
REFUSED = "cut short|left over|out of order|overlap|another number|too many|no bitmap"
DENSE = range(0, 20_000, 2)
MADE = [
    BitMap(),
    BitMap([1, 5, 1 << 31]),
    BitMap(DENSE),
    optimized(RUNS),
    optimized([*RUNS, *range(1 << 20, (1 << 20) + 9), 1 << 25, (1 << 25) + 7, 1 << 26]),
    BitMap([*DENSE, 1 << 20]),
]


@pytest.mark.parametrize("bitmap", MADE)
def test_a_bitmap_is_read_as_it_is(bitmap: BitMap) -> None:
    assert read_bitmap(bitmap.serialize()) == bitmap


@pytest.mark.parametrize("bitmap", MADE)
def test_cut_short_or_longer_it_is_refused(bitmap: BitMap) -> None:
    data = bitmap.serialize()
    for bad in (data[:-1], data + b"\0", b""):
        with pytest.raises(ValueError, match=REFUSED):
            read_bitmap(bad)


def changed(bitmap: BitMap, place: int, *new: int) -> bytes:
    data = bytearray(bitmap.serialize())
    data[place : place + len(new)] = bytes(new)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        changed(BitMap(DENSE), 10, 0x88, 0x13),  # a bitset that says 5,001 values and has 10,000
        changed(BitMap([1, 5]), 16, 5, 0, 1, 0),  # values out of order
        changed(BitMap([1, 5]), 16, 5, 0, 5, 0),  # a value twice
        changed(BitMap([1, 1 << 20]), 12, 0, 0),  # containers out of order
        changed(optimized(range(20)), 13, 30, 0),  # a run longer than it says
        changed(optimized(range(20)), 11, 250, 255, 19, 0),  # a run past its container
        b"\x3a\x30\0\0\xff\xff\xff\xff",  # four billion containers
    ],
)
def test_what_is_inconsistent_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=REFUSED):
        read_bitmap(data)


@given(st.sampled_from(MADE), st.integers(0, 40), st.binary(min_size=1, max_size=4))
def test_whatever_is_taken_holds_together(bitmap: BitMap, place: int, new: bytes) -> None:
    try:
        found = read_bitmap(changed(bitmap, place, *new))
    except ValueError:
        return
    values = np.frombuffer(found.to_array(), np.uint32)
    assert len(values) == len(found)
    assert (np.diff(values.astype(np.int64)) > 0).all()
