"""Which numbers stand behind a hash? Sorted runs of (hash, number), in memory or mapped from a file.

48 bits of the hash are kept, so a match is a candidate that the caller confirms: of 100M rows, one look-up in
three million meets a stranger. A run takes 10 bytes a row, and a directory of at most 2 more where it is large
enough to want one. Pure: dedupe (hash of an event id → log row) and dictionaries (of a string → its number)
say what hashes are of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

DIRECTORY_ROWS = 1 << 16
"""Shorter runs have no directory: they lie in the cache, where a binary search is as fast."""
DIRECTORY_NEEDLES = 256
"""Fewer look-ups than this are cheaper by binary search: the directory costs some 15 calls of numpy."""
MERGED_AT_ONCE = 1 << 16
"""Rows merged in one piece: its sort stays in the cache, and little is held beside the result."""
HALF = np.uint64(32)
REST = np.uint64(16)
NO_PLACES = np.empty(0, np.int64)
NO_NUMBERS = np.empty(0, np.uint32)


def hash_strings(strings: Iterable[str], seed: int, count: int) -> NDArray[np.uint64]:
    """Hash strings with a key, XXH3-64 of their UTF-8, (count,) uint64. Kept in files: it must not change."""
    return np.fromiter(
        map(xxhash.xxh3_64_intdigest, map(str.encode, strings), repeat(seed)), np.uint64, count
    )


@dataclass(frozen=True, slots=True)
class Run:
    """Rows in order of their hashes, equal ones in the order they came.

    `heads` are the upper 32 bits of each hash, (n,) uint32, `rests` the 16 below, (n,) uint16, `numbers` what
    stands behind it, (n,) uint32. `starts` is where the rows of each of 2^b equal parts of the hashes begin,
    (2^b + 1,) uint32; empty for a short run.
    """

    heads: NDArray[np.uint32]
    rests: NDArray[np.uint16]
    numbers: NDArray[np.uint32]
    starts: NDArray[np.uint32]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.heads)

    def find(self, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Return (place, number) of every row that may have one of some ascending hashes, by place."""
        heads = (hashes >> HALF).astype(np.uint32)
        if len(self.starts) and len(hashes) >= DIRECTORY_NEEDLES:
            part = heads >> _shift(len(self.starts) - 1)
            low, high = self.starts[part], self.starts[part + np.uint32(1)]
            places = np.flatnonzero(low < high)
            low, high = low[places], high[places]
        else:
            low = self.heads.searchsorted(heads)
            places = (self.heads.take(low, mode="clip") == heads).nonzero()[0] if len(self) else NO_PLACES
            if len(places):
                low, high = low[places], self.heads.searchsorted(heads[places], "right")
        if not len(places):
            return NO_PLACES, NO_NUMBERS
        places, rows = _spread(places, low.astype(np.int64), high.astype(np.int64))
        same = np.flatnonzero(self.heads[rows] == heads[places])
        places, rows = places[same], rows[same]
        same = np.flatnonzero(self.rests[rows] == (hashes[places] >> REST).astype(np.uint16))
        return places[same], self.numbers[rows[same]]

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return what a file is to hold of it."""
        return {"heads": self.heads, "rests": self.rests, "numbers": self.numbers, "starts": self.starts}


def make_run(hashes: NDArray[np.uint64], numbers: NDArray[np.uint32]) -> Run:
    """Make a run of rows in any order, (n,) each."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    heads = (ordered >> HALF).astype(np.uint32)
    return Run(heads, (ordered >> REST).astype(np.uint16), numbers[order], _directory(heads))


def merge(runs: Sequence[Run], first: int = 0) -> Run:
    """Merge runs, those of earlier rows first, leaving out numbers below `first`.

    In pieces of equal hashes, each put in order by a sort that finds what is in order already: three times as
    fast as inserting one run into the other.
    """
    if len(runs) == 1 and not first:
        return runs[0]
    total = sum(map(len, runs))
    heads, rests = np.empty(total, np.uint32), np.empty(total, np.uint16)
    numbers = np.empty(total, np.uint32)
    pieces = -(-total // MERGED_AT_ONCE)
    edges = np.array([(piece << 32) // max(pieces, 1) for piece in range(1, pieces)], np.uint32)
    bounds = [[0, *np.searchsorted(run.heads, edges).tolist(), len(run)] for run in runs]
    end = 0
    for piece in range(pieces):
        mine = [
            (run, slice(at[piece], at[piece + 1]))
            for run, at in zip(runs, bounds, strict=True)
            if at[piece] < at[piece + 1]
        ]
        if not mine:
            continue
        head = np.concatenate([run.heads[rows] for run, rows in mine])
        rest = np.concatenate([run.rests[rows] for run, rows in mine])
        number = np.concatenate([run.numbers[rows] for run, rows in mine])
        order = np.argsort(head.astype(np.uint64) << REST | rest, kind="stable")
        if first:
            order = order[number[order] >= np.uint32(first)]
        start, end = end, end + len(order)
        heads[start:end], rests[start:end], numbers[start:end] = head[order], rest[order], number[order]
    if end < total:
        heads, rests, numbers = heads[:end].copy(), rests[:end].copy(), numbers[:end].copy()
    return Run(heads, rests, numbers, _directory(heads))


def _directory(heads: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return where each of so many parts begins that a part has two to four rows."""
    if len(heads) < DIRECTORY_ROWS:
        return np.empty(0, np.uint32)
    parts = 1 << (len(heads).bit_length() - 2)
    starts = np.zeros(parts + 1, np.uint32)
    for first in range(0, len(heads), MERGED_AT_ONCE):  # bincount would widen all of it to 64 bits
        part = heads[first : first + MERGED_AT_ONCE] >> _shift(parts)
        low = int(part[0])
        counts = np.bincount(part - part[0])
        starts[low + 1 : low + 1 + len(counts)] += counts.astype(np.uint32)
    np.cumsum(starts, out=starts)
    return starts


def _shift(parts: int) -> np.uint32:
    return np.uint32(33 - parts.bit_length())


def _spread(
    places: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a (place, row) pair for every row from `low` up to `high` of each place."""
    counts = high - low
    ends = np.cumsum(counts)
    rows = np.arange(int(ends[-1])) + np.repeat(low - ends + counts, counts)
    return np.repeat(places, counts), rows
