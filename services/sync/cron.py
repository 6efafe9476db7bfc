"""What does a cron expression say? Five fields, read by cronsim; when it falls due is our own arithmetic.

Minute, hour, day of the month, month, day of the week; 0 and 7 are Sunday; names are those of cron (MON, JAN).
Where both days are restricted, one that fits is enough; where one of them begins with a star, both must fit, as
in Vixie's cron. What cronsim has beyond that (seconds, L, W, #) is refused: no other cron has it.
"""

import re
from datetime import date, datetime, time
from functools import lru_cache

from cronsim import CronSim, CronSimError

from services.sync.local_times import LocalTimes

FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
FIELD = re.compile(r"[0-9A-Za-z*,/-]+", re.ASCII)
EXTENSION = re.compile(r"(?:^|,)(?:L|LW|[0-9]+L)(?:$|[,/])", re.IGNORECASE)
ONE_LONG = re.compile(r"\b([0-9A-Z]+)-\1/[1-9][0-9]*(?![0-9])")
"""A range from a value to itself, in steps: that value, where the parser would go on to the largest."""
MOST_BYTES = 1024
HOURS = 24
ANY_DATE = datetime(2000, 1, 1)
"""The parser wants to know where to begin, and is never asked for what comes next."""


class BadExpression(ValueError):
    """This is no cron expression. The message is for people."""


@lru_cache(maxsize=1024)  # one for each of that many syncs; parsed again at each run otherwise
def parse(expression: str) -> LocalTimes:
    """Read an expression. Raises `BadExpression`, also where it can never fall due."""
    fields = expression.split()
    if len(expression.encode()) > MOST_BYTES:
        raise BadExpression(f"it has more than {MOST_BYTES} bytes")
    if expression.strip().startswith("@"):
        raise BadExpression(f"write five fields instead of {fields[0][:32]}, as 0 0 * * * for every midnight")
    if len(fields) != len(FIELDS):
        raise BadExpression(f"it has {len(fields)} fields instead of five: {', '.join(FIELDS)}")
    for name, field in zip(FIELDS, fields, strict=True):
        if not FIELD.fullmatch(field) or EXTENSION.search(field):
            raise BadExpression(f"{field[:32]!r} is no {name}")
    try:
        read = CronSim(ONE_LONG.sub(r"\1", expression.upper()), ANY_DATE)
    except CronSimError as error:
        raise BadExpression(_why(str(error), fields)) from None
    times = tuple(time(hour, minute) for hour in sorted(read.hours) for minute in sorted(read.minutes))

    def is_on(day: date) -> bool:
        return day.month in read.months and read.match_day(day)

    return LocalTimes(is_on, times, each_hour=len(read.hours) == HOURS)


def _why(said: str, fields: list[str]) -> str:
    """Say which field is wrong, by the words of the parser."""
    name = said.removeprefix("Bad ").replace("day-of-month", FIELDS[2]).replace("day-of-week", FIELDS[4])
    if name not in FIELDS:
        return "it cannot be read"
    field = fields[FIELDS.index(name)]
    return (
        f"{field[:32]!r} is no {name}, or comes never"
        if name == FIELDS[2]
        else f"{field[:32]!r} is no {name}"
    )
