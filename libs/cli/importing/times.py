"""What instant does a text, a number or a timestamp mean? Milliseconds since 1970, floored.

Taken are RFC 3339, `YYYY-MM-DD[ HH:MM[:SS[.fff]]]` (in the zone given), and epoch seconds or milliseconds,
told apart by magnitude: below 10^11 they are seconds, which is the year 5138.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from libs.cli.errors import Failed
from libs.zones import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
MILLISECONDS_FROM = 10**11
"""An epoch number from here on is in milliseconds."""
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999: what a Timestamp can hold."""
LONGEST_NUMBER = 20
"""Digits and sign of an int64; Python reads no integers of thousands of digits."""
INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?(?:[Zz]|UTC|[+-]\d{2}:?\d{2}))?)?",
    re.ASCII,
)
EPOCH_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
COMPACT_DATE = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


class NoTime(ValueError):
    """A value that is no instant. Its text says why."""


def to_milliseconds(value: Any, zone: tzinfo = UTC) -> int:
    """Return the instant that a cell means; `zone` is that of times that do not name one. Raises NoTime."""
    try:
        instant = _read(value, zone)
    except OverflowError:  # at the ends of the calendar, a zone's offset leads out of it
        instant = LAST_MS + 1
    if not FIRST_MS <= instant <= LAST_MS:
        raise NoTime("is not a time of the years 1 to 9999")
    return instant


def _read(value: Any, zone: tzinfo) -> int:
    if isinstance(value, str):
        return _from_text(value.strip(), zone)
    if isinstance(value, datetime):
        return _from_datetime(value, zone)
    if isinstance(value, date):
        return _from_datetime(datetime(value.year, value.month, value.day), zone)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    raise NoTime("is not a time")


def _from_text(text: str, zone: tzinfo) -> int:
    if INSTANT.fullmatch(text):
        try:
            return _from_datetime(datetime.fromisoformat(_iso(text)), zone)
        except ValueError as error:
            raise NoTime(f"is not a time: {error}") from None
    if COMPACT_DATE.fullmatch(text):
        raise NoTime("could be a date or epoch seconds: write YYYY-MM-DD")
    if EPOCH_NUMBER.fullmatch(text):
        return _from_number(float(text) if "." in text or len(text) > LONGEST_NUMBER else int(text))
    raise NoTime("is not a time: write RFC 3339, YYYY-MM-DD HH:MM:SS, or epoch seconds or milliseconds")


def _iso(text: str) -> str:
    """Write what `INSTANT` takes as `datetime.fromisoformat` wants it."""
    if text[-1].isdigit():
        return text.replace(" +", "+").replace(" -", "-") if len(text) > len("YYYY-MM-DD hh:mm:ss") else text
    return text.rstrip("UTCZz ") + "Z"


def _from_datetime(instant: datetime, zone: tzinfo) -> int:
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    return (instant - EPOCH) // MILLISECOND


def _from_number(number: float) -> int:
    try:
        return int(number) if abs(number) >= MILLISECONDS_FROM else int(number * 1000 // 1)
    except (OverflowError, ValueError):
        raise NoTime("is not a time") from None


def zone_of(name: str | None) -> tzinfo:
    """Return the time zone of this IANA name, UTC for none. Raises Failed."""
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Failed(f"--time-zone {name}: no such zone; say an IANA name such as Europe/Berlin") from None


def to_timestamp(text: str) -> Timestamp:
    """Read an instant of the command line. Raises Failed."""
    try:
        milliseconds = to_milliseconds(text)
    except NoTime as error:
        raise Failed(f"{text!r} {error}") from None
    stamp = Timestamp()
    stamp.FromMilliseconds(milliseconds)
    return stamp
