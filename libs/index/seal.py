"""How does a segment come about? From rows in order of arrival, all at once: pure, for any process or thread.

Which keys get bitmaps and running counts is decided here, by how many events they have.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Kind
from libs.index.calendar import Calendar
from libs.index.columns import (
    Arrays,
    BoolColumn,
    Column,
    NumberColumn,
    StringColumn,
    code_numbers,
    code_strings,
    write_column,
)
from libs.index.nodes import NodeWriter, build_nodes
from libs.index.rows import ColumnKey, Rows
from libs.index.segment import (
    EVERYTHING,
    GROUP,
    TIME_BITS,
    BinHead,
    ColumnHead,
    Head,
    KeyHead,
    KeyName,
    Segment,
    Tallied,
    column_name,
)
from libs.index.tally import BYTES_A_ROW, Heavy, find_heavy, make_tally

KEY_ROWS = 16_384
"""Events a value needs for bitmaps and counts of its own: reading fewer rows takes a fifth of a millisecond."""
VALUE_BYTES_A_ROW = 4
"""`BYTES_A_ROW` for the keys of values and bins."""
BINNED_ROWS = 100_000
"""Events a key needs to have its numbers cut into bins: fewer are scanned in a third of a millisecond."""
BINNED_SHARE = 8
"""Strings have bins of their own where they have 1 / this of the events: narrower ones leave few rows to test."""
BINS = 16
"""Bins of about equal numbers of events; a range reads the bins inside it and scans for the two at its ends."""


def seal(rows: Rows, event_type: int, calendar: Calendar, log_rows: tuple[int, int]) -> Segment:
    """Make a segment of one or more rows, in order of arrival: all of one event type among some log rows."""
    ordered = rows.take(np.argsort(rows.time, kind="stable"))
    owners, owner_rows, by_customer = _by_customer(ordered.customer)
    heavy = find_heavy(ordered.customer, int(owners[-1]) + 1)
    arrays: Arrays = {
        "customer": ordered.customer,
        "arrival": ordered.arrival,
        "time_low": (ordered.time & 0xFFFFFFFF).astype(np.uint32),
        "owners": owners,
        "owner_rows": owner_rows,
        "by_customer": by_customer,
        "heavy": heavy.customers,
        **_days(ordered.time, calendar),
    }
    columns = {key: _code(key[1], column) for key, column in ordered.columns.items()}
    heads = []
    for (attribute, kind), column in columns.items():
        written, complete = write_column(column, column_name(attribute, kind))
        arrays |= written
        heads.append(ColumnHead(attribute, int(kind), complete))
    keys = _Keys(ordered.customer, arrays, heavy, columns)
    keys.add(EVERYTHING, None, BYTES_A_ROW)
    keys.add_bins(EVERYTHING, None)
    for (attribute, _), column in columns.items():
        if isinstance(column, StringColumn):
            for code in (np.flatnonzero(column.sizes() >= KEY_ROWS) + 1).tolist():
                rows_of_value = column.rows_of(code)
                keys.add((attribute, code), rows_of_value, VALUE_BYTES_A_ROW)
                if len(rows_of_value) * BINNED_SHARE >= len(ordered):
                    keys.add_bins((attribute, code), rows_of_value)
    arrays |= keys.nodes.arrays()
    head = Head(
        event_type,
        log_rows,
        len(ordered),
        int(ordered.time[0]),
        int(ordered.time[-1]),
        _blocks(ordered.time),
        heads,
        keys.heads,
        keys.bins,
    )
    return Segment(head, arrays)


def _code(kind: Kind, column: NDArray[Any]) -> Column:
    if kind is Kind.STRING:
        return code_strings(column)
    return code_numbers(column) if kind is Kind.NUMBER else BoolColumn(column)


def _blocks(times: NDArray[np.int64]) -> list[int]:
    """Return the first row of each 2^32 ms from that of the first row on, and the number of rows."""
    highs = np.arange(int(times[0]) >> TIME_BITS, (int(times[-1]) >> TIME_BITS) + 1)
    return [*np.searchsorted(times, highs << TIME_BITS).tolist(), len(times)]


def _days(times: NDArray[np.int64], calendar: Calendar) -> Arrays:
    """Return the days there are: numbers, first instants and instants behind, (d,), and rows, (d + 1,)."""
    days = calendar.days(times)
    rows = np.concatenate(([0], np.flatnonzero(np.diff(days)) + 1, [len(days)]))
    numbers = days[rows[:-1]]
    return {
        "day_numbers": numbers.astype(np.int32),
        "day_starts": np.array([calendar.start(day) for day in numbers.tolist()], np.int64),
        "day_ends": np.array([calendar.start(day + 1) for day in numbers.tolist()], np.int64),
        "day_rows": rows.astype(np.uint32),
    }


def _by_customer(
    customer: NDArray[np.uint32],
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """Return distinct customers, (c,), where each one's rows start, (c + 1,), and the rows, in time order."""
    pairs = np.sort(customer.astype(np.uint64) << np.uint64(32) | np.arange(len(customer), dtype=np.uint64))
    by_owner = (pairs >> np.uint64(32)).astype(np.uint32)
    starts = np.concatenate(([0], np.flatnonzero(by_owner[1:] != by_owner[:-1]) + 1))
    return by_owner[starts], np.append(starts, len(customer)).astype(np.uint32), pairs.astype(np.uint32)


class _Keys:
    """Collects what keys have, on the rows of one segment, whose customers are given in time order."""

    def __init__(
        self,
        customer: NDArray[np.uint32],
        arrays: Arrays,
        heavy: Heavy,
        columns: Mapping[ColumnKey, Column],
    ) -> None:
        self.nodes = NodeWriter()
        self.heads: list[KeyHead] = []
        self.bins: list[BinHead] = []
        self._customer, self._arrays, self._heavy, self._columns = customer, arrays, heavy, columns
        self._numbers = arrays["day_numbers"].astype(np.int64)
        self._ends = arrays["day_rows"][1:].astype(np.int64)
        self._tallies = 0

    def add(self, name: KeyName, rows: NDArray[np.uint32] | None, bytes_a_row: int) -> None:
        """Add a key that has these rows, ascending; None: all."""
        owners = self._customer if rows is None else self._customer[rows]
        ends = self._ends if rows is None else np.searchsorted(rows, self._ends.astype(np.uint32))
        places = self.nodes.add(build_nodes(owners, self._numbers, ends))
        tally = make_tally(owners, rows, len(self._customer), self._heavy, bytes_a_row)
        tallied = None
        if tally is not None:
            number = self._tallies
            self._tallies += 1
            self._arrays[f"tally{number}.before"] = tally.before
            self._arrays[f"tally{number}.heavy"] = tally.heavy_before
            tallied = Tallied(number, tally.rows, tally.most)
        self.heads.append(KeyHead(list(name), places, tallied))

    def add_bins(self, name: KeyName, rows: NDArray[np.uint32] | None) -> None:
        """Cut the numbers of a key's rows, ascending, into bins and groups of bins, each a key of its own."""
        if (len(self._customer) if rows is None else len(rows)) < BINNED_ROWS:
            return
        for (attribute, _), column in self._columns.items():
            if not isinstance(column, NumberColumn) or column.values is None:
                continue
            codes = column.codes if rows is None else column.codes[rows]
            edges = cut(codes, len(column.values))
            self.bins.append(BinHead(list(name), attribute, edges))
            order = np.argsort(codes, kind="stable")  # radix sort for small integers
            starts = [*np.searchsorted(codes[order], np.array(edges[:-1], codes.dtype)).tolist(), len(codes)]
            spans = [(place, place + 1) for place in range(len(edges) - 1)]
            spans += [(place, place + GROUP) for place in range(0, len(edges) - GROUP, GROUP)]
            for first, end in spans:
                mine = np.sort(order[starts[first] : starts[end]])
                bin_rows = mine.astype(np.uint32) if rows is None else rows[mine]
                self.add((*name, attribute, edges[first], edges[end] - 1), bin_rows, VALUE_BYTES_A_ROW)


def cut(codes: NDArray[Any], distinct: int) -> list[int]:
    """Cut the codes 1 … distinct into bins with about as many rows each: the first code of each, and the end."""
    counts = np.cumsum(np.bincount(codes, minlength=distinct + 1)[1:])
    wanted = np.arange(1, BINS) * (int(counts[-1]) / BINS)
    inner = np.searchsorted(counts, wanted, "right") + 1
    return sorted({1, distinct + 1, *inner[inner <= distinct].tolist()})
