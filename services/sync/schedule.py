"""When does a sync run next? Pure arithmetic on instants; nothing here reads a clock or keeps a timer.

The same schedule and anchor always give the same instants, so a restart changes nothing. Intervals are
integers of ms from the anchor. Days are our own arithmetic rather than APScheduler's CronTrigger, which may
fire twice where clocks show a time twice and differs on times they skip. `services.sync.scheduler` waits for
these instants.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.sync.model import HOUR_MS, Daily, Every, Hourly, Once, Schedule

CATCHUP_MS = HOUR_MS
"""How old a missed run may be and still be made up for, where a schedule does not say: one hour."""


def next_run(schedule: Schedule, anchor: int, after: int, zone: ZoneInfo) -> int | None:
    """Return the first instant of `schedule` later than `after`, in ms; None for `once`, which has none.

    `zone` is where the times of a daily schedule are: its own zone, or the project's.
    """
    match schedule.rhythm:
        case Once():
            return None
        case Every(interval):
            return _next_multiple(anchor, interval, after)
        case Hourly():
            return _next_multiple(anchor, HOUR_MS, after)
        case Daily(clock_time):
            return _next_daily(time.fromisoformat(clock_time), zone, after)


def is_missed(schedule: Schedule, anchor: int, due: int, now: int, zone: ZoneInfo) -> bool:
    """Return whether a run that was `due` and did not happen is to be made up for at `now`.

    Of several missed instants only the latest counts, so that a long downtime costs one run at most.
    """
    window = CATCHUP_MS if schedule.catchup_window is None else schedule.catchup_window
    latest_start = max(due, now - window)
    instant = next_run(schedule, anchor, latest_start - 1, zone)
    return instant is not None and instant <= now


def _next_multiple(anchor: int, interval: int, after: int) -> int:
    """Return the first anchor + k·interval later than `after`, k ≥ 1."""
    return anchor + max(1, (after - anchor) // interval + 1) * interval


def _next_daily(clock_time: time, zone: ZoneInfo, after: int) -> int:
    day = datetime.fromtimestamp(after / 1000, zone).date() - timedelta(days=1)
    while (instant := _instant(day, clock_time, zone)) <= after:
        day += timedelta(days=1)
    return instant


def _instant(day: date, clock_time: time, zone: ZoneInfo) -> int:
    """Return when clocks show a time on a day, in ms: the first of two, the end of the gap if skipped."""
    local = datetime.combine(day, clock_time)
    earlier, later = sorted(_seconds(local, zone, fold) for fold in (0, 1))
    shown = datetime.fromtimestamp(earlier, UTC).astimezone(zone).replace(tzinfo=None)
    if shown == local:
        return earlier * 1000
    # Skipped: the two readings lie on either side of the change, which is the instant looked for.
    behind = _offset(later, zone)
    span = range(earlier, later + 1)
    return span[bisect_left(span, True, key=lambda second: _offset(second, zone) == behind)] * 1000


def _seconds(local: datetime, zone: ZoneInfo, fold: int) -> int:
    return round(local.replace(tzinfo=zone, fold=fold).timestamp())


def _offset(second: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()
