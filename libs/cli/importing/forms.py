"""How are JSON lines in the contract's own forms sent? Event objects as they are, customers decoded."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from google.protobuf import json_format

from libs.cli.importing.encode import Batch
from libs.cli.importing.json_file import camel, lines, parse
from libs.cli.importing.table import CHUNK_ROWS, Reject
from libs.gen.cohort.v1 import event_pb2, ingest_pb2

BATCH_BYTES = 16 << 20
"""Bytes of lines a batch: half of the limit."""


class _Identity(msgspec.Struct):
    """The one field of a line that is looked at."""

    eventId: str | None = None  # noqa: N815


def event_batches(path: Path, digest: str) -> Iterator[Batch]:
    """Yield SendEventsJsonRequests. An event without an id gets one; the server says what is wrong."""
    decoder = msgspec.json.Decoder(_Identity)
    held: list[bytes] = []
    rows: list[int] = []
    size = 0
    for numbers, part in lines(path, CHUNK_ROWS):
        for number, raw in zip(numbers, part, strict=True):
            line = _with_id(camel(raw.strip()), decoder, f"{digest}:{number}")
            if not line:
                continue
            if held and (size + len(line) > BATCH_BYTES or len(held) == CHUNK_ROWS):
                yield _events(held, rows)
                held, rows, size = [], [], 0
            held.append(line)
            rows.append(number)
            size += len(line) + 1
    if held:
        yield _events(held, rows)


def _events(held: list[bytes], rows: list[int]) -> Batch:
    return Batch(ingest_pb2.SendEventsJsonRequest(json_lines=b"\n".join(held)), rows)


def _with_id(line: bytes, decoder: msgspec.json.Decoder[_Identity], event_id: str) -> bytes:
    if not line:
        return line
    try:
        if decoder.decode(line).eventId:
            return line
    except (msgspec.DecodeError, UnicodeDecodeError):
        return line
    event = parse(line)
    return line if event is None else msgspec.json.encode({**event, "eventId": event_id})


def customer_batches(path: Path, size: int) -> Iterator[Batch]:
    """Yield UpsertCustomersRequests of lines that are Customer objects."""
    for numbers, part in lines(path, size):
        request = ingest_pb2.UpsertCustomersRequest()
        rows: list[int] = []
        rejects: list[Reject] = []
        for number, line in zip(numbers, part, strict=True):
            if not line.strip():
                continue
            try:
                request.customers.append(json_format.ParseDict(parse(line) or {"": 0}, event_pb2.Customer()))
            except json_format.ParseError:
                rejects.append(
                    Reject(number, "", "NOT_A_CUSTOMER", "is not an object of customerId and data")
                )
            else:
                rows.append(number)
        yield Batch(request, rows, rejects)
