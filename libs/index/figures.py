"""Whose figure over his events is accepted? Sums, averages, least, greatest, distinct values, for all at once.

Events are arrays; `places`, (n,) int64 below `size`, say whose each one is. Answers are (size,) bool. Who has no
event is never in. Nothing loops over customers but the exact sums of those whom rounding leaves in doubt.
"""

from fractions import Fraction
from math import fsum, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.index.condition import Mask, NumberRange, numbers_accepted

ROUNDING = 2.0**-52
"""Twice the greatest relative error of one rounded addition: twice, for the error of the bound itself."""
WHOLE_LIMIT = 2.0**53
"""Whole numbers up to this add up without rounding."""
EXACT_TERMS = 2
"""So many numbers are summed with one rounding, so correctly."""

Places = NDArray[np.int64]
Numbers = NDArray[np.float64]


def counts_accepted(accepts: NumberRange, counts: NDArray[np.int64]) -> Mask:
    """Say which counts, (size,), are accepted; none is 0."""
    return numbers_accepted(accepts, counts.astype(np.float64)) & (counts > 0)


def distinct(places: Places, codes: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Count the different codes, each < 2^32, that each place has, (size,)."""
    keys = np.sort(places.astype(np.uint64) << np.uint64(32) | codes.astype(np.uint64))
    fresh = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
    return np.bincount((keys[fresh] >> np.uint64(32)).astype(np.int64), minlength=size)


def extremes_accepted(
    accepts: NumberRange, places: Places, numbers: Numbers, size: int, greatest: bool
) -> Mask:
    """Say whose least, or greatest, number is accepted."""
    extremes = np.full(size, -inf if greatest else inf)
    combine = np.maximum if greatest else np.minimum
    combine.at(extremes, places, numbers)
    found = numbers_accepted(accepts, extremes)
    found &= np.isfinite(extremes)
    return found


def sums_accepted(accepts: NumberRange, places: Places, numbers: Numbers, size: int, average: bool) -> Mask:
    """Say whose correctly rounded exact sum, or that divided by how many there are, is accepted.

    A plain sum and the bound of its error decide nearly everybody; the others are summed exactly.
    """
    counts = np.bincount(places, minlength=size)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.bincount(places, numbers, size)
        bound = np.bincount(places, np.abs(numbers), size) * counts * ROUNDING
        rounded = counts > EXACT_TERMS
        low = np.where(rounded, np.nextafter(sums - bound, -inf), sums)
        high = np.where(rounded, np.nextafter(sums + bound, inf), sums)
        if average:
            low, high = low / np.maximum(counts, 1), high / np.maximum(counts, 1)
        sure = ~_below(accepts, low) & ~_above(accepts, high)
        decided = sure | _below(accepts, high) | _above(accepts, low)
        decided &= np.isfinite(low) & np.isfinite(high)
    found = sure & (counts > 0)
    doubtful = ~decided & rounded
    if doubtful.any():
        chosen = np.flatnonzero(doubtful[places])
        owners, exact = _exact_sums(places[chosen], numbers[chosen])
        found[owners] = numbers_accepted(accepts, exact / counts[owners] if average else exact)
    return found


def _below(accepts: NumberRange, numbers: Numbers) -> Mask:
    return numbers <= accepts.lower if accepts.lower_open else numbers < accepts.lower


def _above(accepts: NumberRange, numbers: Numbers) -> Mask:
    return numbers >= accepts.upper if accepts.upper_open else numbers > accepts.upper


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
