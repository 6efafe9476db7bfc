"""Which bytes of an LMDB file does its newest tree use? A walk over all pages that it reaches.

The format is that of LMDB 0.9 (data version 1), tables without duplicates, 64 bits, little-endian. Whatever does not
agree with it, or with LMDB's own counts of the pages of every table, is `UnknownFormat`.
"""

import mmap
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAGIC = 0xBEEFC0DE
DATA_VERSION = 1
HEADER_BYTES = 16
NODE_BYTES = 8
META = struct.Struct("<IIQQ")
META_END = struct.Struct("<QQ")
TABLE = struct.Struct("<IHHQQQQQ")
"""A table: page size (of the first), flags, depth, branch, leaf and overflow pages, entries, root."""
BRANCH, LEAF, OVERFLOW = 1, 2, 4
"""Kinds of page; nothing else may be there."""
LONG_VALUE, SUBTABLE, DUPLICATES = 1, 2, 4
"""Flags of a node: its value lies on pages of its own; is a table; is one of several."""
NO_ROOT = (1 << 64) - 1
MOST_BYTES = 1 << 44
"""Of a file: far above what is ever mapped."""
MOST_PAGES = 1 << 16
"""Pages of keys that a start looks at: a second's work."""

Data = mmap.mmap | bytes
"""A file's content."""


class WipeError(Exception):
    """Nothing, or not all, was wiped."""


class UnknownFormat(WipeError):
    """The file is not as described here."""


@dataclass(frozen=True, slots=True)
class Table:
    """The pages of a table by kind, and where its tree begins."""

    flags: int
    branches: int
    leaves: int
    overflows: int
    root: int


@dataclass(slots=True)
class Walk:
    """What the newest tree reaches: `used` pages, (pages,) bool, and the spans of bytes in them that hold nothing."""

    data: Data
    page_bytes: int
    used: NDArray[np.bool_]
    gaps: list[tuple[int, int]] = field(default_factory=list)
    subtables: dict[bytes, Table] = field(default_factory=dict)
    branches: list[tuple[int, NDArray[np.int64]]] = field(default_factory=list)
    """Where branch pages begin, each with where its nodes are: of all tables walked."""

    def table(self, table: Table) -> list[tuple[int, NDArray[np.int64]]]:
        """Walk a table; return where its leaves begin, each with where its nodes are."""
        counts = {BRANCH: 0, LEAF: 0, OVERFLOW: 0}
        leaves = []
        left = [] if table.root == NO_ROOT else [table.root]
        while left:
            page = left.pop()
            kind, places = self._page(page)
            counts[kind] += 1
            start = page * self.page_bytes
            words = np.frombuffer(self.data, "<u2", self.page_bytes // 2, start)
            nodes = places // 2
            if kind == BRANCH:
                self.branches.append((start, places))
                low, high = words[nodes].astype(np.int64), words[nodes + 1].astype(np.int64)
                left += (low | high << 16 | words[nodes + 2].astype(np.int64) << 32).tolist()
                continue
            flags = words[nodes + 2]
            if (flags & DUPLICATES).any():
                raise UnknownFormat("a table with duplicates")
            for place in np.flatnonzero(flags).tolist():
                counts[OVERFLOW] += self._special(start + int(places[place]), int(flags[place]))
            leaves.append((start, places))
        if (counts[BRANCH], counts[LEAF], counts[OVERFLOW]) != (
            table.branches,
            table.leaves,
            table.overflows,
        ):
            raise UnknownFormat("a table has other pages than it says")
        return leaves

    def values(self, leaves: list[tuple[int, NDArray[np.int64]]]) -> Iterator[bytes]:
        """Yield the values of some leaves."""
        for node in (start + place for start, places in leaves for place in places.tolist()):
            low, high, flags, key_bytes = struct.unpack_from("<HHHH", self.data, node)
            value = node + NODE_BYTES + key_bytes
            if flags == LONG_VALUE:
                value = struct.unpack_from("<Q", self.data, value)[0] * self.page_bytes + HEADER_BYTES
            yield self.data[value : value + (low | high << 16)]

    def keys(self, pages: list[tuple[int, NDArray[np.int64]]]) -> Iterator[bytes]:
        """Yield the keys of some pages."""
        for node in (start + place for start, places in pages for place in places.tolist()):
            (key_bytes,) = struct.unpack_from("<H", self.data, node + NODE_BYTES - 2)
            yield self.data[node + NODE_BYTES : node + NODE_BYTES + key_bytes]

    def _page(self, page: int) -> tuple[int, NDArray[np.int64]]:
        """Mark a page of a tree; return its kind and where its nodes are."""
        self._mark(page, 1)
        start = page * self.page_bytes
        number, _, kind, low, high = struct.unpack_from("<QHHHH", self.data, start)
        inside = HEADER_BYTES <= low <= high <= self.page_bytes
        if number != page or kind not in (BRANCH, LEAF) or not inside:
            raise UnknownFormat("a page of a tree is none")
        self.gaps.append((start + low, start + high))
        places = np.frombuffer(self.data, "<u2", (low - HEADER_BYTES) // 2, start + HEADER_BYTES).astype(
            np.int64
        )
        if len(places) and (int(places.min()) != high or int(places.max()) > self.page_bytes - NODE_BYTES):
            raise UnknownFormat("a node lies outside its page")
        return kind, places

    def _special(self, node: int, flags: int) -> int:
        """Take in a node that has more than a value; return how many pages of its own it has."""
        low, high, _, key_bytes = struct.unpack_from("<HHHH", self.data, node)
        value = node + NODE_BYTES + key_bytes
        if flags == SUBTABLE:
            self.subtables[self.data[node + NODE_BYTES : value]] = _read_table(self.data, value)
            return 0
        if flags != LONG_VALUE:
            raise UnknownFormat("a node of an unknown kind")
        (page,) = struct.unpack_from("<Q", self.data, value)
        start = page * self.page_bytes
        if not 1 < page < len(self.used):
            raise UnknownFormat("a value lies outside the file")
        number, _, kind, pages = struct.unpack_from("<QHHI", self.data, start)
        end, held = start + pages * self.page_bytes, start + HEADER_BYTES + (low | high << 16)
        if number != page or kind != OVERFLOW or held > end:
            raise UnknownFormat("a long value is none")
        self._mark(page, pages)
        self.gaps.append((held, end))
        return int(pages)

    def _mark(self, page: int, pages: int) -> None:
        if not 1 < page <= len(self.used) - pages or self.used[page : page + pages].any():
            raise UnknownFormat("a page is reached twice, or lies outside the file")
        self.used[page : page + pages] = True


def is_whole(path: Path) -> bool:
    """Say whether a file holds every page that its newest tree reaches: one that was cut short kills who maps it."""
    try:
        check_tree(path)
    except UnknownFormat:
        return False
    return True


def check_tree(path: Path) -> None:
    """Raise `UnknownFormat` where LMDB would die of a page of the newest tree, or of one that is not in the file.

    Nobody may be writing. Costs some 15 us for each page of keys; tables with more than `MOST_PAGES` of them are left
    out, for `cohort verify` to look at.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # goes with the last array over it
    with format_errors():
        metas = _metas(data)
        free_table, main, last = metas[max(metas)]
        walk = Walk(data, page_size(data), _pages(data, last))
        for table in (free_table, main):
            walk.table(table)
        left = MOST_PAGES
        for table in sorted(walk.subtables.values(), key=lambda each: each.leaves):
            left -= table.leaves + table.branches
            if left < 0:
                break
            walk.table(table)
        used = np.flatnonzero(walk.used)
        if len(used) and (int(used[-1]) + 1) * walk.page_bytes > size:
            raise UnknownFormat("it was cut short")


def _pages(data: Data, last: int) -> NDArray[np.bool_]:
    """Return a mark for each page up to the last one given out, none set."""
    if last > MOST_BYTES // page_size(data):
        raise UnknownFormat("there are more pages than there can be")
    return np.zeros(last + 1, np.bool_)


def separators(path: Path, newest: int, tables: Collection[bytes]) -> dict[bytes, list[bytes]]:
    """Return the keys by which the branch pages of some tables lead to their leaves, in the tree of a transaction.

    The write transaction must be held. LMDB leaves such a copy of a key behind when it deletes the key.
    Raises `UnknownFormat`.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # goes with the last array over it
    with format_errors():
        meta = newest_tree(data, newest)
        main = Walk(data, page_size(data), _pages(data, meta[2]))
        main.table(meta[1])
        found = {}
        for name in main.subtables.keys() & set(tables):
            walk = Walk(data, main.page_bytes, np.zeros_like(main.used))
            walk.table(main.subtables[name])
            found[name] = [key for key in walk.keys(walk.branches) if key]  # the first of a page has none
        return found


def newest_tree(data: Data, newest: int) -> tuple[Table, Table, int]:
    """Return the free and main tables and the last page of the newest transaction. Raises `UnknownFormat`."""
    metas = _metas(data)
    if max(metas) != newest:
        raise UnknownFormat("the newest tree is of another transaction")
    return metas[newest]


@contextmanager
def format_errors() -> Iterator[None]:
    """Say of what leads out of the file that the format is unknown."""
    try:
        yield
    except (struct.error, ValueError, IndexError) as error:
        raise UnknownFormat("something lies outside the file") from error


def page_size(data: Data) -> int:
    """Return the size of a page, bytes."""
    page_bytes: int = TABLE.unpack_from(data, HEADER_BYTES + META.size)[0]
    if page_bytes not in (1 << bits for bits in range(9, 17)):
        raise UnknownFormat("no page size")
    return page_bytes


def _metas(data: Data) -> dict[int, tuple[Table, Table, int]]:
    """Return the table of free pages, the main table and the last page, by transaction."""
    page_bytes = page_size(data)
    metas = {}
    for start in (0, page_bytes):
        magic, version, _, _ = META.unpack_from(data, start + HEADER_BYTES)
        if (magic, version) != (MAGIC, DATA_VERSION):
            raise UnknownFormat("another format of LMDB")
        tables = start + HEADER_BYTES + META.size
        last, transaction = META_END.unpack_from(data, tables + 2 * TABLE.size)
        metas[transaction] = (_read_table(data, tables), _read_table(data, tables + TABLE.size), last)
    return metas


def walk_tree(data: Data, meta: tuple[Table, Table, int]) -> Walk:
    """Walk all that a meta page reaches."""
    free_table, main, last = meta
    walk = Walk(data, page_size(data), _pages(data, last))
    free = [np.frombuffer(value, "<u8")[1:] for value in walk.values(walk.table(free_table))]
    walk.table(main)
    for table in tuple(walk.subtables.values()):
        walk.table(table)
    walk.used[:2] = True
    if any(walk.used[pages.astype(np.int64)].any() for pages in free):
        raise UnknownFormat("a page in use is on the list of free ones")
    return walk


def _read_table(data: Data, offset: int) -> Table:
    _, flags, _, branches, leaves, overflows, _, root = TABLE.unpack_from(data, offset)
    return Table(flags, branches, leaves, overflows, root)
