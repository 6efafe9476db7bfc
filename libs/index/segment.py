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
from libs.index.condition import MISSING, Mask
from libs.index.posting import NODE_ROWS, Posting, Postings, build_nodes
from libs.index.rows import ColumnKey, Rows
from libs.index.tally import Tally, make_tally

PARTITION_DAYS = 32


@dataclass(frozen=True, slots=True)
class Segment:
    """Events of one type in one partition, in order of (time, arrival).

    `customer`, `offset` (ms behind the partition's start) and `arrival` (log row) are (rows,) uint32. A string
    column holds, in the smallest unsigned dtype, 1 + the value's place in its postings, 0 where there is none.
    `day_starts` are the instants at which the days start, and the last ends, (33,) int64 ms; `day_rows` the
    first row at or behind each, (33,) int64; `tally`, where it pays, counts events by customer; `customers` is
    everybody in it; `first_time` and `last_time` (ms) bound its events.
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
    tally: Tally | None
    customers: BitMap
    first_time: int
    last_time: int

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.customer)

    @property
    def base(self) -> int:
        """The instant, ms, that offsets count from."""
        return int(self.day_starts[0])

    def row_at(self, instant: int) -> int:
        """Return the first row at or behind an instant, ms."""
        if instant <= self.first_time:
            return 0
        if instant > self.last_time:
            return len(self)
        return int(np.searchsorted(self.offset, np.uint32(instant - self.base)))

    def rows(self) -> Rows:
        """Return the events as plain rows, strings as dictionary numbers."""
        columns = dict(self.columns)
        for attribute, postings in self.postings.items():
            numbers = np.concatenate(([MISSING], postings.codes))
            columns[attribute, Kind.STRING] = numbers[self.columns[attribute, Kind.STRING]]
        return Rows(self.customer, self.offset.astype(np.int64) + self.base, self.arrival, columns)


@dataclass(frozen=True, slots=True)
class SegmentColumns:
    """Some rows of a segment by column: a slice, or row numbers, (n,)."""

    segment: Segment
    where: slice | NDArray[Any]
    rows: int

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.rows

    def strings_among(self, attribute: int, codes: NDArray[np.uint32]) -> Mask | None:
        """Say which rows have one of some strings."""
        column = self.values(attribute, Kind.STRING)
        if column is None:
            return None
        postings = self.segment.postings[attribute]
        places = [place + 1 for code in codes if (place := postings.place(code)) is not None]
        if len(places) < 2:
            return np.asarray(column == places[0]) if places else np.zeros(self.rows, np.bool_)
        wanted = np.zeros(len(postings.codes) + 1, np.bool_)
        wanted[places] = True
        return np.asarray(wanted[column])

    def strings_present(self, attribute: int) -> Mask | None:
        """Say which rows have a string."""
        column = self.values(attribute, Kind.STRING)
        return None if column is None else np.asarray(column != 0)

    def values(self, attribute: int, kind: Kind) -> NDArray[Any] | None:
        """Return one column as the segment holds it."""
        column = self.segment.columns.get((attribute, kind))
        return None if column is None else column[self.where]


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
    columns = dict(ordered.columns)
    postings = {}
    for attribute, kind in ordered.columns:
        if kind is Kind.STRING:
            column = ordered.columns[attribute, kind]
            postings[attribute], columns[attribute, kind] = _postings(column, ordered.customer, day_rows)
    return Segment(
        partition,
        ordered.customer,
        (ordered.time - day_starts[0]).astype(np.uint32),
        ordered.arrival,
        columns,
        day_starts,
        day_rows,
        Posting(None, build_nodes(ordered.customer, day_rows[1:])),
        postings,
        make_tally(ordered.customer, day_rows),
        roaring.from_values(ordered.customer),
        int(ordered.time[0]),
        int(ordered.time[-1]),
    )


def _postings(
    column: NDArray[np.uint32], customer: NDArray[np.uint32], day_rows: NDArray[np.int64]
) -> tuple[Postings, NDArray[Any]]:
    """Group the rows of a column by value, and write the column as places of the values.

    Sorting (value, row) pairs as one uint64 beats a stable sort of the values.
    """
    rows = np.flatnonzero(column != MISSING)
    pairs = np.sort(column[rows].astype(np.uint64) << np.uint64(32) | rows.astype(np.uint64))
    by_code = (pairs >> np.uint64(32)).astype(np.uint32)
    by_row = pairs.astype(np.uint32)
    edges = np.flatnonzero(by_code[1:] != by_code[:-1]) + 1
    starts = np.concatenate(([0], edges, [len(by_code)])) if len(by_code) else np.zeros(1, np.int64)
    codes = by_code[starts[:-1]]
    places = np.zeros(len(column), np.min_scalar_type(len(codes)))
    places[by_row] = np.repeat(np.arange(1, len(codes) + 1), np.diff(starts))
    nodes = {}
    for place in np.flatnonzero(np.diff(starts) >= NODE_ROWS).tolist():
        mine = by_row[starts[place] : starts[place + 1]]
        day_ends = np.searchsorted(mine, day_rows[1:].astype(np.uint32))
        built = build_nodes(customer[mine], day_ends)
        if built:
            nodes[place] = built
    return Postings(codes, starts, by_row, nodes), places
