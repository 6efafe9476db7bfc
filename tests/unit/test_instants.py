"""Dates and instants are read in the two forms of the contract, and in no other."""

from datetime import date, datetime

import pytest

from libs.instants import DAY_MS, EPOCH, parse_date, parse_instant

JANUARY = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize("day", ["0001-01-01", "1970-01-01", "2024-02-29", "2026-12-31", "9999-12-31"])
def test_a_date_is_its_day_number(day: str) -> None:
    assert parse_date(day) == date.fromisoformat(day).toordinal() - EPOCH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-1-01",
        "2026-01-1",
        "20260101",
        "2026-W01-1",
        "2025-02-29",
        "2026-13-01",
        "2026-00-10",
        "2026-01-00",
        "0000-01-01",
        "10000-01-01",
        "+2026-01-01",
        "-2026-01-01",
        " 2026-01-01",
        "2026-01-01 ",
        "2026-01-01\n",
        "２０２６-01-01",
        "2026-01-٠١",
        "2026‐01‐01",
        "2026/01/01",
        "2026-01-01Z",
    ],
)
def test_nothing_else_is_a_date(text: str) -> None:
    assert parse_date(text) is None
    assert parse_instant(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00:00Z", JANUARY),
        ("2026-01-01T00:00:00+00:00", JANUARY),
        ("2026-01-01T00:00:00-00:00", JANUARY),
        ("2026-01-01T05:30:00+05:30", JANUARY),
        ("2025-12-31T15:30:00-08:30", JANUARY),
        ("2026-01-01T23:59:59+23:59", JANUARY + 59_000),
        ("2025-12-31T00:01:00-23:59", JANUARY),
        ("2026-01-01T23:59:59Z", JANUARY + DAY_MS - 1000),
        ("0001-01-01T00:00:00+23:59", (1 - EPOCH) * DAY_MS - 86_340_000),
        ("9999-12-31T23:59:59-23:59", (3_652_059 - EPOCH + 1) * DAY_MS - 1000 + 86_340_000),
    ],
)
def test_an_instant_is_its_milliseconds(text: str, expected: int) -> None:
    assert parse_instant(text) == expected


@pytest.mark.parametrize("digits", range(1, 13))
def test_fractions_of_any_length_are_floored(digits: int) -> None:
    assert parse_instant(f"2026-01-01T00:00:00.{'9' * digits}Z") == JANUARY + int(("9" * digits + "00")[:3])
    assert parse_instant(f"1969-12-31T23:59:59.{'9' * digits}Z") == -1000 + int(("9" * digits + "00")[:3])
    assert parse_instant(f"2026-01-01T00:00:00.{'0' * digits}+01:00") == JANUARY - 3_600_000


@pytest.mark.parametrize(
    "time",
    [
        "t00:00:00Z",
        "T00:00:00z",
        " 00:00:00Z",
        "T00:00:00",
        "T00:00Z",
        "T24:00:00Z",
        "T23:60:00Z",
        "T23:59:60Z",
        "T0:00:00Z",
        "T00:00:00.Z",
        "T00:00:00,5Z",
        "T00:00:00+0530",
        "T00:00:00+05",
        "T00:00:00+24:00",
        "T00:00:00+05:60",
        "T00:00:00+5:30",
        "T00:00:00−05:00",
        "T00:00:00Z+01:00",
        "T00:00:00ZZ",
        "T00:00:00 Z",
        "T٠٠:00:00Z",
        "T00:00:00.٥Z",
        "T00:00:00Z\n",
        "T00:00:00+01:00:00",
        "T-1:00:00Z",
    ],
)
def test_nothing_else_is_an_instant(time: str) -> None:
    assert parse_instant(f"2026-01-01{time}") is None
    assert parse_instant(f"2026-02-30{time}") is None


def test_instants_agree_with_datetime_on_ordinary_ones() -> None:
    for text in (
        "2012-02-29T12:34:56.789+05:45",
        "1969-07-20T20:17:40-04:00",
        "2100-12-31T23:59:59.999+00:00",
    ):
        assert parse_instant(text) == round(datetime.fromisoformat(text).timestamp() * 1000)
