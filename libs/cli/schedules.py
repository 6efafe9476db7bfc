"""When does a sync run? Options to a Schedule, and a Schedule to words."""

import re
from datetime import timedelta
from typing import Annotated, Any

import typer

from libs.cli.errors import Failed
from libs.gen.cohort.v1 import sync_pb2

EVERY = re.compile(r"(\d+)\s*(s|m|h|d)")
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
"""Seconds in each unit of --every."""

EveryOption = Annotated[
    str | None,
    typer.Option("--every", metavar="15m", help="Again and again: a number and s, m, h or d; 60s or more."),
]
HourlyOption = Annotated[bool, typer.Option("--hourly", help="Every hour.")]
DailyOption = Annotated[str | None, typer.Option("--daily", metavar="09:00", help="Every day at a time.")]
OnceOption = Annotated[bool, typer.Option("--once", help="Once, at once.")]
ZoneOption = Annotated[
    str | None,
    typer.Option("--time-zone", metavar="ZONE", help="For --daily: an IANA name. Default: the project's."),
]


def schedule_of(every: str | None, hourly: bool, daily: str | None, once: bool, zone: str | None) -> Any:
    """Return the Schedule that the options ask for, None where they ask for none."""
    chosen = [every is not None, hourly, daily is not None, once]
    if not any(chosen):
        if zone is not None:
            raise Failed("--time-zone goes with --daily")
        return None
    if sum(chosen) > 1:
        raise Failed("say one of --every, --hourly, --daily and --once")
    schedule = sync_pb2.Schedule(time_zone=zone or "")
    if every is not None:
        schedule.every.duration.FromTimedelta(span(every))
    elif daily is not None:
        schedule.daily.time = daily
    elif hourly:
        schedule.hourly.SetInParent()
    else:
        schedule.once.SetInParent()
    return schedule


def span(text: str) -> timedelta:
    """Read `15m`, `1h30m`, `2d`. Raises Failed."""
    compact = text.strip().lower()
    if not re.fullmatch(rf"(?:{EVERY.pattern}\s*)+", compact):
        raise Failed(f"--every {text}: say a number and s, m, h or d, as in 15m or 1h30m")
    seconds = sum(int(amount) * UNITS[unit] for amount, unit in EVERY.findall(compact))
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise Failed(f"--every {text}: that is too long") from None


def schedule_words(schedule: Any) -> str:
    """Write a schedule in words."""
    zone = f" {schedule.time_zone}" if schedule.time_zone else ""
    kind = schedule.WhichOneof("schedule")
    if kind == "every":
        return f"every {_span_words(schedule.every.duration.seconds)}"
    if kind == "daily":
        return f"daily at {schedule.daily.time}{zone}"
    if kind == "weekly":
        day = sync_pb2.Weekly.Day.Name(schedule.weekly.day).capitalize()
        return f"every {day} at {schedule.weekly.time}{zone}"
    return f"cron {schedule.cron.expression}{zone}" if kind == "cron" else (kind or "")


def _span_words(seconds: int) -> str:
    parts = []
    for unit in ("d", "h", "m", "s"):
        amount, seconds = divmod(seconds, UNITS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return " ".join(parts) or "0s"
