"""What is a file of rows? Columns by name, read in chunks; every source in this package is one.

Rows are numbered from 1, the header of a CSV file not counted; for JSON lines a row's number is its line's.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from libs.cli.importing.kinds import Kind

CHUNK_ROWS = 20_000
"""Rows a batch: far below the limit of 200,000, so that a few can be under way in 64 MiB messages."""
DIGEST_CHARACTERS = 16
"""Of a file's SHA-256 in an event id: 64 bits tell any two files a person imports apart."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not imported. `reason` is UPPER_SNAKE, `message` for people."""

    row: int
    field: str
    reason: str
    message: str


@dataclass(slots=True)
class Chunk:
    """Consecutive good rows: `columns[name][i]` is a value of row `rows[i]`, None where it is absent.

    Values of CSV are strings until `encode` types them. `rejects` are the rows left out.
    """

    rows: Sequence[int]
    columns: dict[str, Sequence[Any]]
    rejects: list[Reject] = field(default_factory=list)

    def halves(self) -> tuple["Chunk", "Chunk"]:
        """Return the first and the second half of the rows."""
        middle = len(self.rows) // 2
        first = {name: values[:middle] for name, values in self.columns.items()}
        second = {name: values[middle:] for name, values in self.columns.items()}
        return Chunk(self.rows[:middle], first, self.rejects), Chunk(self.rows[middle:], second)


class Source(Protocol):
    """A file of rows, surveyed once from end to end, and then read in chunks."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in the file's order."""

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each column; a column that is not there is typed value by value."""

    @property
    def total(self) -> int:
        """How many rows there are."""

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read the rows, `size` at a time."""


def digest_of(path: Path) -> str:
    """Return the start of the SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_CHARACTERS]
