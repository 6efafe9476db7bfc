"""How are events read that come one by one? From protobuf messages and from JSON lines."""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Batch
from libs.events.commit import Refusal
from libs.events.encode import join
from libs.gen.cohort.v1 import ingest_pb2
from services.ingest.structs import Entries, raw_events
from services.ingest.table import Dicts, Events, build
from services.ingest.times import NO_INSTANT, parse_instants

NANOS = 1_000_000_000
NANOS_PER_MS = 1_000_000
OUT_OF_RANGE_MS = -1
"""Stands for a time no timestamp can have, and is refused as out of range."""
MAX_SECONDS = 1 << 40
"""Past every time that is kept; more would not fit 64 bits in ms."""
CHUNK_BYTES = 1 << 18
"""JSON read in one go: bounds what a request takes as Python objects, and what one bad line slows down."""


class JsonEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One line: an Event in its JSON form."""

    customer_id: str | None = None
    event_type: str | None = None
    event_time: str | None = None
    event_id: str | None = None
    data: dict[str, str | float | bool | list[Any] | dict[str, Any] | None] | None = None


_decoder = msgspec.json.Decoder(JsonEvent)


def collect_events(request: ingest_pb2.SendEventsRequest, arrival: int) -> tuple[Batch, list[Refusal]]:
    """Check events given as messages; `arrival`, ms, is the time of those that have none."""
    customers, types, ids, data = [], [], [], []
    seconds, nanos = [], []
    arrived = divmod(arrival * NANOS_PER_MS, NANOS)
    for event in raw_events(request):
        customers.append(event.customer_id)
        types.append(event.event_type)
        ids.append(event.event_id)
        data.append(event.data.entries[:])
        if event.HasField("event_time"):
            time = event.event_time
            seconds.append(time.seconds)
            nanos.append(time.nanos)
        else:
            seconds.append(arrived[0])
            nanos.append(arrived[1])
    sent = Events(range(len(customers)), customers, types, ids, Entries(data))
    return build(sent, milliseconds(np.array(seconds, np.int64), np.array(nanos, np.int64)))


def milliseconds(seconds: NDArray[np.int64], nanos: NDArray[np.int64]) -> NDArray[np.int64]:
    """Floor timestamps to ms since 1970."""
    legal = (nanos >= 0) & (nanos < NANOS) & (seconds >= 0) & (seconds < MAX_SECONDS)
    return np.where(legal, seconds, 0) * 1000 + np.where(legal, nanos // NANOS_PER_MS, OUT_OF_RANGE_MS)


def collect_lines(json_lines: bytes, arrival: int) -> tuple[Batch, list[Refusal]]:
    """Check events given as JSON lines; empty lines are skipped, but counted."""
    refused: list[Refusal] = []
    batches = []
    first = 0
    for chunk in _chunks(json_lines):
        indexes, events = _decode(chunk, first, refused)
        first += chunk.count(b"\n") + 1
        batch, bad = _build(indexes, events, arrival)
        batches.append(batch)
        refused += bad
    return join(batches), sorted(refused, key=lambda refusal: refusal.index)


def _chunks(json_lines: bytes) -> Iterator[bytes]:
    """Cut at ends of lines."""
    start = 0
    while (end := json_lines.find(b"\n", start + CHUNK_BYTES)) >= 0:
        yield json_lines[start:end]
        start = end + 1
    yield json_lines[start:]


def _decode(chunk: bytes, first: int, refused: list[Refusal]) -> tuple[list[int], list[JsonEvent]]:
    """Decode lines, the first of which has index `first`: the indexes of the good ones, and their events."""
    whole = chunk.removesuffix(b"\n")
    breaks = whole.count(b"\n")
    if whole.count(b"}\n{") + whole.count(b"}\r\n{") == breaks:
        # JSON has "}" and "{" with nothing between them only between two values, so that each line holds
        # whole values, and as many as there are lines are one on each.
        try:
            events = _decoder.decode_lines(whole)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            pass
        else:
            if len(events) == breaks + 1:
                return list(range(first, first + len(events))), events
    return _decode_singly(chunk, first, refused)


def _decode_singly(chunk: bytes, first: int, refused: list[Refusal]) -> tuple[list[int], list[JsonEvent]]:
    indexes, events = [], []
    for index, line in enumerate(chunk.split(b"\n"), first):
        if not line or line.isspace():
            continue
        try:
            events.append(_decoder.decode(line))
            indexes.append(index)
        except msgspec.DecodeError as error:
            refused.append(_not_finite(line, index) or _malformed(error, index))
        except RecursionError:
            refused.append(Refusal(index, "", "INVALID_JSON", "the line is nested too deep"))
        except UnicodeDecodeError:
            refused.append(Refusal(index, "", "INVALID_JSON", "the line is not UTF-8"))
    return indexes, events


def _build(indexes: list[int], events: list[JsonEvent], arrival: int) -> tuple[Batch, list[Refusal]]:
    """Lay out decoded lines by column."""
    times = np.full(len(events), arrival)
    texts = [event.event_time for event in events]
    dated = [place for place, text in enumerate(texts) if text is not None]
    times[dated] = parse_instants([text for text in texts if text is not None])
    refused = [
        Refusal(
            indexes[place],
            "event_time",
            "INVALID_TIME",
            "event_time is an instant as in 2026-01-31T23:59:59.999Z",
        )
        for place in np.flatnonzero(times == NO_INSTANT).tolist()
    ]
    if refused:
        readable = np.flatnonzero(times != NO_INSTANT)
        times = times[readable]
        indexes = [indexes[place] for place in readable.tolist()]
        events = [events[place] for place in readable.tolist()]
    sent = Events(
        indexes,
        [event.customer_id or "" for event in events],
        [event.event_type or "" for event in events],
        [event.event_id or "" for event in events],
        Dicts([event.data or {} for event in events]),
    )
    batch, bad = build(sent, times)
    return batch, refused + bad


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
