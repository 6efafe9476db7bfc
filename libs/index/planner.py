"""How are the events of one question reached, in each part? The one place that chooses, by what each way costs.

    bitmaps            whole days of a key as customer bitmaps, united; the rest of the window by its rows
    running counts     differences of a key's running counts; the rest of the window by its rows
    postings           the rows of one value, tested further where the condition asks for more
    scan               every row of the window
    rows by customer   the rows of the customers that the rest of the rule has left
    tail               every row of a part that is not sealed

All give the same customers. Costs are in ns, measured on one core (tests/bench); they only need to be right about
which way is cheaper.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from libs.index.condition import Bound, BoundAll, BoundAny, BoundTest
from libs.index.rows import Rows
from libs.index.segment import EVERYTHING, KeyName, Segment

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
TEST_NS = 0.5
"""A row, tested for one condition in place."""
PASS_NS = 4.0
"""A row that passed: its customer gathered and marked."""
GATHER_NS = 3.0
"""A row, tested for one condition through its number."""
NODE_NS = 8_000
"""A bitmap of 1M customers, united."""
COUNT_NS = 0.08
"""A customer of a pair of running counts, subtracted and added."""
CUSTOMER_NS = 150.0
"""A customer looked up in one segment, and his rows there tested."""
BITMAPS = frozenset({Path.BITMAPS})
COUNTS = frozenset({Path.COUNTS})
NEITHER: frozenset[Path] = frozenset()
NO_ROWS = np.empty(0, np.uint32)


@dataclass(slots=True)
class Step:
    """One part of a plan: the rows first … end − 1 of a part, by a path that costs about `cost` ns.

    `keys` are those whose events are what is asked for, `loose` the rows, ascending, of values without a key;
    with `Path.POSTINGS`, `loose` has the rows to be tested further.
    """

    part: Part
    path: Path
    first: int
    end: int
    cost: float
    keys: list[KeyName] = field(default_factory=list)
    loose: list[NDArray[np.uint32]] = field(default_factory=list)


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
    rows = end - first
    found: list[Step] = []
    keys = keys_of(segment, condition) if allowed else None
    if keys is not None:
        names, loose = keys
        loose_rows = sum(len(between(each, first, end)) for each in loose)
        if Path.BITMAPS in allowed:
            cost = STEP_NS + loose_rows * PASS_NS + len(names) * 8 * NODE_NS
            found.append(Step(segment, Path.BITMAPS, first, end, cost, names, loose))
        elif names and all(_has_tally(segment, name) for name in names):
            customers = int(segment.owners[-1])
            cost = STEP_NS + len(names) * (customers * COUNT_NS + STEP_NS) + loose_rows * PASS_NS
            found.append(Step(segment, Path.COUNTS, first, end, cost, names, loose))
    if condition is None:
        found.append(Step(segment, Path.SCAN, first, end, STEP_NS + rows * PASS_NS))
        return found
    candidates = candidates_of(segment, condition, first, end)
    if candidates is not None:
        exact = isinstance(condition, BoundTest)
        cost = STEP_NS + len(candidates) * (PASS_NS if exact else PASS_NS + GATHER_NS * tests_in(condition))
        found.append(Step(segment, Path.POSTINGS, first, end, cost, loose=[candidates]))
    cost = STEP_NS + rows * (tests_in(condition) * TEST_NS + PASS_NS * 0.3)
    found.append(Step(segment, Path.SCAN, first, end, cost))
    return found


def _has_tally(segment: Segment, name: KeyName) -> bool:
    key = segment.key(name)
    return key is not None and key.tally is not None


def keys_of(
    segment: Segment, condition: Bound | None
) -> tuple[list[KeyName], list[NDArray[np.uint32]]] | None:
    """Return the keys, no two of which share an event, that a condition asks for, and the rows of values without.

    None where its events are not those of keys.
    """
    if condition is None:
        return [EVERYTHING], []
    if not (isinstance(condition, BoundTest) and condition.only_codes):
        return None
    column = segment.strings(condition.attribute)
    if column is None or condition.attribute is None:
        return [], []
    names: list[KeyName] = []
    loose = []
    for value in condition.codes.tolist():
        if code := column.code(value):
            name = (condition.attribute, code)
            if segment.key(name) is None:
                loose.append(column.rows_of(code))
            else:
                names.append(name)
    return names, loose


def candidates_of(segment: Segment, condition: Bound, first: int, end: int) -> NDArray[np.uint32] | None:
    """Return rows, ascending, among which all that satisfy a condition are; None where no posting says.

    For a test that postings answer, these rows are exactly the ones.
    """
    match condition:
        case BoundTest() if condition.only_codes:
            column = segment.strings(condition.attribute)
            if column is None:
                return NO_ROWS
            found = [
                between(column.rows_of(code), first, end)
                for value in condition.codes.tolist()
                if (code := column.code(value))
            ]
            return found[0] if len(found) == 1 else np.sort(np.concatenate([NO_ROWS, *found]))
        case BoundAll(conditions):
            narrowed = [
                rows for each in conditions if (rows := candidates_of(segment, each, first, end)) is not None
            ]
            return min(narrowed, key=len, default=None)
        case BoundAny(conditions):
            known = []
            for each in conditions:
                rows = candidates_of(segment, each, first, end)
                if rows is None:
                    return None
                known.append(rows)
            return np.unique(np.concatenate([NO_ROWS, *known]))
    return None


def tests_in(condition: Bound) -> int:
    """Return how many tests a condition has."""
    match condition:
        case BoundAll(conditions) | BoundAny(conditions):
            return sum(map(tests_in, conditions))
        case BoundTest():
            return 1
    return tests_in(condition.condition)


def between(rows: NDArray[np.uint32], first: int, end: int) -> NDArray[np.uint32]:
    """Return those of ascending rows that are first … end − 1. Scalars keep the dtype: else numpy copies."""
    if first >= end:
        return NO_ROWS
    low = int(np.searchsorted(rows, np.uint32(first)))
    return rows[low : int(np.searchsorted(rows, np.uint32(end)))]
