"""Where do the customers of events go? To marks of everybody once they are many, to lists while they are few.

    Marked   who has an event
    Totals   how many events each has
    Listed   the customers themselves, one an event

Each takes events by their customers (`add`), or the customers of rows beside which of those pass (`where`), so
that rows that do not pass are never gathered.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import kernels, roaring
from libs.index.condition import Mask

SORT_SHARE = 1024
"""With fewer rows than customers / this, sorting them beats marking them in an array of all customers."""
TOP = 255
"""Where counts stop: the largest byte."""
NO_CUSTOMERS = np.empty(0, np.uint32)

Wanted = tuple[int, int | None]
"""The least and the greatest number of events; None: no greatest."""


class Sink(Protocol):
    """Takes the customers of events."""

    def add(self, owners: NDArray[np.uint32]) -> None:
        """Take events by their customers, (n,), in any order."""

    def where(self, passing: Mask, owners: NDArray[np.uint32]) -> None:
        """Take the customers of those of some rows, (n,), that pass, (n,) bool."""


@dataclass(slots=True)
class Listed:
    """Keeps the customers of events as they come."""

    pieces: list[NDArray[np.uint32]] = field(default_factory=list)

    def add(self, owners: NDArray[np.uint32]) -> None:
        """Take events by their customers."""
        self.pieces.append(owners)

    def where(self, passing: Mask, owners: NDArray[np.uint32]) -> None:
        """Take the customers of rows that pass."""
        self.pieces.append(owners[true_places(passing)])

    def joined(self) -> NDArray[np.uint32]:
        """Return them all, (n,)."""
        if len(self.pieces) == 1:
            return self.pieces[0]
        return np.concatenate(self.pieces) if self.pieces else NO_CUSTOMERS


class Marked:
    """Finds who, of customers numbered below `customers`, has an event."""

    def __init__(self, customers: int) -> None:
        self._customers = customers
        self._few = Listed()
        self._bitmaps: list[BitMap] = []
        self._hit: NDArray[np.uint64] | None = None

    def add(self, owners: NDArray[np.uint32]) -> None:
        """Take events by their customers."""
        if len(owners) * SORT_SHARE > self._customers:
            kernels.mark(owners, self._marks())
        elif len(owners):
            self._few.add(owners)

    def where(self, passing: Mask, owners: NDArray[np.uint32]) -> None:
        """Take the customers of rows that pass."""
        rows = int(np.count_nonzero(passing))
        if rows * SORT_SHARE > self._customers:
            kernels.mark_where(packed(passing), owners, self._marks())
        elif rows:
            self._few.add(owners[true_places(passing, rows)])

    def unite(self, bitmaps: list[BitMap]) -> None:
        """Take customers as bitmaps, which stay as they are."""
        self._bitmaps += bitmaps

    def bitmap(self) -> BitMap:
        """Return everybody that was taken."""
        few = self._few.joined()
        if self._hit is not None or len(few) * SORT_SHARE > self._customers:
            kernels.mark(few, self._marks())
            self._bitmaps.append(roaring.from_bits(self._marks()))
        elif len(few):
            self._bitmaps.append(roaring.from_values(few))
        return roaring.union(self._bitmaps)

    def _marks(self) -> NDArray[np.uint64]:
        if self._hit is None:
            self._hit = roaring.empty_bits(self._customers)
        return self._hit


class Totals:
    """Counts the events of customers, numbered below `customers`: up to 255, or to any number where `exact`."""

    def __init__(self, customers: int, *, exact: bool = False) -> None:
        self._customers = customers
        self._exact = exact
        self._few = Listed()
        self._counts: NDArray[np.uint8] | None = None
        self._most = 0

    def add(self, owners: NDArray[np.uint32]) -> None:
        """Take events by their customers."""
        if self._many(len(owners)):
            kernels.count(owners, self._bytes(TOP))
        elif len(owners):
            self._few.add(owners)

    def where(self, passing: Mask, owners: NDArray[np.uint32]) -> None:
        """Take the customers of rows that pass."""
        rows = int(np.count_nonzero(passing))
        if self._many(rows):
            kernels.count_where(packed(passing), owners, self._bytes(TOP))
        elif rows:
            self._few.add(owners[true_places(passing, rows)])

    def add_counts(self, counts: NDArray[np.uint8], most: int) -> None:
        """Add counts, (at most `customers`,), none of which is above `most`. Not with `exact`."""
        mine = self._bytes(most)[: len(counts)]
        mine += counts
        if self._most > TOP:
            wrapped = (mine < counts).view(np.uint8)
            mine |= np.negative(wrapped, out=wrapped)  # 0 or 255

    def satisfying(self, wanted: Wanted) -> BitMap:
        """Return who has from `wanted[0]` ≥ 1 to `wanted[1]` events."""
        few = self._few.joined()
        if self._counts is not None or (not self._exact and self._many(len(few))):
            counts = self._bytes(TOP)
            kernels.count(few, counts)
            return roaring.from_mask(fits(counts, wanted))
        if len(few) * SORT_SHARE > self._customers:
            return roaring.from_mask(fits(np.bincount(few, minlength=self._customers), wanted))
        ordered = np.sort(few)
        fresh = np.ones(len(ordered), np.bool_)
        np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
        starts = np.flatnonzero(fresh)
        return roaring.from_sorted(ordered[starts][fits(np.diff(starts, append=len(ordered)), wanted)])

    def _many(self, rows: int) -> bool:
        return not self._exact and rows * SORT_SHARE > self._customers

    def _bytes(self, most: int) -> NDArray[np.uint8]:
        """Return the counts, to which up to `most` are to be added."""
        if self._counts is None:
            self._counts = np.zeros(self._customers, np.uint8)
        self._most += most
        return self._counts


def counts_answer(wanted: Wanted) -> bool:
    """Say whether counts that stop at `TOP` can answer a question."""
    return max(wanted[0] - 1, wanted[1] or 0) < TOP


def fits(counts: NDArray[Any], wanted: Wanted) -> Mask:
    """Say which counts, (n,), are wanted, (n,) bool."""
    minimum, maximum = wanted
    found: Mask = np.asarray(counts >= minimum)
    if maximum is not None:
        found &= counts <= maximum
    return found


def packed(passing: Mask) -> NDArray[np.uint8]:
    """Pack a mask, (n,) bool, into bits, (⌈n / 8⌉,), the first place lowest."""
    return np.packbits(passing, bitorder="little")


def true_places(passing: Mask, many: int | None = None) -> NDArray[np.int64]:
    """Return where a mask, (n,) bool, is true, ascending; `many` says how often it is, where that is known."""
    found = np.empty(np.count_nonzero(passing) if many is None else many, np.int64)
    if len(found):
        kernels.set_places(packed(passing), found)
    return found
