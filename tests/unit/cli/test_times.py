from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.cli.errors import Failed
from libs.cli.importing.times import MILLISECONDS_FROM, NoTime, to_milliseconds, to_timestamp, zone_of

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-01 00:00:01", 1_000),
        ("1970-01-01 00:01", 60_000),
        ("1970-01-01T00:00:01.5Z", 1_500),
        ("1970-01-01t00:00:01z", 1_000),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1970-01-01 00:00:00 UTC", 0),
        ("1970-01-01 01:00:00 +0100", 0),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1969-12-31T23:59:59.9999Z", -1),
        (" 1700000000 ", 1_700_000_000_000),
        ("1700000000.5", 1_700_000_000_500),
        ("1700000000123", 1_700_000_000_123),
    ],
)
def test_usual_forms_are_read(text: str, milliseconds: int) -> None:
    assert to_milliseconds(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "soon", "20260101", "2026-13-01", "2026-1-1", "01/02/2026", "10:00", "2026-W01-1"]
)
def test_what_could_be_something_else_is_refused(text: str) -> None:
    with pytest.raises(NoTime):
        to_milliseconds(text)


@pytest.mark.parametrize("value", [True, None, [], float("nan"), float("inf")])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(NoTime):
        to_milliseconds(value)


def test_a_zone_applies_only_to_times_without_one() -> None:
    assert to_milliseconds("2026-07-01 12:00:00", BERLIN) == to_milliseconds("2026-07-01T10:00:00Z")
    assert to_milliseconds("2026-07-01T12:00:00Z", BERLIN) == to_milliseconds("2026-07-01T12:00:00Z")
    assert to_milliseconds(1_700_000_000, BERLIN) == 1_700_000_000_000


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_instants_are_floored_to_milliseconds(instant: datetime) -> None:
    floored = to_milliseconds(instant.isoformat())
    assert floored == to_milliseconds(instant)
    assert 0 <= instant.timestamp() * 1000 - floored < 1.001


@given(st.integers(0, MILLISECONDS_FROM - 1))
def test_seconds_and_milliseconds_are_told_apart_by_magnitude(number: int) -> None:
    assert to_milliseconds(number) == number * 1000
    assert to_milliseconds(number + MILLISECONDS_FROM) == number + MILLISECONDS_FROM


def test_names_and_instants_of_the_command_line_fail_in_one_line() -> None:
    with pytest.raises(Failed, match="Europe/Berlin"):
        zone_of("Berlin")
    with pytest.raises(Failed, match="'soon' is not a time"):
        to_timestamp("soon")


@pytest.mark.parametrize(
    "value",
    [
        10**18,
        -(10**18),
        1e300,
        float("inf"),
        "17672256000225600000",
        "9" * 5000,
        "-" + "9" * 5000,
        "0001-01-01T00:00:00+10:00",
    ],
)
def test_what_no_calendar_holds_is_no_time(value: object) -> None:
    with pytest.raises(NoTime):
        to_milliseconds(value)
