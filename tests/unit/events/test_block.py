"""A block is read as it was written, or refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from libs.events import block as blocks
from libs.events.batch import Kind
from libs.events.block import Block, BlockColumn, DamagedBlockError, NewerBlockError


def a_block(rows: int = 3) -> Block:
    ends, ids = blocks.join_ids(["e1", "", "é3"][:rows])
    return Block(
        7,
        1 << 33,
        1_700_000_000_000,
        np.arange(rows, dtype=np.uint32),
        np.zeros(rows, np.uint32),
        np.full(rows, -1, np.int64),
        ends,
        ids,
        (
            BlockColumn(1, Kind.STRING, np.arange(rows, dtype=np.uint32)),
            BlockColumn(1, Kind.NUMBER, np.array([0.1]), np.array([1], np.uint32)),
            BlockColumn(2, Kind.BOOL, np.array([True, False]), np.array([0, 2], np.uint32)),
        ),
        np.array([5, 9], np.uint32),
    )


def same(one: Block, two: Block) -> bool:
    assert (one.revision, one.first_row, one.arrival) == (two.revision, two.first_row, two.arrival)
    assert one.event_ids == two.event_ids
    for name in ("customers", "event_types", "times", "id_ends", "profiles"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)
    assert len(one.columns) == len(two.columns)
    for mine, theirs in zip(one.columns, two.columns, strict=True):
        assert (mine.attribute, mine.kind, mine.rows is None) == (
            theirs.attribute,
            theirs.kind,
            theirs.rows is None,
        )
        np.testing.assert_array_equal(mine.values, theirs.values, strict=True)
        if mine.rows is not None and theirs.rows is not None:
            np.testing.assert_array_equal(mine.rows, theirs.rows, strict=True)
    return True


def test_a_block_is_read_as_it_was_written() -> None:
    block = a_block()
    read = blocks.decode(blocks.encode(block))
    assert same(read, block)
    assert [read.event_id(row) for row in range(3)] == ["e1", "", "é3"]
    assert blocks.arrival(blocks.encode(block)) == block.arrival


def test_a_block_without_event_ids_has_none() -> None:
    none = np.empty(0, np.uint32)
    block = Block(1, 0, 0, np.zeros(2, np.uint32), np.zeros(2, np.uint32), np.zeros(2, np.int64))
    read = blocks.decode(blocks.encode(block))
    assert [read.event_id(0), read.event_id(1)] == ["", ""]
    np.testing.assert_array_equal(read.profiles, none)


@given(
    arrays.arrays(np.uint32, st.integers(0, 20)),
    st.lists(st.text(max_size=5), max_size=9),
    arrays.arrays(np.float64, 3, elements=st.floats(allow_nan=False)),
)
def test_any_columns_are_read_back(customers: np.ndarray, ids: list[str], numbers: np.ndarray) -> None:
    ends, joined = blocks.join_ids(ids)
    rows = len(customers)
    column = BlockColumn(0, Kind.NUMBER, numbers, np.arange(3, dtype=np.uint32))
    block = Block(
        1, 0, 0, customers, np.zeros(rows, np.uint32), np.zeros(rows, np.int64), ends, joined, (column,)
    )
    read = blocks.decode(blocks.encode(block))
    assert same(read, block)
    assert [read.event_id(place) for place in range(len(ids))] == ids


def test_every_flipped_byte_is_noticed() -> None:
    written = blocks.encode(a_block())
    for place in range(len(written)):
        flipped = bytearray(written)
        flipped[place] ^= 0x40
        if place == 3:  # reserved, and not read
            continue
        with pytest.raises((DamagedBlockError, NewerBlockError)):
            blocks.decode(bytes(flipped))


def test_cut_off_and_foreign_bytes_are_no_block() -> None:
    written = blocks.encode(a_block())
    for data in (b"", b"CB", b"PK\x03\x04" + written[4:], written[:-1]):
        with pytest.raises(DamagedBlockError):
            blocks.decode(data)


def test_a_newer_format_is_refused_by_its_number() -> None:
    written = bytearray(blocks.encode(a_block()))
    written[2] = blocks.FORMAT + 1
    with pytest.raises(NewerBlockError, match=f"format {blocks.FORMAT + 1}"):
        blocks.decode(bytes(written))
