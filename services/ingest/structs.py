"""How is the data of many messages read? As the bytes of its entries, each different one decoded once.

Walking a `Struct` costs 0.6 µs a value, nearly all of it for Python objects that stand for messages. So a
request is written again and read as one whose events have lists of bytes for data: on the wire a map is a list
of messages of key and value, and any message can be read as bytes. Such an entry is an attribute with its
value, and most come again and again. Guarantees: the values that `scalars` gives. No entry is malformed, for
protobuf has decoded the request before.
"""

from dataclasses import dataclass
from itertools import chain
from struct import Struct
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

from libs.events.batch import Column, Kind, Strings, tell_apart
from libs.gen.cohort.v1 import event_pb2, ingest_pb2
from services.ingest import validate
from services.ingest.table import KINDS, long_values
from services.ingest.validate import Refused

PACKAGE = "cohort.raw"
KEY, VALUE, NUMBER, STRING = 0x0A, 0x12, 0x11, 0x1A
"""Tags: of an entry its key and value, of a value its number and its string."""
LONG = 0x80
"""A length from here on takes more than one byte."""
NUMBER_VALUE = bytes([VALUE, 9, NUMBER])
"""What stands between the name and the 8 bytes of a number."""
_double, _pack = Struct("<d").unpack, Struct("<d").pack


def _raw_events() -> Any:
    """Make a message like SendEventsRequest but with `bytes` where an Event's data has its entries."""
    file = descriptor_pb2.FileDescriptorProto(name="raw.proto", package=PACKAGE, syntax="proto3")
    file.dependency.append(timestamp_pb2.DESCRIPTOR.name)
    event_pb2.Event.DESCRIPTOR.CopyToProto(file.message_type.add())
    [data] = (field for field in file.message_type[0].field if field.name == "data")
    data.type_name = f".{PACKAGE}.Data"
    entries = struct_pb2.Struct.DESCRIPTOR.fields_by_name["fields"]
    file.message_type.add(name="Data").field.add(
        name="entries", number=entries.number, type=Field.TYPE_BYTES, label=Field.LABEL_REPEATED
    )
    ingest_pb2.SendEventsRequest.DESCRIPTOR.CopyToProto(file.message_type.add())
    [events] = (field for field in file.message_type[2].field if field.name == "events")
    events.type_name = f".{PACKAGE}.Event"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.SendEventsRequest"))


_RawRequest = _raw_events()


def raw_events(request: ingest_pb2.SendEventsRequest) -> Any:
    """Return a request's events with `data.entries`: a list of bytes for each.

    Drops what the request has of fields that nobody knows: to protobuf, an entry with one is no entry at all.
    """
    request.DiscardUnknownFields()
    return _RawRequest.FromString(request.SerializeToString()).events


def scalars(data: struct_pb2.Struct) -> dict[str, Any]:
    """Return a Struct's values by name: str, float, bool, None, and for nested ones what is no scalar."""
    found: dict[str, Any] = {}
    fields = data.fields
    for name in fields:  # its items() and values() are Python code, at twice the price
        value = fields[name]
        kind = value.WhichOneof("kind")
        if kind is None or kind == "null_value":
            found[name] = None
        else:
            scalar = kind in ("string_value", "number_value", "bool_value")
            found[name] = getattr(value, kind) if scalar else value
    return found


def decode_entry(entry: bytes) -> tuple[str, Any]:
    """Return an entry's attribute and value, as in `scalars`."""
    if len(entry) > 5 and entry[0] == KEY and entry[1] < LONG:
        start = 2 + entry[1]
        head, size = entry[start : start + 4], len(entry) - start - 2
        if len(head) == 4 and head[0] == VALUE and head[1] == size < LONG:
            if head[2] == NUMBER and size == 9:
                return entry[2:start].decode(), _double(entry[-8:])[0]
            if head[2] == STRING and head[3] == size - 2:
                return entry[2:start].decode(), entry[start + 4 :].decode()
    length = len(entry)
    framed = bytearray([KEY])
    while length >= LONG:
        framed.append(length % LONG | LONG)
        length //= LONG
    [(attribute, value)] = scalars(
        struct_pb2.Struct.FromString(bytes(framed) + bytes([length]) + entry)
    ).items()
    return attribute, value


@dataclass(slots=True)
class _Group:
    """The different values of one attribute that are of one type; numbers are 8 bytes each, little-endian."""

    number: int
    attribute: str
    kind: type
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Entries:
    """The data of many events: a list of entries each."""

    entries: list[list[bytes]]

    def row(self, row: int) -> dict[str, Any]:
        """Return the values of one event by attribute."""
        return dict(map(decode_entry, self.entries[row]))

    def columns(self, suspect: NDArray[np.bool_]) -> list[Column]:
        """Lay the values out by column; mark the rows that need a closer look."""
        counts = np.fromiter(map(len, self.entries), np.int64, len(self.entries))
        rows = np.repeat(np.arange(len(self.entries), dtype=np.uint32), counts)
        suspect |= counts > validate.MAX_OWN_ATTRIBUTES
        codes, distinct = tell_apart(chain.from_iterable(self.entries))
        groups, group_of, place_of = _groups(distinct)
        owner = group_of[codes]
        order = np.argsort(owner, kind="stable")
        ends = np.searchsorted(owner[order], np.arange(len(groups) + 1))
        columns = []
        for number, group in enumerate(groups):
            cells = order[ends[number] : ends[number + 1]]
            column = _column(group, rows[cells], place_of[codes[cells]], suspect)
            if column is not None:
                columns.append(column)
        return columns


def _groups(distinct: list[bytes]) -> tuple[list[_Group], NDArray[np.uint32], NDArray[np.uint32]]:
    """Decode entries: their groups, and of each entry its group and its place there, both (entries,) uint32."""
    groups: dict[tuple[str, type], _Group] = {}
    numbers: dict[bytes, _Group] = {}
    owners, places = [], []
    for entry in distinct:
        group = numbers.get(entry[:-8])  # of numbers all but the last 8 bytes is always the same
        if group is not None:
            value: Any = entry[-8:]
        else:
            attribute, value = decode_entry(entry)
            group = groups.get((attribute, type(value)))
            if group is None:
                group = _Group(len(groups), attribute, type(value), [])
                groups[attribute, group.kind] = group
                validate.check_attributes(len(groups))
            if group.kind is float:
                value = _pack(value)
                if entry == _number_entry(attribute, value):
                    numbers[entry[:-8]] = group
        owners.append(group.number)
        places.append(len(group.values))
        group.values.append(value)
    return list(groups.values()), np.array(owners, np.uint32), np.array(places, np.uint32)


def _number_entry(attribute: str, double: bytes) -> bytes:
    """Return the entry of a number as protobuf writes it; of names of 128 bytes and more something else."""
    name = attribute.encode()
    return bytes([KEY, len(name) % LONG]) + name + NUMBER_VALUE + double


def _column(
    group: _Group, rows: NDArray[np.uint32], places: NDArray[np.uint32], suspect: NDArray[np.bool_]
) -> Column | None:
    """Make the column of a group, given the rows and the places among its values; None for what is no value."""
    try:
        validate.check_attribute(group.attribute)
    except Refused:
        suspect[rows] = True
    kind = KINDS.get(group.kind)
    if kind is None:
        if group.kind is not type(None):
            suspect[rows] = True
        return None
    where = None if len(rows) == len(suspect) else rows
    if kind is Kind.STRING:
        strings = Strings(places, group.values)
        if (long := long_values(strings)) is not None:
            suspect[rows[long]] = True
        return Column(group.attribute, kind, strings, where)
    if kind is Kind.BOOL:
        return Column(group.attribute, kind, np.array(group.values, np.bool_)[places], where)
    values = np.frombuffer(b"".join(group.values), "<f8")[places]
    suspect[rows[~np.isfinite(values)]] = True
    return Column(group.attribute, kind, values, where)
