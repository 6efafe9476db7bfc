"""How are events read that come as JSON lines? A chunk at a time, and line by line where that fails.

Guarantees: what is kept and refused, and why, is what decoding line by line gives. Lines mostly have the same
attributes, so a chunk is first decoded into a struct that has just those: half the cost of dicts.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Batch, Column
from libs.events.commit import Refusal
from libs.events.encode import join
from services.ingest import validate
from services.ingest.table import Cells, Data, Dicts, Events, build, columns_of
from services.ingest.times import parse_instants
from services.ingest.validate import Refused

CHUNK_BYTES = 1 << 18
"""JSON read in one go: bounds what a request takes as Python objects, and what one bad line slows down."""
MAX_ATTRIBUTES = 64
"""Attributes that are expected at most; every line of a chunk has a place for each."""
SHAPES = 64
"""Sets of attributes whose decoders are kept."""

Value = str | float | bool | list[Any] | dict[str, Any] | None
_Lines = tuple[list[int], Sequence[Any], Data]
"""Lines that could be read: their indexes, the events, the events' data."""


class JsonEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One line: an Event in its JSON form."""

    customer_id: str | None = None
    event_type: str | None = None
    event_time: str | None = None
    event_id: str | None = None
    data: dict[str, Value] | None = None


_decoder = msgspec.json.Decoder(JsonEvent)


@dataclass(frozen=True, slots=True)
class Records:
    """The values of many events, a struct each, in which field `names[i]` is `f{i}` and None where absent."""

    names: tuple[str, ...]
    structs: Sequence[Any]

    def row(self, row: int) -> dict[str, Any]:
        """Return the values of one event by attribute."""
        return dict(zip(self.names, msgspec.structs.astuple(self.structs[row]), strict=True))

    def columns(self, suspect: NDArray[np.bool_]) -> list[Column]:
        """Lay the values out by column; mark the rows that need a closer look."""
        rows = np.arange(len(self.structs), dtype=np.uint32)
        columns: list[Column] = []
        for place, name in enumerate(self.names):
            values = list(map(attrgetter(f"f{place}"), self.structs))
            columns += columns_of(name, Cells([rows], [values]), suspect)
        return columns


@dataclass(frozen=True, slots=True)
class Shape:
    """How lines are decoded that have no attributes but `names`; `empty` stands for data that is not there."""

    names: tuple[str, ...]
    decoder: "msgspec.json.Decoder[Any]"
    empty: Any


@lru_cache(maxsize=SHAPES)
def _shape(names: tuple[str, ...]) -> Shape | None:
    """Make the decoder of lines with some attributes; None where they cannot be fields, or are refused anyway."""
    fields = [f"f{place}" for place in range(len(names))]
    try:
        for name in names:
            validate.check_attribute(name)
        data = msgspec.defstruct(
            "JsonData",
            [(field, Value, None) for field in fields],
            rename=dict(zip(fields, names, strict=True)),
            forbid_unknown_fields=True,
            gc=False,
        )
        event = msgspec.defstruct(
            "ShapedEvent",
            [*((name, str | None, None) for name in FIELDS.values()), ("data", data | None, None)],
            rename="camel",
            forbid_unknown_fields=True,
            gc=False,
        )
        return Shape(names, msgspec.json.Decoder(event), data())
    except (Refused, ValueError):  # msgspec takes no quotes and control characters in names
        return None


def collect_lines(json_lines: bytes, arrival: int) -> tuple[Batch, list[Refusal]]:
    """Check events given as JSON lines; empty lines are skipped, but counted."""
    refused: list[Refusal] = []
    batches = []
    first = 0
    names = _names_of_first(json_lines)
    for chunk in _chunks(json_lines):
        breaks = chunk.count(b"\n")
        lines = _decode_shaped(chunk, breaks, first, names)
        if lines is None:
            indexes, events = _decode(chunk, breaks, first, refused)
            data = [event.data or {} for event in events]
            names = tuple({**dict.fromkeys(names), **{name: None for each in data for name in each}})
            names = names[: MAX_ATTRIBUTES + 1]  # past it there is no shape
            lines = indexes, events, Dicts(data)
        first += breaks + 1
        batch, bad = _build(lines, arrival)
        batches.append(batch)
        refused += bad
    return join(batches), sorted(refused, key=lambda refusal: refusal.index)


def _names_of_first(json_lines: bytes) -> tuple[str, ...]:
    """Return the attributes of the first line: mostly those of all."""
    try:
        end = json_lines.find(b"\n")
        return tuple(_decoder.decode(json_lines if end < 0 else json_lines[:end]).data or ())
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ()


def _chunks(json_lines: bytes) -> Iterator[bytes]:
    """Cut at ends of lines; the last chunk may be empty."""
    start = 0
    while (end := json_lines.find(b"\n", start + CHUNK_BYTES)) >= 0:
        yield json_lines[start:end]
        start = end + 1
    yield json_lines[start:].removesuffix(b"\n")


def _decode_together(decoder: "msgspec.json.Decoder[Any]", chunk: bytes, breaks: int) -> list[Any] | None:
    """Decode lines, of which there is one more than `breaks`, in one go; None where that cannot be.

    JSON has "}" and "{" with nothing between them only between two values. So where every break is between
    such, each line holds whole values; and as many values as lines are one on each.
    """
    separated = chunk.count(b"}\n{")
    if separated < breaks and separated + chunk.count(b"}\r\n{") < breaks:
        return None
    try:
        events: list[Any] = decoder.decode_lines(chunk)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return events if len(events) == breaks + 1 else None


def _decode_shaped(chunk: bytes, breaks: int, first: int, names: tuple[str, ...]) -> _Lines | None:
    """Decode lines that have no attributes but `names`, the first of which has index `first`; None if others do."""
    shape = _shape(names) if len(names) <= MAX_ATTRIBUTES else None
    if shape is None:
        return None
    events = _decode_together(shape.decoder, chunk, breaks)
    if events is None:
        return None
    structs = [shape.empty if event.data is None else event.data for event in events]
    return list(range(first, first + len(events))), events, Records(names, structs)


def _decode(
    chunk: bytes, breaks: int, first: int, refused: list[Refusal]
) -> tuple[list[int], list[JsonEvent]]:
    """Decode lines, the first of which has index `first`: the indexes of the good ones, and their events."""
    events = _decode_together(_decoder, chunk, breaks)
    if events is None:
        return _decode_singly(chunk, first, refused)
    return list(range(first, first + len(events))), events


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


def _build(lines: _Lines, arrival: int) -> tuple[Batch, list[Refusal]]:
    """Lay out decoded lines by column."""
    indexes, events, data = lines
    times = np.full(len(events), arrival)
    texts = [event.event_time for event in events]
    dated = [place for place, text in enumerate(texts) if text is not None] if None in texts else slice(None)
    times[dated] = parse_instants([text for text in texts if text is not None])
    sent = Events(
        indexes,
        [event.customer_id or "" for event in events],
        [event.event_type or "" for event in events],
        [event.event_id or "" for event in events],
        data,
    )
    return build(sent, times)


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
