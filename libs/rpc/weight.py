"""What does a request take in memory once it is decoded? Counted on its bytes, before protobuf makes objects of them.

Two bytes on the wire can be a message of seventy in memory: 64 MiB would take gigabytes, and hold the interpreter's
lock for seconds, which no thread helps against; a map of 800,000 entries in 9 MiB took 6 s, for protobuf's maps get
slower by the square. So a large request is walked first, by a compiled loop that holds no
lock, and one that is made of too many parts is refused unread.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from numpy.typing import NDArray

from libs.errors import Invalid
from libs.index.kernels import compiled

SMALL_BYTES = 64 << 10
"""Requests up to this many bytes are not walked: they are taken to be the worst that such bytes can be."""
MAX_PARTS_BYTES = 256 << 20
"""What the objects of one request may take beside its bytes. To decode as much takes 0.2 s."""
COPIES = 5
"""How many times a request's bytes are in memory while it is worked on: decoded, taken apart, in a batch, written."""
MESSAGE_BYTES, FIELD_BYTES, MAP_ENTRY_BYTES = 32, 16, 64
"""Of a message, its place in a list that doubles included; of each of its fields; of a map's place for it."""
STRING_BYTES = 32
"""Of a string in a list that doubles."""
NUMBER_BYTES = 16
"""Of a number in a list that doubles, whatever it took on the wire."""
MAX_ENTRIES = 20_000
"""Of one map in a large request, such as an event's attributes: as many as a request may name in all."""
NOT_A_MESSAGE, TOO_MANY_ENTRIES = -1, -2
"""What the loop returns for bytes that are not protobuf, and for a map past `MAX_ENTRIES`."""
DEPTH = 128
"""Past protobuf's own bound of 100 messages in one another."""
PLAIN, STRINGS, NUMBERS = -1, -2, -3


@compiled("i8(r.u1, r.i8, i8, r.i8, r.i8, i8)")
def walk(data: Any, kinds: Any, fields: int, sizes: Any, entries: Any, most: int) -> int:
    """Return the bytes that the parts of a message, (n,) uint8, take decoded; something past `most` for more.

    `kinds`, (types * fields,) int64, says of each field of each type which type of message it holds, or one of
    PLAIN, STRINGS and NUMBERS; `sizes`, (types,) int64, what a message of a type takes; `entries`, (types,) int64,
    how many of a type one message may hold, 0 for any number. The message is of type 0.
    """
    ends = np.empty(DEPTH, np.int64)
    types = np.empty(DEPTH, np.int64)
    held = np.zeros(DEPTH, np.int64)
    byte: Any
    length: Any
    depth, place, weight = 0, 0, 0
    ends[0], types[0] = len(data), 0
    while weight <= most:
        while place == ends[depth]:
            if depth == 0:
                return weight
            depth -= 1
        tag, shift = 0, 0
        while True:
            if place >= ends[depth] or shift > 63:
                return NOT_A_MESSAGE
            byte = np.int64(data[place])
            place += 1
            tag |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        wire, field = tag & 7, tag >> 3
        kind = kinds[types[depth] * fields + field] if 0 <= field < fields else PLAIN
        length = 0
        if wire == 0 or wire == 2:
            shift = 0
            while True:
                if place >= ends[depth] or shift > 63:
                    return NOT_A_MESSAGE
                byte = np.int64(data[place])
                place += 1
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        if wire == 0:
            length = 0
        elif wire == 1:
            length = 8
        elif wire == 5:
            length = 4
        elif wire > 5:
            return NOT_A_MESSAGE
        if length < 0 or length > ends[depth] - place:
            return NOT_A_MESSAGE
        if wire == 2 and kind >= 0:
            weight += sizes[kind]
            if entries[kind]:
                held[depth] += 1
                if held[depth] > entries[kind]:
                    return TOO_MANY_ENTRIES
            depth += 1
            if depth == DEPTH:
                return NOT_A_MESSAGE
            ends[depth], types[depth], held[depth] = place + length, kind, 0
            continue
        if wire == 2 and kind == STRINGS:
            weight += STRING_BYTES
        elif kind == NUMBERS:
            weight += NUMBER_BYTES * length if wire == 2 else NUMBER_BYTES
        place += length
    return weight


@dataclass(frozen=True, slots=True)
class Scale:
    """What `walk` needs to know of a type of request, and how many times its own size a small one may be at most."""

    name: str
    kinds: NDArray[np.int64]
    fields: int
    sizes: NDArray[np.int64]
    entries: NDArray[np.int64]
    worst: int

    @classmethod
    def of(cls, request: Descriptor) -> "Scale":
        """Make the tables of a type of request and all it may hold."""
        types = _reachable(request)
        numbers = {each.full_name: number for number, each in enumerate(types)}
        fields = 1 + max((field.number for each in types for field in each.fields), default=0)
        kinds = np.full((len(types), fields), PLAIN, np.int64)
        for row, each in enumerate(types):
            for field in each.fields:
                kinds[row, field.number] = _kind(field, numbers)
        sizes = np.array([_size(each) for each in types], np.int64)
        entries = np.array([MAX_ENTRIES * each.GetOptions().map_entry for each in types], np.int64)
        for table in (kinds, sizes, entries):
            table.flags.writeable = False
        # the smallest part is two bytes, a tag and a length of nought
        worst = COPIES + max(int(sizes.max()), NUMBER_BYTES * 2, STRING_BYTES) // 2
        return cls(request.full_name, kinds.reshape(-1), fields, sizes, entries, worst)

    def weigh(self, data: bytes) -> int:
        """Return the bytes that a request takes while it is worked on. Raises `Invalid`. Worth a thread if large."""
        most = MAX_PARTS_BYTES
        found = walk(np.frombuffer(data, np.uint8), self.kinds, self.fields, self.sizes, self.entries, most)
        parts = int(found)
        if parts == NOT_A_MESSAGE:
            raise malformed(self.name)
        if parts == TOO_MANY_ENTRIES:
            raise Invalid(
                "BATCH_TOO_LARGE", f"at most {MAX_ENTRIES} attributes of one thing are taken at once"
            )
        if parts > most:
            raise Invalid(
                "BATCH_TOO_LARGE",
                f"the request has more parts than {most >> 20} MiB of memory hold; split it",
            )
        return parts + COPIES * len(data)


def malformed(name: str) -> Invalid:
    """Say that bytes are no message of a type."""
    return Invalid(
        "MALFORMED_MESSAGE",
        f"the request is not a valid {name}: bad UTF-8, nested too deep, or not protobuf",
    )


def _reachable(request: Descriptor) -> list[Descriptor]:
    found, left = {request.full_name: request}, [request]
    while left:
        for field in left.pop().fields:
            inner = field.message_type
            if inner is not None and inner.full_name not in found:
                found[inner.full_name] = inner
                left.append(inner)
    return list(found.values())


def _kind(field: FieldDescriptor, numbers: dict[str, int]) -> int:
    if field.message_type is not None:
        return numbers[field.message_type.full_name]
    if not field.is_repeated:
        return PLAIN
    return STRINGS if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES) else NUMBERS


def _size(message: Descriptor) -> int:
    entry = MAP_ENTRY_BYTES if message.GetOptions().map_entry else 0
    return MESSAGE_BYTES + FIELD_BYTES * len(message.fields) + entry
