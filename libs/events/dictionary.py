"""Which number stands for which string? Strings numbered densely from 0 in order of their first use.

A number once given stays, on disk and in memory. Entries are given out before they are on disk; each commit
writes those that are not there yet, so a commit that failed leaves only numbers that the next one writes.
On disk: first number (4 bytes, big-endian) → msgpack list of the strings from there.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.storage.environment import scan

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[str]).decode


class Dictionary:
    """Strings and their numbers, kept in one LMDB table. One thread may add while others look up."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._strings: list[str] = []
        self._numbers: dict[str, int] = {}
        self._saved = 0

    def __len__(self) -> int:
        """Return how many strings there are, which is the number the next new one gets."""
        return len(self._strings)

    def find(self, string: str) -> int | None:
        """Return the number of a string, or None."""
        return self._numbers.get(string)

    def __getitem__(self, number: int) -> str:
        """Return the string of a number. Raises IndexError."""
        return self._strings[number]

    def strings(self, numbers: Iterable[int]) -> list[str]:
        """Return the strings of many numbers."""
        strings = self._strings
        return [strings[number] for number in numbers]

    def add(self, string: str) -> int:
        """Return the number of a string, giving it the next one where it is new."""
        number = self._numbers.get(string)
        if number is None:
            number = len(self._strings)
            self._strings.append(string)  # before the look-up knows it: readers never see a number without it
            self._numbers[string] = number
        return number

    def add_all(self, strings: list[str]) -> NDArray[np.uint32]:
        """Return the numbers of many strings, (len(strings),) uint32, numbering the new ones."""
        numbers = list(map(self._numbers.get, strings))
        if None not in numbers:
            return np.array(numbers, np.uint32)
        add = self.add
        known = zip(numbers, strings, strict=True)
        return np.array([add(string) if number is None else number for number, string in known], np.uint32)

    def save(self, txn: Any) -> int:
        """Write what is not on disk yet. Return the length to pass to `saved` once the commit succeeded."""
        length = len(self._strings)
        if length > self._saved:
            txn.put(
                self._saved.to_bytes(4, "big"), _encode(self._strings[self._saved : length]), db=self._table
            )
        return length

    def saved(self, length: int) -> None:
        """Record that the first `length` strings are on disk."""
        self._saved = length

    def load(self, txn: Any) -> None:
        """Read what is on disk and not in memory yet: all of it at the start, news in a reader.

        Never while another thread adds: what it has added and not saved would pass for saved.
        """
        for _, chunk in scan(txn, self._table, len(self._strings).to_bytes(4, "big")):
            strings = _decode(chunk)
            first = len(self._strings)
            self._strings += strings
            self._numbers.update(zip(strings, range(first, first + len(strings)), strict=True))
        self._saved = len(self._strings)
