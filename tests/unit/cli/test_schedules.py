from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration

from libs.cli.errors import Failed
from libs.cli.schedules import Around, Rhythm, schedule_words, span, span_words
from libs.gen.cohort.v1 import sync_pb2

NOTHING = Around()


def made(rhythm: Rhythm, around: Around = NOTHING) -> sync_pb2.Schedule:
    schedule = sync_pb2.Schedule()
    assert rhythm.put(schedule)
    around.put(schedule)
    return schedule


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("90s", 90), ("1h30m", 5_400), ("2d", 172_800), ("1h 30m", 5_400)]
)
def test_spans_are_read_and_written(text: str, seconds: int) -> None:
    assert span("--every", text) == timedelta(seconds=seconds)
    words = schedule_words(made(Rhythm(every=text)))
    assert span("--every", words.removeprefix("every ")) == span("--every", text)


def test_parts_of_a_second_are_written() -> None:
    assert span_words(Duration(seconds=90, nanos=500_000_000)) == "1m 30.5s"
    assert span_words(Duration()) == "0s"


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "-5m", "15m!", "99999999999999d"])
def test_bad_spans_are_refused_by_their_option(text: str) -> None:
    for option in ("--every", "--jitter"):
        with pytest.raises(Failed, match=option):
            span(option, text)


def test_one_rhythm_at_most_is_taken() -> None:
    assert not Rhythm().put(sync_pb2.Schedule())
    for two in (Rhythm(every="15m", hourly=True), Rhythm(cron="* * * * *", once=True)):
        with pytest.raises(Failed, match="say one of"):
            two.put(sync_pb2.Schedule())


@pytest.mark.parametrize(
    ("text", "day"),
    [("MONDAY 09:00", 1), ("mon 09:00", 1), ("tu 09:00", 2), ("thu 09:00", 4), ("Sun  09:00", 7)],
)
def test_a_week_is_a_day_and_a_time(text: str, day: int) -> None:
    weekly = made(Rhythm(weekly=text)).weekly
    assert (weekly.day, weekly.time) == (day, "09:00")


@pytest.mark.parametrize("text", ["", "09:00", "monday", "m 09:00", "mo9:00", "someday 09:00"])
def test_what_is_no_day_and_time_is_refused(text: str) -> None:
    with pytest.raises(Failed, match="--weekly"):
        Rhythm(weekly=text).put(sync_pb2.Schedule())


def test_what_is_said_beside_the_rhythm_is_put_and_the_rest_stays() -> None:
    schedule = made(Rhythm(daily="09:00"), Around("Asia/Kolkata", "10m", "0s"))
    assert (schedule.time_zone, schedule.jitter.seconds) == ("Asia/Kolkata", 600)
    assert schedule.HasField("catchup_window")
    assert Around(jitter="0s").put(schedule)
    assert (schedule.daily.time, schedule.time_zone) == ("09:00", "Asia/Kolkata")
    assert not Around().put(schedule)
    assert schedule_words(schedule) == "daily at 09:00 Asia/Kolkata"


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (made(Rhythm(once=True)), "once"),
        (made(Rhythm(hourly=True)), "hourly"),
        (made(Rhythm(daily="09:00"), Around("Asia/Kolkata")), "daily at 09:00 Asia/Kolkata"),
        (made(Rhythm(weekly="mon 09:00")), "every Monday at 09:00"),
        (made(Rhythm(cron="0 9 * * 1"), Around(jitter="90s")), "cron 0 9 * * 1, up to 1m 30s later"),
    ],
)
def test_schedules_read_as_words(schedule: sync_pb2.Schedule, words: str) -> None:
    assert schedule_words(schedule) == words
