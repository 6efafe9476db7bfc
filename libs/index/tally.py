"""How many events has each customer in a stretch of a segment? Running counts with checkpoints.

A checkpoint holds, for every customer, how many events lie before a day: the difference of two is the count of
any stretch of whole checkpoints, and the few days between a checkpoint and the end of a window are counted by
their rows. So a count over any window costs a pass over two arrays of bytes, however many events are in it.
Only where events are dense: some for every few customers between two checkpoints.

Counts are bytes that wrap at 256; the few customers with more events than that in a segment are counted apart.
What comes out stops at 255: enough for any test of a number below that.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKPOINT_DAYS = 4
"""Closer ones cost memory (a byte a customer each), wider ones time (half as many days counted by rows)."""
BYTES_A_ROW = 16
"""A segment that would pay more for its tally has none: counting its few rows is cheaper."""
TOP = 255
"""Where counts stop: the largest byte."""
HEAVY = 255
"""A customer with more events than this in a segment is counted apart."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Running counts of one segment.

    Checkpoint i stands before row `rows[i]`, int64, the first at 0 and the last at the end; `before[i - 1]`,
    (customers,) uint8, are the events before it, modulo 256. `heavy`, (h,) uint32, are the customers with many
    events, ascending, with their exact running counts `heavy_before[i]`, (h,) int64, and `is_heavy`, (customers,)
    bool. `most` bounds all counts, up to 255.
    """

    before: NDArray[np.uint8]
    rows: NDArray[np.int64]
    heavy: NDArray[np.uint32]
    heavy_before: NDArray[np.int64]
    is_heavy: NDArray[np.bool_]
    most: int

    def between(self, customer: NDArray[np.uint32], first: int, end: int) -> NDArray[np.uint8]:
        """Count the events in the rows first … end − 1, given the rows' customers: (customers,), up to 255."""
        low, high = (int(np.abs(self.rows - row).argmin()) for row in (first, end))
        counts = self.before[high - 1].copy() if high else np.zeros(self.before.shape[1], np.uint8)
        if low:
            counts -= self.before[low - 1]
        heavy: NDArray[np.int64] = self.heavy_before[high] - self.heavy_before[low]
        for start, stop in ((int(self.rows[high]), end), (first, int(self.rows[low]))):
            if start == stop:
                continue
            add: Any = np.add if start < stop else np.subtract
            owners = customer[min(start, stop) : max(start, stop)]
            add.at(counts, owners, np.uint8(1))
            if len(self.heavy):
                add.at(heavy, np.searchsorted(self.heavy, owners[self.is_heavy[owners]]), 1)
        counts[self.heavy] = np.minimum(heavy, TOP)
        return counts


def make_tally(customer: NDArray[np.uint32], day_rows: NDArray[np.int64]) -> Tally | None:
    """Count a segment's rows, in time order, at every checkpoint; None where it is too sparse to pay."""
    customers = int(customer.max()) + 1
    rows = np.unique(np.concatenate((day_rows[::CHECKPOINT_DAYS], [0, len(customer)])))
    if (len(rows) - 1) * customers > len(customer) * BYTES_A_ROW:
        return None
    total = np.bincount(customer, minlength=customers)
    heavy = np.flatnonzero(total > HEAVY)
    before = np.zeros((len(rows) - 1, customers), np.uint8)
    heavy_before = np.zeros((len(rows), len(heavy)), np.int64)
    so_far = np.zeros(customers, np.uint8)
    for place in range(1, len(rows)):
        between = np.bincount(customer[rows[place - 1] : rows[place]], minlength=customers)
        so_far += between.astype(np.uint8)
        before[place - 1] = so_far
        heavy_before[place] = heavy_before[place - 1] + between[heavy]
    is_heavy = total > HEAVY if len(heavy) else np.empty(0, np.bool_)
    return Tally(before, rows, heavy.astype(np.uint32), heavy_before, is_heavy, min(int(total.max()), TOP))


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

    def add_rows(self, customer: NDArray[np.uint32]) -> None:
        """Add events given by their customers, in any order, (n,)."""
        if not len(customer):
            return
        ordered = np.sort(customer)
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        owners = ordered[starts]
        sums = np.minimum(np.diff(starts, append=len(ordered)) + self.counts[owners], TOP)
        self._most = max(self._most, int(sums.max()))
        self.counts[owners] = sums
