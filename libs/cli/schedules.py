"""When does a sync run? Options to a Schedule, and a Schedule to words."""

import re
from dataclasses import astuple, dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer

from libs.cli.errors import Failed
from libs.gen.cohort.v1 import sync_pb2

SPAN = re.compile(r"(\d+)\s*(s|m|h|d)")
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""Seconds in each unit of a span."""
DAYS = {name.lower(): number for name, number in sync_pb2.Weekly.Day.items() if number}
LEAST_DAY = 2
"""Letters that name a day of the week: mo, tue."""

EveryOption = Annotated[
    str | None,
    typer.Option("--every", metavar="15m", help="Again and again: a number and s, m, h or d; 60s or more."),
]
HourlyOption = Annotated[bool, typer.Option("--hourly", help="Every hour.")]
DailyOption = Annotated[str | None, typer.Option("--daily", metavar="09:00", help="Every day at a time.")]
WeeklyOption = Annotated[
    str | None, typer.Option("--weekly", metavar="'MON 09:00'", help="Every week, on a day at a time.")
]
CronOption = Annotated[
    str | None,
    typer.Option(
        "--cron",
        metavar="'0 9 * * MON-FRI'",
        help="As cron: minute, hour, day of the month, month, day of the week.",
    ),
]
OnceOption = Annotated[bool, typer.Option("--once", help="Once, at once.")]
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--time-zone",
        metavar="ZONE",
        help="For --daily, --weekly and --cron: an IANA name. Default: the project's.",
    ),
]
JitterOption = Annotated[
    str | None,
    typer.Option("--jitter", metavar="10m", help="Start each run at random up to this much later."),
]
CatchUpOption = Annotated[
    str | None,
    typer.Option(
        "--catch-up", metavar="6h", help="Make up for a missed run that is no older. Default: 1h. 0s: never."
    ),
]


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Which rhythm the options ask for: one of these at most."""

    every: str | None = None
    hourly: bool = False
    daily: str | None = None
    weekly: str | None = None
    cron: str | None = None
    once: bool = False

    def put(self, schedule: Any) -> bool:
        """Put it into a Schedule; return whether one was asked for. Raises Failed for two of them."""
        chosen = [value for value in astuple(self) if value is not None and value is not False]
        if len(chosen) > 1:
            raise Failed("say one of --every, --hourly, --daily, --weekly, --cron and --once")
        if self.every is not None:
            schedule.every.duration.FromTimedelta(span("--every", self.every))
        elif self.daily is not None:
            schedule.daily.time = self.daily
        elif self.weekly is not None:
            schedule.weekly.day, schedule.weekly.time = _day_and_time(self.weekly)
        elif self.cron is not None:
            schedule.cron.expression = self.cron
        elif self.hourly:
            schedule.hourly.SetInParent()
        elif self.once:
            schedule.once.SetInParent()
        return bool(chosen)


@dataclass(frozen=True, slots=True)
class Around:
    """What the options say beside the rhythm."""

    time_zone: str | None = None
    jitter: str | None = None
    catch_up: str | None = None

    def put(self, schedule: Any) -> bool:
        """Put it into a Schedule; return whether anything was said."""
        if self.time_zone is not None:
            schedule.time_zone = self.time_zone
        if self.jitter is not None:
            schedule.jitter.FromTimedelta(span("--jitter", self.jitter))
        if self.catch_up is not None:
            schedule.catchup_window.FromTimedelta(span("--catch-up", self.catch_up))
        return any(value is not None for value in astuple(self))


def span(option: str, text: str) -> timedelta:
    """Read `15m`, `1h30m`, `2d`. Raises Failed."""
    compact = text.strip().lower()
    if not re.fullmatch(rf"(?:{SPAN.pattern}\s*)+", compact, re.ASCII):
        raise Failed(f"{option} {text}: say a number and s, m, h or d, as in 15m or 1h30m")
    seconds = sum(int(amount) * UNITS[unit] for amount, unit in SPAN.findall(compact))
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise Failed(f"{option} {text}: that is too long") from None


def _day_and_time(text: str) -> tuple[Any, str]:
    """Read `MON 09:00`. The service checks the time. Raises Failed."""
    day, _, at = text.strip().lower().partition(" ")
    found = [number for name, number in DAYS.items() if len(day) >= LEAST_DAY and name.startswith(day)]
    if not found or not at.strip():
        raise Failed(f"--weekly {text}: say a day and a time, as in 'MON 09:00'")
    return found[0], at.strip()


def schedule_words(schedule: Any) -> str:
    """Write a schedule in words: `daily at 09:00 Asia/Kolkata, up to 10m later`."""
    zone = f" {schedule.time_zone}" if schedule.time_zone else ""
    late = schedule.jitter.ToMilliseconds() if schedule.HasField("jitter") else 0
    return f"{_rhythm_words(schedule, zone)}{f', up to {span_words(schedule.jitter)} later' if late else ''}"


def _rhythm_words(schedule: Any, zone: str) -> str:
    kind = schedule.WhichOneof("schedule")
    if kind == "every":
        return f"every {span_words(schedule.every.duration)}"
    if kind == "daily":
        return f"daily at {schedule.daily.time}{zone}"
    if kind == "weekly":
        day = sync_pb2.Weekly.Day.Name(schedule.weekly.day).capitalize()
        return f"every {day} at {schedule.weekly.time}{zone}"
    return f"cron {schedule.cron.expression}{zone}" if kind == "cron" else (kind or "")


def span_words(duration: Any) -> str:
    """Write a Duration as `--every` reads it, parts of a second as such: `1h 30m`, `1m 30.5s`."""
    seconds, parts = duration.seconds, []
    for unit in ("d", "h", "m"):
        amount, seconds = divmod(seconds, UNITS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    rest = seconds + duration.nanos / 1e9
    if rest or not parts:
        parts.append(f"{rest:.3f}".rstrip("0").rstrip(".") + "s")
    return " ".join(parts)
