"""Who has events that satisfy a condition in a span of time, and how many? Carries out what the planner chose.

    exists     who has one: bitmaps united, customers of rows marked
    counted    who has so many: running counts and counts of rows, added over parts, then compared
    counts     how many each of some given customers has, from their rows alone

Two tests of one event are an AND on rows, never on customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import planner, roaring
from libs.index.columns import Selection
from libs.index.condition import Bound, BoundAll, BoundTest, Mask, PlainColumns, mask
from libs.index.planner import CUSTOMER_NS, NO_ROWS, Part, Path, Step, between, candidates_of, width
from libs.index.rows import Rows
from libs.index.seal import BIN_LEVELS
from libs.index.segment import NUMBER_NAME, STRING_NAME, KeyName, Segment, SegmentColumns
from libs.index.tally import TOP, Totals

NARROW_SHARE = 8
"""Once fewer than 1 / this of a window's rows are left, only those are tested further."""
SPARSE_SHARE = 12
"""With fewer than 1 / this of a mask true, it is read in words of eight places."""
SORT_SHARE = 256
"""With fewer rows than customers / this, sorting them beats marking them in an array of all customers."""

Wanted = tuple[int, int | None]
"""The least and the greatest number of events; None: no greatest."""


@dataclass(frozen=True, slots=True)
class Question:
    """Events of one type, in parts, with first ≤ time < end (ms), that satisfy a condition.

    Customers are numbered below `customers`. `used` collects the paths taken; `only` has that one taken wherever
    it is possible.
    """

    parts: Sequence[Part]
    condition: Bound | None
    first: int
    end: int
    customers: int
    used: set[Path] = field(default_factory=set)
    only: Path | None = None

    def steps(self, allowed: frozenset[Path]) -> list[Step]:
        """Plan it, for what bitmaps, running counts or neither can answer."""
        return planner.steps(self.parts, self.condition, self.first, self.end, allowed, self.only)


def exists(question: Question, steps: Sequence[Step]) -> BitMap:
    """Return the customers with an event, by the steps planned."""
    bitmaps: list[BitMap] = []
    pieces: list[NDArray[np.uint32]] = []
    for step in steps:
        question.used.add(step.path)
        if step.path is Path.BITMAPS and isinstance(step.part, Segment):
            _unite(step.part, step, question, bitmaps, pieces)
        else:
            pieces.append(owners_of(step, question))
    found = [piece for piece in pieces if len(piece)]
    rows = sum(map(len, found))
    if rows * SORT_SHARE > question.customers:
        hit = np.zeros(question.customers, np.bool_)
        for piece in found:
            hit[piece] = True
        bitmaps.append(roaring.from_mask(hit))
    elif rows:
        bitmaps.append(roaring.from_values(np.concatenate(found)))
    return roaring.union(bitmaps)


def counted(question: Question, steps: Sequence[Step], wanted: Wanted) -> BitMap:
    """Return who has from `wanted[0]` ≥ 1 to `wanted[1]` events, by the steps planned."""
    totals: Totals | None = None
    pieces: list[NDArray[np.uint32]] = []
    exact = not counts_answer(wanted)
    for step in steps:
        question.used.add(step.path)
        segment = step.part if isinstance(step.part, Segment) else None
        if segment is not None and step.path is Path.COUNTS:
            totals = totals or Totals(question.customers)
            for name in step.keys:
                _add_key(segment, name, step, totals)
            continue
        owners = owners_of(step, question)
        if segment is not None and not exact and len(owners) * SORT_SHARE > question.customers:
            totals = totals or Totals(question.customers)
            totals.add_rows(owners, segment.heavy)
        else:
            pieces.append(owners)
    owners = np.concatenate(pieces) if pieces else NO_ROWS
    if totals is not None:
        totals.add_rows(owners, None)
        return roaring.from_mask(fits(totals.counts, wanted))
    if len(owners) * SORT_SHARE > question.customers:
        return roaring.from_mask(fits(np.bincount(owners, minlength=question.customers), wanted))
    owners = np.sort(owners)
    starts = np.flatnonzero(
        np.concatenate((np.ones(min(len(owners), 1), np.bool_), owners[1:] != owners[:-1]))
    )
    return roaring.from_sorted(owners[starts][fits(np.diff(starts, append=len(owners)), wanted)])


def counts_answer(wanted: Wanted) -> bool:
    """Say whether counts that stop at `TOP` can answer a question."""
    return max(wanted[0] - 1, wanted[1] or 0) < TOP


def fits(counts: NDArray[Any], wanted: Wanted) -> NDArray[np.bool_]:
    """Say which counts, (n,), are wanted, (n,) bool."""
    minimum, maximum = wanted
    found = np.asarray(counts >= minimum)
    if maximum is not None:
        found &= counts <= maximum
    return found


def counts(question: Question, among: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Count the events of some customers, ascending, (n,), each by his own rows: (n,) int64."""
    question.used.add(Path.CUSTOMERS)
    found = np.zeros(len(among), np.int64)
    for part in question.parts:
        if isinstance(part, Rows):
            places = _places_in_tail(part, question, among)
        elif part.last_time >= question.first and part.first_time < question.end:
            places, _ = rows_in_segment(part, question, among)
        else:
            continue
        found += np.bincount(places, minlength=len(among))
    return found


def fewer(question: Question, steps: Sequence[Step], among: BitMap) -> bool:
    """Say whether asking some customers alone costs less than the steps planned."""
    parts = max(len(question.parts), 1)
    return len(among) * CUSTOMER_NS * parts < sum(step.cost for step in steps)


def rows_in_segment(
    segment: Segment, question: Question, among: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return the events of some customers that satisfy, each (n,): the place of its customer, and its row."""
    places, rows = segment.rows_of(among)
    low, high = segment.row_at(question.first), segment.row_at(question.end)
    if low > 0 or high < len(segment):
        inside = np.flatnonzero((rows >= low) & (rows < high))
        places, rows = places[inside], rows[inside]
    if question.condition is not None and len(rows):
        passing = true_places(mask(question.condition, SegmentColumns(segment, rows, len(rows))))
        places, rows = places[passing], rows[passing]
    return places, rows


def _places_in_tail(part: Rows, question: Question, among: NDArray[np.uint32]) -> NDArray[np.int64]:
    if len(among) == 1:
        rows = np.flatnonzero(part.customer == among[0])
        found = part.take(rows)
        return np.zeros(len(tail_rows(found, question)), np.int64)
    owners = part.customer[tail_rows(part, question)]
    places = np.searchsorted(among, owners)
    places[places == len(among)] = 0
    return places[among[places] == owners] if len(among) else places[:0]


def _add_key(segment: Segment, name: KeyName, step: Step, totals: Totals) -> None:
    key = segment.key(name)
    if key is None or key.tally is None:
        totals.add_rows(owners_of_key(segment, name, step.first, step.end), segment.heavy)
        return
    counts = key.tally.between(
        lambda first, end: owners_of_key(segment, name, first, end), step.first, step.end
    )
    totals.add(counts, key.tally.most)


def _unite(
    segment: Segment, step: Step, question: Question, bitmaps: list[BitMap], pieces: list[NDArray[np.uint32]]
) -> None:
    """Add the customers of a step's keys: whole days by their nodes, the days at the ends by rows."""
    days = segment.days
    first_day, last_day = days.inside(question.first, question.end)
    if any(len(name) > STRING_NAME for name in step.keys):
        first_day, last_day = days.aligned(first_day, last_day, BIN_LEVELS[0])
    if first_day >= last_day:
        pieces.append(_owners_between(segment, step, question.condition, step.first, step.end))
        return
    inner = days.rows[first_day], days.rows[last_day]
    for first, end in ((step.first, inner[0]), (inner[1], step.end)):
        if first < end:
            pieces.append(_owners_between(segment, step, question.condition, first, end))
    for name in step.keys:
        key = segment.key(name)
        spans = [inner]
        if key is not None:
            found, spans = key.nodes.cover(days, first_day, last_day)
            bitmaps += found
        pieces += [owners_of_key(segment, name, first, end) for first, end in spans]


def _owners_between(
    segment: Segment, step: Step, condition: Bound | None, first: int, end: int
) -> NDArray[np.uint32]:
    """Return the customers of the events of a step's keys in some rows: by their keys, or once by the condition."""
    if condition is None or len(step.keys) <= 1:
        owners = [owners_of_key(segment, name, first, end) for name in step.keys]
        return owners[0] if owners else NO_ROWS
    return _scan(segment, condition, first, end)


def owners_of_key(segment: Segment, name: KeyName, first: int, end: int) -> NDArray[np.uint32]:
    """Return the customers of a key's events in the rows first … end − 1, one an event."""
    if not name:
        return segment.customer[first:end]
    if len(name) == NUMBER_NAME:
        numbers = segment.numbers(name[0])
        assert numbers is not None
        return segment.customer[first:end][true_places(numbers.within((name[1], name[2]), slice(first, end)))]
    strings = segment.strings(name[0])
    assert strings is not None
    chosen = between(strings.rows_of(name[1]), first, end)
    if len(name) > STRING_NAME:
        numbers = segment.numbers(name[2])
        assert numbers is not None
        interval = name[3], name[4]
        if len(chosen) * NARROW_SHARE > end - first:  # then reading all in order beats gathering some
            passing = numbers.within(interval, slice(first, end))
            passing &= strings.codes[first:end] == strings.codes.dtype.type(name[1])
            return segment.customer[first:end][true_places(passing)]
        chosen = chosen[true_places(numbers.within(interval, chosen))]
    return segment.customer[chosen]


def owners_of(step: Step, question: Question) -> NDArray[np.uint32]:
    """Return the customers of a part's events that satisfy, one an event."""
    part, condition = step.part, question.condition
    if isinstance(part, Rows):
        return part.customer[tail_rows(part, question)]
    if condition is None:
        return part.customer[step.first : step.end]
    if step.path is Path.POSTINGS:
        return part.customer[_posted(part, condition, step)]
    return _scan(part, condition, step.first, step.end)


def rows_of(step: Step, question: Question) -> Selection:
    """Return the rows of a part's events that satisfy: a slice where all of the step's do, or (n,) numbers."""
    part, condition = step.part, question.condition
    if isinstance(part, Rows):
        return tail_rows(part, question)
    if condition is None:
        return slice(step.first, step.end)
    if step.path is Path.POSTINGS:
        return _posted(part, condition, step)
    return _scanned(part, condition, step.first, step.end) + step.first


def _posted(segment: Segment, condition: Bound, step: Step) -> NDArray[np.uint32]:
    rows = candidates_of(segment, condition, step.first, step.end)
    if isinstance(condition, BoundTest):
        return rows
    return rows[true_places(mask(condition, SegmentColumns(segment, rows, len(rows))))]


def tail_rows(part: Rows, question: Question) -> NDArray[np.int64]:
    """Return the rows of a part that is not sealed that satisfy, (n,)."""
    inside = (part.time >= question.first) & (part.time < question.end)
    if question.condition is not None:
        columns = PlainColumns(len(part), lambda attribute, kind: part.columns.get((attribute, kind)))
        inside &= mask(question.condition, columns)
    return np.flatnonzero(inside)


def _scan(segment: Segment, condition: Bound, first: int, end: int) -> NDArray[np.uint32]:
    """Return the customers of the rows first … end − 1 that pass, one a row."""
    return segment.customer[first:end][_scanned(segment, condition, first, end)]


def _scanned(segment: Segment, condition: Bound, first: int, end: int) -> NDArray[np.int64]:
    """Return the rows first … end − 1 that pass, counted from `first`: the narrowest columns are read first."""
    tests = condition.conditions if isinstance(condition, BoundAll) else (condition,)
    tests = tuple(sorted(tests, key=lambda test: width(segment, test)))
    passing = np.ones(end - first, np.bool_)
    for place, test in enumerate(tests):
        passing &= mask(test, SegmentColumns(segment, slice(first, end), end - first))
        if place + 1 < len(tests) and np.count_nonzero(passing) * NARROW_SHARE < end - first:
            places = true_places(passing)
            for later in tests[place + 1 :]:
                columns = SegmentColumns(segment, places + first, len(places))
                places = places[true_places(mask(later, columns))]
            return places
    return true_places(passing)  # a random mask costs twice as much


def true_places(passing: Mask) -> NDArray[np.int64]:
    """Return where a mask, (n,) bool and contiguous, is true, ascending.

    Where it seldom is, eight places are looked at together first, which takes a fraction of the time.
    """
    if np.count_nonzero(passing) * SPARSE_SHARE > len(passing):
        return np.flatnonzero(passing)
    whole = len(passing) // 8 * 8
    words = passing[:whole].view(np.uint64)
    filled = np.flatnonzero(words != 0)
    inner = np.flatnonzero(words[filled].view(np.bool_))
    found = (filled[inner >> 3] << 3) + (inner & 7)
    return np.concatenate((found, np.flatnonzero(passing[whole:]) + whole))
