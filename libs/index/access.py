"""How are the events of one type reached? The access paths of parts, each giving the same customers.

    exists     who has an event: unions of day bitmaps where a key has them, else customers of rows
    counted    who has so many: differences of running counts where a segment has them, else rows counted

Rows come from a posting where the condition has a selective one, else from scanning the columns. Two tests
are an AND on rows, never on customers.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import roaring
from libs.index.condition import Bound, BoundAll, BoundAny, BoundTest, PlainColumns, mask
from libs.index.posting import Posting, cover
from libs.index.rows import Rows
from libs.index.segment import Segment, SegmentColumns
from libs.index.tally import TOP, Totals

Part: TypeAlias = Segment | Rows
Selection: TypeAlias = slice | NDArray[Any]
GATHER_FACTOR = 8
"""Reading a number through a row's index costs about as much as scanning this many."""
POSTING_FACTOR = 32
"""The same for a string, which is scanned as a byte or two."""
SCATTER_SHARE = 16
"""With more rows than customers / this, marking them in an array of all customers beats sorting."""
BINCOUNT_SHARE = 8
"""With more rows than customers / this, counting into an array of all customers beats sorting."""
NO_ROWS = np.empty(0, np.uint32)


def exists(parts: Sequence[Part], condition: Bound | None, first: int, end: int, customers: int) -> BitMap:
    """Return the customers, numbered below `customers`, with an event, first ≤ time < end, that satisfies."""
    bitmaps: list[BitMap] = []
    pieces: list[NDArray[np.uint32]] = []
    for part in _within(parts, first, end):
        posting = _single_posting(part, condition) if isinstance(part, Segment) else None
        if isinstance(part, Segment) and posting is not None:
            _cover_posting(part, posting, first, end, bitmaps, pieces)
        else:
            pieces.append(owners_of(part, condition, first, end))
    found = [piece for piece in pieces if len(piece)]
    if found:
        owners = np.concatenate(found)
        if len(owners) * SCATTER_SHARE > customers:
            hit = np.zeros(customers, np.bool_)
            hit[owners] = True
            bitmaps.append(roaring.from_mask(hit))
        else:
            bitmaps.append(roaring.from_values(owners))
    return roaring.union(bitmaps)


def counted(
    parts: Sequence[Part],
    condition: Bound | None,
    first: int,
    end: int,
    wanted: tuple[int, int | None],
    customers: int,
) -> BitMap:
    """Return who, numbered below `customers`, has from `wanted[0]` ≥ 1 to `wanted[1]` events that satisfy."""
    inside = list(_within(parts, first, end))
    tallies = [part.tally for part in inside if isinstance(part, Segment) and part.tally]
    if condition is None and tallies and max(wanted[0] - 1, wanted[1] or 0) < TOP:
        return _by_tallies(inside, first, end, wanted, customers)
    pieces = [owners_of(part, condition, first, end) for part in inside]
    owners = np.concatenate(pieces) if pieces else NO_ROWS
    if len(owners) * BINCOUNT_SHARE > customers:
        return roaring.from_mask(_fits(np.bincount(owners, minlength=customers), wanted))
    owners = np.sort(owners)
    first_of = np.ones(len(owners), np.bool_)
    np.not_equal(owners[1:], owners[:-1], out=first_of[1:])
    starts = np.flatnonzero(first_of)
    return roaring.from_sorted(owners[starts][_fits(np.diff(starts, append=len(owners)), wanted)])


def _by_tallies(
    parts: Sequence[Part], first: int, end: int, wanted: tuple[int, int | None], customers: int
) -> BitMap:
    """Count all events of parts, some of which have a tally, up to 255 a customer, which `wanted` lies below."""
    totals = Totals(customers)
    for part in parts:
        if isinstance(part, Segment) and part.tally:
            counts = part.tally.between(part.customer, part.row_at(first), part.row_at(end))
            totals.add(counts, part.tally.most)
        else:
            totals.add_rows(owners_of(part, None, first, end))
    return roaring.from_mask(_fits(totals.counts, wanted))


def _fits(counts: NDArray[Any], wanted: tuple[int, int | None]) -> NDArray[np.bool_]:
    minimum, maximum = wanted
    fits = np.asarray(counts >= minimum)
    if maximum is not None:
        fits &= counts <= maximum
    return fits


def _within(parts: Sequence[Part], first: int, end: int) -> Iterator[Part]:
    """Yield the parts that may have events with first ≤ time < end."""
    for part in parts:
        if not isinstance(part, Segment) or (part.last_time >= first and part.first_time < end):
            yield part


def owners_of(part: Part, condition: Bound | None, first: int, end: int) -> NDArray[np.uint32]:
    """Return the customers of a part's events, first ≤ time < end, that satisfy a condition, one an event."""
    if isinstance(part, Segment):
        return _owners_in_segment(part, condition, part.row_at(first), part.row_at(end))
    inside = (part.time >= first) & (part.time < end)
    if condition is not None:
        columns = PlainColumns(len(part), lambda attribute, kind: part.columns.get((attribute, kind)))
        inside &= mask(condition, columns)
    return part.customer[np.flatnonzero(inside)]


def _owners_in_segment(segment: Segment, condition: Bound | None, first: int, end: int) -> NDArray[np.uint32]:
    if condition is None or first >= end:
        return segment.customer[first : max(first, end)]
    rows = _candidates(segment, condition)
    if rows is not None:
        rows = _between(rows, first, end)
        if isinstance(condition, BoundTest):
            return segment.customer[rows]
        if len(rows) * POSTING_FACTOR < end - first:
            return segment.customer[rows[mask(condition, SegmentColumns(segment, rows, len(rows)))]]
    tests = condition.conditions if isinstance(condition, BoundAll) else (condition,)
    return _narrow(segment, sorted(tests, key=_cost), first, end)


def _narrow(segment: Segment, tests: Sequence[Bound], first: int, end: int) -> NDArray[np.uint32]:
    """Return the customers of the rows first … end − 1 that pass every test, one a row.

    Once few rows are left, only those are tested further.
    """
    passing = np.ones(end - first, np.bool_)
    for place, test in enumerate(tests):
        passing &= mask(test, SegmentColumns(segment, slice(first, end), end - first))
        if np.count_nonzero(passing) * GATHER_FACTOR < end - first:
            rows = np.flatnonzero(passing) + first
            for later in tests[place + 1 :]:
                rows = rows[mask(later, SegmentColumns(segment, rows, len(rows)))]
            return segment.customer[rows]
    return segment.customer[first:end][np.flatnonzero(passing)]  # a random mask costs twice as much


def _cost(condition: Bound) -> int:
    """Return how much of a row a condition reads: strings stand in one or two bytes, numbers in eight."""
    return 1 if isinstance(condition, BoundTest) and condition.only_codes else 8


def _candidates(segment: Segment, condition: Bound) -> NDArray[np.uint32] | None:
    """Return rows, ascending, among which all that satisfy a condition are, or None where no posting says.

    For a test that postings answer, these rows are exactly the ones.
    """
    match condition:
        case BoundTest() if condition.only_codes:
            postings = None if condition.attribute is None else segment.postings.get(condition.attribute)
            if postings is None:
                return NO_ROWS
            found = [rows for code in condition.codes if (rows := postings.rows_of(code)) is not None]
            return found[0] if len(found) == 1 else np.sort(np.concatenate([NO_ROWS, *found]))
        case BoundAll(conditions):
            narrowed = [rows for each in conditions if (rows := _candidates(segment, each)) is not None]
            return min(narrowed, key=len, default=None)
        case BoundAny(conditions):
            each_rows = [_candidates(segment, each) for each in conditions]
            known = [each for each in each_rows if each is not None]
            return np.unique(np.concatenate([NO_ROWS, *known])) if len(known) == len(conditions) else None
    return None


def _single_posting(segment: Segment, condition: Bound | None) -> Posting | None:
    """Return the one posting whose rows are what a condition asks for, where there is such a one."""
    if condition is None:
        return segment.everything
    if isinstance(condition, BoundTest) and condition.only_codes and len(condition.codes) == 1:
        postings = None if condition.attribute is None else segment.postings.get(condition.attribute)
        posting = postings.find(condition.codes[0]) if postings else None
        return posting or Posting(NO_ROWS, {})
    return None


def _cover_posting(
    segment: Segment,
    posting: Posting,
    first: int,
    end: int,
    bitmaps: list[BitMap],
    pieces: list[NDArray[np.uint32]],
) -> None:
    """Add the customers of a posting with first ≤ time < end: whole days by their nodes, the rest by rows."""
    if not posting.nodes:
        rows = _rows_of(posting, segment.row_at(first), segment.row_at(end))
        pieces.append(segment.customer[rows])
        return
    last_day = len(segment.day_starts) - 1
    first_day = 0 if first <= segment.first_time else int(np.searchsorted(segment.day_starts, first))
    end_day = last_day
    if end <= segment.last_time:  # else nothing lies behind the window, and its last day counts as whole
        end_day = int(np.searchsorted(segment.day_starts, end, side="right")) - 1
    if end_day <= first_day:
        rows = _rows_of(posting, segment.row_at(first), segment.row_at(end))
        pieces.append(segment.customer[rows])
        return
    if first_day > 0:
        rows = _rows_of(posting, segment.row_at(first), int(segment.day_rows[first_day]))
        pieces.append(segment.customer[rows])
    if end_day < last_day:
        rows = _rows_of(posting, int(segment.day_rows[end_day]), segment.row_at(end))
        pieces.append(segment.customer[rows])
    for found in cover(posting.nodes, first_day, end_day):
        if isinstance(found, BitMap):
            bitmaps.append(found)
        else:
            day, behind = found
            rows = _rows_of(posting, int(segment.day_rows[day]), int(segment.day_rows[behind]))
            pieces.append(segment.customer[rows])


def _rows_of(posting: Posting, first: int, end: int) -> Selection:
    if posting.rows is None:
        return slice(first, max(first, end))
    return _between(posting.rows, first, end)


def _between(rows: NDArray[np.uint32], first: int, end: int) -> NDArray[np.uint32]:
    """Return those of ascending rows that are first … end − 1. Scalars keep the dtype: else numpy copies."""
    if first >= end:
        return NO_ROWS
    low = int(np.searchsorted(rows, np.uint32(first)))
    return rows[low : int(np.searchsorted(rows, np.uint32(end)))]
