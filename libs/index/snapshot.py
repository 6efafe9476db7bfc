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
    _universes: dict[int, BitMap] = field(default_factory=dict)

    def of_type(self, event_type: str) -> tuple[Part, ...]:
        """Return the parts with events of a type; none where it was never seen."""
        number = self.names.find(event_type)
        return () if number is None else self.parts.get(number, ())

    def universe(self, as_of: int) -> BitMap:
        """Return every customer that has an event with time ≤ as_of (ms), or a profile. Not to be changed."""
        latest = max((_last_time(part) for parts in self.parts.values() for part in parts), default=EVER)
        moment = min(as_of, latest)
        found = self._universes.get(moment)
        if found is None:
            found = self._universes[moment] = self._compute_universe(moment)
        return found

    def _compute_universe(self, as_of: int) -> BitMap:
        bitmaps = [self.profiles.holders]
        for parts in self.parts.values():
            whole = [p for p in parts if isinstance(p, Segment) and p.last_time <= as_of]
            bitmaps += [segment.customers for segment in whole]
            rest = [part for part in parts if not any(part is each for each in whole)]
            bitmaps.append(access.exists(rest, None, EVER, as_of + 1))
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


def _last_time(part: Part) -> int:
    if isinstance(part, Segment):
        return part.last_time
    return int(part.time.max(initial=EVER))
