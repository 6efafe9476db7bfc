"""How does a command print? Tables for people, proto JSON for programs; the same with or without a terminal.

Without a terminal lines are never wrapped or cut, so that grep and cut work.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.console import Console
from rich.table import Table

UNWRAPPED = 4_000
"""Columns of a line that no terminal shows: wide enough for any row of a table."""
RIGHT = ">"
"""In front of a column's title: set the column flush right."""


def console(*, stderr: bool = False) -> Console:
    """Return where to print. Nothing printed is read as markup: names and values are not ours."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNWRAPPED
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def say(text: str = "") -> None:
    """Print a line for people."""
    console().print(text, soft_wrap=True)


def note(text: str) -> None:
    """Print a line beside the output proper: to stderr."""
    console(stderr=True).print(text, soft_wrap=True)


def show_json(message: Message) -> None:
    """Print a message as proto JSON, with camelCase names."""
    sys.stdout.write(MessageToJson(message) + "\n")


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under titles; a title that starts with `>` is set flush right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in titles:
        right = title.startswith(RIGHT)
        table.add_column(title.removeprefix(RIGHT), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print name and value pairs, those without a value left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts:
        if value:
            table.add_row(name, value)
    console().print(table)


def count(number: int, one: str = "", many: str = "") -> str:
    """Write a number with separators, and what is counted behind it."""
    noun = one if number == 1 else (many or one + "s")
    return f"{number:,} {noun}" if one else f"{number:,}"


def instant(holder: Message, field: str) -> str:
    """Write the Timestamp in `holder.field` as UTC to the second; "" where it is not set."""
    if not holder.HasField(field):
        return ""
    stamp: Timestamp = getattr(holder, field)
    return stamp.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def duration(elapsed: Duration) -> str:
    """Write a duration in the unit that suits it."""
    seconds = elapsed.seconds + elapsed.nanos / 1e9
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.2f} s"


def scalar(value: Any) -> str:
    """Write a JSON value as people write it: 5 rather than 5.0, true rather than True."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def plain(data: Struct) -> dict[str, Any]:
    """Return a Struct as a dict."""
    values: dict[str, Any] = MessageToDict(data)
    return values


def pairs(data: Mapping[str, Any]) -> str:
    """Write attributes in one line: `brand=103 price=5.99`."""
    return "  ".join(f"{name}={scalar(value)}" for name, value in sorted(data.items()))
