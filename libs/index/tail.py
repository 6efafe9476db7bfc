"""Where do new events of one type wait until they are sealed? Append-only columns in arrival order.

Nothing is derived: a tail is scanned. Appending writes behind the rows that any `view` holds, or moves to
larger arrays, so a view never changes.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind
from libs.events.block import Block
from libs.index.rows import DTYPES, EMPTY, ColumnKey, Rows, without

FIRST_CAPACITY = 128
ROW_BYTES = 16
"""Of a row without attributes: customer, time and arrival."""
BOOLS = np.array((1, 2), np.uint8)
"""How False and True stand in a column; 0 is missing."""

Piece = tuple[ColumnKey, NDArray[np.uint32] | None, NDArray[Any]]
"""A column to append: its key, the new rows that have a value (None: all), and the values."""


class Tail:
    """Events of one type in arrival order."""

    def __init__(self) -> None:
        self._rows = 0
        self._capacity = FIRST_CAPACITY
        self._customer = np.empty(FIRST_CAPACITY, np.uint32)
        self._time = np.empty(FIRST_CAPACITY, np.int64)
        self._arrival = np.empty(FIRST_CAPACITY, np.uint32)
        self._columns: dict[ColumnKey, NDArray[Any]] = {}
        self._column_bytes = 0

    def __len__(self) -> int:
        """Return how many events there are."""
        return self._rows

    @property
    def nbytes(self) -> int:
        """What it takes in memory, rows to come included."""
        return self._capacity * ROW_BYTES + self._column_bytes

    def append(
        self,
        customer: NDArray[np.uint32],
        time: NDArray[np.int64],
        arrival: NDArray[np.uint32],
        pieces: Iterable[Piece],
    ) -> None:
        """Add events, each array (new rows,). Costs what the new rows are."""
        start, stop = self._rows, self._rows + len(customer)
        if stop > self._capacity:
            self._grow(stop)
        self._customer[start:stop] = customer
        self._time[start:stop] = time
        self._arrival[start:stop] = arrival
        for key, rows, values in pieces:
            column = self._columns.get(key)
            if column is None:
                column = self._columns[key] = np.full(self._capacity, EMPTY[key[1]], DTYPES[key[1]])
                self._column_bytes += column.nbytes
            stored = BOOLS[values.astype(np.uint8)] if key[1] is Kind.BOOL else values
            if rows is None:
                column[start:stop] = stored
            else:
                column[rows + np.uint32(start)] = stored
        self._rows = stop

    def view(self) -> Rows:
        """Return the events there are now; later appends do not change it."""
        end = slice(self._rows)
        columns = {key: column[end] for key, column in self._columns.items()}
        return Rows(self._customer[end], self._time[end], self._arrival[end], columns)

    def behind(self, log_row: int) -> "Tail":
        """Return the events from a log row on, as a tail of its own."""
        kept = self.view().take(
            slice(int(np.searchsorted(self._arrival[: self._rows], np.uint32(log_row))), None)
        )
        tail = Tail()
        if len(kept):
            tail._adopt(kept)
        return tail

    def without(self, customers: BitMap) -> "Tail":
        """Return the events of all but some customers, as a tail of its own; itself where it has none of theirs."""
        kept = without(self.view(), customers)
        if len(kept) == len(self):
            return self
        tail = Tail()
        if len(kept):
            tail._adopt(kept)
        return tail

    def _adopt(self, rows: Rows) -> None:
        """Take rows as they are; the next append moves to larger arrays."""
        self._rows = self._capacity = len(rows)
        self._customer, self._time, self._arrival = rows.customer, rows.time, rows.arrival
        self._columns = dict(rows.columns)
        self._column_bytes = sum(column.nbytes for column in self._columns.values())

    def _grow(self, rows: int) -> None:
        self._capacity = max(2 * self._capacity, rows)
        self._customer = _grown(self._customer, self._rows, self._capacity, 0)
        self._time = _grown(self._time, self._rows, self._capacity, 0)
        self._arrival = _grown(self._arrival, self._rows, self._capacity, 0)
        for key, column in self._columns.items():
            self._columns[key] = _grown(column, self._rows, self._capacity, EMPTY[key[1]])
        self._column_bytes = sum(column.nbytes for column in self._columns.values())


def _grown(array: NDArray[Any], rows: int, capacity: int, fill: Any) -> NDArray[Any]:
    larger = np.full(capacity, fill, array.dtype)
    larger[:rows] = array[:rows]
    return larger


def pieces_of(block: Block, mine: NDArray[np.bool_]) -> Iterable[Piece]:
    """Restrict a block's columns to some of its rows, numbering those from 0."""
    moved = (np.cumsum(mine) - 1).astype(np.uint32)
    for column in block.columns:
        key = (column.attribute, column.kind)
        if column.rows is None:
            yield key, None, column.values[mine]
        else:
            kept = mine[column.rows]
            if kept.any():
                yield key, moved[column.rows[kept]], column.values[kept]
