"""What changes the index? Blocks of the log are applied, full tails sealed, snapshots handed out.

The only module of the package that mutates. One thread applies at a time; sealing runs in a thread of its
own and is swapped in when done, so neither a Run nor an append waits for it. Where events stand, in a tail,
in one segment or in many, never changes an answer.
"""

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import structlog
from pyroaring import BitMap

from libs.errors import frames
from libs.events.block import Block
from libs.events.dictionary import Dictionary
from libs.events.log import Changes, Position
from libs.index import roaring
from libs.index.calendar import Calendar
from libs.index.plan import EVER
from libs.index.planner import Part
from libs.index.profiles import ProfileTable
from libs.index.rows import Rows, concatenate
from libs.index.seal import seal
from libs.index.segment import Segment
from libs.index.snapshot import Snapshot
from libs.index.tail import Piece, Tail

log = structlog.get_logger()

SEAL_ROWS = 65_536
"""A tail this long is sealed: scanning it costs up to 0.5 ms."""


class Index:
    """The bitmap index of one log. `names`, `values` and `customers` are the log's dictionaries."""

    def __init__(
        self,
        calendar: Calendar,
        names: Dictionary,
        values: Dictionary,
        customers: Dictionary,
        *,
        seal_rows: int = SEAL_ROWS,
    ) -> None:
        self.calendar = calendar
        self.position = Position()
        self._names, self._values, self._customers = names, values, customers
        self._seal_rows = seal_rows
        self._tails: dict[int, Tail] = {}
        self._sealing: dict[int, list[Rows]] = {}
        self._segments: dict[int, tuple[Segment, ...]] = {}
        self._everybody = BitMap()
        self._latest = EVER
        self._profiles = ProfileTable()
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()
        self._sealer = ThreadPoolExecutor(1, "sealer")
        self._seals: set[Future[None]] = set()

    def apply(self, changes: Changes) -> None:
        """Take in what was committed behind `position`. For one thread at a time."""
        with self._lock:
            filled = [block for block in changes.blocks if block.rows]
            if filled:  # at once: a log of single events has a block for each
                owners = np.concatenate([block.customers for block in filled])
                self._everybody = self._everybody | roaring.from_values(owners)  # snapshots hold the old one
                self._latest = max(self._latest, *(int(block.times.max()) for block in filled))
            for block in filled:
                self._append(block)
            self._profiles.update(changes.profiles)
            self.position = changes.position
            self._snapshot = None
            full = [number for number, tail in self._tails.items() if len(tail) >= self._seal_rows]
            for number in full:
                self._sealing.setdefault(number, []).append(self._tails.pop(number).view())
        for number in full:
            self._start_seal(number)

    def snapshot(self) -> Snapshot:
        """Return what there is now."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = self._make_snapshot()
            return self._snapshot

    def settle(self) -> None:
        """Return when nothing is being sealed any more."""
        while self._seals:
            wait(list(self._seals))

    def close(self) -> None:
        """Stop sealing."""
        self._sealer.shutdown(wait=True, cancel_futures=True)

    def _append(self, block: Block) -> None:
        """Add a block's events to the tails of their types."""
        arrival = np.arange(block.first_row, block.first_row + block.rows).astype(np.uint32)
        types = np.unique(block.event_types).tolist()
        for number in types:
            tail = self._tails.setdefault(number, Tail())
            if len(types) == 1:
                pieces: Iterable[Piece] = [((c.attribute, c.kind), c.rows, c.values) for c in block.columns]
                tail.append(block.customers, block.times, arrival, pieces)
            else:
                mine = block.event_types == number
                pieces = _pieces(block, mine)
                tail.append(block.customers[mine], block.times[mine], arrival[mine], pieces)

    def _make_snapshot(self) -> Snapshot:
        parts: dict[int, tuple[Part, ...]] = {}
        for number in {*self._segments, *self._sealing, *self._tails}:
            tail = self._tails.get(number)
            parts[number] = (
                *self._segments.get(number, ()),
                *self._sealing.get(number, ()),
                *((tail.view(),) if tail else ()),
            )
        view = self._profiles.view()
        return Snapshot(
            self.position,
            parts,
            view,
            self._names,
            self._values,
            len(self._customers),
            self._everybody,
            self._latest,
        )

    def _start_seal(self, number: int) -> None:
        future = self._sealer.submit(self._seal, number)
        self._seals.add(future)
        future.add_done_callback(self._sealed)

    def _sealed(self, done: Future[None]) -> None:
        """Forget a seal that ended. One that failed leaves its tail, which goes on being scanned."""
        self._seals.discard(done)
        if not done.cancelled() and (error := done.exception()):
            log.error("sealing failed", error=type(error).__name__, where=frames(error))

    def _seal(self, number: int) -> None:
        """Turn the oldest frozen tail of an event type into segments. Runs in the sealer's thread."""
        with self._lock:
            rows = self._sealing[number][0]
            before = self._segments.get(number, ())
        after = list(before)
        after.append(seal(_merge_small(after, rows), number, self.calendar))
        with self._lock:
            self._segments[number] = tuple(after)
            del self._sealing[number][0]
            if not self._sealing[number]:
                del self._sealing[number]
            self._snapshot = None


def _merge_small(segments: list[Segment], rows: Rows) -> Rows:
    """Take the last segments out while they are not much larger than `rows`; return all the rows.

    So sizes grow geometrically and each event is sealed a logarithmic number of times. Only neighbours in
    order of arrival are merged, which keeps events of equal time in that order.
    """
    parts = [rows]
    while segments and len(segments[-1]) <= 2 * sum(map(len, parts)):
        parts.insert(0, segments.pop().rows())
    return concatenate(parts)


def _pieces(block: Block, mine: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterable[Piece]:
    """Restrict a block's columns to some of its rows, numbering those from 0."""
    moved = (np.cumsum(mine) - 1).astype(np.uint32)
    for column in block.columns:
        key = (column.attribute, column.kind)
        if column.rows is None:
            yield key, None, column.values[mine]
        else:
            kept = mine[column.rows]
            if kept.any():
                yield key, moved[column.rows[kept]], column.values[kept]
