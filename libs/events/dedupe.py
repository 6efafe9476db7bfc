"""Has this event arrived before? A set of (customer, event id), kept for a window from the first arrival.

Held as sorted runs of 64-bit keyed hashes with the log row behind each, 12 bytes an event, merged
geometrically; a hit is only a duplicate when the log's row confirms it. New ids wait in a small dict, so
that single events do not make runs. Nothing is on disk here: at a start the blocks inside the window fill it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import xxhash
from numpy.typing import NDArray

BUFFER_IDS = 8192
"""Ids held in a dict before they become a run; a Python int pair costs about 100 bytes."""
RUN_IDS = 512
"""As many ids at once make a run of their own: in the dict they would cost 2 µs each, as a run 0.2."""
ARRIVAL_STEP_MS = 60_000
"""How finely arrivals are told apart when old ids are dropped."""
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio: spreads consecutive customer numbers over all bits (Knuth, multiplicative hashing)."""

Lookup = Callable[[NDArray[np.int64]], tuple[NDArray[np.uint32], list[str], NDArray[np.int64]]]
"""Returns (customers, event ids, arrivals in ms) of ascending log rows."""


@dataclass(frozen=True, slots=True)
class Run:
    """Hashes in ascending order, (n,) uint64, and the log row of each, (n,) uint32."""

    hashes: NDArray[np.uint64]
    rows: NDArray[np.uint32]

    def merged(self, other: "Run", first_row: int) -> "Run":
        """Merge two runs, leaving out rows before `first_row`."""
        places = np.searchsorted(self.hashes, other.hashes)
        hashes = np.insert(self.hashes, places, other.hashes)
        rows = np.insert(self.rows, places, other.rows)
        kept = rows >= np.uint32(first_row)
        return Run(hashes, rows) if kept.all() else Run(hashes[kept], rows[kept])


class Dedupe:
    """The ids of one log. `window` is in ms; `lookup` reads rows of the log. For the writer thread alone."""

    def __init__(self, seed: int, window: int, lookup: Lookup) -> None:
        self._seed = seed
        self._window = window
        self._lookup = lookup
        self._runs: list[Run] = []
        self._buffer: dict[int, list[int]] = {}
        self._arrivals: list[tuple[int, int]] = []

    def hashes(self, customers: NDArray[np.uint32], ids: list[str]) -> NDArray[np.uint64]:
        """Hash (customer, event id) pairs, (n,) uint64."""
        digests = map(xxhash.xxh3_64_intdigest, map(str.encode, ids), repeat(self._seed))
        hashed = np.fromiter(digests, np.uint64, len(ids))
        return hashed ^ (customers.astype(np.uint64) * GOLDEN)

    def duplicates(
        self, customers: NDArray[np.uint32], ids: list[str], hashes: NDArray[np.uint64], now: int
    ) -> NDArray[np.bool_]:
        """Say for each pair whether it was kept in the window before `now`, or stands earlier in the batch.

        Every pair has an id: an event without one is nobody's duplicate and is not asked about.
        """
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        found = self._repeats(customers, ids, order, ordered)
        places, rows = self._candidates(order, ordered)
        if len(places):
            by_row = np.argsort(rows, kind="stable")
            places, rows = places[by_row], rows[by_row]
            owners, known, arrivals = self._lookup(rows.astype(np.int64))
            same = (owners == customers[places]) & (arrivals > now - self._window)
            for place, event_id, equal in zip(places.tolist(), known, same.tolist(), strict=True):
                if equal and event_id == ids[place]:
                    found[place] = True
        return found

    def add(self, hashes: NDArray[np.uint64], rows: NDArray[np.int64], arrival: int) -> None:
        """Remember pairs that were kept: hashes, log rows (ascending) and the instant of arrival (ms)."""
        if not len(hashes):
            return
        if not self._arrivals or arrival - self._arrivals[-1][0] >= ARRIVAL_STEP_MS:
            self._arrivals.append((arrival, int(rows[0])))
        if len(hashes) < min(RUN_IDS, BUFFER_IDS):
            for key, row in zip(hashes.tolist(), rows.tolist(), strict=True):
                self._buffer.setdefault(key, []).append(row)
            if len(self._buffer) >= BUFFER_IDS:
                self._flush(arrival)
        else:
            self._add_run(hashes, rows.astype(np.uint32), arrival)

    def _repeats(
        self,
        customers: NDArray[np.uint32],
        ids: list[str],
        order: NDArray[np.int64],
        ordered: NDArray[np.uint64],
    ) -> NDArray[np.bool_]:
        """Find pairs that stand earlier in the same batch, given its hashes in order and where they stand."""
        found = np.zeros(len(ids), np.bool_)
        equal = np.flatnonzero(ordered[1:] == ordered[:-1])
        suspects = np.unique(np.concatenate((order[equal], order[equal + 1])))
        seen: set[tuple[int, str]] = set()
        for place in suspects.tolist():
            pair = (int(customers[place]), ids[place])
            found[place] = pair in seen
            seen.add(pair)
        return found

    def _candidates(
        self, order: NDArray[np.int64], ordered: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Return (place in the batch, log row) of every equal hash; looking up in order is four times as fast."""
        places: list[NDArray[np.int64]] = []
        rows: list[NDArray[np.uint32]] = []
        for run in self._runs:
            first = np.searchsorted(run.hashes, ordered)
            hits = np.flatnonzero(run.hashes[np.minimum(first, len(run.hashes) - 1)] == ordered)
            at = first[hits]
            while len(hits):  # a second round only where two pairs share a hash
                places.append(order[hits])
                rows.append(run.rows[at])
                at = at + 1
                more = run.hashes[np.minimum(at, len(run.hashes) - 1)] == ordered[hits]
                more &= at < len(run.hashes)
                hits, at = hits[more], at[more]
        if self._buffer:
            get = self._buffer.get
            pairs = [
                (place, row)
                for place, key in zip(order.tolist(), ordered.tolist(), strict=True)
                for row in get(key, ())
            ]
            if pairs:
                buffered = np.array(pairs, np.int64)
                places.append(buffered[:, 0])
                rows.append(buffered[:, 1].astype(np.uint32))
        if not places:
            return np.empty(0, np.int64), np.empty(0, np.uint32)
        return np.concatenate(places), np.concatenate(rows)

    def _flush(self, now: int) -> None:
        pairs = np.array([(key, row) for key, rows in self._buffer.items() for row in rows], np.uint64)
        self._buffer.clear()
        self._add_run(pairs[:, 0], pairs[:, 1].astype(np.uint32), now)

    def _add_run(self, hashes: NDArray[np.uint64], rows: NDArray[np.uint32], now: int) -> None:
        order = np.argsort(hashes, kind="stable")
        run = Run(hashes[order], rows[order])
        first_row = self._first_row_in_window(now)
        while self._runs and len(self._runs[-1].hashes) < 2 * len(run.hashes):
            run = self._runs.pop().merged(run, first_row)
        if len(run.hashes):
            self._runs.append(run)

    def _first_row_in_window(self, now: int) -> int:
        """Forget arrivals before the window; return the first log row that is still in it."""
        expired = 0
        while expired + 1 < len(self._arrivals) and self._arrivals[expired + 1][0] <= now - self._window:
            expired += 1
        del self._arrivals[:expired]
        return self._arrivals[0][1]
