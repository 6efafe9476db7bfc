"""Which customers has one key of a segment in any span of days? Few bitmaps united, each of 1, 4, 16 … days.

A key is all of a segment's events, those with one value, or those with a number between two bounds. A node is
the customers that its events of one block of days have. Blocks are aligned: those of a level cover the days
n × level … (n + 1) × level − 1, counted from 1970. A node exists where it has rows enough to pay; days without
come back as rows to be read.

Nodes lie serialised behind one another, as in the segment's file, and become bitmaps when first used.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import roaring
from libs.index.columns import Selection

LEVELS = (1, 4, 16, 64, 256, 1024)
"""Days a node spans. Each level costs at most two bytes a row, and a union reads at most 3 nodes of it."""
NODE_ROWS = 256
"""Rows a block needs for a bitmap: below, reading the rows costs less than the 200 bytes and up it takes."""
ALIGN = 8

Span = tuple[int, int]
"""Rows first … end − 1 of a segment."""


@dataclass(frozen=True, slots=True)
class Days:
    """The calendar days on which a segment has events.

    `numbers` are the days, ascending, `starts` and `ends` their first instants and the instants behind them (ms),
    (d,) each; `rows` is the first row of each, and their number at the end, (d + 1,).
    """

    numbers: list[int]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: list[int]

    def inside(self, first: int, end: int) -> tuple[int, int]:
        """Return the places i, j so that days i … j − 1 lie wholly in the instants first … end − 1."""
        return int(np.searchsorted(self.starts, first)), int(np.searchsorted(self.ends, end, "right"))

    def of(self, rows: Selection) -> NDArray[np.int64]:
        """Return the days of some rows, (n,) int64."""
        if isinstance(rows, slice):
            edges = np.clip(self.rows, rows.start, rows.stop)
            return np.repeat(np.array(self.numbers), np.diff(edges))
        return np.array(self.numbers)[np.searchsorted(np.array(self.rows[1:]), rows, "right")]

    def aligned(self, first: int, last: int, level: int) -> tuple[int, int]:
        """Narrow the days at places first … last − 1 to those that lie in whole blocks of a level."""
        numbers = self.numbers
        while 0 < first < last and numbers[first] // level == numbers[first - 1] // level:
            first += 1
        while first < last < len(numbers) and numbers[last] // level == numbers[last - 1] // level:
            last -= 1
        return first, last


class Nodes:
    """The nodes of one key. `data` holds all bitmaps of the segment, (bytes,) uint8; a node's are
    `data[starts[i]:starts[i + 1]]`.
    """

    __slots__ = ("_bitmaps", "_data", "_places", "_starts")

    def __init__(
        self,
        levels: Sequence[int],
        blocks: Sequence[int],
        starts: Sequence[int],
        data: NDArray[np.uint8],
    ) -> None:
        self._places = {block: place for place, block in enumerate(zip(levels, blocks, strict=True))}
        self._starts = starts
        self._data = data
        self._bitmaps: list[BitMap | None] = [None] * len(self._places)

    def __len__(self) -> int:
        """Return how many nodes there are."""
        return len(self._places)

    def cover(self, days: Days, first: int, last: int) -> tuple[list[BitMap], list[Span]]:
        """Cover the days at places first … last − 1: bitmaps, coarse where they can be, and rows of the rest."""
        numbers, rows = days.numbers, days.rows
        found: list[BitMap] = []
        loose: list[Span] = []
        ceiling = numbers[last] if last < len(numbers) else None
        place = first
        while place < last:
            day = numbers[place]
            floor = numbers[place - 1] if place else None
            for level in reversed(LEVELS):
                block = day // level
                start = block * level
                if (floor is not None and start <= floor) or (
                    ceiling is not None and start + level > ceiling
                ):
                    continue
                node = self._places.get((level, block))
                if node is not None:
                    found.append(self._bitmap(node))
                    place = bisect_left(numbers, start + level, place)
                    break
            else:
                if loose and loose[-1][1] == rows[place]:
                    loose[-1] = (loose[-1][0], rows[place + 1])
                else:
                    loose.append((rows[place], rows[place + 1]))
                place += 1
        return found, loose

    def _bitmap(self, place: int) -> BitMap:
        bitmap = self._bitmaps[place]
        if bitmap is None:
            start, end = self._starts[place], self._starts[place + 1]
            bitmap = self._bitmaps[place] = BitMap.deserialize(self._data[start:end].tobytes())
        return bitmap


Built = tuple[int, int, BitMap]
"""(level, block, customers) of a node."""


def build_nodes(
    customers: NDArray[np.uint32],
    numbers: NDArray[np.int64],
    ends: NDArray[np.int64],
    levels: Sequence[int] = LEVELS,
) -> Iterator[Built]:
    """Yield the nodes of a key from its customers in time order.

    Day numbers[d], (d,) ascending, has customers[ends[d - 1]:ends[d]]. A block with one block of the level below in
    it has no node of its own. `levels` are neighbours among `LEVELS`.
    """
    below: dict[int, tuple[BitMap | None, int]] = {}
    starts = np.concatenate(([0], ends[:-1]))
    filled = np.flatnonzero(ends > starts)
    numbers, starts, ends = numbers[filled], starts[filled], ends[filled]
    for level in levels:
        current: dict[int, tuple[BitMap | None, int]] = {}
        blocks = numbers // level
        edges = np.concatenate(([0], np.flatnonzero(np.diff(blocks)) + 1, [len(blocks)])).tolist()
        for first, last in pairwise(edges):
            if first == last:
                continue
            block = int(blocks[first])
            low, high = int(starts[first]), int(ends[last - 1])
            if level == levels[0]:
                bitmap = roaring.from_values(customers[low:high]) if high - low >= NODE_ROWS else None
            else:
                inner = [
                    below[each] for each in dict.fromkeys((numbers[first:last] // (level // 4)).tolist())
                ]
                if len(inner) == 1:
                    current[block] = inner[0]
                    continue
                bitmap = None
                if high - low >= NODE_ROWS:
                    known = [each for each, _ in inner if each is not None]
                    whole = len(known) == len(inner)
                    bitmap = roaring.union(known) if whole else roaring.from_values(customers[low:high])
            current[block] = (bitmap, high - low)
            if bitmap is not None:
                yield level, block, bitmap
        below = current


class NodeWriter:
    """Collects the nodes of all keys of a segment, to be laid behind one another."""

    def __init__(self) -> None:
        self._levels: list[int] = []
        self._blocks: list[int] = []
        self._data: list[bytes] = []
        self._size = 0
        self._starts = [0]

    def add(self, built: Iterator[Built]) -> tuple[int, int]:
        """Add the nodes of a key; return the places of the first of them and behind the last."""
        first = len(self._levels)
        for level, block, bitmap in built:
            data = bitmap.serialize()
            data += bytes(-len(data) % ALIGN)
            self._levels.append(level)
            self._blocks.append(block)
            self._data.append(data)
            self._size += len(data)
            self._starts.append(self._size)
        return first, len(self._levels)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return levels, (n,) uint16, blocks, (n,) int32, starts, (n + 1,) int64, and data, (bytes,) uint8."""
        return {
            "node_levels": np.array(self._levels, np.uint16),
            "node_blocks": np.array(self._blocks, np.int32),
            "node_starts": np.array(self._starts, np.int64),
            "node_data": np.frombuffer(b"".join(self._data), np.uint8),
        }


def read_nodes(arrays: dict[str, NDArray[Any]], first: int, end: int) -> Nodes:
    """Return the nodes of a key that `NodeWriter.add` gave these places."""
    return Nodes(
        arrays["node_levels"][first:end].tolist(),
        arrays["node_blocks"][first:end].tolist(),
        arrays["node_starts"][first : end + 1].tolist(),
        arrays["node_data"],
    )
