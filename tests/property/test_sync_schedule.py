"""Do the instants of schedules equal those of a walk through the minutes, whatever clocks do?

The walk looks at what clocks show in every minute. Fixed times are due when clocks first reach or pass them; what
is due in every hour is due whenever clocks show it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.sync import cron
from services.sync.model import Cron, Daily, Rhythm, Schedule, Weekly
from services.sync.schedule import Timetable

MINUTE = timedelta(minutes=1)
CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00Z"),
    ("America/New_York", "2026-03-08T07:00Z"),
    ("America/New_York", "2026-11-01T06:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),  # by half an hour
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
    ("Asia/Beirut", "2026-03-28T22:00Z"),  # no midnight
    ("Asia/Beirut", "2026-10-24T21:00Z"),  # back over midnight
    ("America/Havana", "2026-03-08T05:00Z"),
    ("America/Havana", "2026-11-01T05:00Z"),
    ("America/St_Johns", "2010-03-14T03:31Z"),  # a minute past midnight
    ("America/St_Johns", "2010-11-07T02:31Z"),
    ("Africa/Casablanca", "2026-02-15T02:00Z"),  # the month of Ramadan
    ("Pacific/Apia", "2011-12-30T10:00Z"),  # no 30 December at all
    ("America/Caracas", "2016-05-01T07:00Z"),  # by half an hour, for good
    ("Asia/Kolkata", "2026-03-29T01:00Z"),  # never
]
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@st.composite
def fields(draw, least: int, most: int, names: list[str] | None = None) -> tuple[str, set[int]]:
    """Draw a field of a cron expression, and what it takes."""
    kind = draw(st.sampled_from(["star", "step", "list", "range", "range step", "name"]))
    number = st.integers(least, most)
    step = draw(st.integers(1, most))
    if kind == "star":
        return "*", set(range(least, most + 1))
    if kind == "step":
        return f"*/{step}", set(range(least, most + 1, step))
    if kind == "list":
        some = draw(st.lists(number, min_size=1, max_size=4))
        return ",".join(map(str, some)), set(some)
    if kind == "name" and names:
        index = draw(st.integers(0, len(names) - 1))
        return names[index], {index + least}
    low, high = sorted((draw(number), draw(number)))
    if kind == "range step":
        return f"{low}-{high}/{step}", set(range(low, high + 1, step))
    return f"{low}-{high}", set(range(low, high + 1))


@st.composite
def expressions(draw) -> tuple[Rhythm, Callable[[datetime], bool], bool]:
    """Draw a cron schedule, what it takes, and whether it is due in every hour."""
    minute, minutes = draw(fields(0, 59))
    hour, hours = draw(fields(0, 23))
    day, days = draw(fields(1, 31))
    month, months = draw(fields(1, 12, MONTHS) | st.just(("*", set(range(1, 13)))))
    weekday, weekdays = draw(fields(0, 7, WEEKDAYS) | st.just(("*", set(range(8)))))
    both = day.startswith("*") or weekday.startswith("*")

    def takes(wall: datetime) -> bool:
        on_day = wall.day in days
        on_weekday = wall.isoweekday() in weekdays or wall.isoweekday() % 7 in weekdays
        fits = (on_day and on_weekday) if both else (on_day or on_weekday)
        return wall.minute in minutes and wall.hour in hours and wall.month in months and fits

    return Cron(f"{minute} {hour} {day} {month} {weekday}"), takes, hours == set(range(24))


@st.composite
def days(draw) -> tuple[Rhythm, Callable[[datetime], bool], bool]:
    """Draw a daily or weekly schedule, and what it takes."""
    hour = draw(st.sampled_from([0, 1, 2, 3, 23]) | st.integers(0, 23))
    minute, day = draw(st.integers(0, 59)), draw(st.integers(0, 7))

    def takes(wall: datetime) -> bool:
        return (wall.hour, wall.minute) == (hour, minute) and day in (0, wall.isoweekday())

    clock = f"{hour:02}:{minute:02}"
    return (Weekly(day, clock) if day else Daily(clock)), takes, False


def walk(
    takes: Callable[[datetime], bool], each_hour: bool, start: datetime, end: datetime, zone: ZoneInfo
) -> list[datetime]:
    """Return when a schedule is due behind `start` and until `end`, minute by minute."""
    found, at = [], start - timedelta(days=1)
    latest = at.astimezone(zone).replace(tzinfo=None)
    while at < end:
        at += MINUTE
        wall = at.astimezone(zone).replace(tzinfo=None)
        if each_hour:
            is_due = takes(wall)
        else:
            passed = range(1, (wall - latest) // MINUTE + 1)
            is_due = any(map(takes, [latest + minutes * MINUTE for minutes in passed]))
        latest = max(latest, wall)
        if is_due and at > start:
            found.append(at)
    return found


def _comes(expression: str) -> bool:
    """Whether an expression is one that ever falls due: no 31st in months without one."""
    try:
        cron.parse(expression)
    except cron.BadExpression as refused:
        if "comes never" in str(refused):
            return False
        raise
    return True


@given(schedule=expressions() | days(), change=st.sampled_from(CHANGES), offset=st.integers(0, 1439))
@settings(max_examples=40, deadline=None)
def test_the_instants_of_a_schedule_are_those_of_a_walk_through_the_minutes(schedule, change, offset):
    rhythm, takes, each_hour = schedule
    zone, middle = ZoneInfo(change[0]), datetime.fromisoformat(change[1])
    start = middle - timedelta(days=1) + offset * MINUTE
    end = start + timedelta(hours=36)
    if isinstance(rhythm, Cron):
        assume(_comes(rhythm.expression))
    timetable = Timetable(Schedule(rhythm), 0, zone)
    stop, found = round(end.timestamp() * 1000), []
    at = timetable.next(round(start.timestamp() * 1000))
    while at is not None and at <= stop:
        found.append(at)
        at = timetable.next(at)
    expected = [round(one.timestamp() * 1000) for one in walk(takes, each_hour, start, end, zone)]
    assert found == expected
    for before, one in zip([*expected[:1], *expected], expected, strict=False):
        assert timetable._latest(one) == one, "backwards as forwards"
        assert one == before or timetable._latest(one - 1) == before
