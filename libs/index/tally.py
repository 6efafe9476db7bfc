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

from libs.index import kernels
from libs.index.sinks import TOP

BYTES_A_ROW = 8
"""A checkpoint, of a byte a customer, for so many of a key's rows: half of that is counted by rows at either end
of a window. Keys with fewer rows have none: counting their rows is cheaper."""
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
            step = 1 if start < stop else -1
            found = owners(min(start, stop), max(start, stop))
            kernels.add_to_each(found, counts, step % 256)
            if len(heavy):
                mine = found[self.heavy.mask[found]]
                np.add.at(heavy, np.searchsorted(self.heavy.customers, mine), step)
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


def checkpoints(events: int, heavy: Heavy, bytes_a_row: int) -> int:
    """Return how many checkpoints a key with so many events pays for."""
    return events * bytes_a_row // len(heavy.mask)


def make_tally(
    owners: NDArray[np.uint32], key_rows: NDArray[Any] | None, rows: int, heavy: Heavy, checkpoints: int
) -> Tally | None:
    """Count a key's events, given by their customers in time order, (n,), at so many checkpoints.

    They stand in the rows `key_rows`, (n,), of a segment of `rows` rows; None: in all of them. Returns None where
    there are to be no checkpoints.
    """
    if not checkpoints:
        return None
    customers = len(heavy.mask)
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
