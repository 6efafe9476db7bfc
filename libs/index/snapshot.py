"""What does a Run see? Everything that was committed at one revision and nothing else, while it runs.

A snapshot is immutable: sealed segments, tails up to their length then, profiles as they were. It costs
nothing to make and nothing to keep but what has since been replaced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.dictionary import Dictionary
from libs.events.log import Position
from libs.index import access, roaring
from libs.index.access import Part
from libs.index.plan import EVER
from libs.index.profiles import ProfileView
from libs.index.segment import Segment


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The events by type (its number) and the profiles at one revision.

    `customers` bounds the numbers of customers: dictionaries only grow, so they may know later ones.
    """

    position: Position
    parts: Mapping[int, tuple[Part, ...]]
    profiles: ProfileView
    names: Dictionary
    values: Dictionary
    customers: int
    sealed: BitMap
    """Everybody who is in a segment."""
    latest_sealed: int
    """The time of the last event in a segment, ms."""
    _universes: dict[int, BitMap] = field(default_factory=dict)

    def of_type(self, event_type: str) -> tuple[Part, ...]:
        """Return the parts with events of a type; none where it was never seen."""
        number = self.names.find(event_type)
        return () if number is None else self.parts.get(number, ())

    def universe(self, as_of: int) -> BitMap:
        """Return every customer that has an event with time ≤ as_of (ms), or a profile. Not to be changed."""
        found = self._universes.get(as_of)
        if found is None:
            self._universes.clear()  # of one instant: the nodes of a rule ask for it again and again
            found = self._universes[as_of] = self._compute_universe(as_of)
        return found

    def _compute_universe(self, as_of: int) -> BitMap:
        bitmaps = [self.profiles.holders]
        if self.latest_sealed <= as_of:
            bitmaps.append(self.sealed)
        for parts in self.parts.values():
            rest = [p for p in parts if not (isinstance(p, Segment) and self.latest_sealed <= as_of)]
            if rest:
                bitmaps.append(access.exists(rest, None, EVER, as_of + 1, self.customers))
        return roaring.union(bitmaps)

    def rows_of(self, customer: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return times (ms) and log rows of a customer's events, newest first, ties by arrival."""
        times: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        arrivals: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for parts in self.parts.values():
            for part in parts:
                places = np.flatnonzero(part.customer == np.uint32(customer))
                if isinstance(part, Segment):
                    times.append(part.offset[places].astype(np.int64) + part.base)
                else:
                    times.append(part.time[places])
                arrivals.append(part.arrival[places].astype(np.int64))
        time, arrival = np.concatenate(times), np.concatenate(arrivals)
        order = np.lexsort((arrival, time))[::-1]
        return time[order], arrival[order]
