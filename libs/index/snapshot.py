"""What does a Run see? Everything that was committed at one revision and nothing else, while it runs.

A snapshot is immutable: sealed segments, tails up to their length then, profiles as they were. It costs
nothing to make and nothing to keep but what has since been replaced.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind
from libs.events.dictionary import Dictionary
from libs.events.log import Position
from libs.index import access, roaring
from libs.index.access import Question
from libs.index.calendar import Calendar
from libs.index.condition import MISSING, Bound, Condition, bind
from libs.index.plan import EVER
from libs.index.planner import BITMAPS, Part
from libs.index.profiles import ProfileView
from libs.index.segment import Segment
from libs.index.strings import StringTest, StringTests


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
    string_tests: StringTests
    customers: int
    calendar: Calendar
    everybody: BitMap
    """Who has an event, at whatever time."""
    latest: int
    """The time of the last event of all, ms."""
    erased: BitMap = field(default_factory=BitMap)
    """Who is in no answer, though their events may still be in some part."""
    _universes: dict[int, BitMap] = field(default_factory=dict)
    _seen: dict[tuple[str | None, int], BitMap] = field(default_factory=dict)

    def of_type(self, event_type: str) -> tuple[Part, ...]:
        """Return the parts with events of a type; none where it was never seen."""
        number = self.names.find(event_type)
        return () if number is None else self.parts.get(number, ())

    def bind(self, condition: Condition, event_type: str | None) -> Bound:
        """Look up the names and strings of a condition on events of a type, or, for None, on profiles."""

        def passing(attribute: int, test: StringTest) -> NDArray[np.uint32]:
            return self.string_tests.accepted(test, self._strings_seen(event_type, attribute))

        return bind(condition, self.names, self.values, passing)

    def _strings_seen(self, event_type: str | None, attribute: int) -> BitMap:
        """Return the numbers of the strings seen under an attribute. Not to be changed.

        Segments and chunks of profiles know theirs; those of tails are collected once a snapshot.
        """
        found = self._seen.get((event_type, attribute))
        if found is None:
            if event_type is None:
                found = self.profiles.strings_seen(attribute)
            else:
                found = roaring.union([_seen_in(part, attribute) for part in self.of_type(event_type)])
            self._seen[event_type, attribute] = found
        return found

    def universe(self, as_of: int) -> BitMap:
        """Return every customer that has an event with time ≤ as_of (ms), or a profile. Not to be changed."""
        instant = min(as_of, self.latest)
        found = self._universes.get(instant)
        if found is None:
            found = self._compute_universe(instant)
            self._universes.clear()  # one at a time: the nodes of a rule ask for the same again and again
            self._universes[instant] = found
        return found

    def _compute_universe(self, as_of: int) -> BitMap:
        if as_of == self.latest:
            return self.everybody | self.profiles.holders
        questions = (Question(parts, None, EVER, as_of + 1, self.customers) for parts in self.parts.values())
        present = (access.exists(question, question.steps(BITMAPS)) for question in questions)
        return roaring.union([self.profiles.holders, *present]) - self.erased

    def rows_of(self, customer: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return times (ms) and log rows of a customer's events, newest first, ties by arrival."""
        times: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        arrivals: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for parts in self.parts.values():
            for part in parts:
                if isinstance(part, Segment):
                    _, rows = part.rows_of(np.array([customer], np.uint32))
                    times.append(part.times(rows))
                    arrivals.append(part.arrival[rows].astype(np.int64))
                else:
                    places = np.flatnonzero(part.customer == np.uint32(customer))
                    times.append(part.time[places])
                    arrivals.append(part.arrival[places].astype(np.int64))
        time, arrival = np.concatenate(times), np.concatenate(arrivals)
        order = np.lexsort((arrival, time))[::-1]
        return time[order], arrival[order]


def _seen_in(part: Part, attribute: int) -> BitMap:
    if isinstance(part, Segment):
        return part.strings_seen(attribute)
    column = part.columns.get((attribute, Kind.STRING))
    return BitMap() if column is None else roaring.from_values(column[column != MISSING])
