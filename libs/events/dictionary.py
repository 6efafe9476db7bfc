"""Which number stands for which string? Strings numbered densely from 0 in order of their first use.

A number once given stays, on disk and in memory. Entries are given out before they are on disk; each commit
writes those that are not there yet, so a commit that failed leaves only numbers that the next one writes.
On disk: first number (4 bytes, big-endian) → checked msgpack list of the strings from there, sealed where the cover
of the dictionary seals. A short list is written again with what is new, so that many small commits do not leave many
to read. A string that was dropped is zeros of the same length there, so that nothing else moves; its number is never
given again.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.events.string_index import StringIndex
from libs.storage.checked import DamagedRecordError, pack, unpack
from libs.storage.cover import BARE, Cover
from libs.storage.environment import scan

CHUNK_BYTES = 2000
"""A list that is shorter is continued: it is rewritten with each commit, within the page LMDB copies anyway."""

_encode_list = msgspec.msgpack.Encoder().encode
_decode_list = msgspec.msgpack.Decoder(list[str]).decode
_decode_any = msgspec.msgpack.Decoder(list[Any]).decode

Gone: TypeAlias = bytes | None
"""What stands in the place of a string that was dropped."""


class Dictionary:
    """Strings and their numbers, kept in one LMDB table. One thread may add while others look up.

    `table` is its handle, or returns it: the handle of an environment that may be opened anew is asked for each time.
    `index` finds the strings there were when it was written; they come into the dict as they are asked for. What lies
    on disk lies there under `cover`.
    """

    def __init__(self, table: Any, index: StringIndex | None = None, cover: Cover = BARE) -> None:
        self._handle = table
        self._index = index
        self.cover = cover
        self._strings: list[str] = []
        self._numbers: dict[str, int] = {}
        self._saved = 0
        self._chunk = self._written = (0, 0)
        self._retired: set[int] = set()
        self._gone: dict[int, Gone] = {}

    @property
    def _table(self) -> Any:
        return self._handle() if callable(self._handle) else self._handle

    def __len__(self) -> int:
        """Return how many strings there are, which is the number the next new one gets."""
        return len(self._strings)

    def find(self, string: str) -> int | None:
        """Return the number of a string, or None."""
        number = self._numbers.get(string)
        if number is None and self._indexed:
            self._recall([string])
            number = self._numbers.get(string)
        return number

    def find_all(self, strings: Sequence[str]) -> list[int | None]:
        """Return the numbers of many strings in their order, None for one that has none."""
        numbers = list(map(self._numbers.get, strings))
        if self._indexed and None in numbers:
            known = zip(numbers, strings, strict=True)
            self._recall([string for number, string in known if number is None])
            numbers = list(map(self._numbers.get, strings))
        return numbers

    def __getitem__(self, number: int) -> str:
        """Return the string of a number. Raises IndexError."""
        return self._strings[number]

    def strings(self, numbers: Iterable[int]) -> list[str]:
        """Return the strings of many numbers."""
        strings = self._strings
        return [strings[number] for number in numbers]

    def add(self, string: str) -> int:
        """Return the number of a string, giving it the next one where it is new."""
        number = self.find(string)
        return self._add(string) if number is None else number

    def add_all(self, strings: list[str]) -> NDArray[np.uint32]:
        """Return the numbers of many strings, (len(strings),) uint32, numbering the new ones."""
        numbers = list(map(self._numbers.get, strings))
        if None not in numbers:
            return np.array(numbers, np.uint32)
        known = zip(numbers, strings, strict=True)
        if self._indexed:
            self._recall([string for number, string in known if number is None])
            known = zip(numbers, strings, strict=True)
        add = self._add
        return np.array([add(string) if number is None else number for number, string in known], np.uint32)

    def retire(self, numbers: Iterable[int]) -> None:
        """Find the strings of these numbers no more: who comes with one again gets a new number."""
        for number in numbers:
            self._retired.add(number)
            if self._numbers.get(self._strings[number]) == number:
                del self._numbers[self._strings[number]]

    def save(self, txn: Any) -> int:
        """Write what is not on disk yet. Return the length to pass to `saved` once the commit succeeded."""
        length = len(self._strings)
        if length > self._saved:
            first = self._open_chunk()
            data = encode(self._entries(first, length), first, self.cover)
            txn.put(_key(first), data, db=self._table)
            self._written = first, len(data)
        return length

    def drop(self, txn: Any, numbers: Iterable[int]) -> dict[int, Gone]:
        """Overwrite such of some strings as are on disk; return what to pass to `dropped` after the commit.

        For the thread that adds, as what is dropped must not be given out before that.
        """
        gone: dict[int, Gone] = {}
        left = sorted(number for number in numbers if number < self._saved and number not in self._gone)
        touched: list[tuple[bytes, bytes, list[int]]] = []
        for key, chunk in scan(txn, self._table) if left else ():
            first = int.from_bytes(key, "big")
            end = first + _length(unpack_list(chunk, first, self.cover))
            mine = left[bisect_left(left, first) : bisect_left(left, end)]
            if mine:
                touched.append((key, chunk, mine))
        for key, chunk, mine in touched:
            first = int.from_bytes(key, "big")
            entries = decode(chunk, first, self.cover)
            for number in mine:
                gone[number] = entries[number - first] = _zeros(self._strings[number])
            txn.put(key, encode(entries, first, self.cover), db=self._table)
        return gone

    def dropped(self, gone: Mapping[int, Gone]) -> None:
        """Record that strings are on disk no more. Who holds their numbers can still read them from memory."""
        self.retire(gone)
        self._gone.update(gone)
        if self._index:
            self._index.outdated = True

    def unused(self, used: NDArray[np.bool_]) -> list[int]:
        """Return the numbers on disk that are not marked in `used`, (n,) bool, and were not dropped before."""
        marked = np.zeros(self._saved, np.bool_)
        marked[: len(used)] = used[: self._saved]
        return [number for number in np.flatnonzero(~marked).tolist() if number not in self._gone]

    def saved(self, length: int) -> None:
        """Record that the first `length` strings are on disk."""
        self._saved = length
        self._chunk = self._written

    def load(self, txn: Any) -> None:
        """Read what is on disk and not in memory yet: all of it at the start, news in a reader.

        Never while another thread adds: what it has added and not saved would pass for saved.
        """
        known = len(self._strings)
        for key, chunk in scan(txn, self._table, _key(self._open_chunk())):
            first, held = int.from_bytes(key, "big"), len(self._strings)
            if first > held:
                raise DamagedRecordError(f"a dictionary, which lacks the strings from {held} to {first}")
            data = unpack_list(chunk, first, self.cover)
            try:
                self._strings += _decode_list(data)[held - first :]
            except msgspec.ValidationError:
                self._load_gone(first, _decode_any(data))
            self._chunk = first, len(chunk)
        self._saved = len(self._strings)
        if self._index and not known:
            self._index.open(self._strings)
            known = self._index.count
        self._numbers.update(zip(self._strings[known:], range(known, self._saved), strict=True))
        self._written = self._chunk
        if self._gone and self._numbers.get("") in self._gone:
            del self._numbers[""]
            self._find_empty()

    def _load_gone(self, first: int, entries: list[Any]) -> None:
        """Read a list of which some strings were dropped."""
        for number, entry in enumerate(entries, first):
            there = isinstance(entry, str)
            if not there:
                self._gone[number] = entry
                self._retired.add(number)
            if number >= len(self._strings):
                self._strings.append(entry if there else "")

    def _find_empty(self) -> None:
        """Look for the number of "", for which strings that were dropped have passed."""
        for number, string in enumerate(self._strings):
            if not string and number not in self._retired:
                self._numbers[""] = number

    @property
    def is_clean(self) -> bool:
        """Whether its file has nothing of strings that were dropped."""
        return self._index is None or not (self._index.outdated and self._index.exists())

    def wants_index(self, *, closing: bool = False) -> bool:
        """Say whether `write_index` would spare the next start work that is worth it."""
        return self._index is not None and self._index.wanted(self._saved, closing=closing)

    def write_index(self) -> None:
        """Write the index of the strings that are on disk; beside a thread that adds. Raises OSError."""
        if self._index:
            strings = self._strings
            if self._gone:
                strings = strings.copy()
                for number in self._gone:
                    strings[number] = ""
            self._index.write(strings, self._saved)

    def _entries(self, first: int, end: int) -> list[str | Gone]:
        """Return what is to be on disk of some strings."""
        entries: list[str | Gone] = list(self._strings[first:end])
        for number in self._gone.keys() & range(first, end) if self._gone else ():
            entries[number - first] = self._gone[number]
        return entries

    @property
    def _indexed(self) -> int:
        return self._index.count if self._index else 0

    def _open_chunk(self) -> int:
        """Return the first number of the list on disk that is to be continued, or of the next one."""
        first, size = self._chunk
        return first if size < CHUNK_BYTES else self._saved

    def _add(self, string: str) -> int:
        number = self._numbers.get(string)
        if number is None:
            number = len(self._strings)
            self._strings.append(string)  # before the look-up knows it: readers never see a number without it
            self._numbers[string] = number
        return number

    def _recall(self, strings: list[str]) -> None:
        """Bring such of some strings as the index has into the dict."""
        assert self._index
        for place, number in self._index.find(strings):
            known = self._strings[number]
            if known == strings[place] and number not in self._retired:
                self._numbers[known] = number


def encode(entries: Sequence[str | Gone], first: int, cover: Cover) -> bytes:
    """Write strings, and what stands in the place of those dropped, as the list on disk that begins at `first`."""
    return pack(cover.seal(_encode_list(entries), _key(first)))


def unpack_list(chunk: bytes, first: int, cover: Cover) -> bytes:
    """Return the msgpack of a list, whose first string has this number. Raises `DamagedRecordError`."""
    try:
        return cover.open(unpack(bytes(chunk)), _key(first))
    except DamagedRecordError as error:
        raise DamagedRecordError(f"the list of a dictionary from number {first} on ({error})") from error


def decode(chunk: bytes, first: int, cover: Cover) -> list[str | Gone]:
    """Read a list, whose first string has this number. Raises `DamagedRecordError`, `msgspec.DecodeError`."""
    return _decode_any(unpack_list(chunk, first, cover))


def _key(first: int) -> bytes:
    return first.to_bytes(4, "big")


def _length(data: bytes) -> int:
    """Return how many strings a list has, by how its msgpack begins."""
    if data[0] < 0xDC:
        return data[0] & 15
    return int.from_bytes(data[1:3] if data[0] == 0xDC else data[1:5], "big")


def _zeros(string: str) -> Gone:
    """Return what takes exactly the room of a string: bytes have two to five in front, a string of up to 31 one."""
    length = len(string.encode())
    if not length:
        return None
    return bytes(length - 1 if length < 32 else length)
