"""When is a sync due? Intervals, days, and days on which clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sync.model import HOUR_MS, Daily, Every, Hourly, Once, Schedule
from services.sync.schedule import is_missed, next_run

ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def shown(milliseconds: int | None) -> str:
    assert milliseconds is not None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def daily(time: str, after: str, zone: ZoneInfo = BERLIN) -> str:
    return shown(next_run(Schedule(Daily(time)), 0, instant(after), zone))


@given(
    anchor=st.integers(0, 10**13),
    interval=st.integers(60_000, 10**10),
    elapsed=st.integers(-(10**9), 10**13),
)
def test_intervals_count_from_the_anchor_and_never_drift(anchor, interval, elapsed):
    schedule = Schedule(Every(interval))
    due = next_run(schedule, anchor, anchor + elapsed, ZONE)
    assert due > anchor + elapsed
    assert (due - anchor) % interval == 0
    assert due == anchor + interval or due - interval <= anchor + elapsed


def test_hourly_counts_from_the_anchor_and_once_has_no_next():
    assert next_run(Schedule(Hourly()), 5, 5, ZONE) == 5 + HOUR_MS
    assert next_run(Schedule(Hourly()), 5, 5 + HOUR_MS, ZONE) == 5 + 2 * HOUR_MS
    assert next_run(Schedule(Once()), 0, 0, ZONE) is None


@pytest.mark.parametrize(
    ("time", "after", "due"),
    [
        ("09:00", "2026-01-10T07:59:59Z", "2026-01-10T08:00:00Z"),
        ("09:00", "2026-01-10T08:00:00Z", "2026-01-11T08:00:00Z"),
        ("09:00", "2026-07-10T06:59:59Z", "2026-07-10T07:00:00Z"),
        ("00:00", "2026-01-10T22:59:59Z", "2026-01-10T23:00:00Z"),
        ("23:59", "2026-12-31T23:00:00Z", "2027-01-01T22:59:00Z"),
    ],
)
def test_daily_is_at_the_local_time(time, after, due):
    assert daily(time, after) == due


def test_a_skipped_time_is_at_the_first_instant_behind():
    # Berlin goes from 02:00 to 03:00 at 01:00 UTC on 2026-03-29.
    for time in ("02:00", "02:30", "02:59"):
        assert daily(time, "2026-03-28T12:00:00Z") == "2026-03-29T01:00:00Z"
        assert daily(time, "2026-03-29T01:00:00Z") == f"2026-03-30T00:{time[3:]}:00Z"
    assert daily("03:00", "2026-03-28T12:00:00Z") == "2026-03-29T01:00:00Z"


def test_a_doubled_time_is_at_the_first_of_the_two_only():
    # Berlin goes from 03:00 back to 02:00 at 01:00 UTC on 2026-10-25.
    assert daily("02:30", "2026-10-24T12:00:00Z") == "2026-10-25T00:30:00Z"
    assert daily("02:30", "2026-10-25T00:30:00Z") == "2026-10-26T01:30:00Z"


def test_a_midnight_that_clocks_skip_and_a_half_hour_change():
    # Beirut goes from 00:00 to 01:00 at 22:00 UTC on 2026-03-28; Lord Howe by half an hour.
    assert daily("00:00", "2026-03-28T12:00:00Z", ZoneInfo("Asia/Beirut")) == "2026-03-28T22:00:00Z"
    howe = ZoneInfo("Australia/Lord_Howe")
    assert daily("02:15", "2026-10-03T12:00:00Z", howe) == "2026-10-03T15:30:00Z"


@given(st.integers(0, 4 * 10**12), st.sampled_from(["00:00", "02:30", "12:00", "23:59"]))
def test_daily_is_later_and_within_two_days(after, time):
    due = next_run(Schedule(Daily(time)), 0, after, BERLIN)
    assert after < due <= after + 49 * HOUR_MS


def test_a_missed_run_is_made_up_for_within_the_window_only():
    hourly = Schedule(Hourly())
    due = HOUR_MS
    assert is_missed(hourly, 0, due, due, ZONE)
    assert is_missed(hourly, 0, due, due + HOUR_MS // 2, ZONE)
    assert is_missed(hourly, 0, due, due + 100 * HOUR_MS + 5, ZONE), "the latest of many counts"
    day = Schedule(Daily("09:00"))
    nine = instant("2026-01-10T09:00:00Z")
    assert is_missed(day, 0, nine, nine + HOUR_MS, ZONE)
    assert not is_missed(day, 0, nine, nine + HOUR_MS + 1, ZONE)
    assert is_missed(Schedule(Daily("09:00"), catchup_window=5 * HOUR_MS), 0, nine, nine + 5 * HOUR_MS, ZONE)
    assert not is_missed(Schedule(Daily("09:00"), catchup_window=0), 0, nine, nine + 1, ZONE)
