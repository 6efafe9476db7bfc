"""How is a date or an instant written? The two forms of the contract, exactly, as day numbers and ms.

`YYYY-MM-DD`, and `YYYY-MM-DDThh:mm:ss` with an optional fraction and `Z` or `±hh:mm`: ASCII, upper-case,
years 1–9999, and nothing else. An instant is floored to milliseconds. Arithmetic is on day numbers, so that no
zone offset leaves the range of dates.
"""

import re
from datetime import date
from functools import lru_cache

DAY_MS = 86_400_000
EPOCH = date(1970, 1, 1).toordinal()
DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d+))?"
    r"(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


@lru_cache(maxsize=1 << 14)
def parse_date(text: str) -> int | None:
    """Return the day, counted from 1970-01-01, that a text names, or None where it is no date."""
    found = DATE.fullmatch(text)
    if not found:
        return None
    try:
        return date(*map(int, found.groups())).toordinal() - EPOCH
    except ValueError:
        return None


def parse_instant(text: str) -> int | None:
    """Return the instant that a text names, in ms since 1970, or None where it is none."""
    found = INSTANT.fullmatch(text)
    if not found:
        return None
    day, hours, minutes, seconds, fraction, sign, zone_hours, zone_minutes = found.groups()
    number = parse_date(day)
    if number is None:
        return None
    local = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    if sign:
        offset = (int(zone_hours) * 60 + int(zone_minutes)) * 60
        local += offset if sign == "-" else -offset
    return number * DAY_MS + local * 1000 + (int(fraction[:3].ljust(3, "0")) if fraction else 0)
