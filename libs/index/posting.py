"""Which rows, and which customers, has one key of a segment? The event itself, or an (attribute, value).

A posting is the key's rows in time order, and for keys large enough to pay the customers of each day, with
roll-ups of 4, 16 and 32 days, as bitmaps: "did E [where A = v] in this window" is a union of few of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import roaring

LEVELS = (32, 16, 4, 1)
"""Days a node spans, coarse to fine."""
NODE_ROWS = 256
"""Rows a day needs for a bitmap of its own: below, reading the rows costs less than the 200 bytes and up
that an object does."""

Node = tuple[int, int]
"""(level, day): the days day … day + level − 1 of a partition; day is a multiple of level."""


@dataclass(frozen=True, slots=True)
class Posting:
    """The rows of one key in time order, (n,) uint32, or None for all rows; and its customer bitmaps."""

    rows: NDArray[np.uint32] | None
    nodes: dict[Node, BitMap]


def build_nodes(customers: NDArray[np.uint32], day_ends: NDArray[np.int64]) -> dict[Node, BitMap]:
    """Build the bitmaps of a key from its customers in time order; day d is customers[…day_ends[d]].

    A day below `NODE_ROWS` has none; a roll-up has one where all its days with rows have.
    """
    nodes: dict[Node, BitMap] = {}
    starts = np.concatenate(([0], day_ends[:-1]))
    counts = day_ends - starts
    for day in np.flatnonzero(counts >= NODE_ROWS).tolist():
        nodes[1, day] = roaring.from_values(customers[starts[day] : day_ends[day]])
    for below, level in ((1, 4), (4, 16), (16, 32)):
        for first in range(0, len(day_ends), level):
            filled = [day for day in range(first, first + level, below) if counts[day : day + below].any()]
            if filled and all((below, day) in nodes for day in filled):
                nodes[level, first] = roaring.union([nodes[below, day] for day in filled])
    return nodes


def cover(
    nodes: dict[Node, BitMap], first: int, last: int, level: int = 0
) -> Iterator[BitMap | tuple[int, int]]:
    """Cover the days first … last − 1 by nodes, coarse first; days without come as (day, day after)."""
    if level == len(LEVELS):
        yield first, last
        return
    span = LEVELS[level]
    day = first
    while day < last:
        end = min((day // span + 1) * span, last)
        node = nodes.get((span, day)) if end - day == span else None
        if node is not None:
            yield node
        else:
            yield from cover(nodes, day, end, level + 1)
        day = end


@dataclass(frozen=True, slots=True)
class Postings:
    """The postings of every value of one string attribute: three shared arrays, no object a value.

    `codes` are the values there are, ascending, (k,) uint32; the rows of codes[i] are
    `rows[starts[i]:starts[i + 1]]`, in time order; `nodes[i]` are the bitmaps of a value large enough.
    """

    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]
    nodes: dict[int, dict[Node, BitMap]]

    def place(self, code: np.uint32) -> int | None:
        """Return where a value stands in `codes`, None where no row has it."""
        place = int(np.searchsorted(self.codes, code))
        return None if place == len(self.codes) or self.codes[place] != code else place

    def rows_of(self, code: np.uint32) -> NDArray[np.uint32] | None:
        """Return the rows of a value, in time order; None where no row has it."""
        place = self.place(code)
        return None if place is None else self.rows[self.starts[place] : self.starts[place + 1]]

    def find(self, code: np.uint32) -> Posting | None:
        """Return the posting of a value, None where no row has it."""
        place = self.place(code)
        if place is None:
            return None
        rows = self.rows[self.starts[place] : self.starts[place + 1]]
        return Posting(rows, self.nodes.get(place, {}))

    def sizes(self) -> NDArray[np.int64]:
        """Return how many rows each value has, (k,) int64."""
        return np.diff(self.starts)
