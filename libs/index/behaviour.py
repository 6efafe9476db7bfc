"""What did customers do, event by event? Gathers the events that satisfy, where sets of customers do not suffice.

    gather      the events of a question, of everybody or of some customers
    earliest    of each customer's, only the first
    figured     who has so many of them, with a figure that is accepted
    in_order    who has events of several questions, one behind the other

Events stay where they are: a `Gathered` is rows of parts, and a column is read when it is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind
from libs.index import access, figures, roaring
from libs.index.access import SORT_SHARE, Question, Wanted, fits
from libs.index.calendar import Calendar
from libs.index.columns import Selection
from libs.index.condition import MISSING, Mask, NumberRange
from libs.index.plan import Figure
from libs.index.planner import NEITHER, Part, Path
from libs.index.rows import DTYPES, EMPTY, Rows

KEY_BITS = 64
Done = tuple[NDArray[np.uint32], NDArray[np.int64]]
"""Events: whose, and when (ms), each (n,)."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Events: rows of parts, as slices or row numbers, in no order that matters. Arrays of it are (n,)."""

    pieces: tuple[tuple[Part, Selection], ...]

    def owners(self) -> NDArray[np.uint32]:
        """Return whose they are."""
        return _joined([part.customer[rows] for part, rows in self.pieces], np.uint32)

    def times(self) -> NDArray[np.int64]:
        """Return when they were, ms."""
        found = [
            part.time[rows] if isinstance(part, Rows) else part.times(rows) for part, rows in self.pieces
        ]
        return _joined(found, np.int64)

    def arrivals(self) -> NDArray[np.uint32]:
        """Return their log rows."""
        return _joined([part.arrival[rows] for part, rows in self.pieces], np.uint32)

    def values(self, attribute: int | None, kind: Kind) -> NDArray[Any] | None:
        """Return their values of a kind, as `Rows` has them; None where no part has any."""
        found, known = [], False
        for part, rows in self.pieces:
            column = None if attribute is None else part.columns.get((attribute, kind))
            known |= column is not None
            if column is None:
                found.append(np.full(_length(rows), EMPTY[kind], DTYPES[kind]))
            else:
                found.append(column[rows] if isinstance(column, np.ndarray) else column.decoded(rows))
        return _joined(found, DTYPES[kind]) if known else None

    def kept(self, passing: Mask) -> "Gathered":
        """Return those where a mask, (n,), is true."""
        pieces, start = [], 0
        for part, rows in self.pieces:
            end = start + _length(rows)
            places = np.flatnonzero(passing[start:end])
            pieces.append((part, places + rows.start if isinstance(rows, slice) else rows[places]))
            start = end
        return Gathered(tuple(pieces))


def gather(question: Question, among: BitMap | None, *, alone: bool = False) -> Gathered:
    """Return the events of a question; with `among`, only those of these customers.

    They are read from the customers' own rows where that is cheaper, or `alone` asks for it.
    """
    steps = [] if alone else question.steps(NEITHER)
    if not alone and among is not None and question.only is None:
        alone = access.fewer(question, steps, among)
    if among is not None and alone:
        return _of_customers(question, roaring.to_array(among))
    question.used.update(step.path for step in steps)
    found = Gathered(tuple((step.part, access.rows_of(step, question)) for step in steps))
    if among is None:
        return found
    wanted = np.zeros(question.customers, np.bool_)
    wanted[roaring.to_array(among)] = True
    return found.kept(wanted[found.owners()])


def _of_customers(question: Question, customers: NDArray[np.uint32]) -> Gathered:
    question.used.add(Path.CUSTOMERS)
    pieces: list[tuple[Part, Selection]] = []
    for part in question.parts:
        if isinstance(part, Rows):
            rows = access.tail_rows(part, question)
            pieces.append((part, rows[_among(customers, part.customer[rows])]))
        elif part.last_time >= question.first and part.first_time < question.end:
            pieces.append((part, access.rows_in_segment(part, question, customers)[1]))
    return Gathered(tuple(pieces))


def _among(customers: NDArray[np.uint32], owners: NDArray[np.uint32]) -> Mask:
    if not len(customers):
        return np.zeros(len(owners), np.bool_)
    places = np.minimum(np.searchsorted(customers, owners), len(customers) - 1)
    return np.asarray(customers[places] == owners)


def earliest(events: Gathered, customers: int) -> Gathered:
    """Keep each customer's first event: the one with the least time, of several the first to arrive."""
    _, places, size = _places(events.owners(), customers)
    times = events.times()
    least = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(least, places, times)
    first = np.flatnonzero(times == least[places])
    arrivals = events.arrivals()
    soonest = np.full(size, np.iinfo(np.uint32).max, np.uint32)
    np.minimum.at(soonest, places[first], arrivals[first])
    kept = np.zeros(len(times), np.bool_)
    kept[first] = arrivals[first] == soonest[places[first]]
    return events.kept(kept)


def figured(
    events: Gathered,
    wanted: Wanted,
    figure: Figure,
    attribute: int | None,
    accepts: NumberRange,
    customers: int,
    calendar: Calendar,
) -> BitMap:
    """Return who, of `customers`, has `wanted` events of these, with a figure over them that is accepted."""
    owners, places, size = _places(events.owners(), customers)
    found = fits(np.bincount(places, minlength=size), wanted)
    if figure is Figure.ACTIVE_DAYS:
        days = calendar.days(events.times())
        codes = days - days.min(initial=0)
        found &= figures.counts_accepted(accepts, figures.distinct(places, codes, size))
    elif figure is Figure.DISTINCT:
        found &= figures.counts_accepted(accepts, _distinct_values(events, attribute, places, size))
    else:
        numbers = events.values(attribute, Kind.NUMBER)
        if numbers is None:
            return BitMap()
        there = ~np.isnan(numbers)
        if not there.all():
            places, numbers = places[there], numbers[there]
        if figure in (Figure.SUM, Figure.AVERAGE):
            found &= figures.sums_accepted(accepts, places, numbers, size, figure is Figure.AVERAGE)
        else:
            found &= figures.extremes_accepted(accepts, places, numbers, size, figure is Figure.MAXIMUM)
    return roaring.from_sorted(owners[found])


def _distinct_values(
    events: Gathered, attribute: int | None, places: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Count each place's different values, (size,): those of two kinds are never equal."""
    counts = np.zeros(size, np.int64)
    for kind in Kind:
        values = events.values(attribute, kind)
        if values is None:
            continue
        if kind is Kind.NUMBER:
            there = ~np.isnan(values)
            codes = np.unique(values[there], return_inverse=True)[1]
        else:
            there = values != (MISSING if kind is Kind.STRING else 0)
            codes = values[there]
        counts += figures.distinct(places[there], codes, size)
    return counts


def _places(owners: NDArray[np.uint32], customers: int) -> tuple[NDArray[np.uint32], NDArray[np.int64], int]:
    """Number the customers of events from 0: who they are, ascending, the number at each event, how many."""
    if len(owners) * SORT_SHARE <= customers:
        known, numbers = np.unique(owners, return_inverse=True)
        return known, numbers.astype(np.int64), len(known)
    hit = np.zeros(customers, np.bool_)
    hit[owners] = True
    known = np.flatnonzero(hit).astype(np.uint32)
    ranks = np.empty(customers, np.int64)
    ranks[known] = np.arange(len(known))
    return known, ranks[owners], len(known)


def in_order(steps: Sequence[Done], within: int | None) -> BitMap:
    """Return who has an event of each step, strictly one behind the other, the last `within` ms of the first.

    An event is (customer, time) in one number, so that the next one is found by bisection, for all at once. From
    each first event the earliest way on is taken; of those that meet, only the last to start can matter.
    """
    keys, bits, instants = _keys(steps)
    shift, low = np.uint64(bits), np.uint64((1 << bits) - 1)
    current = keys[0]
    if within is None and len(current):  # the earliest way of all is the one
        whose = current >> shift
        current = current[np.concatenate(([True], whose[1:] != whose[:-1]))]
    start = current
    for later in keys[1:]:
        if not (len(later) and len(current)):
            return BitMap()
        places = np.searchsorted(later, current, "right")
        reached = later[np.minimum(places, len(later) - 1)]
        kept = (places < len(later)) & ((reached >> shift) == (current >> shift))
        current, start = reached[kept], start[kept]
        if within is not None:
            taken = _instants(current & low, instants) - _instants(start & low, instants)
            kept = taken <= within
            kept[:-1] &= current[1:] != current[:-1]
            current, start = current[kept], start[kept]
    return roaring.from_values((current >> shift).astype(np.uint32))


def _keys(steps: Sequence[Done]) -> tuple[list[NDArray[np.uint64]], int, NDArray[np.int64] | None]:
    """Return each step's events as customer << bits | time, ascending and distinct, and how many bits.

    Times count from the first one; where that does not fit, they are places in the array returned beside.
    """
    times = [time for _, time in steps]
    first = min((int(time.min()) for time in times if len(time)), default=0)
    last = max((int(time.max()) for time in times if len(time)), default=0)
    most = max((int(owners.max()) for owners, _ in steps if len(owners)), default=0)
    bits, instants = (last - first).bit_length(), None
    moved = [time - first for time in times]
    if bits + most.bit_length() > KEY_BITS:
        instants = np.unique(np.concatenate(times))
        bits = len(instants).bit_length()
        moved = [np.searchsorted(instants, time) for time in times]
    keys = [
        np.sort(owners.astype(np.uint64) << np.uint64(bits) | numbers.astype(np.uint64))
        for (owners, _), numbers in zip(steps, moved, strict=True)
    ]
    return [_distinct(each) for each in keys], bits, instants


def _instants(numbers: NDArray[np.uint64], instants: NDArray[np.int64] | None) -> NDArray[np.int64]:
    plain = numbers.astype(np.int64)
    return plain if instants is None else instants[plain]


def _distinct(ordered: NDArray[np.uint64]) -> NDArray[np.uint64]:
    fresh = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    return ordered[fresh]


def _length(rows: Selection) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _joined(pieces: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)
