"""How large was a set on each of some days? Each day as of its last instant in the project's time zone.

A history is asked of one snapshot: what has arrived since a day ended, but happened before, is counted on that
day. Windows move along with the days, so every day is planned and evaluated anew: n days cost n Runs.
"""

from collections.abc import Callable
from datetime import date

from libs.errors import Invalid
from libs.index.calendar import EPOCH, Calendar
from libs.instants import parse_date

MAX_DAYS = 1_000
"""Days of one history. Each is a Run, so this bounds what one call may cost."""


def read_days(first: str, last: str) -> range:
    """Read the days from `first` to `last`, both in, counted from 1970-01-01. Raises `Invalid`."""
    start, stop = _day(first, "from"), _day(last, "to")
    if stop < start:
        raise Invalid("INVALID_DATES", "from must not be behind to", "from")
    if stop - start >= MAX_DAYS:
        raise Invalid("INVALID_DATES", f"a history has at most {MAX_DAYS:,} days", "from")
    return range(start, stop + 1)


def _day(text: str, field: str) -> int:
    day = parse_date(text)
    if day is None:
        raise Invalid("INVALID_DATES", f"{field} must be a date as in 2026-01-31", field)
    return day


def end_of(day: int, calendar: Calendar) -> int:
    """Return the last instant of a day, ms."""
    return calendar.start(day + 1) - 1


def history(days: range, calendar: Calendar, size_at: Callable[[int], int]) -> list[tuple[str, int]]:
    """Return (YYYY-MM-DD, size) for each day; `size_at` gives the size as of an instant, ms."""
    return [(date.fromordinal(day + EPOCH).isoformat(), size_at(end_of(day, calendar))) for day in days]
