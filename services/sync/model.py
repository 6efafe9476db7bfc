"""What are destinations, syncs and runs? The records that are kept, free of protobuf and of storage.

All are frozen msgspec Structs, encoded as MessagePack by `services.sync.store`. Instants are milliseconds
since 1970, UTC; spans are milliseconds. A field may be added with a default; none may change its meaning.
"""

from enum import StrEnum
from typing import NewType

import msgspec

DestinationId = NewType("DestinationId", str)
SyncId = NewType("SyncId", str)
RunId = NewType("RunId", str)

HOUR_MS = 3_600_000


class WebhookSettings(msgspec.Struct, frozen=True, tag="webhook"):
    """An HTTP endpoint. `signing_secret` is empty where pages go unsigned; it never leaves the service."""

    url: str
    signing_secret: str = ""

    def __repr__(self) -> str:
        """Leave out the secret, and the URL, which may carry one in its query."""
        return f"WebhookSettings(signed={bool(self.signing_secret)})"


class FileFormat(StrEnum):
    """How members are written to a file."""

    CSV = "CSV"
    JSON_LINES = "JSON_LINES"
    PARQUET = "PARQUET"


class FileSettings(msgspec.Struct, frozen=True, tag="file"):
    """A file: an absolute `path` on the machine of the sync service, or an fsspec URL."""

    path: str
    format: FileFormat


class FacebookSettings(msgspec.Struct, frozen=True, tag="facebook_ads"):
    """A custom audience of an ad account, of which `ad_account_id` is the digits.

    `access_token` never leaves the service. `audience_id` is empty where each sync has an audience made for
    it. `match_keys` are names of `services.sync.destinations.facebook.keys`, each once; `match_attributes`
    has those whose attribute is not the usual one. `graph_url` is empty for Meta's own.
    """

    ad_account_id: str
    access_token: str
    match_keys: tuple[str, ...]
    audience_id: str = ""
    match_attributes: dict[str, str] = {}
    limited_data_use: bool = False
    default_country: str = ""
    graph_url: str = ""

    def __repr__(self) -> str:
        """Leave out the token."""
        return f"FacebookSettings(act_{self.ad_account_id}, {'+'.join(self.match_keys)})"


class PluginSettings(msgspec.Struct, frozen=True, tag="grpc"):
    """A plug-in: `target` is HOST:PORT of a DestinationService."""

    target: str


Settings = WebhookSettings | FileSettings | FacebookSettings | PluginSettings


class Destination(msgspec.Struct, frozen=True):
    """Where members are sent."""

    destination_id: DestinationId
    name: str
    settings: Settings
    create_time: int
    update_time: int


class Once(msgspec.Struct, frozen=True, tag="once"):
    """Once, at once."""


class Every(msgspec.Struct, frozen=True, tag="every"):
    """Again and again, `interval` ms apart."""

    interval: int


class Hourly(msgspec.Struct, frozen=True, tag="hourly"):
    """Every hour, counted from when the schedule was set."""


class Daily(msgspec.Struct, frozen=True, tag="daily"):
    """Every day at a local time, HH:MM."""

    time: str


class Weekly(msgspec.Struct, frozen=True, tag="weekly"):
    """Every week on a day (1 is Monday, 7 Sunday) at a local time, HH:MM."""

    day: int
    time: str


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """As a cron expression of five fields says."""

    expression: str


Rhythm = Once | Every | Hourly | Daily | Weekly | Cron


class Schedule(msgspec.Struct, frozen=True):
    """When a sync runs.

    `time_zone` is an IANA name, empty for the project's. A run missed while the service was down is made up
    for where it is no older than `catchup_window` ms; None is the default, an hour. Each run starts up to
    `jitter` ms late.
    """

    rhythm: Rhythm
    time_zone: str = ""
    catchup_window: int | None = None
    jitter: int = 0


class Mode(StrEnum):
    """What a run sends: adds and removes, only adds, or the full set in place of what was there."""

    MIRROR = "MIRROR"
    ADD_ONLY = "ADD_ONLY"
    REPLACE = "REPLACE"


class SyncState(StrEnum):
    """Whether a sync runs."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DONE = "DONE"


class Sync(msgspec.Struct, frozen=True):
    """A cohort kept in step at a destination.

    `anchor` is the instant its intervals count from; `version` changes with every update and is its etag;
    `next_run` is None unless it is ACTIVE and has one; `last_run` names the run under way or the last one.
    """

    sync_id: SyncId
    cohort_id: str
    destination_id: DestinationId
    schedule: Schedule
    mode: Mode
    max_remove_fraction: float | None
    state: SyncState
    state_reason: str
    anchor: int
    next_run: int | None
    last_run: RunId | None
    create_time: int
    update_time: int
    version: int = 1


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Run(msgspec.Struct, frozen=True):
    """One run of a sync: what was planned, and what the destination has acknowledged.

    `rejected` counts customers that were not taken, by reason, `standing` those of them who were not even tried, as
    nothing has changed since they were; `attempts` counts calls to the destination,
    retries included; `cancelled` is set as soon as somebody asked for it; `warnings` are what somebody should
    know though nothing went wrong.
    """

    run_id: RunId
    sync_id: SyncId
    start_time: int
    end_time: int | None = None
    state: RunState = RunState.RUNNING
    revision: str = ""
    planned_adds: int = 0
    planned_removes: int = 0
    delivered_adds: int = 0
    delivered_removes: int = 0
    rejected: dict[str, int] = {}
    batches: int = 0
    attempts: int = 0
    error: str = ""
    cancelled: bool = False
    warnings: tuple[str, ...] = ()
    standing: int = 0
