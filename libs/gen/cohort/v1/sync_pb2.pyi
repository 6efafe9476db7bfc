import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Destination(_message.Message):
    __slots__ = ("destination_id", "name", "facebook_ads", "webhook", "file", "grpc", "create_time", "update_time")
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FACEBOOK_ADS_FIELD_NUMBER: _ClassVar[int]
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    GRPC_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    destination_id: str
    name: str
    facebook_ads: FacebookAdsDestination
    webhook: WebhookDestination
    file: FileDestination
    grpc: GrpcDestination
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, destination_id: _Optional[str] = ..., name: _Optional[str] = ..., facebook_ads: _Optional[_Union[FacebookAdsDestination, _Mapping]] = ..., webhook: _Optional[_Union[WebhookDestination, _Mapping]] = ..., file: _Optional[_Union[FileDestination, _Mapping]] = ..., grpc: _Optional[_Union[GrpcDestination, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class FacebookAdsDestination(_message.Message):
    __slots__ = ("ad_account_id", "access_token", "audience_id", "match_keys", "graph_url", "match_attributes", "limited_data_use", "default_country")
    class MatchAttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AD_ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_KEYS_FIELD_NUMBER: _ClassVar[int]
    GRAPH_URL_FIELD_NUMBER: _ClassVar[int]
    MATCH_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    LIMITED_DATA_USE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    ad_account_id: str
    access_token: str
    audience_id: str
    match_keys: _containers.RepeatedScalarFieldContainer[str]
    graph_url: str
    match_attributes: _containers.ScalarMap[str, str]
    limited_data_use: bool
    default_country: str
    def __init__(self, ad_account_id: _Optional[str] = ..., access_token: _Optional[str] = ..., audience_id: _Optional[str] = ..., match_keys: _Optional[_Iterable[str]] = ..., graph_url: _Optional[str] = ..., match_attributes: _Optional[_Mapping[str, str]] = ..., limited_data_use: _Optional[bool] = ..., default_country: _Optional[str] = ...) -> None: ...

class WebhookDestination(_message.Message):
    __slots__ = ("url", "signing_secret")
    URL_FIELD_NUMBER: _ClassVar[int]
    SIGNING_SECRET_FIELD_NUMBER: _ClassVar[int]
    url: str
    signing_secret: str
    def __init__(self, url: _Optional[str] = ..., signing_secret: _Optional[str] = ...) -> None: ...

class FileDestination(_message.Message):
    __slots__ = ("path", "format")
    class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FORMAT_UNSPECIFIED: _ClassVar[FileDestination.Format]
        CSV: _ClassVar[FileDestination.Format]
        JSON_LINES: _ClassVar[FileDestination.Format]
        PARQUET: _ClassVar[FileDestination.Format]
    FORMAT_UNSPECIFIED: FileDestination.Format
    CSV: FileDestination.Format
    JSON_LINES: FileDestination.Format
    PARQUET: FileDestination.Format
    PATH_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    path: str
    format: FileDestination.Format
    def __init__(self, path: _Optional[str] = ..., format: _Optional[_Union[FileDestination.Format, str]] = ...) -> None: ...

class GrpcDestination(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("once", "every", "hourly", "daily", "weekly", "cron", "time_zone", "jitter", "catchup_window")
    ONCE_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    HOURLY_FIELD_NUMBER: _ClassVar[int]
    DAILY_FIELD_NUMBER: _ClassVar[int]
    WEEKLY_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    CATCHUP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    once: Once
    every: Every
    hourly: Hourly
    daily: Daily
    weekly: Weekly
    cron: Cron
    time_zone: str
    jitter: _duration_pb2.Duration
    catchup_window: _duration_pb2.Duration
    def __init__(self, once: _Optional[_Union[Once, _Mapping]] = ..., every: _Optional[_Union[Every, _Mapping]] = ..., hourly: _Optional[_Union[Hourly, _Mapping]] = ..., daily: _Optional[_Union[Daily, _Mapping]] = ..., weekly: _Optional[_Union[Weekly, _Mapping]] = ..., cron: _Optional[_Union[Cron, _Mapping]] = ..., time_zone: _Optional[str] = ..., jitter: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., catchup_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Once(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Every(_message.Message):
    __slots__ = ("duration",)
    DURATION_FIELD_NUMBER: _ClassVar[int]
    duration: _duration_pb2.Duration
    def __init__(self, duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Hourly(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Daily(_message.Message):
    __slots__ = ("time",)
    TIME_FIELD_NUMBER: _ClassVar[int]
    time: str
    def __init__(self, time: _Optional[str] = ...) -> None: ...

class Weekly(_message.Message):
    __slots__ = ("day", "time")
    class Day(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DAY_UNSPECIFIED: _ClassVar[Weekly.Day]
        MONDAY: _ClassVar[Weekly.Day]
        TUESDAY: _ClassVar[Weekly.Day]
        WEDNESDAY: _ClassVar[Weekly.Day]
        THURSDAY: _ClassVar[Weekly.Day]
        FRIDAY: _ClassVar[Weekly.Day]
        SATURDAY: _ClassVar[Weekly.Day]
        SUNDAY: _ClassVar[Weekly.Day]
    DAY_UNSPECIFIED: Weekly.Day
    MONDAY: Weekly.Day
    TUESDAY: Weekly.Day
    WEDNESDAY: Weekly.Day
    THURSDAY: Weekly.Day
    FRIDAY: Weekly.Day
    SATURDAY: Weekly.Day
    SUNDAY: Weekly.Day
    DAY_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    day: Weekly.Day
    time: str
    def __init__(self, day: _Optional[_Union[Weekly.Day, str]] = ..., time: _Optional[str] = ...) -> None: ...

class Cron(_message.Message):
    __slots__ = ("expression",)
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    expression: str
    def __init__(self, expression: _Optional[str] = ...) -> None: ...

class Sync(_message.Message):
    __slots__ = ("sync_id", "cohort_id", "destination_id", "schedule", "mode", "max_remove_fraction", "state", "state_reason", "next_run_time", "last_run", "create_time", "update_time", "etag")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Sync.State]
        ACTIVE: _ClassVar[Sync.State]
        PAUSED: _ClassVar[Sync.State]
        DONE: _ClassVar[Sync.State]
    STATE_UNSPECIFIED: Sync.State
    ACTIVE: Sync.State
    PAUSED: Sync.State
    DONE: Sync.State
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[Sync.Mode]
        MIRROR: _ClassVar[Sync.Mode]
        ADD_ONLY: _ClassVar[Sync.Mode]
        REPLACE: _ClassVar[Sync.Mode]
    MODE_UNSPECIFIED: Sync.Mode
    MIRROR: Sync.Mode
    ADD_ONLY: Sync.Mode
    REPLACE: Sync.Mode
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MAX_REMOVE_FRACTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    cohort_id: str
    destination_id: str
    schedule: Schedule
    mode: Sync.Mode
    max_remove_fraction: float
    state: Sync.State
    state_reason: str
    next_run_time: _timestamp_pb2.Timestamp
    last_run: SyncRun
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, sync_id: _Optional[str] = ..., cohort_id: _Optional[str] = ..., destination_id: _Optional[str] = ..., schedule: _Optional[_Union[Schedule, _Mapping]] = ..., mode: _Optional[_Union[Sync.Mode, str]] = ..., max_remove_fraction: _Optional[float] = ..., state: _Optional[_Union[Sync.State, str]] = ..., state_reason: _Optional[str] = ..., next_run_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_run: _Optional[_Union[SyncRun, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class SyncRun(_message.Message):
    __slots__ = ("run_id", "sync_id", "start_time", "end_time", "state", "revision", "planned_adds", "planned_removes", "delivered_adds", "delivered_removes", "rejected", "batches", "attempts", "error", "warnings", "standing")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[SyncRun.State]
        RUNNING: _ClassVar[SyncRun.State]
        SUCCEEDED: _ClassVar[SyncRun.State]
        PARTIAL: _ClassVar[SyncRun.State]
        FAILED: _ClassVar[SyncRun.State]
        CANCELLED: _ClassVar[SyncRun.State]
    STATE_UNSPECIFIED: SyncRun.State
    RUNNING: SyncRun.State
    SUCCEEDED: SyncRun.State
    PARTIAL: SyncRun.State
    FAILED: SyncRun.State
    CANCELLED: SyncRun.State
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PLANNED_ADDS_FIELD_NUMBER: _ClassVar[int]
    PLANNED_REMOVES_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_ADDS_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_REMOVES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    sync_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    state: SyncRun.State
    revision: str
    planned_adds: int
    planned_removes: int
    delivered_adds: int
    delivered_removes: int
    rejected: _containers.RepeatedCompositeFieldContainer[RejectedCount]
    batches: int
    attempts: int
    error: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    standing: int
    def __init__(self, run_id: _Optional[str] = ..., sync_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[SyncRun.State, str]] = ..., revision: _Optional[str] = ..., planned_adds: _Optional[int] = ..., planned_removes: _Optional[int] = ..., delivered_adds: _Optional[int] = ..., delivered_removes: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[RejectedCount, _Mapping]]] = ..., batches: _Optional[int] = ..., attempts: _Optional[int] = ..., error: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., standing: _Optional[int] = ...) -> None: ...

class RejectedCount(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    count: int
    def __init__(self, reason: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class CreateDestinationRequest(_message.Message):
    __slots__ = ("destination", "request_id")
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    destination: Destination
    request_id: str
    def __init__(self, destination: _Optional[_Union[Destination, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateDestinationResponse(_message.Message):
    __slots__ = ("destination",)
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    destination: Destination
    def __init__(self, destination: _Optional[_Union[Destination, _Mapping]] = ...) -> None: ...

class GetDestinationRequest(_message.Message):
    __slots__ = ("destination_id",)
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    destination_id: str
    def __init__(self, destination_id: _Optional[str] = ...) -> None: ...

class GetDestinationResponse(_message.Message):
    __slots__ = ("destination",)
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    destination: Destination
    def __init__(self, destination: _Optional[_Union[Destination, _Mapping]] = ...) -> None: ...

class ListDestinationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDestinationsResponse(_message.Message):
    __slots__ = ("destinations", "next_page_token")
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    destinations: _containers.RepeatedCompositeFieldContainer[Destination]
    next_page_token: str
    def __init__(self, destinations: _Optional[_Iterable[_Union[Destination, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateDestinationRequest(_message.Message):
    __slots__ = ("destination", "update_mask", "request_id")
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    destination: Destination
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, destination: _Optional[_Union[Destination, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateDestinationResponse(_message.Message):
    __slots__ = ("destination",)
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    destination: Destination
    def __init__(self, destination: _Optional[_Union[Destination, _Mapping]] = ...) -> None: ...

class DeleteDestinationRequest(_message.Message):
    __slots__ = ("destination_id", "request_id")
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    destination_id: str
    request_id: str
    def __init__(self, destination_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteDestinationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TestDestinationRequest(_message.Message):
    __slots__ = ("destination_id",)
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    destination_id: str
    def __init__(self, destination_id: _Optional[str] = ...) -> None: ...

class TestDestinationResponse(_message.Message):
    __slots__ = ("ok", "message")
    OK_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    message: str
    def __init__(self, ok: _Optional[bool] = ..., message: _Optional[str] = ...) -> None: ...

class CreateSyncRequest(_message.Message):
    __slots__ = ("sync", "request_id")
    SYNC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sync: Sync
    request_id: str
    def __init__(self, sync: _Optional[_Union[Sync, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateSyncResponse(_message.Message):
    __slots__ = ("sync",)
    SYNC_FIELD_NUMBER: _ClassVar[int]
    sync: Sync
    def __init__(self, sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class GetSyncRequest(_message.Message):
    __slots__ = ("sync_id",)
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    def __init__(self, sync_id: _Optional[str] = ...) -> None: ...

class GetSyncResponse(_message.Message):
    __slots__ = ("sync",)
    SYNC_FIELD_NUMBER: _ClassVar[int]
    sync: Sync
    def __init__(self, sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class ListSyncsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "cohort_id", "destination_id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COHORT_ID_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    cohort_id: str
    destination_id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., cohort_id: _Optional[str] = ..., destination_id: _Optional[str] = ...) -> None: ...

class ListSyncsResponse(_message.Message):
    __slots__ = ("syncs", "next_page_token")
    SYNCS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    syncs: _containers.RepeatedCompositeFieldContainer[Sync]
    next_page_token: str
    def __init__(self, syncs: _Optional[_Iterable[_Union[Sync, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateSyncRequest(_message.Message):
    __slots__ = ("sync", "update_mask", "request_id")
    SYNC_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sync: Sync
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, sync: _Optional[_Union[Sync, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateSyncResponse(_message.Message):
    __slots__ = ("sync",)
    SYNC_FIELD_NUMBER: _ClassVar[int]
    sync: Sync
    def __init__(self, sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class PauseSyncRequest(_message.Message):
    __slots__ = ("sync_id", "request_id")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    request_id: str
    def __init__(self, sync_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PauseSyncResponse(_message.Message):
    __slots__ = ("sync",)
    SYNC_FIELD_NUMBER: _ClassVar[int]
    sync: Sync
    def __init__(self, sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class ResumeSyncRequest(_message.Message):
    __slots__ = ("sync_id", "request_id")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    request_id: str
    def __init__(self, sync_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ResumeSyncResponse(_message.Message):
    __slots__ = ("sync",)
    SYNC_FIELD_NUMBER: _ClassVar[int]
    sync: Sync
    def __init__(self, sync: _Optional[_Union[Sync, _Mapping]] = ...) -> None: ...

class DeleteSyncRequest(_message.Message):
    __slots__ = ("sync_id", "request_id")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    request_id: str
    def __init__(self, sync_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteSyncResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PreviewSyncRequest(_message.Message):
    __slots__ = ("sync_id",)
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    def __init__(self, sync_id: _Optional[str] = ...) -> None: ...

class PreviewSyncResponse(_message.Message):
    __slots__ = ("adds", "removes", "unmatched", "batches", "calls", "revision")
    ADDS_FIELD_NUMBER: _ClassVar[int]
    REMOVES_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    adds: int
    removes: int
    unmatched: _containers.RepeatedCompositeFieldContainer[RejectedCount]
    batches: int
    calls: int
    revision: str
    def __init__(self, adds: _Optional[int] = ..., removes: _Optional[int] = ..., unmatched: _Optional[_Iterable[_Union[RejectedCount, _Mapping]]] = ..., batches: _Optional[int] = ..., calls: _Optional[int] = ..., revision: _Optional[str] = ...) -> None: ...

class RunSyncRequest(_message.Message):
    __slots__ = ("sync_id", "request_id")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    request_id: str
    def __init__(self, sync_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RunSyncResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: SyncRun
    def __init__(self, run: _Optional[_Union[SyncRun, _Mapping]] = ...) -> None: ...

class CancelSyncRunRequest(_message.Message):
    __slots__ = ("run_id", "request_id")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    request_id: str
    def __init__(self, run_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CancelSyncRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: SyncRun
    def __init__(self, run: _Optional[_Union[SyncRun, _Mapping]] = ...) -> None: ...

class GetSyncRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class GetSyncRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: SyncRun
    def __init__(self, run: _Optional[_Union[SyncRun, _Mapping]] = ...) -> None: ...

class ListSyncRunsRequest(_message.Message):
    __slots__ = ("sync_id", "page_size", "page_token")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    page_size: int
    page_token: str
    def __init__(self, sync_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSyncRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[SyncRun]
    next_page_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[SyncRun, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
