"""How do clients send events? A batch in each of the three forms of the wire, already serialised.

What a client spends on building its requests is not the server's time, so it happens before the clock starts.
"""

import json
from datetime import UTC, datetime
from typing import Any

import grpc

from libs.events.batch import Batch, Strings
from libs.gen.cohort.v1 import event_pb2, ingest_pb2

SERVICE = "/cohort.v1.IngestService/"


def columns(batch: Batch) -> bytes:
    """Write a batch for SendEventColumns."""
    request = ingest_pb2.SendEventColumnsRequest(
        customer_ids=batch.customer_ids.tolist(),
        event_types=batch.event_types.tolist(),
        event_times_ms=batch.times.tolist(),
        event_ids=batch.event_ids,
    )
    for column in batch.columns:
        if isinstance(column.values, Strings):
            request.columns.add(attribute=column.attribute, strings=column.values.tolist())
        else:
            request.columns.add(attribute=column.attribute, numbers=column.values.tolist())
    return request.SerializeToString()


def _rows(batch: Batch) -> list[dict[str, Any]]:
    names = [column.attribute for column in batch.columns]
    values = [column.values.tolist() for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def json_lines(batch: Batch) -> bytes:
    """Write a batch for SendEventsJson."""
    assert batch.event_ids
    lines = [
        json.dumps(
            {
                "customerId": customer,
                "eventType": event_type,
                "eventTime": datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds"),
                "eventId": event_id,
                "data": data,
            }
        )
        for customer, event_type, time, event_id, data in zip(
            batch.customer_ids.tolist(),
            batch.event_types.tolist(),
            batch.times.tolist(),
            batch.event_ids,
            _rows(batch),
            strict=True,
        )
    ]
    request = ingest_pb2.SendEventsJsonRequest(json_lines="\n".join(lines).encode())
    return request.SerializeToString()


def rows(batch: Batch) -> bytes:
    """Write a batch for SendEvents."""
    assert batch.event_ids
    request = ingest_pb2.SendEventsRequest()
    for customer, event_type, time, event_id, data in zip(
        batch.customer_ids.tolist(),
        batch.event_types.tolist(),
        batch.times.tolist(),
        batch.event_ids,
        _rows(batch),
        strict=True,
    ):
        event = event_pb2.Event(customer_id=customer, event_type=event_type, event_id=event_id)
        event.event_time.FromMilliseconds(time)
        event.data.update(data)
        request.events.append(event)
    return request.SerializeToString()


def sender(channel: grpc.Channel, method: str, response: Any) -> Any:
    """Return a call that takes serialised requests."""
    return channel.unary_unary(
        SERVICE + method, request_serializer=None, response_deserializer=response.FromString
    )
