"""Which events of one customer satisfy a question? Their times and log rows, for those who want to see them.

Costs what reading the customer's own rows costs, as `access.counts` of one customer, and gives the same events.
"""

import numpy as np
from numpy.typing import NDArray

from libs.index.access import Question
from libs.index.condition import PlainColumns, mask
from libs.index.planner import Part
from libs.index.rows import Rows
from libs.index.segment import Segment, SegmentColumns

Found = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Times, ms, and log rows, each (n,) int64."""


def matches(question: Question, customer: int) -> Found:
    """Return times and log rows of a customer's events that satisfy, newest first, ties the last to arrive first."""
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    found += [_of_part(part, question, customer) for part in question.parts]
    times = np.concatenate([time for time, _ in found])
    arrivals = np.concatenate([arrival for _, arrival in found])
    order = np.lexsort((arrivals, times))[::-1]
    return times[order], arrivals[order]


def _of_part(part: Part, question: Question, customer: int) -> Found:
    if isinstance(part, Rows):
        return _of_rows(part, question, customer)
    return _of_segment(part, question, customer)


def _of_rows(part: Rows, question: Question, customer: int) -> Found:
    own = part.take(np.flatnonzero(part.customer == np.uint32(customer)))
    inside = (own.time >= question.first) & (own.time < question.end)
    if question.condition is not None:
        columns = PlainColumns(len(own), lambda attribute, kind: own.columns.get((attribute, kind)))
        inside &= mask(question.condition, columns)
    return own.time[inside], own.arrival[inside].astype(np.int64)


def _of_segment(segment: Segment, question: Question, customer: int) -> Found:
    _, rows = segment.rows_of(np.array([customer], np.uint32))
    low, high = segment.row_at(question.first), segment.row_at(question.end)
    rows = rows[(rows >= low) & (rows < high)]
    if question.condition is not None and len(rows):
        rows = rows[mask(question.condition, SegmentColumns(segment, rows, len(rows)))]
    return segment.times(rows), segment.arrival[rows].astype(np.int64)
