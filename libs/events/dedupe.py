"""Has this event arrived before? A set of (customer, event id), kept for a window from the first arrival.

Held as sorted runs of keyed hashes with the log row behind each, at most 12 bytes an event, merged
geometrically; a hit is only a duplicate when the log's row confirms it. New ids wait in a small dict, so that
single events do not make runs. A thread beside the writer's brings runs to disk and merges them there, so no
commit waits for it; what it has not reached yet, the next start reads from the blocks again.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from libs.events import runs
from libs.events.keeper import Keeper
from libs.events.log import Position
from libs.events.run_files import Entry, RunFiles
from libs.events.runs import Run

BUFFER_IDS = 8192
"""Ids held in a dict before they become a run; a Python int pair costs about 100 bytes."""
MANY = 512
"""So many ids at once make a run of their own: in the dict they would cost 2 µs each, as a run 0.2."""
ARRIVAL_STEP_MS = 60_000
"""How finely arrivals are told apart when old ids are dropped."""
KEPT_ROWS = 1 << 17
"""Events after which ids are brought to disk: hashing so many again delays a start by some 0.1 s."""
KEPT_COMMITS = 8192
"""The same for commits: reading so many blocks of single events delays a start by some 0.1 s."""
MAX_RUN_ROWS = 1 << 25
"""Runs are not merged past this: a merge holds its result in memory, 12 bytes a row."""
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio: spreads consecutive customer numbers over all bits (Knuth, multiplicative hashing)."""

Lookup = Callable[[NDArray[np.int64]], tuple[NDArray[np.uint32], list[str], NDArray[np.int64]]]
"""Returns (customers, event ids, arrivals in ms) of ascending log rows."""


@dataclass(frozen=True, slots=True)
class _Frozen:
    """Runs on their way to disk, the entry they are to have there, and the revision it goes up to."""

    entry: Entry
    revision: int
    runs: tuple[Run, ...] = ()


class Dedupe:
    """The ids of one log. `window` is in ms; `lookup` reads rows of the log. For the writer thread alone.

    `files` are where runs are kept, `keeper` does it. At the start it knows what `files` covers; what was
    committed later is to be added.
    """

    def __init__(self, seed: int, window: int, lookup: Lookup, files: RunFiles, keeper: Keeper) -> None:
        self._seed = seed
        self._window = window
        self._lookup = lookup
        self._files = files
        self._keeper = keeper
        self._lock = threading.Lock()
        self._entries = files.entries
        self._frozen: _Frozen | None = None
        self._runs: list[Run] = []
        self._buffer: dict[int, list[int]] = {}
        self._marks = [(entry.latest, entry.end_row) for entry in files.entries]
        self._latest = files.entries[-1].latest if files.entries else 0
        self._end = files.covered
        self._fresh_row = self._end.rows
        self._commits = 0

    def hashes(self, customers: NDArray[np.uint32], ids: list[str]) -> NDArray[np.uint64]:
        """Hash (customer, event id) pairs, (n,) uint64. Kept in files: see `run_files.VERSION`."""
        return runs.hash_strings(ids, self._seed, len(ids)) ^ (customers.astype(np.uint64) * GOLDEN)

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

    def add(
        self, hashes: NDArray[np.uint64], rows: NDArray[np.int64], arrival: int, position: Position
    ) -> None:
        """Remember a commit, after which the log ends at `position`.

        `hashes` and `rows` (ascending) are those of the pairs that were kept, `arrival` is when (ms).
        """
        self._latest = max(self._latest, arrival)
        if not self._marks or self._latest - self._marks[-1][0] >= ARRIVAL_STEP_MS:
            self._marks.append((self._latest, position.rows))
        self._end = position
        self._commits += 1
        if len(hashes) >= MANY:
            self._add_run(runs.make_run(hashes, rows.astype(np.uint32)))
        else:
            for key, row in zip(hashes.tolist(), rows.tolist(), strict=True):
                self._buffer.setdefault(key, []).append(row)
            if len(self._buffer) >= BUFFER_IDS:
                self._flush()
        if position.rows - self._fresh_row >= KEPT_ROWS or self._commits >= KEPT_COMMITS:
            self._keep(arrival)

    def close(self, now: int) -> None:
        """Bring to disk what is not there yet, so that the next start has nothing to read."""
        self._keeper.wait()
        if self._frozen or self._commits:
            self._keep(now)
            self._keeper.wait()

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
        """Return (place in the batch, log row) of every hash that may be equal."""
        if self._buffer and len(ordered) >= MANY:
            self._flush()
        places, rows = [np.empty(0, np.int64)], [np.empty(0, np.uint32)]
        for run in self._all_runs():
            found, behind = run.find(ordered)
            if len(found):
                places.append(order[found])
                rows.append(behind)
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
        return np.concatenate(places), np.concatenate(rows)

    def _all_runs(self) -> list[Run]:
        with self._lock:
            kept = [entry.run for entry in self._entries if entry.run]
            frozen = self._frozen.runs if self._frozen else ()
        return [*kept, *frozen, *self._runs]

    def _flush(self) -> None:
        if self._buffer:
            pairs = np.array([(key, row) for key, rows in self._buffer.items() for row in rows], np.uint64)
            self._buffer.clear()
            self._add_run(runs.make_run(pairs[:, 0], pairs[:, 1].astype(np.uint32)))

    def _add_run(self, run: Run) -> None:
        """Add a run to those in memory, merging such as are not much larger."""
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = runs.merge([self._runs.pop(), run])
        self._runs.append(run)

    def _keep(self, now: int) -> None:
        """Have what is in memory brought to disk, unless that is being done already."""
        if self._keeper.busy:
            return
        self._flush()
        failed = self._frozen
        first_row = failed.entry.first_row if failed else self._fresh_row
        entry = Entry(first_row, self._end.rows, self._latest)
        frozen = _Frozen(entry, self._end.revision, (*(failed.runs if failed else ()), *self._runs))
        with self._lock:
            self._frozen = frozen
        self._runs.clear()
        self._fresh_row, self._commits = self._end.rows, 0
        first_in_window = self._first_row_in_window(now)
        self._keeper.submit(lambda: self._bring_to_disk(frozen, first_in_window))

    def _bring_to_disk(self, frozen: _Frozen, first_row: int) -> None:
        """Write runs, merged with such files as are not much larger. In the keeper's thread."""
        entries = [entry for entry in self._entries if entry.end_row > first_row]
        entry, mine = frozen.entry, list(frozen.runs)
        size = sum(map(len, mine))
        if size:
            while entries and entries[-1].run and len(entries[-1]) < min(2 * size, MAX_RUN_ROWS - size + 1):
                last = entries.pop()
                mine[:0] = [last.run] if last.run else []
                size += len(last)
                entry = replace(entry, first_row=last.first_row)
            entries.append(self._files.write(entry, runs.merge(mine, first_row)))
        elif entries:
            entries[-1] = replace(entries[-1], end_row=entry.end_row, latest=entry.latest)
        else:
            entries.append(entry)
        self._files.name(entries, frozen.revision)
        with self._lock:
            self._entries, self._frozen = self._files.entries, None

    def _first_row_in_window(self, now: int) -> int:
        """Forget marks before the window; return the first log row that may still be in it."""
        if self._latest <= now - self._window:
            return self._end.rows
        expired = 0
        while expired < len(self._marks) and self._marks[expired][0] <= now - self._window:
            expired += 1
        first = self._marks[expired - 1][1] if expired else 0
        del self._marks[: max(expired - 1, 0)]
        return first
