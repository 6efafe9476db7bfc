"""What is there to build rules from? Event types, their attributes, kinds and most frequent values.

Read from a snapshot at each call: segments know their values by their postings, tails are counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Kind, Scalar
from libs.index import access
from libs.index.access import Question
from libs.index.columns import NumberColumn, StringColumn
from libs.index.condition import MISSING
from libs.index.plan import EVER
from libs.index.planner import BITMAPS, Part
from libs.index.rows import ColumnKey
from libs.index.segment import Segment, array_bytes
from libs.index.snapshot import Snapshot

TOP_VALUES = 20
FOREVER = 1 << 62


@dataclass(slots=True)
class KindSummary:
    """The values of one kind under an attribute: how many, the range of numbers, the most frequent others."""

    count: int = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")
    distinct: int = 0
    top: list[tuple[Scalar, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class EventTypeSummary:
    """One event type: how many events and customers, first and last time (ms), attributes by name."""

    events: int
    customers: int
    first_time: int
    last_time: int
    attributes: dict[str, dict[Kind, KindSummary]]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All event types and profile attributes by name, and how many customers and events there are."""

    event_types: dict[str, EventTypeSummary]
    profile_attributes: dict[str, dict[Kind, KindSummary]]
    customers: int
    events: int


def index_bytes(snapshot: Snapshot) -> dict[str, int]:
    """Return the bytes that the index takes in memory, mapped files included, by part."""
    sizes: dict[str, int] = {}
    for part in (part for parts in snapshot.parts.values() for part in parts):
        if isinstance(part, Segment):
            held = array_bytes(part.arrays)
        else:
            plain: list[NDArray[Any]] = [part.customer, part.time, part.arrival, *part.columns.values()]
            held = {"tails": sum(array.nbytes for array in plain)}
        for name, size in held.items():
            sizes[name] = sizes.get(name, 0) + size
    return sizes


def read_catalog(snapshot: Snapshot) -> Catalog:
    """Summarise a snapshot."""
    types = {
        snapshot.names[number]: _summarise(parts, snapshot)
        for number, parts in snapshot.parts.items()
        if sum(map(len, parts))
    }
    profiles: dict[str, dict[Kind, KindSummary]] = {}
    for attribute, kind in snapshot.profiles.columns:
        summary = _Counting(kind)
        summary.add(snapshot.profiles.present((attribute, kind)))
        if summary.count:
            profiles.setdefault(snapshot.names[attribute], {})[kind] = summary.finish(snapshot)
    everyone = snapshot.universe(FOREVER)
    return Catalog(types, profiles, len(everyone), sum(each.events for each in types.values()))


def _summarise(parts: Sequence[Part], snapshot: Snapshot) -> EventTypeSummary:
    counting: dict[tuple[int, Kind], _Counting] = {}
    for part in parts:
        held: Mapping[ColumnKey, Any] = part.columns
        for key, column in held.items():
            found = counting.setdefault(key, _Counting(key[1]))
            if isinstance(column, StringColumn):
                found.add_counts(column.values.tolist(), column.sizes().tolist())
            elif isinstance(column, NumberColumn) and column.values is not None:
                found.add_numbers(int(np.count_nonzero(column.codes)), column.values)
            else:
                found.add(column if isinstance(column, np.ndarray) else column.codes)
    attributes: dict[str, dict[Kind, KindSummary]] = {}
    for (attribute, kind), found in counting.items():
        if found.count:
            attributes.setdefault(snapshot.names[attribute], {})[kind] = found.finish(snapshot)
    firsts = [p.first_time if isinstance(p, Segment) else int(p.time.min()) for p in parts]
    lasts = [p.last_time if isinstance(p, Segment) else int(p.time.max()) for p in parts]
    question = Question(parts, None, EVER, FOREVER, snapshot.customers)
    customers = len(access.exists(question, question.steps(BITMAPS)) - snapshot.erased)
    return EventTypeSummary(sum(map(len, parts)), customers, min(firsts), max(lasts), attributes)


class _Counting:
    """Adds up the values of one attribute and kind over parts."""

    def __init__(self, kind: Kind) -> None:
        self.count = 0
        self._kind = kind
        self._values: Counter[int] = Counter()
        self._minimum, self._maximum = float("inf"), float("-inf")

    def add(self, column: NDArray[Any]) -> None:
        """Count the values of a column, (rows,); missing ones are left out."""
        if self._kind is Kind.NUMBER:
            numbers = column[~np.isnan(column)]
            self.add_numbers(len(numbers), numbers)
            return
        missing = MISSING if self._kind is Kind.STRING else 0
        values, counts = np.unique(column, return_counts=True)
        kept = values != missing
        self.add_counts(values[kept].tolist(), counts[kept].tolist())

    def add_numbers(self, count: int, numbers: NDArray[np.float64]) -> None:
        """Count so many numbers, of which the distinct ones, at least, are given."""
        self.count += count
        if len(numbers):
            self._minimum = min(self._minimum, float(numbers.min()))
            self._maximum = max(self._maximum, float(numbers.max()))

    def add_counts(self, values: Iterable[int], counts: Iterable[int]) -> None:
        """Count values that were counted before."""
        for value, count in zip(values, counts, strict=True):
            self._values[value] += count
            self.count += count

    def finish(self, snapshot: Snapshot) -> KindSummary:
        """Return the sums, with values as they were sent."""
        if self._kind is Kind.NUMBER:
            return KindSummary(self.count, self._minimum, self._maximum)
        strings = self._kind is Kind.STRING
        top: list[tuple[Scalar, int]] = [
            (snapshot.values[value] if strings else value == 2, count)
            for value, count in self._values.most_common(TOP_VALUES)
        ]
        return KindSummary(self.count, distinct=len(self._values), top=top)
