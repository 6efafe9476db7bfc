"""What is there to build rules from? Event types, their attributes, kinds, ranges and most frequent values.

Read from a snapshot at each call. Segments know how often each of their strings occurs, so what is read is their
distinct values and not their events, but for numbers of which most are distinct; tails are counted, and so is a
part that has events of erased customers, until a compaction has taken them out. Strings are looked at only where they
are shown or completed (`completion`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind, Scalar
from libs.events.predefined import EVENT_ATTRIBUTES, EVENT_TYPES, PROFILE_ATTRIBUTES
from libs.index import access, roaring
from libs.index.access import Question
from libs.index.columns import Column, NumberColumn, StringColumn
from libs.index.completion import Completion, begins
from libs.index.condition import MISSING
from libs.index.plan import EVER
from libs.index.planner import BITMAPS, Part
from libs.index.rows import ColumnKey
from libs.index.segment import Segment, array_bytes
from libs.index.snapshot import Snapshot

TOP_VALUES = 20
MAX_NAMES = 1_000
FOREVER = 1 << 62
Counted = tuple[NDArray[np.uint32], NDArray[np.int64]]
"""Values, each once, and how often each occurs, (n,)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a catalog is asked for.

    Events of one type alone, or profiles alone; one attribute alone; at most so many names and values. `prefix`, in
    any case, is that of values where an attribute is named, of attributes where an event type is or profiles are,
    and else of event types and of attributes of profiles.
    """

    event_type: str = ""
    profiles_only: bool = False
    attribute: str = ""
    prefix: str = ""
    max_values: int = TOP_VALUES
    max_names: int = MAX_NAMES

    @property
    def value_prefix(self) -> str:
        """What the values must begin with."""
        return self.prefix if self.attribute else ""

    def wants_type(self, name: str) -> bool:
        """Say whether an event type is asked for."""
        if self.event_type:
            return name == self.event_type
        return not self.profiles_only and (bool(self.attribute) or begins(name, self.prefix))

    def wants(self, attribute: str, *, profile: bool = False) -> bool:
        """Say whether an attribute is asked for."""
        if self.attribute:
            return attribute == self.attribute
        completed = profile or bool(self.event_type)  # else it is the event types that are
        return begins(attribute, self.prefix) if completed else True


@dataclass(slots=True)
class KindSummary:
    """The values of one kind under an attribute: how many, the range of numbers, the most frequent others.

    `distinct` and `top` are of those with the prefix that was asked for.
    """

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
    """Event types and profile attributes by name, as asked for, and how many customers and events there are."""

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


def read_catalog(snapshot: Snapshot, asked: Asked, completion: Completion) -> Catalog:
    """Summarise what is asked for of a snapshot."""
    reader = _Reader(snapshot, asked, completion)
    held = {
        snapshot.names[number]: seen
        for number, parts in snapshot.parts.items()
        if (seen := [each for each in (_Seen.of(part, snapshot.erased) for part in parts) if each.events])
    }
    wanted = sorted(filter(asked.wants_type, held), key=lambda name: (name not in EVENT_TYPES, name))
    types = {name: reader.event_type(held[name]) for name in wanted[: asked.max_names]}
    profiles = {} if asked.event_type else reader.profiles()
    everyone = snapshot.universe(FOREVER)
    return Catalog(
        types, profiles, len(everyone), sum(each.events for seen in held.values() for each in seen)
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A part without the events of who was erased: `kept` says which are there, None: all."""

    part: Part
    kept: NDArray[np.bool_] | None
    events: int

    @classmethod
    def of(cls, part: Part, erased: BitMap) -> "_Seen":
        """See a part; one that has nobody erased costs a look at who is in it."""
        if not len(part) or not erased:
            return cls(part, None, len(part))
        kept = np.ones(len(part), np.bool_)
        if isinstance(part, Segment):
            gone = part.customers & erased
            if gone:
                kept[part.rows_of(roaring.to_array(gone))[1]] = False
        else:
            kept = ~np.isin(part.customer, roaring.to_array(erased))
        return cls(part, None if kept.all() else kept, int(np.count_nonzero(kept)))

    def ends(self) -> tuple[int, int]:
        """Return the first and last time, ms."""
        part = self.part
        if isinstance(part, Segment):
            if self.kept is None:
                return part.first_time, part.last_time
            times = part.times(np.flatnonzero(self.kept))
        else:
            times = part.time if self.kept is None else part.time[self.kept]
        return int(times.min()), int(times.max())

    def column(self, column: Column | NDArray[Any]) -> Column | NDArray[Any]:
        """Return a column of the part; plain values where some are left out."""
        if self.kept is None:
            return column
        return (column if isinstance(column, np.ndarray) else column.decoded())[self.kept]


class _Reader:
    """Reads one catalog."""

    def __init__(self, snapshot: Snapshot, asked: Asked, completion: Completion) -> None:
        self._snapshot = snapshot
        self._asked = asked
        self._completion = completion

    def event_type(self, seen: Sequence[_Seen]) -> EventTypeSummary:
        columns: dict[ColumnKey, list[Any]] = {}
        for each in seen:
            held: Mapping[ColumnKey, Any] = each.part.columns
            for key, column in held.items():
                if self._asked.wants(self._snapshot.names[key[0]]):
                    columns.setdefault(key, []).append(each.column(column))
        firsts, lasts = zip(*(each.ends() for each in seen), strict=True)
        question = Question([each.part for each in seen], None, EVER, FOREVER, self._snapshot.customers)
        customers = len(access.exists(question, question.steps(BITMAPS)) - self._snapshot.erased)
        attributes = self._attributes(columns, EVENT_ATTRIBUTES)
        events = sum(each.events for each in seen)
        return EventTypeSummary(events, customers, min(firsts), max(lasts), attributes)

    def profiles(self) -> dict[str, dict[Kind, KindSummary]]:
        profiles = self._snapshot.profiles
        names = self._snapshot.names
        wanted = [key for key in profiles.columns if self._asked.wants(names[key[0]], profile=True)]
        return self._attributes({key: [profiles.present(key)] for key in wanted}, PROFILE_ATTRIBUTES)

    def _attributes(
        self, columns: Mapping[ColumnKey, Sequence[Any]], predefined: tuple[str, ...]
    ) -> dict[str, dict[Kind, KindSummary]]:
        names = self._snapshot.names
        kinds: dict[str, list[ColumnKey]] = {}
        for key in sorted(columns):
            kinds.setdefault(names[key[0]], []).append(key)
        found: dict[str, dict[Kind, KindSummary]] = {}
        for name in sorted(kinds, key=lambda name: (name not in predefined, name)):
            if len(found) == self._asked.max_names:
                break
            summaries = {key[1]: self._summary(key[1], columns[key]) for key in kinds[name]}
            if any(summary.count for summary in summaries.values()):
                found[name] = {kind: each for kind, each in summaries.items() if each.count}
        return found

    def _summary(self, kind: Kind, columns: Iterable[Any]) -> KindSummary:
        if kind is Kind.NUMBER:
            return _numbers(columns)
        parts = [_counted(kind, column) for column in columns]
        summary = KindSummary(sum(int(counts.sum()) for _, counts in parts))
        values, counts = _together([self._beginning(kind, part) for part in parts])
        summary.distinct = len(values)
        for place in _largest(counts, self._asked.max_values):
            value: Scalar = (
                self._snapshot.values[int(values[place])] if kind is Kind.STRING else bool(values[place] == 2)
            )
            summary.top.append((value, int(counts[place])))
        return summary

    def _beginning(self, kind: Kind, part: Counted) -> Counted:
        """Return those of some counted values that begin as was asked for; a prefix is of strings."""
        values, counts = part
        if not self._asked.value_prefix:
            return part
        if kind is not Kind.STRING:
            return values[:0], counts[:0]
        kept = self._completion.places(values, self._asked.value_prefix)
        return values[kept], counts[kept]


def _numbers(columns: Iterable[Any]) -> KindSummary:
    """Summarise numbers: how many, and from where to where."""
    summary = KindSummary()
    for column in columns:
        raw = _raw(column)
        if raw is None:
            summary.count += int(np.count_nonzero(column.codes))
            distinct = column.values
        else:
            distinct = raw[~np.isnan(raw)]
            summary.count += len(distinct)
        if len(distinct):
            summary.minimum = min(summary.minimum, float(distinct.min()))
            summary.maximum = max(summary.maximum, float(distinct.max()))
    return summary


def _raw(column: Column | NDArray[Any]) -> NDArray[Any] | None:
    """Return a column's values a row, where that is how it is held."""
    if isinstance(column, StringColumn) or (isinstance(column, NumberColumn) and column.values is not None):
        return None
    return column if isinstance(column, np.ndarray) else column.codes


def _counted(kind: Kind, column: Column | NDArray[Any]) -> Counted:
    """Count the strings, by their numbers, or bools (1, 2) of a column."""
    if isinstance(column, StringColumn):
        return column.values, column.sizes()
    raw = column if isinstance(column, np.ndarray) else column.codes
    values, counts = np.unique(raw, return_counts=True)
    kept = values != (MISSING if kind is Kind.STRING else 0)
    return values[kept].astype(np.uint32), counts[kept].astype(np.int64)


def _together(parts: Sequence[Counted]) -> Counted:
    """Add up counts: values ascending, each once."""
    if len(parts) == 1:
        return parts[0]
    values = np.concatenate([np.empty(0, np.uint32), *(values for values, _ in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(counts for _, counts in parts)])
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    return values[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def _largest(counts: NDArray[np.int64], limit: int) -> list[int]:
    """Return the places of the largest counts, the largest first; of equal ones those that came first."""
    if len(counts) > limit:
        least = np.partition(counts, len(counts) - limit)[len(counts) - limit]
        above = np.flatnonzero(counts > least)
        places = np.concatenate((above, np.flatnonzero(counts == least)[: limit - len(above)]))
    else:
        places = np.arange(len(counts))
    order: list[int] = places[np.lexsort((places, -counts[places]))].tolist()
    return order
