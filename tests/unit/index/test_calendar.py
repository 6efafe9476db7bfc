"""A day starts at the first instant whose local date is that day: compared around every change of clocks."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from libs.index.calendar import DAY_MS, EPOCH, FIRST_DAY, LAST_DAY, Calendar

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
FIRST, LAST = 0, 4_133_980_800_000
STEP_MS = 7 * DAY_MS
ZONES = {
    "Europe/Berlin": (1970, 2100),
    "America/St_Johns": (1985, 2012),  # back at 00:01: minutes of a day come twice
    "America/Sao_Paulo": (1985, 2020),  # midnight is skipped
    "America/Scoresbysund": (2020, 2030),
    "America/Toronto": (1970, 2010),
    "Asia/Tehran": (1976, 2023),
    "Australia/Lord_Howe": (1980, 2030),  # half an hour
    "Africa/Monrovia": (1970, 1975),  # 44 minutes and 30 seconds
    "Africa/Cairo": (1995, 2030),
    "Pacific/Apia": (2009, 2013),  # skips 30 December 2011
    "Pacific/Kwajalein": (1992, 1995),  # skips 21 August 1993
    "Pacific/Kiritimati": (1993, 1996),
    "Asia/Gaza": (2005, 2030),
    "Antarctica/Troll": (2005, 2012),
}


def moment(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000


@cache
def calendar(zone: str) -> Calendar:
    return Calendar(ZoneInfo(zone))


def offset(zone: ZoneInfo, instant: int) -> timedelta:
    found = datetime.fromtimestamp(instant / 1000, UTC).astimezone(zone).utcoffset()
    assert found is not None
    return found


def local_day(zone: ZoneInfo, instant: int) -> int:
    local = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=instant)
    return local.astimezone(zone).date().toordinal() - EPOCH


def transitions(name: str) -> list[int]:
    """Return the instants, ms, at which clocks change, found by steps of a week and halving."""
    zone, (first, last) = ZoneInfo(name), ZONES[name]
    found = []
    for start in range(moment(first), moment(last), STEP_MS):
        low, high = start, start + STEP_MS
        if offset(zone, low) == offset(zone, high):
            continue
        while high - low > 1000:
            middle = (low + high) // 2000 * 1000
            low, high = (middle, high) if offset(zone, middle) == offset(zone, low) else (low, middle)
        found.append(high)
    return found


@pytest.mark.parametrize("name", ZONES)
def test_around_every_change_of_clocks_a_day_starts_when_its_date_is_first_shown(name: str) -> None:
    zone, days = ZoneInfo(name), calendar(name)
    changes = transitions(name)
    assert changes
    for change in changes[:: max(1, len(changes) // 12)]:
        shown: dict[int, int] = {}
        # Minutes around the change, and, for changes off the minute, from it.
        around = sorted(
            {change + step * MINUTE_MS for step in range(-26 * 60, 26 * 60)}
            | {(change // MINUTE_MS + step) * MINUTE_MS for step in range(-26 * 60, 26 * 60)}
        )
        for instant in around:
            shown.setdefault(local_day(zone, instant), instant)
        for day, start in list(shown.items())[1:]:
            assert days.start(day) == start, (day, start)
            assert days.day(start) == day
            assert days.day(start - 1) < day


@pytest.mark.parametrize("name", [*ZONES, "UTC", "Pacific/Chatham", "Etc/GMT-14", "Etc/GMT+12"])
def test_days_of_many_instants_are_those_of_each(name: str) -> None:
    days = calendar(name)
    instants = np.random.default_rng(7).integers(FIRST, LAST, 300)
    found = days.days(instants)
    for instant, day in zip(instants.tolist(), found.tolist(), strict=True):
        assert day == days.day(instant)
        assert days.start(day) <= instant < days.start(day + 1)
    assert len(days.days(np.empty(0, np.int64))) == 0


@pytest.mark.parametrize("name", ["Europe/Berlin", "Pacific/Apia", "UTC"])
def test_starts_never_go_back_even_beyond_what_datetime_holds(name: str) -> None:
    for first, last in ((FIRST_DAY - 3, FIRST_DAY + 3), (15_330, 15_345), (LAST_DAY - 3, LAST_DAY + 3)):
        starts = calendar(name).starts(first, last)
        assert len(starts) == last - first + 1
        assert (np.diff(starts) >= 0).all()


def test_a_day_that_a_zone_skipped_has_no_instant() -> None:
    apia = calendar("Pacific/Apia")
    skipped = date(2011, 12, 30).toordinal() - EPOCH
    assert apia.start(skipped) == apia.start(skipped + 1) == 1_325_239_200_000
    assert apia.day(1_325_239_199_999) == skipped - 1
    assert apia.day(1_325_239_200_000) == skipped + 1


def test_days_have_23_and_25_hours_where_clocks_change() -> None:
    berlin = calendar("Europe/Berlin")
    hours = []
    for day in (date(2026, 3, 29), date(2026, 10, 25), date(2026, 7, 1)):
        number = day.toordinal() - EPOCH
        hours.append((berlin.start(number + 1) - berlin.start(number)) // HOUR_MS)
    assert hours == [23, 25, 24]
