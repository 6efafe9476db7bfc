"""How are sealed events of one type laid out? Rows in time order, coded columns, and keys with bitmaps and counts.

A segment is immutable and is nothing but named arrays and a head, so that a file of them can be mapped and used
as it is (`libs.index.store`). `libs.index.seal` makes it. Its parts, and what they take:

    customer, time_low, arrival   4 bytes a row each; time is exact to the ms: rows are in order of time, so its
                                  upper half is known from where the row stands
    columns                       1, 2 or 4 bytes a row and attribute (`libs.index.columns`), strings 4 more
    owners, by_customer           the rows of each customer: 4 bytes a row, 8 a customer
    nodes                         bitmaps of customers by key and days (`libs.index.nodes`)
    tallies                       running counts by key (`libs.index.tally`)
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind
from libs.index import roaring
from libs.index.columns import Arrays, Column, NumberColumn, Selection, StringColumn, read_column
from libs.index.condition import BoundTest, Mask
from libs.index.nodes import Days, Nodes, read_nodes
from libs.index.rows import ColumnKey, Rows
from libs.index.tally import Heavy, Tally

KeyName: TypeAlias = tuple[int, ...]
"""Which of a segment's events: () all, (attribute, code) those with a string, and behind either, (attribute,
first, last) those with a number's code in an interval."""
EVERYTHING: KeyName = ()
STRING_NAME, NUMBER_NAME = 2, 3
"""The lengths of the two kinds of name: a key with both has the sum."""
TIME_BITS = 32
GROUP = 4
"""Neighbouring bins, from each fourth on, that are a key together: a range takes few keys."""
GROUPED_EDGES = 2 * GROUP + 1
"""With no more edges than this there are no groups."""


class Tallied(msgspec.Struct, array_like=True):
    """The tally of a key: the number of its arrays, its checkpoints, and the bound of its counts."""

    number: int
    rows: list[int]
    most: int


class KeyHead(msgspec.Struct, array_like=True):
    """What a segment has for a key: its name, the places of its nodes, its tally."""

    name: list[int]
    nodes: tuple[int, int]
    tally: Tallied | None = None


class ColumnHead(msgspec.Struct, array_like=True):
    """A column: attribute and kind, and whether every row has a value."""

    attribute: int
    kind: int
    complete: bool


class BinHead(msgspec.Struct, array_like=True):
    """How a key's numbers of one attribute are cut: bin i has the codes edges[i] … edges[i + 1] − 1."""

    name: list[int]
    attribute: int
    edges: list[int]


class Head(msgspec.Struct, array_like=True):
    """All of a segment that is no array. Instants are in ms; `blocks` is the first row of each 2^32 ms.

    It has all events of its type among the log rows `log_rows`: the first, and the one behind the last.
    """

    event_type: int
    log_rows: tuple[int, int]
    rows: int
    first_time: int
    last_time: int
    blocks: list[int]
    columns: list[ColumnHead]
    keys: list[KeyHead]
    bins: list[BinHead]


@dataclass(frozen=True, slots=True)
class Key:
    """What a segment has for some of its events: bitmaps of customers, running counts, or neither."""

    nodes: Nodes
    tally: Tally | None


class Segment:
    """Events of one type, in order of (time, arrival), from their head and arrays; `name` is that of its file."""

    def __init__(self, head: Head, arrays: Arrays, name: str = "") -> None:
        self.head = head
        self.name = name
        self.arrays = arrays
        self.event_type = head.event_type
        self.first_time, self.last_time = head.first_time, head.last_time
        self.customer: NDArray[np.uint32] = arrays["customer"]
        self.arrival: NDArray[np.uint32] = arrays["arrival"]
        self._time_low: NDArray[np.uint32] = arrays["time_low"]
        self._first_block = head.first_time >> TIME_BITS
        self.days = Days(
            arrays["day_numbers"].tolist(),
            arrays["day_starts"],
            arrays["day_ends"],
            arrays["day_rows"].tolist(),
        )
        self.owners: NDArray[np.uint32] = arrays["owners"]
        self.columns: dict[ColumnKey, Column] = {
            (each.attribute, Kind(each.kind)): read_column(
                Kind(each.kind), column_name(each.attribute, each.kind), arrays, each.complete
            )
            for each in head.columns
        }
        self.bins = {(tuple(each.name), each.attribute): each.edges for each in head.bins}
        self._heads = {tuple(each.name): each for each in head.keys}
        self._keys: dict[KeyName, Key] = {}
        self._seen: dict[int, BitMap] = {}

    def __len__(self) -> int:
        """Return how many events there are."""
        return self.head.rows

    @property
    def nbytes(self) -> int:
        """The bytes of its arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def key(self, name: KeyName) -> Key | None:
        """Return what there is for a key; None where it has too few events to pay."""
        found = self._keys.get(name)
        if found is None and (head := self._heads.get(name)) is not None:
            tally = None
            if head.tally is not None:
                number = head.tally.number
                before = self.arrays[f"tally{number}.before"]
                tally = Tally(
                    head.tally.rows, before, self.arrays[f"tally{number}.heavy"], head.tally.most, self.heavy
                )
            found = self._keys[name] = Key(read_nodes(self.arrays, *head.nodes), tally)
        return found

    @cached_property
    def heavy(self) -> Heavy:
        """The customers with more events than a byte counts."""
        mask = np.zeros(int(self.owners[-1]) + 1, np.bool_)
        mask[self.arrays["heavy"]] = True
        return Heavy(self.arrays["heavy"], mask)

    @cached_property
    def customers(self) -> BitMap:
        """Everybody who has an event in it."""
        return roaring.from_sorted(self.owners)

    def row_at(self, instant: int) -> int:
        """Return the first row at or behind an instant, ms."""
        if instant <= self.first_time:
            return 0
        if instant > self.last_time:
            return len(self)
        block = (instant >> TIME_BITS) - self._first_block
        first, end = self.head.blocks[block], self.head.blocks[block + 1]
        low = np.uint32(instant & 0xFFFFFFFF)
        return first + int(np.searchsorted(self._time_low[first:end], low))

    def times(self, rows: Selection) -> NDArray[np.int64]:
        """Return the times of some rows, (n,) int64 ms."""
        low = self._time_low[rows].astype(np.int64)
        if len(self.head.blocks) == 2:
            return low + (self._first_block << TIME_BITS)
        if isinstance(rows, slice):
            edges = np.clip(self.head.blocks, rows.start or 0, len(self) if rows.stop is None else rows.stop)
            for block, (first, end) in enumerate(pairwise((edges - edges[0]).tolist()), self._first_block):
                low[first:end] += block << TIME_BITS
            return low
        blocks = np.searchsorted(np.array(self.head.blocks[1:]), rows, "right") + self._first_block
        return low + (blocks << TIME_BITS)

    def rows_of(self, customers: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Return the rows of some customers, ascending, (n,): for each row the place of its customer, and the row.

        Rows come customer by customer, in time order. Places are (rows,) int64.
        """
        starts = self.arrays["owner_rows"]
        if len(customers) == 1:  # a membership check: a slice, where many need ten calls of numpy
            place = int(np.searchsorted(self.owners, customers[0]))
            if place == len(self.owners) or self.owners[place] != customers[0]:
                return np.empty(0, np.int64), self.arrays["by_customer"][:0]
            rows = self.arrays["by_customer"][starts[place] : starts[place + 1]]
            return np.zeros(len(rows), np.int64), rows
        found = np.searchsorted(self.owners, customers)
        found[found == len(self.owners)] = 0
        known = np.flatnonzero(self.owners[found] == customers)
        first = starts[found[known]].astype(np.int64)
        counts = starts[found[known] + 1] - first
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        places = np.repeat(known, counts)
        where = np.arange(total) + np.repeat(first - (ends - counts), counts)
        return places, self.arrays["by_customer"][where]

    def rows(self) -> Rows:
        """Return the events as plain rows, strings as dictionary numbers."""
        columns = {key: column.decoded() for key, column in self.columns.items()}
        return Rows(self.customer, self.times(slice(None)), self.arrival, columns)

    def numbers(self, attribute: int | None) -> NumberColumn | None:
        """Return the numbers of an attribute where they are coded; None where no row has one, or they are not."""
        column = None if attribute is None else self.columns.get((attribute, Kind.NUMBER))
        return column if isinstance(column, NumberColumn) and column.values is not None else None

    def strings(self, attribute: int | None) -> StringColumn | None:
        """Return the strings of an attribute; None where no row has one."""
        column = None if attribute is None else self.columns.get((attribute, Kind.STRING))
        return column if isinstance(column, StringColumn) else None

    def strings_seen(self, attribute: int) -> BitMap:
        """Return the dictionary numbers of an attribute's strings. Not to be changed."""
        found = self._seen.get(attribute)
        if found is None:
            column = self.strings(attribute)
            found = self._seen[attribute] = BitMap() if column is None else roaring.from_sorted(column.values)
        return found


@dataclass(frozen=True, slots=True)
class SegmentColumns:
    """Some rows of a segment by column: a slice, or row numbers, (n,)."""

    segment: Segment
    where: Selection
    rows: int

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.rows

    def accepted(self, attribute: int, kind: Kind, test: BoundTest) -> Mask | None:
        """Say which rows have a value of a kind that a test accepts."""
        column = self.segment.columns.get((attribute, kind))
        return None if column is None else column.accepted(test, self.where)


def column_name(attribute: int, kind: int) -> str:
    """Return what the arrays of a column are named after."""
    return f"column{attribute}.{kind}"


def array_bytes(arrays: Arrays) -> dict[str, int]:
    """Return the bytes of a segment's arrays by part: rows, columns, postings, customers, nodes, tallies."""
    parts: dict[str, int] = {}
    for name, array in arrays.items():
        if name.startswith("node"):
            part = "bitmaps"
        elif name.startswith(("tally", "heavy")):
            part = "running counts"
        elif name.startswith("column"):
            part = "postings" if name.endswith((".rows", ".starts")) else "columns"
        elif name in ("owners", "owner_rows", "by_customer"):
            part = "rows by customer"
        else:
            part = "rows"
        parts[part] = parts.get(part, 0) + array.nbytes
    return parts
