"""How are the events of one type reached? The access paths of parts, each giving the same customers.

    exists     who has an event: unions of day bitmaps where a key has them, else customers of rows
    counts     how many each customer has: customers of rows, counted

Rows come from a posting where the condition has a selective one, else from scanning the columns. Two tests
are an AND on rows, never on customers.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind
from libs.index import roaring
from libs.index.condition import Bound, BoundAll, BoundAny, BoundTest, mask
from libs.index.posting import Posting, cover
from libs.index.rows import Rows
from libs.index.segment import Segment

Part: TypeAlias = Segment | Rows
Selection: TypeAlias = slice | NDArray[Any]
GATHER_FACTOR = 8
"""Reading one row through an index costs about as much as scanning this many (measurements: 8 to 10)."""
BINCOUNT_SHARE = 8
"""With more rows than customers / this, counting into an array of all customers beats sorting."""
NO_ROWS = np.empty(0, np.uint32)


def exists(parts: Sequence[Part], condition: Bound | None, first: int, end: int) -> BitMap:
    """Return the customers with an event, first ≤ time < end, that satisfies a condition."""
    bitmaps: list[BitMap] = []
    pieces: list[NDArray[np.uint32]] = []
    for part in parts:
        posting = _single_posting(part, condition) if isinstance(part, Segment) else None
        if isinstance(part, Segment) and posting is not None:
            _cover_posting(part, posting, first, end, bitmaps, pieces)
        else:
            pieces.append(part.customer[select(part, condition, first, end)])
    found = [piece for piece in pieces if len(piece)]
    if found:
        bitmaps.append(roaring.from_values(np.concatenate(found)))
    return roaring.union(bitmaps)


def counts(
    parts: Sequence[Part], condition: Bound | None, first: int, end: int, customers: int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return who has events, first ≤ time < end, that satisfy a condition, ascending, and how many each.

    Customers are numbered below `customers`. Both arrays are (n,).
    """
    pieces = [part.customer[select(part, condition, first, end)] for part in parts]
    owners = np.concatenate(pieces) if pieces else NO_ROWS
    if len(owners) * BINCOUNT_SHARE > customers:
        totals = np.bincount(owners, minlength=customers)
        present = np.flatnonzero(totals)
        return present.astype(np.uint32), totals[present]
    owners = np.sort(owners)
    first_of = np.ones(len(owners), np.bool_)
    np.not_equal(owners[1:], owners[:-1], out=first_of[1:])
    starts = np.flatnonzero(first_of)
    return owners[starts], np.diff(starts, append=len(owners))


def select(part: Part, condition: Bound | None, first: int, end: int) -> Selection:
    """Return the rows of a part with first ≤ time < end that satisfy a condition."""
    if isinstance(part, Segment):
        return _select_segment(part, condition, part.row_at(first), part.row_at(end))
    inside = (part.time >= first) & (part.time < end)
    if condition is not None:
        inside &= mask(condition, lambda attribute, kind: part.columns.get((attribute, kind)), len(part))
    return np.flatnonzero(inside)


def _select_segment(segment: Segment, condition: Bound | None, first: int, end: int) -> Selection:
    span = slice(first, max(first, end))
    if condition is None or first >= end:
        return span
    rows = _candidates(segment, condition)
    if rows is not None:
        rows = _between(rows, first, end)
        if isinstance(condition, BoundTest):
            return rows
        if len(rows) * GATHER_FACTOR < end - first:
            return rows[_mask(segment, condition, rows, len(rows))]
    return np.flatnonzero(_mask(segment, condition, span, end - first)) + first


def _mask(segment: Segment, condition: Bound, where: Selection, rows: int) -> NDArray[np.bool_]:
    def column(attribute: int, kind: Kind) -> NDArray[Any] | None:
        values = segment.columns.get((attribute, kind))
        return None if values is None else values[where]

    return mask(condition, column, rows)


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
    first_day = int(np.searchsorted(segment.day_starts, first))
    end_day = int(np.searchsorted(segment.day_starts, end, side="right")) - 1
    last_day = len(segment.day_starts) - 1
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
