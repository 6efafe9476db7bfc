"""How do our records look on the wire? Writes protobuf; a secret has no way into it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from libs.gen.cohort.v1 import sync_pb2
from libs.rpc.access import caller
from libs.rpc.scopes import Scope
from services.sync.model import (
    Cron,
    Daily,
    Destination,
    Every,
    FacebookSettings,
    FileSettings,
    Hourly,
    Once,
    PluginSettings,
    Run,
    Schedule,
    Sync,
    WebhookSettings,
    Weekly,
)
from services.sync.previewing import Preview


def destination(record: Destination) -> sync_pb2.Destination:
    """Write a destination, without its secrets.

    The URL of a webhook, which may be a secret itself, is whole for who may change it alone.
    """
    message = sync_pb2.Destination(
        destination_id=record.destination_id,
        name=record.name,
        create_time=_timestamp(record.create_time),
        update_time=_timestamp(record.update_time),
    )
    match record.settings:
        case WebhookSettings(url):
            message.webhook.url = url if Scope.MANAGE in caller().scopes else _masked(url)
        case FileSettings(path, file_format):
            message.file.path = path
            message.file.format = getattr(sync_pb2.FileDestination, file_format)
        case PluginSettings(target):
            message.grpc.target = target
        case FacebookSettings() as facebook:
            message.facebook_ads.CopyFrom(
                sync_pb2.FacebookAdsDestination(
                    ad_account_id=facebook.ad_account_id,
                    audience_id=facebook.audience_id,
                    match_keys=facebook.match_keys,
                    graph_url=facebook.graph_url,
                    match_attributes=facebook.match_attributes,
                    limited_data_use=facebook.limited_data_use,
                    default_country=facebook.default_country,
                )
            )
    return message


def _masked(url: str) -> str:
    """Return where a webhook is, without what may be secret about it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def sync(record: Sync, last_run: Run | None) -> sync_pb2.Sync:
    """Write a sync with its run under way, or its last one."""
    return sync_pb2.Sync(
        sync_id=record.sync_id,
        cohort_id=record.cohort_id,
        destination_id=record.destination_id,
        schedule=_schedule(record.schedule),
        mode=str(record.mode),
        max_remove_fraction=record.max_remove_fraction,
        state=str(record.state),
        state_reason=record.state_reason,
        next_run_time=_optional_timestamp(record.next_run),
        last_run=run(last_run) if last_run else None,
        create_time=_timestamp(record.create_time),
        update_time=_timestamp(record.update_time),
        etag=str(record.version),
    )


def run(record: Run) -> sync_pb2.SyncRun:
    """Write a run."""
    return sync_pb2.SyncRun(
        run_id=record.run_id,
        sync_id=record.sync_id,
        start_time=_timestamp(record.start_time),
        end_time=_optional_timestamp(record.end_time),
        state=str(record.state),
        revision=record.revision,
        planned_adds=record.planned_adds,
        planned_removes=record.planned_removes,
        delivered_adds=record.delivered_adds,
        delivered_removes=record.delivered_removes,
        rejected=_rejected(record.rejected),
        batches=record.batches,
        attempts=record.attempts,
        error=record.error,
        warnings=record.warnings,
        standing=record.standing,
    )


def preview(record: Preview) -> sync_pb2.PreviewSyncResponse:
    """Write what a run would do."""
    return sync_pb2.PreviewSyncResponse(
        adds=record.adds,
        removes=record.removes,
        unmatched=_rejected(record.unmatched),
        batches=record.batches,
        calls=record.calls,
        revision=record.revision,
    )


def _rejected(counts: Mapping[str, int]) -> list[sync_pb2.RejectedCount]:
    return [sync_pb2.RejectedCount(reason=reason, count=count) for reason, count in sorted(counts.items())]


def _schedule(record: Schedule) -> sync_pb2.Schedule:
    message = sync_pb2.Schedule(time_zone=record.time_zone)
    match record.rhythm:
        case Once():
            message.once.SetInParent()
        case Every(interval):
            message.every.duration.CopyFrom(_duration(interval))
        case Hourly():
            message.hourly.SetInParent()
        case Daily(time):
            message.daily.time = time
        case Weekly(day, time):
            message.weekly.CopyFrom(sync_pb2.Weekly(day=sync_pb2.Weekly.Day.Name(day), time=time))
        case Cron(expression):
            message.cron.expression = expression
    if record.jitter:
        message.jitter.CopyFrom(_duration(record.jitter))
    if record.catchup_window is not None:
        message.catchup_window.CopyFrom(_duration(record.catchup_window))
    return message


def _duration(span: int) -> Duration:
    message = Duration()
    message.FromMilliseconds(span)
    return message


def _timestamp(instant: int) -> Timestamp:
    message = Timestamp()
    message.FromMilliseconds(instant)
    return message


def _optional_timestamp(instant: int | None) -> Timestamp | None:
    return None if instant is None else _timestamp(instant)
