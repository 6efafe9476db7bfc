"""How are sealed events of one type and one month laid out? Rows in time order with postings on them.

A segment spans one partition of 32 calendar days. It is immutable, made by `seal` from rows in arrival order,
and holds for its keys what `libs.index.posting` says. Time is kept as ms behind the partition's start, in 32
bits (32 days are 2.8e9 ms, a zone's day of 25 hours included).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind
from libs.index import roaring
from libs.index.calendar import Calendar
from libs.index.condition import MISSING
from libs.index.posting import NODE_ROWS, Posting, Postings, build_nodes
from libs.index.rows import ColumnKey, Rows

PARTITION_DAYS = 32


@dataclass(frozen=True, slots=True)
class Segment:
    """Events of one type in one partition, in order of (time, arrival).

    `customer`, `offset` (ms behind the partition's start) and `arrival` (log row) are (rows,) uint32;
    `day_starts` are the instants at which the days start, and the last ends, (33,) int64 ms; `day_rows` the
    first row at or behind each, (33,) int64; `customers` everybody in it.
    """

    partition: int
    customer: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    arrival: NDArray[np.uint32]
    columns: Mapping[ColumnKey, NDArray[Any]]
    day_starts: NDArray[np.int64]
    day_rows: NDArray[np.int64]
    everything: Posting
    postings: Mapping[int, Postings]
    customers: BitMap

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.customer)

    @property
    def base(self) -> int:
        """The instant, ms, that offsets count from."""
        return int(self.day_starts[0])

    @property
    def first_time(self) -> int:
        """The instant of the first event, ms."""
        return self.base + int(self.offset[0])

    @property
    def last_time(self) -> int:
        """The instant of the last event, ms."""
        return self.base + int(self.offset[-1])

    @property
    def first_arrival(self) -> int:
        """The log row of the event that arrived first."""
        return int(self.arrival.min())

    def row_at(self, instant: int) -> int:
        """Return the first row at or behind an instant, ms."""
        behind = instant - self.base
        if behind <= 0:
            return 0
        if instant > self.last_time:
            return len(self)
        return int(np.searchsorted(self.offset, np.uint32(behind)))

    def rows(self) -> Rows:
        """Return the events as plain rows."""
        return Rows(self.customer, self.offset.astype(np.int64) + self.base, self.arrival, self.columns)


def partitions(rows: Rows, calendar: Calendar) -> dict[int, Rows]:
    """Split rows by the partition they belong to."""
    numbers = calendar.days(rows.time) // PARTITION_DAYS
    present = np.unique(numbers).tolist()
    if len(present) == 1:
        return {present[0]: rows}
    return {number: rows.take(np.flatnonzero(numbers == number)) for number in present}


def seal(rows: Rows, partition: int, calendar: Calendar) -> Segment:
    """Make a segment of rows, in order of arrival, that all belong to one partition."""
    ordered = rows.take(np.argsort(rows.time, kind="stable"))
    first_day = partition * PARTITION_DAYS
    day_starts = calendar.starts(first_day, first_day + PARTITION_DAYS)
    day_rows = np.searchsorted(ordered.time, day_starts)
    nodes = build_nodes(ordered.customer, day_rows[1:])
    postings = {
        attribute: _postings(column, ordered.customer, day_rows)
        for (attribute, kind), column in ordered.columns.items()
        if kind is Kind.STRING
    }
    return Segment(
        partition,
        ordered.customer,
        (ordered.time - day_starts[0]).astype(np.uint32),
        ordered.arrival,
        ordered.columns,
        day_starts,
        day_rows,
        Posting(None, nodes),
        postings,
        roaring.from_values(ordered.customer),
    )


def _postings(
    column: NDArray[np.uint32], customer: NDArray[np.uint32], day_rows: NDArray[np.int64]
) -> Postings:
    """Group the rows of a column by value; sorting (value, row) pairs as one uint64 beats a stable sort."""
    rows = np.flatnonzero(column != MISSING)
    pairs = np.sort(column[rows].astype(np.uint64) << np.uint64(32) | rows.astype(np.uint64))
    by_code = (pairs >> np.uint64(32)).astype(np.uint32)
    by_row = pairs.astype(np.uint32)
    edges = np.flatnonzero(by_code[1:] != by_code[:-1]) + 1
    starts = np.concatenate(([0], edges, [len(by_code)])) if len(by_code) else np.zeros(1, np.int64)
    nodes = {}
    for place in np.flatnonzero(np.diff(starts) >= NODE_ROWS).tolist():
        mine = by_row[starts[place] : starts[place + 1]]
        day_ends = np.searchsorted(mine, day_rows[1:].astype(np.uint32))
        built = build_nodes(customer[mine], day_ends)
        if built:
            nodes[place] = built
    return Postings(by_code[starts[:-1]], starts, by_row, nodes)
