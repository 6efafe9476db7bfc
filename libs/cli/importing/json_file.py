"""How are JSON lines read? As flat objects, which are rows; or line by line in the contract's own forms."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from libs.cli.errors import Failed
from libs.cli.importing.kinds import Kind
from libs.cli.importing.table import Chunk, Reject

EVENT_NAMES = {"customerId", "eventType", "eventTime", "eventId", "data"}
CUSTOMER_NAMES = {"customerId", "data"}
SPELLINGS = {
    "customer_id": "customerId",
    "event_type": "eventType",
    "event_time": "eventTime",
    "event_id": "eventId",
}
"""The other spelling that proto3 JSON takes for a name."""
_MARKS = tuple(f'"{name}"'.encode() for name in SPELLINGS)
NESTED = "holds a list or an object: values are strings, numbers and booleans"


def first_object(path: Path) -> dict[str, Any]:
    """Return the first object of a file, {} where its first line holds none."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                return parse(line) or {}
    raise Failed(f"{path}: the file is empty")


def parse(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line, None where it holds none."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def camel(line: bytes) -> bytes:
    """Return the line of an Event in the names that the server takes; one that names something twice as it is."""
    if not any(mark in line for mark in _MARKS):
        return line
    found = parse(line)
    if not found or SPELLINGS.keys().isdisjoint(found):
        return line
    renamed = _renamed(found)
    return msgspec.json.encode(renamed) if len(renamed) == len(found) else line


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    return {SPELLINGS.get(name, name): value for name, value in found.items()}


def is_event_form(path: Path) -> bool:
    """Say whether a file's lines are Event objects rather than flat ones.

    Flat ones may well have columns of the names with underscores: with those, only an object in data tells.
    """
    first = first_object(path)
    if isinstance(first.get("data"), dict):
        first = _renamed(first)
    return {"customerId", "eventType"} <= first.keys() <= EVENT_NAMES and isinstance(
        first.get("data", {}), dict
    )


def is_customer_form(path: Path) -> bool:
    """Say whether a file's lines are Customer objects rather than flat ones."""
    first = _renamed(first_object(path))
    return first.keys() == CUSTOMER_NAMES and isinstance(first["data"], dict)


def lines(path: Path, size: int) -> Iterator[tuple[range, list[bytes]]]:
    """Yield the lines of a file, `size` at a time, with their numbers."""
    first = 1
    with path.open("rb") as file:
        while part := list(islice(file, size)):
            yield range(first, first + len(part)), part
            first += len(part)


def count_lines(path: Path) -> int:
    """Return how many lines a file has, empty ones counted."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


class JsonFile:
    """A `Source` of flat objects. A column is a name that some object has; values keep their own kinds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kinds: dict[str, Kind] = {}
        self.total = 0
        names: dict[str, None] = {}
        for _, part in lines(path, 1):
            self.total += 1
            names.update(dict.fromkeys(parse(part[0]) or {}))
        if not names:
            raise Failed(f"{path}: no line holds a JSON object")
        self.columns = list(names)

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read the rows, `size` at a time. A null is an absent value; what is no flat object is rejected."""
        for numbers, part in lines(self._path, size):
            kept: list[int] = []
            objects: list[dict[str, Any]] = []
            rejects: list[Reject] = []
            for number, line in zip(numbers, part, strict=True):
                if not line.strip():
                    continue
                row = parse(line)
                if row is None:
                    rejects.append(Reject(number, "", "NOT_AN_OBJECT", "is not a JSON object"))
                    continue
                nested = next((name for name, value in row.items() if isinstance(value, dict | list)), None)
                if nested is not None:
                    rejects.append(Reject(number, nested, "NESTED", NESTED))
                    continue
                kept.append(number)
                objects.append(row)
            yield Chunk(kept, {name: [row.get(name) for row in objects] for name in self.columns}, rejects)
