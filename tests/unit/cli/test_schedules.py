from datetime import timedelta

import pytest

from libs.cli.errors import Failed
from libs.cli.schedules import schedule_of, schedule_words, span
from libs.gen.cohort.v1 import sync_pb2


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("90s", 90), ("1h30m", 5_400), ("2d", 172_800), ("1h 30m", 5_400)]
)
def test_spans_are_read_and_written(text: str, seconds: int) -> None:
    assert span(text) == timedelta(seconds=seconds)
    assert span(schedule_words(schedule_of(text, False, None, False, None)).removeprefix("every ")) == span(
        text
    )


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "-5m", "15m!", "99999999999999d"])
def test_bad_spans_are_refused(text: str) -> None:
    with pytest.raises(Failed, match="--every"):
        span(text)


def test_exactly_one_schedule_is_taken() -> None:
    assert schedule_of(None, False, None, False, None) is None
    with pytest.raises(Failed, match="say one of"):
        schedule_of("15m", True, None, False, None)
    with pytest.raises(Failed, match="--daily"):
        schedule_of(None, False, None, False, "UTC")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (sync_pb2.Schedule(once=sync_pb2.Once()), "once"),
        (sync_pb2.Schedule(hourly=sync_pb2.Hourly()), "hourly"),
        (
            sync_pb2.Schedule(daily=sync_pb2.Daily(time="09:00"), time_zone="Asia/Kolkata"),
            "daily at 09:00 Asia/Kolkata",
        ),
        (
            sync_pb2.Schedule(weekly=sync_pb2.Weekly(day=sync_pb2.Weekly.MONDAY, time="09:00")),
            "every Monday at 09:00",
        ),
        (sync_pb2.Schedule(cron=sync_pb2.Cron(expression="0 9 * * 1")), "cron 0 9 * * 1"),
    ],
)
def test_schedules_read_as_words(schedule: sync_pb2.Schedule, words: str) -> None:
    assert schedule_words(schedule) == words
