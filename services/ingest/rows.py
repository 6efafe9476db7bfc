"""How are events read that come one by one? From protobuf messages and from JSON lines."""

import json
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any

import msgspec
from google.protobuf import struct_pb2, timestamp_pb2

from libs.events.commit import Refusal
from libs.gen.cohort.v1 import event_pb2
from libs.instants import parse_instant
from services.ingest.validate import Refused, RowCollector

NANOS = 1_000_000_000
OUT_OF_RANGE_MS = -1
"""Stands for a time no timestamp can have, and is refused as out of range."""


class JsonEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One line: an Event in its JSON form."""

    customer_id: str | None = None
    event_type: str | None = None
    event_time: str | None = None
    event_id: str | None = None
    data: dict[str, str | float | bool | list[Any] | dict[str, Any] | None] | None = None


_decode = msgspec.json.Decoder(JsonEvent).decode


def milliseconds(time: timestamp_pb2.Timestamp) -> int:
    """Return a timestamp floored to ms since 1970."""
    if not 0 <= time.nanos < NANOS:
        return OUT_OF_RANGE_MS
    return time.seconds * 1000 + time.nanos // 1_000_000


def scalars(data: struct_pb2.Struct) -> Iterator[tuple[str, Any]]:
    """Yield a Struct's names and values: str, float, bool, None, and for nested ones what is no scalar."""
    for name, value in data.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "string_value":
            yield name, value.string_value
        elif kind == "number_value":
            yield name, value.number_value
        elif kind == "bool_value":
            yield name, value.bool_value
        elif kind is None or kind == "null_value":
            yield name, None
        else:
            yield name, value


def collect_events(events: Iterable[event_pb2.Event], arrival: int) -> RowCollector:
    """Check events given as messages."""
    collector = RowCollector(arrival)
    for index, event in enumerate(events):
        time = milliseconds(event.event_time) if event.HasField("event_time") else None
        collector.add(index, event.customer_id, event.event_type, time, event.event_id, scalars(event.data))
    return collector


def collect_lines(json_lines: bytes, arrival: int) -> RowCollector:
    """Check events given as JSON lines; empty lines are skipped, but counted."""
    collector = RowCollector(arrival)
    for index, line in enumerate(json_lines.split(b"\n")):
        if not line or line.isspace():
            continue
        try:
            event = _decode(line)
            time = None if event.event_time is None else _instant(event.event_time)
        except msgspec.DecodeError as error:
            collector.refused.append(_not_finite(line, index) or _malformed(error, index))
        except RecursionError:
            collector.refused.append(Refusal(index, "", "INVALID_JSON", "the line is nested too deep"))
        except UnicodeDecodeError:
            collector.refused.append(Refusal(index, "", "INVALID_JSON", "the line is not UTF-8"))
        except Refused as refused:
            collector.refused.append(refused.at(index))
        else:
            data = event.data.items() if event.data else ()
            customer_id, event_type = event.customer_id or "", event.event_type or ""
            collector.add(index, customer_id, event_type, time, event.event_id or "", data)
    return collector


def _instant(text: str) -> int:
    time = parse_instant(text)
    if time is None:
        raise Refused("event_time", "INVALID_TIME", "event_time is an instant as in 2026-01-31T23:59:59.999Z")
    return time


FIELDS = {
    "customerId": "customer_id",
    "eventType": "event_type",
    "eventTime": "event_time",
    "eventId": "event_id",
}


def _not_finite(line: bytes, index: int) -> Refusal | None:
    """Find the attribute whose number made a line unreadable: Python writes NaN and Infinity, JSON has neither."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    data = event.get("data") if isinstance(event, dict) else None
    for attribute, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, float | int) and not _is_finite(value):
            field = f"data.{attribute}".encode(errors="replace").decode()  # json lets lone surrogates by
            return Refusal(index, field, "NOT_FINITE", "a number must be finite")
    return None


def _is_finite(number: float) -> bool:
    try:
        return isfinite(number)
    except OverflowError:  # an integer past the largest double
        return False


def _malformed(error: msgspec.DecodeError, index: int) -> Refusal:
    """Say what is wrong with a line, and in which field where the decoder knows: "$.customerId"."""
    message, _, path = str(error).partition(" - at `$.")
    name = path.rstrip("`")
    field = FIELDS.get(name, "data" if name.startswith("data") else "")
    return Refusal(index, field, "INVALID_JSON", message)
