"""How is a CSV file read? With a header line; cells are text until the kind of their column is known."""

import codecs
import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO

from libs.cli.errors import Failed
from libs.cli.importing.kinds import Guess, Kind
from libs.cli.importing.table import CHUNK_ROWS, Chunk, Reject

BLOCK_BYTES = 1 << 20
LARGEST_CELL = 16 << 20
"""Bytes of one cell: more is an unclosed quote rather than data."""


class CsvFile:
    """A `Source` of a CSV file. Reading it twice (once to survey) keeps memory flat however large it is."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self._path = path
        self._delimiter = delimiter
        self._is_utf8 = _is_utf8(path)
        self.columns = self._header()
        guesses = [Guess() for _ in self.columns]
        self.total = 0
        for chunk in self.chunks(CHUNK_ROWS):
            self.total += len(chunk.rows) + len(chunk.rejects)
            for guess, column in zip(guesses, self.columns, strict=True):
                guess.see(chunk.columns[column])
        self.kinds: dict[str, Kind] = {
            column: guess.kind for column, guess in zip(self.columns, guesses, strict=True)
        }

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read the rows, `size` at a time. A row with another number of cells, or bad UTF-8, is rejected."""
        width = len(self.columns)
        first = 1
        with self._open() as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            next(reader)
            while rows := self._read(reader, size, first):
                span = range(first, first + len(rows))
                first += len(rows)
                good, numbers, rejects = self._judge(rows, span)
                cells = zip(*good, strict=True) if good else [()] * width
                values = [_absent(column) if "" in column else column for column in cells]
                yield Chunk(numbers, dict(zip(self.columns, values, strict=True)), rejects)

    def _judge(
        self, rows: list[list[str]], numbers: range
    ) -> tuple[list[list[str]], Sequence[int], list[Reject]]:
        """Part rows that fit the header from those that do not. Blank lines are neither."""
        if set(map(len, rows)) == {len(self.columns)} and (self._is_utf8 or _is_text(rows)):
            return rows, numbers, []
        good, kept, rejects = [], [], []
        for number, row in zip(numbers, rows, strict=True):
            if not row:
                continue
            if len(row) != len(self.columns):
                message = f"has {len(row)} cells, the header has {len(self.columns)}"
                rejects.append(Reject(number, "", "CELL_COUNT", message))
            elif not _is_text([row]):
                rejects.append(Reject(number, "", "BAD_UTF8", "is not UTF-8"))
            else:
                good.append(row)
                kept.append(number)
        return good, kept, rejects

    def _read(self, reader: Iterator[list[str]], size: int, first: int) -> list[list[str]]:
        try:
            return list(islice(reader, size))
        except csv.Error as error:
            raise Failed(f"{self._path}: not CSV in row {first} or behind it: {error}") from error

    def _header(self) -> list[str]:
        try:
            with self._open() as file:
                header = next(csv.reader(file, delimiter=self._delimiter), [])
        except csv.Error as error:
            raise Failed(f"{self._path}: not CSV: {error}") from error
        if not any(header) or not _is_text([header]):
            raise Failed(f"{self._path}: the first line must name the columns")
        twice = {name for name in header if name and header.count(name) > 1}
        if twice:
            raise Failed(f"{self._path}: two columns are named {', '.join(sorted(twice))}")
        if header.count("") > 1:
            raise Failed(f"{self._path}: several columns have no name")
        return header

    def _open(self) -> IO[str]:
        csv.field_size_limit(LARGEST_CELL)
        return self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _absent(column: Sequence[str]) -> list[str | None]:
    return [cell or None for cell in column]


def _is_utf8(path: Path) -> bool:
    """Say whether a whole file is UTF-8, at some 500 MB/s: then no row of it has to be looked at."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _is_text(rows: list[list[str]]) -> bool:
    """Say whether all cells can be UTF-8: bytes that were not came in as surrogates."""
    try:
        "".join(chain.from_iterable(rows)).encode()
    except UnicodeEncodeError:
        return False
    return True
