"""How many events has each customer in a stretch of a segment? Running counts with checkpoints.

A checkpoint holds, for every customer, how many events of a key lie before a row: the difference of two is the
count of the stretch between, and what lies between a checkpoint and the end of a window is counted by its rows.
So a count over any window costs a pass over two arrays of bytes, however many events are in it.

Counts are bytes that wrap at 256; the few customers with more events than that in a segment are counted apart.
What comes out stops at 255: enough for any test of a number below that.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BYTES_A_ROW = 8
"""A checkpoint, of a byte a customer, for so many of a key's rows: half of that is counted by rows at either end
of a window. Keys with fewer rows have none: counting their rows is cheaper."""
TOP = 255
"""Where counts stop: the largest byte."""
HEAVY = 255
"""A customer with more events than this in a segment is counted apart."""

Owners = Callable[[int, int], NDArray[np.uint32]]
"""Returns the customers of a key's events in the rows first … end − 1 of a segment, one an event."""


@dataclass(frozen=True, slots=True)
class Heavy:
    """The customers with many events in a segment: `customers`, (h,) uint32, ascending, and `mask`, (all,) bool."""

    customers: NDArray[np.uint32]
    mask: NDArray[np.bool_]


def find_heavy(customer: NDArray[np.uint32], customers: int) -> Heavy:
    """Find the customers, numbered below `customers`, with many of a segment's rows."""
    mask = np.bincount(customer, minlength=customers) > HEAVY
    return Heavy(np.flatnonzero(mask).astype(np.uint32), mask)


@dataclass(frozen=True, slots=True)
class Tally:
    """Running counts of one key of a segment.

    Checkpoint i stands before row `rows[i]` of the segment, the first at 0 and the last at the end;
    `before[i - 1]`, (customers,) uint8, are the key's events before it, modulo 256; `heavy_before[i]`, (h,) int64,
    the exact numbers of the heavy customers. `most` bounds all counts, up to 255.
    """

    rows: list[int]
    before: NDArray[np.uint8]
    heavy_before: NDArray[np.int64]
    most: int
    heavy: Heavy

    def between(self, owners: Owners, first: int, end: int) -> NDArray[np.uint8]:
        """Count the events in the rows first … end − 1: (customers,), up to 255."""
        low, high = self._nearest(first), self._nearest(end)
        counts: NDArray[np.uint8] = np.zeros(self.before.shape[1], np.uint8)
        if high:
            counts[:] = self.before[high - 1]
        if low:
            counts -= self.before[low - 1]
        heavy: NDArray[np.int64] = self.heavy_before[high] - self.heavy_before[low]
        for start, stop in ((self.rows[high], end), (first, self.rows[low])):
            if start == stop:
                continue
            add: Any = np.add if start < stop else np.subtract
            found = owners(min(start, stop), max(start, stop))
            add.at(counts, found, np.uint8(1))
            if len(heavy):
                mine = found[self.heavy.mask[found]]
                add.at(heavy, np.searchsorted(self.heavy.customers, mine), 1)
        if len(heavy):
            counts[self.heavy.customers] = np.minimum(heavy, TOP)
        return counts

    def edges(self, first: int, end: int) -> int:
        """Return how many rows of the segment lie between the ends of a window and their checkpoints."""
        return abs(self.rows[self._nearest(first)] - first) + abs(self.rows[self._nearest(end)] - end)

    def _nearest(self, row: int) -> int:
        behind = min(bisect_left(self.rows, row), len(self.rows) - 1)
        if behind and row - self.rows[behind - 1] < self.rows[behind] - row:
            return behind - 1
        return behind


def make_tally(
    owners: NDArray[np.uint32], key_rows: NDArray[Any] | None, rows: int, heavy: Heavy, bytes_a_row: int
) -> Tally | None:
    """Count a key's events, given by their customers in time order, (n,), at every checkpoint.

    They stand in the rows `key_rows`, (n,), of a segment of `rows` rows; None: in all of them. Returns None where
    the key is too sparse to pay.
    """
    customers = len(heavy.mask)
    checkpoints = len(owners) * bytes_a_row // customers
    if not checkpoints:
        return None
    places = np.linspace(0, len(owners), checkpoints + 1).astype(np.int64)
    before = np.zeros((checkpoints, customers), np.uint8)
    heavy_before = np.zeros((checkpoints + 1, len(heavy.customers)), np.int64)
    so_far = np.zeros(customers, np.int64)
    for place in range(1, checkpoints + 1):
        so_far += np.bincount(owners[places[place - 1] : places[place]], minlength=customers)
        before[place - 1] = so_far.astype(np.uint8)
        heavy_before[place] = so_far[heavy.customers]
    at = places[1:-1] if key_rows is None else key_rows[places[1:-1]]
    return Tally([0, *at.tolist(), rows], before, heavy_before, min(int(so_far.max()), TOP), heavy)


class Totals:
    """Adds up the events of customers, numbered below `customers`, over parts, up to 255 each.

    `counts` is (customers,) uint8.
    """

    def __init__(self, customers: int) -> None:
        self.counts = np.zeros(customers, np.uint8)
        self._most = 0

    def add(self, counts: NDArray[np.uint8], most: int) -> None:
        """Add counts, (at most `customers`,), none of which is above `most`."""
        mine = self.counts[: len(counts)]
        mine += counts
        self._most += most
        if self._most > TOP:
            wrapped = (mine < counts).view(np.uint8)
            mine |= np.negative(wrapped, out=wrapped)  # 0 or 255

    def add_rows(self, owners: NDArray[np.uint32], heavy: Heavy | None) -> None:
        """Add events given by their customers, in any order, (n,); `heavy` are those of their segment.

        Without `heavy` any customer may have many of them; that way is for few events.
        """
        if not len(owners):
            return
        if heavy is None:
            distinct, times = np.unique(owners, return_counts=True)
            sums = np.minimum(self.counts[distinct] + times, TOP)
            self.counts[distinct] = sums
            self._most = max(self._most, int(sums.max()))
            return
        counts = np.zeros(len(heavy.mask), np.uint8)
        np.add.at(counts, owners, np.uint8(1))
        if len(heavy.customers):
            mine = np.searchsorted(heavy.customers, owners[heavy.mask[owners]])
            exact = np.bincount(mine, minlength=len(heavy.customers))
            counts[heavy.customers] = np.minimum(exact, TOP)
        self.add(counts, int(counts.max()))
