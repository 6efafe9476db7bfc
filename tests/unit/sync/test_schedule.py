"""When is a sync due? Intervals, days, and days on which clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.sync.model import HOUR_MS, Cron, Daily, Every, Hourly, Once, Rhythm, Schedule, Weekly
from services.sync.schedule import Timetable

ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60_000


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def shown(milliseconds: int | None) -> str:
    assert milliseconds is not None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def due(rhythm: Rhythm, after: str, zone: ZoneInfo = BERLIN) -> str:
    return shown(Timetable(Schedule(rhythm), 0, zone).next(instant(after)))


def daily(time: str, after: str, zone: ZoneInfo = BERLIN) -> str:
    return due(Daily(time), after, zone)


@given(
    anchor=st.integers(0, 10**13),
    interval=st.integers(60_000, 10**10),
    elapsed=st.integers(-(10**9), 10**13),
)
def test_intervals_count_from_the_anchor_and_never_drift(anchor, interval, elapsed):
    following = Timetable(Schedule(Every(interval)), anchor, ZONE).next(anchor + elapsed)
    assert following > anchor + elapsed
    assert (following - anchor) % interval == 0
    assert following - interval <= anchor + elapsed


def test_hourly_counts_from_the_anchor_and_once_has_no_next():
    hourly = Timetable(Schedule(Hourly()), 5, ZONE)
    assert hourly.next(5) == 5 + HOUR_MS
    assert hourly.next(5 + HOUR_MS) == 5 + 2 * HOUR_MS
    assert Timetable(Schedule(Once()), 0, ZONE).next(0) is None


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


@pytest.mark.parametrize(
    ("day", "after", "expected"),
    [
        (1, "2026-01-10T12:00:00Z", "2026-01-12T08:00:00Z"),
        (6, "2026-01-10T07:59:59Z", "2026-01-10T08:00:00Z"),
        (6, "2026-01-10T08:00:00Z", "2026-01-17T08:00:00Z"),
        (7, "2026-01-10T08:00:00Z", "2026-01-11T08:00:00Z"),
    ],
)
def test_weekly_is_on_its_day(day, after, expected):
    assert due(Weekly(day, "09:00"), after) == expected


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/15 * * * *", "2026-01-10T08:00:00Z", "2026-01-10T08:15:00Z"),
        ("0 9 * * 1", "2026-01-10T12:00:00Z", "2026-01-12T08:00:00Z"),
        ("0 9 * * 0", "2026-01-10T12:00:00Z", "2026-01-11T08:00:00Z"),
        ("0 9 * * 7", "2026-01-10T12:00:00Z", "2026-01-11T08:00:00Z"),
        ("0 9 * * sun", "2026-01-10T12:00:00Z", "2026-01-11T08:00:00Z"),
        ("0 9 * * 5-7", "2026-01-10T12:00:00Z", "2026-01-11T08:00:00Z"),
        ("0 9 * * Mon-Fri", "2026-01-10T06:00:00Z", "2026-01-12T08:00:00Z"),
        ("0 0 1 JAN *", "2026-01-10T06:00:00Z", "2026-12-31T23:00:00Z"),
        ("0 0 29 2 *", "2026-01-10T06:00:00Z", "2028-02-28T23:00:00Z"),
        ("0 0 29 2 */7", "2026-01-10T06:00:00Z", "2032-02-28T23:00:00Z"),
        ("0 0 13 * 5", "2026-01-10T06:00:00Z", "2026-01-12T23:00:00Z"),
        ("0 0 13 * 5", "2026-01-13T06:00:00Z", "2026-01-15T23:00:00Z"),
    ],
)
def test_cron_is_as_cron_has_it(expression, after, expected):
    assert due(Cron(expression), after) == expected


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
    assert due(Cron("30 2 * * *"), "2026-10-25T00:30:00Z") == "2026-10-26T01:30:00Z"


def test_what_is_due_in_every_hour_is_due_in_both_hours_of_a_doubled_one():
    assert due(Cron("*/30 * * * *"), "2026-10-25T00:30:00Z") == "2026-10-25T01:00:00Z"
    assert due(Cron("0 * * * *"), "2026-03-29T00:30:00Z") == "2026-03-29T01:00:00Z"
    assert due(Cron("0 * * * *"), "2026-03-29T01:00:00Z") == "2026-03-29T02:00:00Z"


def test_a_midnight_that_clocks_skip_and_a_half_hour_change():
    # Beirut goes from 00:00 to 01:00 at 22:00 UTC on 2026-03-28; Lord Howe by half an hour.
    assert daily("00:00", "2026-03-28T12:00:00Z", ZoneInfo("Asia/Beirut")) == "2026-03-28T22:00:00Z"
    howe = ZoneInfo("Australia/Lord_Howe")
    assert daily("02:15", "2026-10-03T12:00:00Z", howe) == "2026-10-03T15:30:00Z"


@given(st.integers(0, 4 * 10**12), st.sampled_from(["00:00", "02:30", "12:00", "23:59"]))
def test_daily_is_later_and_within_two_days(after, time):
    following = Timetable(Schedule(Daily(time)), 0, BERLIN).next(after)
    assert after < following <= after + 49 * HOUR_MS


RHYTHMS = st.sampled_from(
    [Every(90_000), Hourly(), Daily("02:30"), Weekly(7, "02:30"), Cron("*/20 * * * *"), Cron("0 9 * * 1-5")]
)


@settings(deadline=None, max_examples=40)
@given(
    rhythm=RHYTHMS,
    jitter=st.integers(1, 10**9),
    anchor=st.integers(10**12, 2 * 10**12),
    seed=st.text(max_size=5),
)
def test_jitter_delays_each_run_once_and_never_to_the_next(rhythm, jitter, anchor, seed):
    exact = Timetable(Schedule(rhythm), anchor, BERLIN)
    delayed = Timetable(Schedule(rhythm, jitter=jitter), anchor, BERLIN, seed)
    nominal, start = anchor, anchor
    for _ in range(10):
        nominal, start = exact.next(nominal), delayed.next(start)
        assert nominal <= start < min(exact.next(nominal), nominal + jitter)
        assert delayed.next(nominal - 1) == start or delayed.next(nominal - 1) < nominal
        assert delayed.next(start - 1) == start, "asked again, it is the same"


def test_jitter_differs_between_syncs_and_between_runs():
    schedule = Schedule(Hourly(), jitter=HOUR_MS)
    starts = {Timetable(schedule, 0, ZONE, f"syn_{n}").next(0) for n in range(50)}
    assert len(starts) == 50
    one = Timetable(schedule, 0, ZONE, "syn_1")
    offsets, at = set(), 0
    for _ in range(50):
        at = one.next(at)
        offsets.add(at % HOUR_MS)
    assert len(offsets) == 50
    assert min(offsets) < 10 * MINUTE
    assert max(offsets) > 50 * MINUTE


def test_a_run_that_was_to_start_before_the_schedule_was_set_does_not_start_late():
    nine = instant("2026-01-10T09:00:00Z")
    daily_at_nine = Schedule(Daily("09:00"), jitter=HOUR_MS)
    following = Timetable(daily_at_nine, nine + 1, ZONE, "syn_1").next(nine + 1)
    assert shown(following).startswith("2026-01-11T09")


def test_a_missed_run_is_made_up_for_within_the_window_only():
    hourly = Timetable(Schedule(Hourly()), 0, ZONE)
    missed = HOUR_MS
    assert hourly.is_missed(missed, missed)
    assert hourly.is_missed(missed, missed + HOUR_MS // 2)
    assert hourly.is_missed(missed, missed + 100 * HOUR_MS + 5), "the latest of many counts"
    nine = instant("2026-01-10T09:00:00Z")

    def day(window: int | None = None) -> Timetable:
        return Timetable(Schedule(Daily("09:00"), catchup_window=window), 0, ZONE)

    assert day().is_missed(nine, nine + HOUR_MS)
    assert not day().is_missed(nine, nine + HOUR_MS + 1)
    assert day(5 * HOUR_MS).is_missed(nine, nine + 5 * HOUR_MS)
    assert not day(0).is_missed(nine, nine + 1)
    assert day(0).is_missed(nine, nine + MINUTE, least=MINUTE)
