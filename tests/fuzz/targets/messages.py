"""Which messages do bytes stand for? Either the bytes themselves, or a message that they choose field by field.

Of mutated bytes few are protobuf, and fewer are deep; a message that is built is always well-formed, however odd.
The first byte says which.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from libs.rpc.handlers import decoder

WORDS = (
    *(
        "",
        "a",
        "b",
        "view",
        "purchase",
        "brand",
        "price",
        "None",
        "\0",
        "é",
        "x" * 257,
        "\U0001f600",
        "2026-01-01",
    ),
    *(
        "2026-01-01T00:00:00Z",
        "2025-11-31",
        "9999-12-31",
        "name",
        "rule",
        "customer_ids",
        "^(a+)+$",
        "(",
        "1e400",
    ),
    *(
        "coh_1",
        "0",
        "data.city",
        "city",
        "gender",
        "dob",
        "UTC",
        "Europe/Berlin",
        "09:00",
        "* * * * *",
        "..",
        "/",
    ),
)
NUMBERS = (0, 1, -1, 2, 7, 1000, 10_001, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 1_767_225_600_000)
DOUBLES = (0.0, -0.0, 1.5, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"), 9007199254740993.0)
DEEPEST = 40


class Chooser:
    """Takes choices off bytes; when they are used up, every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def number(self, most: int) -> int:
        """Return 0 to `most`."""
        if self._place >= len(self._data):
            return 0
        value = self._data[self._place]
        self._place += 1
        return value % (most + 1)

    def of(self, options: Sequence[Any]) -> Any:
        """Return one of some options."""
        return options[self.number(len(options) - 1)]

    def taken(self, most: int) -> bytes:
        """Return the next bytes, as many as the first of them says."""
        size = self.number(most)
        self._place += size
        return self._data[self._place - size : self._place]


def built(data: bytes, kind: Any) -> Any:
    """Return a message of a class: its bytes, or one that they choose. Raises `Invalid` for what is none."""
    if not data or data[0] % 2:
        return decoder(kind)(data[1:])
    message = kind()
    _fill(message, Chooser(data[1:]), 0)
    return message


def seed(message: Message) -> bytes:
    """Return the bytes that stand for a message."""
    return b"\x01" + message.SerializeToString()


def _fill(message: Any, choose: Chooser, depth: int) -> None:
    fields = message.DESCRIPTOR.fields
    for _ in range(choose.number(len(fields)) if fields else 0):
        field = choose.of(fields)
        if field.message_type and field.message_type.GetOptions().map_entry:
            _fill_map(getattr(message, field.name), field.message_type, choose, depth)
        elif field.is_repeated:
            for _ in range(choose.number(4)):
                if field.message_type:
                    if depth < DEEPEST:
                        _fill(getattr(message, field.name).add(), choose, depth + 1)
                else:
                    getattr(message, field.name).append(_scalar(field, choose))
        elif field.message_type:
            inner = getattr(message, field.name)
            inner.SetInParent()
            if depth < DEEPEST:
                _fill(inner, choose, depth + 1)
        else:
            setattr(message, field.name, _scalar(field, choose))


def _fill_map(entries: Any, entry: Descriptor, choose: Chooser, depth: int) -> None:
    for _ in range(choose.number(3)):
        key = choose.of(WORDS)
        if entry.fields_by_name["value"].message_type:
            if depth < DEEPEST:
                _fill(entries[key], choose, depth + 1)
        else:
            entries[key] = _scalar(entry.fields_by_name["value"], choose)


def _scalar(field: FieldDescriptor, choose: Chooser) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return choose.taken(64)
        return choose.of(WORDS) if choose.number(3) else choose.taken(32).decode(errors="replace")
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return choose.of(DOUBLES)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool(choose.number(1))
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return choose.of([*field.enum_type.values_by_number, 99])
    return _fitting(choose.of(NUMBERS), field)


def _fitting(number: int, field: FieldDescriptor) -> int:
    bits = 32 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    if field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return abs(number) % (1 << bits)
    return max(min(number, (1 << bits - 1) - 1), -(1 << bits - 1))


def of_method(service: Any, name: str) -> Any:
    """Return the class of a method's requests."""
    return GetMessageClass(service.methods_by_name[name].input_type)
