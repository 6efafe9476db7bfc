"""Who has events that satisfy a condition in a span of time, and how many? Carries out what the planner chose.

    exists     who has one: bitmaps united, customers of rows marked
    counted    who has so many: running counts and counts of rows, added over parts, then compared
    rows_of    the rows that satisfy
    counts     how many each of some given customers has, from their rows alone

Two tests of one event are an AND on rows, never on customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import planner
from libs.index.columns import Selection
from libs.index.condition import Bound, BoundAll, BoundTest, Mask, PlainColumns, mask
from libs.index.planner import CUSTOMER_NS, Part, Path, Step, between, candidates_of, width
from libs.index.rows import Rows
from libs.index.seal import BIN_LEVELS
from libs.index.segment import NUMBER_NAME, STRING_NAME, KeyName, Segment, SegmentColumns
from libs.index.sinks import Listed, Marked, Sink, Totals, Wanted, counts_answer, true_places

NARROW_SHARE = 8
"""Once fewer than 1 / this of a window's rows are left, only those are tested further."""


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
    found = Marked(question.customers)
    for step in steps:
        question.used.add(step.path)
        if step.path is Path.BITMAPS and isinstance(step.part, Segment):
            _unite(step.part, step, question, found)
        else:
            collect(step, question, found)
    return found.bitmap()


def counted(question: Question, steps: Sequence[Step], wanted: Wanted) -> BitMap:
    """Return who has from `wanted[0]` ≥ 1 to `wanted[1]` events, by the steps planned."""
    found = Totals(question.customers, exact=not counts_answer(wanted))
    for step in steps:
        question.used.add(step.path)
        if step.path is Path.COUNTS and isinstance(step.part, Segment):
            for name in step.keys:
                _add_key(step.part, name, step, found)
        else:
            collect(step, question, found)
    return found.satisfying(wanted)


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


def _add_key(segment: Segment, name: KeyName, step: Step, found: Totals) -> None:
    key = segment.key(name)
    if key is None or key.tally is None:
        collect_key(segment, name, step.first, step.end, found)
        return

    def owners(first: int, end: int) -> NDArray[np.uint32]:
        listed = Listed()
        collect_key(segment, name, first, end, listed)
        return listed.joined()

    found.add_counts(key.tally.between(owners, step.first, step.end), key.tally.most)


def _unite(segment: Segment, step: Step, question: Question, found: Marked) -> None:
    """Add the customers of a step's keys: whole days by their nodes, the days at the ends by rows."""
    days = segment.days
    first_day, last_day = days.inside(question.first, question.end)
    if any(len(name) > STRING_NAME for name in step.keys):
        first_day, last_day = days.aligned(first_day, last_day, BIN_LEVELS[0])
    if first_day >= last_day:
        _collect_between(segment, step, question.condition, step.first, step.end, found)
        return
    inner = days.rows[first_day], days.rows[last_day]
    for first, end in ((step.first, inner[0]), (inner[1], step.end)):
        if first < end:
            _collect_between(segment, step, question.condition, first, end, found)
    for name in step.keys:
        key = segment.key(name)
        spans = [inner]
        if key is not None:
            nodes, spans = key.nodes.cover(days, first_day, last_day)
            found.unite(nodes)
        for first, end in spans:
            collect_key(segment, name, first, end, found)


def _collect_between(
    segment: Segment, step: Step, condition: Bound | None, first: int, end: int, found: Sink
) -> None:
    """Collect the events of a step's keys in some rows: by their keys, or once by the condition."""
    if condition is None or len(step.keys) <= 1:
        for name in step.keys:
            collect_key(segment, name, first, end, found)
    else:
        _collect_passing(segment, condition, first, end, found)


def collect_key(segment: Segment, name: KeyName, first: int, end: int, found: Sink) -> None:
    """Collect the customers of a key's events in the rows first … end − 1."""
    owners = segment.customer[first:end]
    if not name:
        found.add(owners)
        return
    if len(name) == NUMBER_NAME:
        numbers = segment.numbers(name[0])
        assert numbers is not None
        found.where(numbers.within((name[1], name[2]), slice(first, end)), owners)
        return
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
            found.where(passing, owners)
            return
        chosen = chosen[true_places(numbers.within(interval, chosen))]
    found.add(segment.customer[chosen])


def collect(step: Step, question: Question, found: Sink) -> None:
    """Collect the customers of a part's events that satisfy."""
    part, condition = step.part, question.condition
    if isinstance(part, Rows):
        found.add(part.customer[tail_rows(part, question)])
    elif condition is None:
        found.add(part.customer[step.first : step.end])
    elif step.path is Path.POSTINGS:
        found.add(part.customer[_posted(part, condition, step)])
    else:
        _collect_passing(part, condition, step.first, step.end, found)


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


def _collect_passing(segment: Segment, condition: Bound, first: int, end: int, found: Sink) -> None:
    """Collect the customers of the rows first … end − 1 that pass."""
    passing, places = _tested(segment, condition, first, end)
    owners = segment.customer[first:end]
    if places is None:
        found.where(passing, owners)
    else:
        found.add(owners[places])


def _scanned(segment: Segment, condition: Bound, first: int, end: int) -> NDArray[np.int64]:
    """Return the rows first … end − 1 that pass, counted from `first`."""
    passing, places = _tested(segment, condition, first, end)
    return true_places(passing) if places is None else places


def _tested(
    segment: Segment, condition: Bound, first: int, end: int
) -> tuple[Mask, NDArray[np.int64] | None]:
    """Test the rows first … end − 1, the narrowest columns first.

    Returns which pass, or, where few were left on the way, the places of those that do, counted from `first`.
    """
    if not isinstance(condition, BoundAll):
        return mask(condition, SegmentColumns(segment, slice(first, end), end - first)), None
    passing = np.ones(0, np.bool_)
    tests = sorted(condition.conditions, key=lambda test: width(segment, test))
    for place, test in enumerate(tests):
        found = mask(test, SegmentColumns(segment, slice(first, end), end - first))
        passing = np.logical_and(passing, found, out=found) if place else found
        if place + 1 < len(tests) and np.count_nonzero(passing) * NARROW_SHARE < end - first:
            places = true_places(passing)
            for later in tests[place + 1 :]:
                columns = SegmentColumns(segment, places + first, len(places))
                places = places[true_places(mask(later, columns))]
            return passing, places
    return passing, None
