"""What does a request about syncs ask for, in our words? Reads protobuf, refuses what is wrong by its field path.

Paths are those of the JSON form. Neighbour: `settings`, the same for destinations.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

from google.protobuf.duration_pb2 import Duration

from libs.errors import Invalid
from libs.gen.cohort.v1 import sync_pb2
from services.sync import cron
from services.sync.lifecycle import SyncChange, SyncDraft
from services.sync.model import Cron, Daily, Every, Hourly, Mode, Once, Rhythm, Schedule, Weekly

LEAST_EVERY_MS = 60_000
DAYS = frozenset(range(sync_pb2.Weekly.MONDAY, sync_pb2.Weekly.SUNDAY + 1))
"""As ISO 8601 numbers them, and `datetime.date.isoweekday`."""
MOST_SPAN_MS = 36_500 * 86_400_000
"""A hundred years: what lies behind has no date that every system can write."""
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)


def required(value: str, field: str) -> str:
    """Return an id that must be there. Raises `Invalid`."""
    if not value:
        raise Invalid("FIELD_REQUIRED", f"{field} is required", field)
    return value


# Syncs


def sync_draft(message: sync_pb2.Sync) -> SyncDraft:
    """Read a sync to be made. Raises `Invalid`."""
    return SyncDraft(
        required(message.cohort_id, "sync.cohortId"),
        required(message.destination_id, "sync.destinationId"),
        schedule(message),
        mode(message),
        guard(message),
    )


def sync_change(message: sync_pb2.Sync, mask: Sequence[str]) -> SyncChange:
    """Read what is to change of a sync. Raises `Invalid`."""
    change = SyncChange()
    for path in paths_of(mask):
        match path:
            case "schedule":
                change = SyncChange(schedule(message), change.mode, change.guard)
            case "mode":
                change = SyncChange(change.schedule, mode(message), change.guard)
            case "max_remove_fraction":
                change = SyncChange(change.schedule, change.mode, (guard(message),))
            case _:
                raise Invalid(
                    "INVALID_UPDATE_MASK",
                    f"{path!r} of a sync cannot be updated: schedule, mode and max_remove_fraction can",
                    "updateMask",
                )
    return change


def paths_of(mask: Sequence[str]) -> Sequence[str]:
    """Return the paths of an update mask. Raises `Invalid` where there are none."""
    if not mask:
        raise Invalid("FIELD_REQUIRED", "say what to update", "updateMask")
    return mask


MODES = {
    sync_pb2.Sync.MODE_UNSPECIFIED: Mode.MIRROR,
    sync_pb2.Sync.MIRROR: Mode.MIRROR,
    sync_pb2.Sync.ADD_ONLY: Mode.ADD_ONLY,
    sync_pb2.Sync.REPLACE: Mode.REPLACE,
}


def mode(message: sync_pb2.Sync) -> Mode:
    """Read what runs send. Raises `Invalid`."""
    if message.mode not in MODES:
        raise Invalid("INVALID_MODE", "the mode of a sync is MIRROR, ADD_ONLY or REPLACE", "sync.mode")
    return MODES[message.mode]


def guard(message: sync_pb2.Sync) -> float | None:
    """Read the guard against mass removal. Raises `Invalid`."""
    if not message.HasField("max_remove_fraction"):
        return None
    if not 0 <= message.max_remove_fraction <= 1:
        raise Invalid("INVALID_FRACTION", "max_remove_fraction is from 0 to 1", "sync.maxRemoveFraction")
    return message.max_remove_fraction


def schedule(sync: sync_pb2.Sync) -> Schedule:
    """Read when a sync runs. Raises `Invalid`."""
    message, field = sync.schedule, "sync.schedule"
    kind = message.WhichOneof("schedule")
    if kind is None:
        raise Invalid("FIELD_REQUIRED", "say when it runs: once, every, hourly, daily, weekly or cron", field)
    rhythm = _rhythm(message, kind, f"{field}.{kind}")
    jitter = _optional_span(message, "jitter", f"{field}.jitter") or 0
    if jitter and isinstance(rhythm, Once):
        raise Invalid("INVALID_DURATION", "once runs at once, without jitter", f"{field}.jitter")
    _check_zone(message.time_zone)
    catchup = _optional_span(message, "catchup_window", f"{field}.catchupWindow")
    return Schedule(rhythm, message.time_zone, catchup, jitter)


def _rhythm(message: sync_pb2.Schedule, kind: str, field: str) -> Rhythm:
    match kind:
        case "once":
            return Once()
        case "every":
            return Every(_every(message.every))
        case "hourly":
            return Hourly()
        case "daily":
            return Daily(_time(message.daily.time, f"{field}.time"))
        case "weekly":
            return _weekly(message.weekly, field)
        case _:
            return Cron(_cron(message.cron.expression, f"{field}.expression"))


def _weekly(message: sync_pb2.Weekly, field: str) -> Weekly:
    if message.day not in DAYS:
        raise Invalid("INVALID_DAY", "a day is MONDAY to SUNDAY", f"{field}.day")
    return Weekly(message.day, _time(message.time, f"{field}.time"))


def _time(text: str, field: str) -> str:
    if not TIME.fullmatch(text):
        raise Invalid("INVALID_TIME", "a time is HH:MM, 00:00 to 23:59", field)
    return text


def _cron(expression: str, field: str) -> str:
    if not expression.strip():
        raise Invalid("FIELD_REQUIRED", "a cron schedule needs an expression, as 0 9 * * MON-FRI", field)
    try:
        cron.parse(expression)
    except cron.BadExpression as error:
        raise Invalid("INVALID_CRON", f"this is no cron expression: {error}", field) from None
    return expression


def _optional_span(message: sync_pb2.Schedule, name: str, field: str) -> int | None:
    return _milliseconds(getattr(message, name), field) if message.HasField(name) else None


def _every(message: sync_pb2.Every) -> int:
    field = "sync.schedule.every.duration"
    if not message.HasField("duration"):
        raise Invalid("FIELD_REQUIRED", "say how far runs are apart, at least 60s", field)
    interval = _milliseconds(message.duration, field)
    if interval < LEAST_EVERY_MS:
        raise Invalid("INVALID_DURATION", "runs are at least 60s apart", field)
    return interval


def _milliseconds(duration: Duration, field: str) -> int:
    span = duration.seconds * 1000 + duration.nanos // 1_000_000
    if not 0 <= span <= MOST_SPAN_MS:
        raise Invalid("INVALID_DURATION", "a duration is from 0 to 36,500 days", field)
    return span


def _check_zone(name: str) -> None:
    if name and name not in _zones():
        raise Invalid(
            "UNKNOWN_TIME_ZONE",
            f"{name[:64]!r} is no IANA time zone such as Europe/Berlin",
            "sync.schedule.timeZone",
        )


@lru_cache(maxsize=1)  # read once
def _zones() -> frozenset[str]:
    """Return the names of the tzdata package; others that a machine has, such as localtime, differ by machine."""
    return frozenset((resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())
