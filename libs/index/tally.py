"""How many events has each customer in a stretch of a segment? Running counts with checkpoints.

A checkpoint holds, for every customer, how many events lie before a day: the difference of two is the count of
any stretch of whole checkpoints, and the few days between a checkpoint and the end of a window are counted by
their rows. So a count over any window costs a pass over two arrays, however many events are in it. Only where
a segment is dense: an event for every few customers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKPOINT_DAYS = 4
"""Closer ones cost memory (a byte a customer each), wider ones time (half as many days counted by rows)."""
CUSTOMERS_A_ROW = 4
"""A segment with fewer rows than customers / this has no tally: counting its rows is cheaper."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Running counts: `before[i]`, (customers,), are the events before day 4 × i; `most` bounds all counts.

    They are in the smallest unsigned dtype that holds `most`. Sums in a dtype that holds the final counts may
    wrap on the way and are right at the end.
    """

    before: NDArray[Any]
    rows: NDArray[np.int64]
    """The first row behind each checkpoint, (checkpoints,) int64."""
    most: int

    def add(
        self,
        counts: NDArray[Any],
        customer: NDArray[np.uint32],
        first: int,
        end: int,
    ) -> None:
        """Add to `counts`, (customers ≥ those here,), the events in the rows first … end − 1."""
        low = int(np.abs(self.rows - first).argmin())
        high = int(np.abs(self.rows - end).argmin())
        mine = counts[: self.before.shape[1]]
        if high != low:
            np.add(mine, self.before[high], out=mine, casting="unsafe")
            np.subtract(mine, self.before[low], out=mine, casting="unsafe")
        self._shift(counts, customer, int(self.rows[high]), end)
        self._shift(counts, customer, first, int(self.rows[low]))

    @staticmethod
    def _shift(counts: NDArray[Any], customer: NDArray[np.uint32], start: int, stop: int) -> None:
        """Count the rows from a start to a stop; backwards where the stop lies before."""
        if stop > start:
            np.add.at(counts, customer[start:stop], counts.dtype.type(1))
        elif stop < start:
            np.subtract.at(counts, customer[stop:start], counts.dtype.type(1))


def make_tally(customer: NDArray[np.uint32], day_rows: NDArray[np.int64]) -> Tally | None:
    """Count a segment's rows, in time order, at every checkpoint; None where it is too sparse to pay."""
    customers = int(customer.max()) + 1
    if len(customer) * CUSTOMERS_A_ROW < customers:
        return None
    total = np.bincount(customer, minlength=customers)
    most = int(total.max())
    rows = day_rows[::CHECKPOINT_DAYS]
    before = np.zeros((len(rows), customers), np.min_scalar_type(most))
    for place in range(1, len(rows)):
        between = np.bincount(customer[rows[place - 1] : rows[place]], minlength=customers)
        before[place] = before[place - 1] + between.astype(before.dtype)
    return Tally(before, rows, most)
