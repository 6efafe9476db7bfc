"""What does a request ask for, in our words? Reads protobuf, refuses what is wrong by its field path.

Paths are those of the JSON form. What the contract has and this version does not is refused by name, never
ignored.
"""

import base64
import binascii
import os.path
import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from google.protobuf.duration_pb2 import Duration
from msgspec.structs import replace

from libs.errors import Invalid, NotBuilt
from libs.gen.cohort.v1 import sync_pb2
from services.sync.lifecycle import SyncChange, SyncDraft
from services.sync.model import (
    Daily,
    Destination,
    Every,
    FileFormat,
    FileSettings,
    Hourly,
    Mode,
    Once,
    Schedule,
    Settings,
    WebhookSettings,
)

MOST_NAME_BYTES = 256
MOST_URL_BYTES = 2048
LEAST_EVERY_MS = 60_000
MOST_SPAN_MS = 36_500 * 86_400_000
"""A hundred years: what lies behind has no date that every system can write."""
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
HOST = re.compile(rb"[A-Za-z0-9._-]+")
LAST_PORT = 65_535
FORMATS = {
    sync_pb2.FileDestination.CSV: FileFormat.CSV,
    sync_pb2.FileDestination.JSON_LINES: FileFormat.JSON_LINES,
}
UNSET_FORMAT = sync_pb2.FileDestination.FORMAT_UNSPECIFIED
_FORMAT_NUMBERS = {kept: sent for sent, kept in FORMATS.items()}


def not_built(what: str, field: str) -> NotBuilt:
    """Say that something of the contract is not there yet."""
    return NotBuilt("NOT_BUILT_YET", f"this version of Cohort does not have {what} yet", field)


def required(value: str, field: str) -> str:
    """Return an id that must be there. Raises `Invalid`."""
    if not value:
        raise Invalid("FIELD_REQUIRED", f"{field} is required", field)
    return value


# Destinations


def destination_name(name: str) -> str:
    """Check the name of a destination. Raises `Invalid`."""
    if not 1 <= len(name.encode()) <= MOST_NAME_BYTES:
        raise Invalid(
            "INVALID_NAME", f"the name of a destination has 1 to {MOST_NAME_BYTES} bytes", "destination.name"
        )
    return name


def settings(message: sync_pb2.Destination, data_dir: Path) -> Settings:
    """Read what a destination is. Raises `Invalid`, `NotBuilt`."""
    match message.WhichOneof("type"):
        case "webhook":
            webhook = WebhookSettings(message.webhook.url, message.webhook.signing_secret)
            return check_webhook(webhook)
        case "file":
            return _file(message.file.path, message.file.format, data_dir)
        case "facebook_ads":
            raise not_built("Facebook Ads destinations", "destination.facebookAds")
        case "grpc":
            raise not_built("plug-in destinations", "destination.grpc")
        case _:
            raise Invalid("FIELD_REQUIRED", "say what the destination is: webhook or file", "destination")


def changed_destination(
    message: sync_pb2.Destination, mask: Sequence[str], before: Destination, data_dir: Path
) -> tuple[str, Settings]:
    """Return name and settings with what the mask names taken from the message. Raises `Invalid`."""
    name, after = before.name, before.settings
    file_format = _FORMAT_NUMBERS[after.format] if isinstance(after, FileSettings) else UNSET_FORMAT
    for path in _paths(mask):
        match path, after:
            case "name", _:
                name = destination_name(message.name)
            case "webhook", WebhookSettings():
                after = WebhookSettings(message.webhook.url, message.webhook.signing_secret)
            case "webhook.url", WebhookSettings():
                after = replace(after, url=message.webhook.url)
            case "webhook.signing_secret", WebhookSettings():
                after = replace(after, signing_secret=message.webhook.signing_secret)
            case "file", FileSettings():
                after, file_format = replace(after, path=message.file.path), message.file.format
            case "file.path", FileSettings():
                after = replace(after, path=message.file.path)
            case "file.format", FileSettings():
                file_format = message.file.format
            case _:
                raise Invalid(
                    "INVALID_UPDATE_MASK",
                    f"{path!r} of this destination cannot be updated: name can, and of a webhook webhook.url "
                    f"and webhook.signing_secret, of a file file.path and file.format; its type stays",
                    "updateMask",
                )
    if isinstance(after, WebhookSettings):
        return name, check_webhook(after)
    return name, _file(after.path, file_format, data_dir)


def check_webhook(webhook: WebhookSettings) -> WebhookSettings:
    """Check URL and secret. Raises `Invalid`, without the secret in it."""
    field = "destination.webhook.url"
    if not webhook.url:
        raise Invalid("FIELD_REQUIRED", "a webhook needs a url", field)
    if len(webhook.url.encode()) > MOST_URL_BYTES:
        raise Invalid("INVALID_URL", f"a url has at most {MOST_URL_BYTES} bytes", field)
    try:
        url = httpx.URL(webhook.url)
    except httpx.InvalidURL:
        raise Invalid("INVALID_URL", "the url of a webhook cannot be read as one", field) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise Invalid("INVALID_URL", "the url of a webhook begins with http:// or https:// and a host", field)
    if not (HOST.fullmatch(url.raw_host) or _is_address(url.host)) or not (url.port or 1) <= LAST_PORT:
        raise Invalid("INVALID_URL", "the url of a webhook has no valid host and port", field)
    if url.userinfo:
        raise Invalid(
            "INVALID_URL",
            "a url is shown to everybody, so it takes no user and password: use a signing secret",
            field,
        )
    _check_secret(webhook.signing_secret)
    return webhook


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_secret(secret: str) -> None:
    try:
        key = base64.b64decode(_padded(secret.removeprefix("whsec_")), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if secret and not key:
        raise Invalid(
            "INVALID_SIGNING_SECRET",
            "a signing secret is whsec_ and base64, as Standard Webhooks has it",
            "destination.webhook.signingSecret",
        )


def _padded(text: str) -> str:
    return text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)


def _file(path: str, file_format: sync_pb2.FileDestination.Format, data_dir: Path) -> FileSettings:
    field = "destination.file.path"
    if not path:
        raise Invalid("FIELD_REQUIRED", "a file needs a path", field)
    if not os.path.isabs(path) or "\0" in path or path.endswith("/"):
        raise Invalid("INVALID_PATH", "the path of a file is absolute and names a file, not a folder", field)
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(data_dir)):
        raise Invalid("INVALID_PATH", "a file cannot lie in the data folder of Cohort itself", field)
    if file_format == sync_pb2.FileDestination.PARQUET:
        raise not_built("Parquet files", "destination.file.format")
    if file_format not in FORMATS:
        raise Invalid(
            "FIELD_REQUIRED", "the format of a file is CSV or JSON_LINES", "destination.file.format"
        )
    return FileSettings(path, FORMATS[file_format])


# Syncs


def sync_draft(message: sync_pb2.Sync) -> SyncDraft:
    """Read a sync to be made. Raises `Invalid`, `NotBuilt`."""
    return SyncDraft(
        required(message.cohort_id, "sync.cohortId"),
        required(message.destination_id, "sync.destinationId"),
        schedule(message),
        mode(message),
        guard(message),
    )


def sync_change(message: sync_pb2.Sync, mask: Sequence[str]) -> SyncChange:
    """Read what is to change of a sync. Raises `Invalid`, `NotBuilt`."""
    change = SyncChange()
    for path in _paths(mask):
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


def _paths(mask: Sequence[str]) -> Sequence[str]:
    if not mask:
        raise Invalid("FIELD_REQUIRED", "say what to update", "updateMask")
    return mask


def mode(message: sync_pb2.Sync) -> Mode:
    """Read what runs send. Raises `Invalid`, `NotBuilt`."""
    if message.mode in (sync_pb2.Sync.MODE_UNSPECIFIED, sync_pb2.Sync.MIRROR):
        return Mode.MIRROR
    if message.mode in (sync_pb2.Sync.ADD_ONLY, sync_pb2.Sync.REPLACE):
        raise not_built(f"mode {sync_pb2.Sync.Mode.Name(message.mode)}", "sync.mode")
    raise Invalid("INVALID_MODE", "the mode of a sync is MIRROR", "sync.mode")


def guard(message: sync_pb2.Sync) -> float | None:
    """Read the guard against mass removal. Raises `Invalid`."""
    if not message.HasField("max_remove_fraction"):
        return None
    if not 0 <= message.max_remove_fraction <= 1:
        raise Invalid("INVALID_FRACTION", "max_remove_fraction is from 0 to 1", "sync.maxRemoveFraction")
    return message.max_remove_fraction


def schedule(sync: sync_pb2.Sync) -> Schedule:
    """Read when a sync runs. Raises `Invalid`, `NotBuilt`."""
    message, field = sync.schedule, "sync.schedule"
    rhythm: Once | Every | Hourly | Daily
    match message.WhichOneof("schedule"):
        case "once":
            rhythm = Once()
        case "every":
            rhythm = Every(_every(message.every))
        case "hourly":
            rhythm = Hourly()
        case "daily":
            if not TIME.fullmatch(message.daily.time):
                raise Invalid("INVALID_TIME", "a time is HH:MM, 00:00 to 23:59", f"{field}.daily.time")
            rhythm = Daily(message.daily.time)
        case "weekly" | "cron" as name:
            raise not_built(f"{name} schedules", f"{field}.{name}")
        case _:
            raise Invalid("FIELD_REQUIRED", "say when it runs: once, every, hourly or daily", field)
    if message.HasField("jitter") and (message.jitter.seconds or message.jitter.nanos):
        raise not_built("jitter", f"{field}.jitter")
    _check_zone(message.time_zone)
    catchup = None
    if message.HasField("catchup_window"):
        catchup = _milliseconds(message.catchup_window, f"{field}.catchupWindow")
    return Schedule(rhythm, message.time_zone, catchup)


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
    if not name:
        return
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid(
            "UNKNOWN_TIME_ZONE",
            f"{name[:64]!r} is no IANA time zone such as Europe/Berlin",
            "sync.schedule.timeZone",
        ) from None
