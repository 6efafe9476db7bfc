"""How are many instants read at once? By arithmetic on their digits; what is unusual goes to `parse_instant`.

Guarantees: for every text the answer of `libs.instants.parse_instant`, which decides wherever a text is not
plainly `YYYY-MM-DDThh:mm:ss`, a fraction or none, and `Z` or an offset. Costs a tenth of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from libs.instants import DAY_MS, parse_instant

NO_INSTANT = np.iinfo(np.int64).min
"""Stands for a text that is no instant."""
DATE_TIME = "0000-00-00T00:00:00"
OFFSET = "+00:00"
NANOSECONDS = ".000000000"
SHORTEST, LONGEST = len(DATE_TIME + "Z"), len(DATE_TIME + NANOSECONDS + OFFSET)
DAYS_BEFORE = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
DAYS_IN = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
EPOCH_DAYS = 719_162
"""Days from 0001-01-01 to 1970-01-01."""


@dataclass(frozen=True, slots=True)
class Form:
    """How texts of one length look: the least character at each place and how far above it one may be.

    Both are (length, 1) uint8. `weights` is (9, length) float32: times the digits it gives year, month, day,
    hours, minutes, seconds, ms, and hours and minutes of the offset, whose sign is at `sign` (-1 for "Z").
    """

    least: NDArray[np.uint8]
    span: NDArray[np.uint8]
    weights: NDArray[np.float32]
    sign: int


def parse_instants(texts: Sequence[str]) -> NDArray[np.int64]:
    """Return the instants that texts name, (len(texts),) int64 ms since 1970, NO_INSTANT for each that is none."""
    times = np.full(len(texts), NO_INSTANT)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    for length in np.unique(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        chosen = texts if len(places) == len(texts) else [texts[place] for place in places.tolist()]
        joined = "".join(chosen)
        if SHORTEST <= length <= LONGEST and joined.isascii():
            characters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, length)
            form = _form(length, joined.endswith("Z"))
            if form is not None:
                times[places] = _read(characters, form)
    for place in np.flatnonzero(times == NO_INSTANT).tolist():
        found = parse_instant(texts[place])
        if found is not None:
            times[place] = found
    return times


@lru_cache(maxsize=2 * LONGEST)
def _form(length: int, utc: bool) -> Form | None:
    """Return what an instant of so many characters looks like, in UTC or with an offset; None if there is none."""
    zone = "Z" if utc else OFFSET
    fraction = length - len(DATE_TIME) - len(zone)
    if fraction < 0 or fraction == 1:
        return None
    pattern = (DATE_TIME + NANOSECONDS + "0" * fraction)[: len(DATE_TIME) + fraction] + zone
    least = np.frombuffer(pattern.encode(), np.uint8).reshape(-1, 1)
    span = np.where(least == ord("0"), 9, np.where(least == ord("+"), ord("-") - ord("+"), 0))
    weights = np.zeros((9, length), np.float32)
    fields = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)]
    for row, (start, stop) in enumerate(fields):
        weights[row, start:stop] = 10.0 ** np.arange(stop - start - 1, -1, -1)
    for place in range(1, min(fraction, 4)):
        weights[6, len(DATE_TIME) + place] = 10.0 ** (3 - place)
    sign = -1 if utc else length - len(OFFSET)
    if not utc:
        weights[7, sign + 1 : sign + 3] = weights[8, sign + 4 : sign + 6] = 10, 1
    return Form(least, span.astype(np.uint8), weights, sign)


def _read(characters: NDArray[np.uint8], form: Form) -> NDArray[np.int64]:
    """Read ASCII texts, (texts, length), of one form; NO_INSTANT where a text has another."""
    above = np.subtract(characters.T, form.least, order="C")  # what is below wraps round, to far above
    good = (above <= form.span).all(axis=0)
    numbers = (form.weights @ above.astype(np.float32)).astype(np.int64)  # exact: nothing is above 9999
    year, month, day, hours, minutes, seconds, millis, offset_hours, offset_minutes = numbers
    days, valid = _days(year, month, day)
    good &= valid & (hours < 24) & (minutes < 60) & (seconds < 60)
    local = (hours * 60 + minutes) * 60 + seconds
    if form.sign >= 0:
        west = above[form.sign] > 0
        good &= (
            (above[form.sign] != 1) & (offset_hours < 24) & (offset_minutes < 60)
        )  # "," is between + and -
        offset = (offset_hours * 60 + offset_minutes) * 60
        local += np.where(west, offset, -offset)
    return np.where(good, days * DAY_MS + local * 1000 + millis, NO_INSTANT)


def _days(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return days since 1970 of dates in the Gregorian calendar, and which dates there are."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    known = np.where((month >= 1) & (month <= 12), month, 0)
    valid = (year >= 1) & (known > 0) & (day >= 1) & (day <= DAYS_IN[known] + (leap & (known == 2)))
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 + DAYS_BEFORE[known] + day - 1
    return days + (leap & (known > 2)) - EPOCH_DAYS, valid
