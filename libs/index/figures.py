"""Whose figure over his events is accepted? Sums, averages, least, greatest, distinct values, for all at once.

Events are arrays; `places`, (n,) uint32 below `size`, say whose each one is; numbers are NaN where an event has
none. Answers are (size,) bool. Who has no event, or none with a number, is never in. Nothing loops over customers
in Python but the exact sums of those whom rounding leaves in doubt.
"""

from fractions import Fraction
from math import fsum, inf, nextafter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.index import kernels
from libs.index.condition import Mask, NumberRange, numbers_accepted

ROUNDING = 2.0**-52
"""Twice the greatest relative error of one rounded addition: twice, for the error of the bound itself."""
WHOLE_LIMIT = 2.0**53
"""Whole numbers up to this add up without rounding."""

MANY_CODES = 16
"""Codes up to this many times the events are counted; beyond, they are numbered first."""

Places = NDArray[np.uint32]
Numbers = NDArray[np.float64]


def counts_accepted(accepts: NumberRange, counts: NDArray[np.int64]) -> Mask:
    """Say which counts, (size,), are accepted; none is 0."""
    return numbers_accepted(accepts, counts.astype(np.float64)) & (counts > 0)


def distinct(places: Places, codes: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Count the different codes, each ≥ 0 and < 2^32, that each place has, (size,)."""
    counts = np.zeros(size, np.int64)
    if not len(codes):
        return counts
    codes = codes.astype(np.uint32, copy=False)
    if (codes[1:] < codes[:-1]).any():
        top = int(codes.max())
        if top > MANY_CODES * len(codes):
            codes = np.unique(codes, return_inverse=True)[1].astype(np.uint32)
            top = int(codes.max())
        order = np.empty(len(codes), np.int64)
        kernels.order_by(codes, np.zeros(top + 2, np.int64), order)
        places, codes = places[order], codes[order]
    kernels.count_changes(places, codes, np.full(size, -1), counts)
    return counts


def extremes_accepted(
    accepts: NumberRange, places: Places, numbers: Numbers, size: int, greatest: bool
) -> Mask:
    """Say whose least, or greatest, number is accepted."""
    extremes = np.full(size, -inf if greatest else inf)
    kernels.find_extremes(places, numbers, extremes, greatest)
    found = numbers_accepted(accepts, extremes)
    found &= np.isfinite(extremes)
    return found


def sums_accepted(accepts: NumberRange, places: Places, numbers: Numbers, size: int, average: bool) -> Mask:
    """Say whose correctly rounded exact sum, or that divided by how many there are, is accepted.

    A plain sum and the bound of its error decide nearly everybody; the others are summed exactly.
    """
    sums, sizes, counts = np.zeros(size), np.zeros(size), np.zeros(size, np.int64)
    kernels.add_up(places, numbers, sums, sizes, counts)
    lower = nextafter(accepts.lower, inf) if accepts.lower_open else accepts.lower
    upper = nextafter(accepts.upper, -inf) if accepts.upper_open else accepts.upper
    verdicts = np.empty(size, np.uint8)
    kernels.judge_sums(sums, sizes, counts, lower, upper, ROUNDING, average, verdicts)
    found: Mask = verdicts == 1
    doubtful = verdicts == 2
    if doubtful.any():
        chosen = np.flatnonzero(doubtful[places] & ~np.isnan(numbers))
        owners, exact = _exact_sums(places[chosen], numbers[chosen])
        found[owners] = numbers_accepted(accepts, exact / counts[owners] if average else exact)
    return found


def _exact_sums(places: Places, numbers: Numbers) -> tuple[Places, Numbers]:
    """Return the places there are, ascending, and the exact sum of each, rounded once."""
    order = np.argsort(places, kind="stable")
    places, numbers = places[order], numbers[order]
    starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.add.reduceat(numbers, starts)
        sizes = np.add.reduceat(np.abs(numbers), starts)
    whole = np.logical_and.reduceat(numbers == np.rint(numbers), starts) & (sizes < WHOLE_LIMIT)
    listed, ends = numbers.tolist(), np.append(starts[1:], len(numbers))
    for place in np.flatnonzero(~whole).tolist():
        sums[place] = exact_sum(listed[starts[place] : ends[place]])
    return places[starts], sums


def exact_sum(numbers: list[float]) -> float:
    """Return the exact sum of numbers, rounded once; infinite where it overflows."""
    try:
        return fsum(numbers)
    except OverflowError:  # on the way or at the end: `fsum` does not say
        total = sum(map(Fraction, numbers), Fraction())
        try:
            return float(total)
        except OverflowError:
            return inf if total > 0 else -inf
