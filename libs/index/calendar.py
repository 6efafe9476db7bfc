"""When does a day start? Calendar days of one time zone as numbers, counted from 1970-01-01.

A day starts at the first instant whose local date is that day, so days have 23 or 25 hours where clocks
change, and none where a zone skipped a day. Instants are int64 ms since 1970, UTC.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from libs.zones import ZoneInfo

DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY = date(1, 1, 3).toordinal() - EPOCH
LAST_DAY = date(9999, 12, 29).toordinal() - EPOCH
"""Days beyond these are counted in UTC: datetime cannot hold their local time in every zone."""


class Calendar:
    """The calendar days of one time zone."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._utc = zone.key in ("UTC", "Etc/UTC")
        self._start = lru_cache(maxsize=1 << 17)(self._compute_start)

    def start(self, day: int) -> int:
        """Return the first instant of a day, ms."""
        return day * DAY_MS if self._utc else self._start(day)

    def starts(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the first instants of the days first … last, (last − first + 1,) int64."""
        return np.array([self.start(day) for day in range(first, last + 1)], np.int64)

    def day(self, instant: int) -> int:
        """Return the day that an instant, ms, is in."""
        day = instant // DAY_MS
        if self._utc:
            return day
        while self.start(day) > instant:
            day -= 1
        while self.start(day + 1) <= instant:
            day += 1
        return day

    def days(self, instants: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the days that instants, (n,) int64 ms, are in."""
        if self._utc or not len(instants):
            return instants // DAY_MS
        first, last = self.day(int(instants.min())), self.day(int(instants.max()))
        return np.searchsorted(self.starts(first, last), instants, side="right") - 1 + first

    def _compute_start(self, day: int) -> int:
        if not FIRST_DAY <= day <= LAST_DAY:
            return day * DAY_MS
        local = datetime.combine(date.fromordinal(day + EPOCH), datetime.min.time(), self.zone)
        start = _milliseconds(local)
        if self._local_day(start - 1) < day:
            return start
        low, high = start - DAY_MS, start  # midnight was skipped: the day starts where the clocks jumped
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._local_day(middle) >= day else (middle, high)
        return high

    def _local_day(self, instant: int) -> int:
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=instant)
        return moment.astimezone(self.zone).date().toordinal() - EPOCH


def _milliseconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
