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
from libs.index import access, figures, kernels, roaring
from libs.index.access import Question
from libs.index.calendar import Calendar
from libs.index.columns import Selection
from libs.index.condition import MISSING, Mask, NumberRange
from libs.index.plan import Figure
from libs.index.planner import NEITHER, Part, Path
from libs.index.rows import DTYPES, EMPTY, Rows
from libs.index.sinks import SORT_SHARE, Wanted, fits, true_places

STEP_BITS = 3
"""Enough for the steps of a sequence."""
FOREVER = np.iinfo(np.int64).max
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

    def days(self, calendar: Calendar) -> NDArray[np.int64]:
        """Return on which days they were."""
        found = [
            calendar.days(part.time[rows]) if isinstance(part, Rows) else part.days.of(rows)
            for part, rows in self.pieces
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

    def at(self, places: NDArray[np.int64]) -> "Gathered":
        """Return those at some places, ascending, (m,)."""
        pieces, start = [], 0
        for part, rows in self.pieces:
            end = start + _length(rows)
            first, last = np.searchsorted(places, (start, end))
            mine = places[first:last] - start
            pieces.append((part, mine + rows.start if isinstance(rows, slice) else rows[mine]))
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
    owners = found.owners()
    places = np.empty(len(owners) + 1, np.int64)
    return found.at(places[: kernels.select(wanted, owners, places)])


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
    _, places, size = _numbered(events.owners(), customers)
    found = np.zeros(size, np.int64)
    least, soonest = np.full(size, FOREVER), np.full(size, np.iinfo(np.uint32).max, np.uint32)
    kernels.find_first(places, events.times(), events.arrivals(), least, soonest, found)
    return events.at(np.sort(found[least != FOREVER]))


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
    owners, places, size = _numbered(events.owners(), customers)
    found = np.ones(size, np.bool_)
    if wanted != (1, None):  # who has none satisfies no figure
        found = fits(np.bincount(places, minlength=size), wanted)
    if figure is Figure.ACTIVE_DAYS:
        days = events.days(calendar)
        found &= figures.counts_accepted(accepts, figures.distinct(places, days - days.min(initial=0), size))
    elif figure is Figure.DISTINCT:
        found &= figures.counts_accepted(accepts, _distinct_values(events, attribute, places, size))
    else:
        numbers = events.values(attribute, Kind.NUMBER)
        if numbers is None:
            return BitMap()
        if figure in (Figure.SUM, Figure.AVERAGE):
            found &= figures.sums_accepted(accepts, places, numbers, size, figure is Figure.AVERAGE)
        else:
            found &= figures.extremes_accepted(accepts, places, numbers, size, figure is Figure.MAXIMUM)
    return roaring.from_values(owners[found])


def _distinct_values(
    events: Gathered, attribute: int | None, places: NDArray[np.uint32], size: int
) -> NDArray[np.int64]:
    """Count each place's different values, (size,): those of two kinds are never equal."""
    counts = np.zeros(size, np.int64)
    for kind in Kind:
        values = events.values(attribute, kind)
        if values is None:
            continue
        if kind is Kind.NUMBER:
            there = ~np.isnan(values)
            values = np.unique(values[there], return_inverse=True)[1]
        else:
            there = values != (MISSING if kind is Kind.STRING else 0)
            values = values if there.all() else values[there]
        mine = places if there.all() else places[there]
        counts += figures.distinct(mine, values, size)
    return counts


def _numbered(
    owners: NDArray[np.uint32], customers: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], int]:
    """Number customers from 0: who they are, the number at each event, how many there are.

    There may be some without an event.
    """
    if len(owners) * SORT_SHARE <= customers:
        known, numbers = np.unique(owners, return_inverse=True)
        return known, numbers.astype(np.uint32), len(known)
    if len(owners) > customers:  # nearly everybody may be there
        return np.arange(customers, dtype=np.uint32), owners, customers
    known, places = np.empty_like(owners), np.empty_like(owners)
    size = kernels.number(owners, np.zeros(customers, np.uint32), known, places)
    return known[:size], places, size


def in_order(steps: Sequence[Done], within: int | None, customers: int) -> BitMap:
    """Return who, of `customers`, has an event of each step, strictly one behind the other, the last `within` ms
    of the first.

    All events are laid in order of time; a stable sort merges the runs in which they come. At one time later steps
    come first, so that none follows an event of its own time.
    """
    last = len(steps) - 1
    keys = np.concatenate([time << STEP_BITS | (last - step) for step, (_, time) in enumerate(steps)])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    owners, places, size = _numbered(np.concatenate([owners for owners, _ in steps])[order], customers)
    reached = (last - (keys & ((1 << STEP_BITS) - 1))).astype(np.uint8)
    done = np.zeros(size, np.uint8)
    starts = np.full((size, len(steps)), -1)
    kernels.follow(keys >> STEP_BITS, reached, places, starts, FOREVER if within is None else within, done)
    return roaring.from_values(owners[true_places(done.view(np.bool_))])


def _length(rows: Selection) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _joined(pieces: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)
