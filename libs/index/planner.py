"""How are the events of one question reached, in each part? The one place that chooses, by what each way costs.

    bitmaps            whole days of a key as customer bitmaps, united; the rest of the window by its rows
    running counts     differences of a key's running counts; the rest of the window by its rows
    postings           the rows of one value, tested further where the condition asks for more
    scan               every row of the window
    rows by customer   the rows of the customers that the rest of the rule has left
    tail               every row of a part that is not sealed

All give the same customers. Costs are in ns, rounded from what single ways took on one core when they were written;
they only need to be right about which way is cheaper, and `explain_plan` shows what a node really took.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Kind
from libs.index.columns import Interval
from libs.index.condition import Bound, BoundAll, BoundAny, BoundNot, BoundTest
from libs.index.rows import Rows
from libs.index.segment import EVERYTHING, GROUP, GROUPED_EDGES, STRING_NAME, KeyName, Segment

Part: TypeAlias = Segment | Rows


class Path(StrEnum):
    """A way to a part's events."""

    BITMAPS = "bitmaps"
    COUNTS = "running counts"
    POSTINGS = "postings"
    SCAN = "scan"
    CUSTOMERS = "rows by customer"
    TAIL = "tail"


STEP_NS = 15_000
"""Any step: the Python around it."""
TEST_NS = 0.06
"""A byte of a row, tested in place."""
FIND_NS = 0.2
"""A row whose answer stands in a mask, turned into its number."""
PASS_NS = 2.0
"""A row that passed: its customer gathered and marked, or counted."""
GATHER_NS = 3.0
"""A row, tested for one condition through its number."""
NODE_NS = 0.003
"""A customer of a bitmap that is united, whatever its size."""
COVER_NODES = 8
"""Bitmaps that cover a window, about."""
COUNT_NS = 0.25
"""A customer of a pair of running counts, subtracted and added."""
CUSTOMER_NS = 150.0
"""A customer looked up in one segment, and his rows there tested."""
UNKNOWN_SHARE = 0.5
"""The share of rows that a test accepts of which nothing is known."""
KEY_NS = 7_000
"""A key, looked at by itself: the Python around it."""
MANY = 32
"""Values of one test that are looked at one by one; more are looked at together."""
BITMAPS = frozenset({Path.BITMAPS})
COUNTS = frozenset({Path.COUNTS})
NEITHER: frozenset[Path] = frozenset()
NO_ROWS = np.empty(0, np.uint32)


@dataclass(slots=True)
class Step:
    """One part of a plan: the rows first … end − 1 of a part, by a path that costs about `cost` ns.

    `keys` are those whose events, together, are what is asked for, where bitmaps or running counts answer.
    """

    part: Part
    path: Path
    first: int
    end: int
    cost: float
    keys: Sequence[KeyName] = ()


def steps(
    parts: Sequence[Part],
    condition: Bound | None,
    first: int,
    end: int,
    allowed: frozenset[Path],
    only: Path | None = None,
) -> list[Step]:
    """Choose a path for each part that may have events with first ≤ time < end, ms.

    `allowed` says which of bitmaps and running counts can answer; the other paths always can.
    """
    found = []
    for part in parts:
        if isinstance(part, Rows):
            found.append(Step(part, Path.TAIL, 0, len(part), STEP_NS + len(part) * 3 * TEST_NS))
        elif part.last_time >= first and part.first_time < end:
            low, high = part.row_at(first), part.row_at(end)
            if low < high:
                possible = _possible(part, condition, low, high, allowed)
                forced = [step for step in possible if step.path is only]
                found.append(min(forced or possible, key=lambda step: step.cost))
    return found


def _possible(
    segment: Segment, condition: Bound | None, first: int, end: int, allowed: frozenset[Path]
) -> list[Step]:
    """Return what could be done in a segment; the last is always possible."""
    found: list[Step] = []
    keys = keys_of(segment, condition) if allowed else None
    if keys is not None:
        by_rows = sum(_rows_cost(segment, name, end - first) for name in keys if segment.key(name) is None)
        held = [key for name in keys if (key := segment.key(name)) is not None]
        customers = int(segment.owners[-1]) + 1
        if Path.BITMAPS in allowed:
            cost = STEP_NS + len(keys) * KEY_NS + by_rows + len(held) * COVER_NODES * customers * NODE_NS
            found.append(Step(segment, Path.BITMAPS, first, end, cost, keys))
        elif held and all(key.tally for key in held):
            cost = STEP_NS + len(keys) * KEY_NS + by_rows + len(held) * customers * COUNT_NS
            for key in held:
                if key.tally:
                    cost += key.tally.edges(first, end) * (PASS_NS if condition is None else FIND_NS)
            found.append(Step(segment, Path.COUNTS, first, end, cost, keys))
    if condition is None:
        found.append(Step(segment, Path.SCAN, first, end, STEP_NS + (end - first) * PASS_NS))
        return found
    candidates = candidate_count(segment, condition, first, end)
    if candidates is not None:
        cost = STEP_NS + candidates * (PASS_NS + GATHER_NS * (tests_in(condition) - 1))
        found.append(Step(segment, Path.POSTINGS, first, end, cost))
    tested = FIND_NS + width(segment, condition) * TEST_NS + share(segment, condition) * PASS_NS
    found.append(Step(segment, Path.SCAN, first, end, STEP_NS + (end - first) * tested))
    return found


def _rows_cost(segment: Segment, name: KeyName, rows: int) -> float:
    """Return what it costs to find the rows of a key, in a window of so many, without bitmaps or counts."""
    if len(name) == STRING_NAME:
        column = segment.strings(name[0])
        return PASS_NS * len(column.rows_of(name[1])) if column else 0.0
    return rows * (FIND_NS + 4 * TEST_NS)


def keys_of(segment: Segment, condition: Bound | None) -> list[KeyName] | None:
    """Return the keys, no two of which share an event, whose events are those that a condition asks for.

    Some may have neither bitmaps nor counts. None where no keys are what is asked for.
    """
    match condition:
        case None:
            return [EVERYTHING]
        case BoundTest() if condition.only_codes:
            column = segment.strings(condition.attribute)
            codes = column.codes_of(condition.codes).tolist() if column else []
            return None if len(codes) > MANY else [(condition.attribute or 0, code) for code in codes]
        case BoundTest():
            return bins_of(segment, EVERYTHING, condition)
        case BoundAll(conditions):
            strings = [each for each in conditions if isinstance(each, BoundTest) and each.only_codes]
            if len(strings) == 1 and len(conditions) == len(strings) + 1:
                [other] = [each for each in conditions if each is not strings[0]]
                names = keys_of(segment, strings[0])
                if names is not None and len(names) <= 1 and isinstance(other, BoundTest):
                    return bins_of(segment, names[0], other) if names else []
    return None


def bins_of(segment: Segment, name: KeyName, test: BoundTest) -> list[KeyName] | None:
    """Return the bins of a key that together are a range of numbers: whole ones, and what is left at the ends."""
    column = segment.numbers(test.attribute)
    if test.negated or column is None or test.attribute is None or test.kinds != (Kind.NUMBER,):
        return None
    edges = segment.bins.get((name, test.attribute))
    if edges is None:
        return None
    found: list[KeyName] = []
    for first, last in column.intervals(test):
        found += [(*name, test.attribute, *part) for part in cut_interval(edges, first, last)]
    return found


def cut_interval(edges: Sequence[int], first: int, last: int) -> Iterator[Interval]:
    """Cut the codes first … last at the edges of bins, into groups of bins where they are whole."""
    low, high = bisect_left(edges, first), bisect_right(edges, last + 1) - 1
    if low > high or first > last:
        if first <= last:
            yield first, last
        return
    if first < edges[low]:
        yield first, edges[low] - 1
    grouped = len(edges) > GROUPED_EDGES
    while low < high:
        step = GROUP if grouped and low % GROUP == 0 and low + GROUP <= high else 1
        yield edges[low], edges[low + step] - 1
        low += step
    if edges[high] <= last:
        yield edges[high], last


def candidate_count(segment: Segment, condition: Bound, first: int, end: int) -> int | None:
    """Return how many rows `candidates_of` would give, at most; None where no posting says."""
    match condition:
        case BoundTest() if condition.only_codes:
            column = segment.strings(condition.attribute)
            if column is None or len(condition.codes) <= MANY:
                return sum(len(each) for each in _value_rows(segment, condition, first, end))
            return int(column.sizes()[column.codes_of(condition.codes) - 1].sum())  # of all times
        case BoundAll(conditions):
            counts = (candidate_count(segment, each, first, end) for each in conditions)
            return min((count for count in counts if count is not None), default=None)
        case BoundAny(conditions):
            total = 0
            for each in conditions:
                count = candidate_count(segment, each, first, end)
                if count is None:
                    return None
                total += count
            return total
    return None


def candidates_of(segment: Segment, condition: Bound, first: int, end: int) -> NDArray[np.uint32]:
    """Return rows, no one twice, among which all that satisfy a condition are, where postings say.

    For a test that postings answer, these rows are exactly the ones.
    """
    match condition:
        case BoundTest():
            return np.concatenate([NO_ROWS, *_value_rows(segment, condition, first, end)])
        case BoundAll(conditions):
            counted = [
                (count, place)
                for place, each in enumerate(conditions)
                if (count := candidate_count(segment, each, first, end)) is not None
            ]
            return candidates_of(segment, conditions[min(counted)[1]], first, end)
        case BoundAny(conditions):
            rows = [candidates_of(segment, each, first, end) for each in conditions]
            return np.unique(np.concatenate([NO_ROWS, *rows]))
    return NO_ROWS


def _value_rows(segment: Segment, test: BoundTest, first: int, end: int) -> list[NDArray[np.uint32]]:
    column = segment.strings(test.attribute)
    if column is None:
        return []
    codes = column.codes_of(test.codes)
    if len(codes) <= MANY:
        return [between(column.rows_of(code), first, end) for code in codes.tolist()]
    rows = column.rows_of_all(codes)
    return [rows[(rows >= first) & (rows < end)] if first > 0 or end < len(segment) else rows]


def tests_in(condition: Bound) -> int:
    """Return how many tests a condition has."""
    match condition:
        case BoundAll(conditions) | BoundAny(conditions):
            return sum(map(tests_in, conditions))
        case BoundTest():
            return 1
    return tests_in(condition.condition)


def width(segment: Segment, condition: Bound) -> int:
    """Return how many bytes of a row a condition reads."""
    match condition:
        case BoundAll(conditions) | BoundAny(conditions):
            return sum(width(segment, each) for each in conditions)
        case BoundTest(attribute=int(attribute)):
            columns = (segment.columns.get((attribute, kind)) for kind in condition.kinds)
            return sum(column.codes.itemsize for column in columns if column is not None)
        case BoundNot(inner):
            return width(segment, inner)
    return 0


def share(segment: Segment, condition: Bound) -> float:
    """Return about which share of a segment's rows satisfies a condition, as if tests did not depend on another."""
    match condition:
        case BoundAll(conditions):
            return prod(share(segment, each) for each in conditions)
        case BoundAny(conditions):
            return min(1.0, sum(share(segment, each) for each in conditions))
        case BoundNot(inner):
            return 1.0 - share(segment, inner)
        case BoundTest():
            accepted = _accepted_share(segment, condition)
            return 1.0 - accepted if condition.negated else accepted
    return UNKNOWN_SHARE


def _accepted_share(segment: Segment, test: BoundTest) -> float:
    if test.only_codes:
        column = segment.strings(test.attribute)
        return column.sizes()[column.codes_of(test.codes) - 1].sum() / len(segment) if column else 0.0
    numbers = segment.numbers(test.attribute)
    edges = segment.bins.get((EVERYTHING, test.attribute or 0))
    if numbers is None or edges is None or test.kinds != (Kind.NUMBER,):
        return UNKNOWN_SHARE
    spans = sum(
        bisect_right(edges, last) - bisect_left(edges, first) for first, last in numbers.intervals(test)
    )
    return min(1.0, (spans + 0.5) / (len(edges) - 1))


def between(rows: NDArray[np.uint32], first: int, end: int) -> NDArray[np.uint32]:
    """Return those of ascending rows that are first … end − 1. Scalars keep the dtype: else numpy copies."""
    if first >= end:
        return NO_ROWS
    low = int(np.searchsorted(rows, np.uint32(first)))
    return rows[low : int(np.searchsorted(rows, np.uint32(end)))]
