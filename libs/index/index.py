"""What changes the index? Blocks of the log are applied, full tails frozen and sealed, snapshots handed out.

One thread applies at a time. When the tails of all types together are long enough they are frozen, at one
position of the log; the sealer makes segments of them in the background and swaps those in, so neither a Run nor
an append waits for it. Where events stand, in a tail, in one segment or in many, never changes an answer.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.block import NOBODY, Block
from libs.events.dictionary import Dictionary
from libs.events.log import Changes, Position
from libs.index import roaring
from libs.index.calendar import Calendar
from libs.index.plan import EVER
from libs.index.planner import Part
from libs.index.profiles import ProfileTable
from libs.index.rows import Rows
from libs.index.sealer import Sealer
from libs.index.segment import Segment
from libs.index.snapshot import Snapshot
from libs.index.store import SegmentStore
from libs.index.strings import StringTests
from libs.index.tail import Piece, Tail, pieces_of

SEAL_ROWS = 65_536
TAIL_BYTES = 256 << 20
"""What tails may take before they are sealed ahead of time: a full one of 256 attributes takes half of it."""
"""Tails with so many rows are sealed: scanning them costs up to half a millisecond."""

Segments = dict[int, tuple[Segment, ...]]
"""The segments of each event type, in order of arrival."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """Tails that wait to be sealed: all events of the log rows from `first_row` up to `position`, by type."""

    first_row: int
    position: Position
    tails: dict[int, Rows]


class Index:
    """The bitmap index of one log. `names`, `values` and `customers` are the log's dictionaries.

    With a `store` to write to, segments are kept there. With one to read only, this index never seals: it takes
    over what the writer of the log has sealed (`refresh`). Without one, segments stay in memory.
    """

    def __init__(
        self,
        calendar: Calendar,
        names: Dictionary,
        values: Dictionary,
        customers: Dictionary,
        *,
        store: SegmentStore | None = None,
        seal_rows: int = SEAL_ROWS,
    ) -> None:
        self.calendar = calendar
        self.position = Position()
        self.profiles = ProfileTable()
        self._names, self._values, self._customers = names, values, customers
        self._strings = StringTests(values)
        self._seal_rows = seal_rows
        self._tails: dict[int, Tail] = {}
        self._frozen: list[Frozen] = []
        self._frozen_end = 0
        self._segments: Segments = {}
        self._covered = Position()
        self._everybody = BitMap()
        self._erased = BitMap()
        self._purged = BitMap()
        self._latest = EVER
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()
        self._reads_only = store is not None and not store.writable
        self._sealer = Sealer(self, store)

    def install(self, segments: Sequence[Segment], covered: Position) -> None:
        """Start from, or go over to, segments that hold all events up to a position: not behind `position`."""
        with self._lock:
            self._segments = _by_type(segments)
            self._covered = covered
            if self.position == Position():
                self.position = covered
            self._frozen_end = covered.rows
            self._tails = {
                number: kept for number, tail in self._tails.items() if len(kept := tail.behind(covered.rows))
            }
            owners = [segment.customers for segment in segments]
            self._everybody = roaring.union([self._everybody, *owners])
            self._latest = max(self._latest, *(segment.last_time for segment in segments), EVER)
            self._snapshot = None

    def apply(self, changes: Changes) -> None:
        """Take in what was committed behind `position`. For one thread at a time."""
        with self._lock:
            filled = [block for block in changes.blocks if block.rows]
            if filled:  # at once: a log of single events has a block for each
                owners = np.concatenate([block.customers for block in filled])
                if any(block.is_blanked for block in filled):
                    owners = owners[owners != NOBODY]
                self._everybody = self._everybody | roaring.from_values(owners)  # snapshots hold the old one
                self._latest = max(self._latest, *(int(block.times.max()) for block in filled))
            for block in filled:
                self._append(block)
            self.profiles.update(changes.profiles)
            for block in changes.blocks:
                if len(block.erased):
                    self._erase(block.erased)
            self.position = changes.position
            self._snapshot = None
            full = not self._reads_only and self.is_full
            if full:
                self._freeze()
        if full:
            self._sealer.freeze()

    def erase(self, customers: NDArray[np.uint32]) -> None:
        """Have these customers, ascending, be in no answer from now on: those erased before this start."""
        with self._lock:
            self._erase(customers)
            self._snapshot = None

    def _erase(self, customers: NDArray[np.uint32]) -> None:
        self._erased = self._erased | roaring.from_sorted(customers)
        self.profiles.remove(customers)

    @property
    def erased(self) -> BitMap:
        """Who was erased, so far as their events may still be in some part. Not to be changed."""
        return self._erased

    @property
    def purged(self) -> BitMap:
        """Those of the erased whose events the log has no more, so no part need have them. Not to be changed."""
        return self._purged

    def holds_erased(self) -> bool:
        """Say whether some segment has events of who was erased."""
        return bool(self._erased) and any(
            segment.customers.intersect(self._erased)
            for segments in self.segments().values()
            for segment in segments
        )

    @property
    def is_full(self) -> bool:
        """Whether tails are to be sealed: they have many events, or many attributes that take as much."""
        return self.tail_rows >= self._seal_rows or (
            sum(tail.nbytes for tail in self._tails.values()) >= TAIL_BYTES
        )

    @property
    def tail_rows(self) -> int:
        """How many events are in tails that are not frozen."""
        return sum(map(len, self._tails.values()))

    def snapshot(self) -> Snapshot:
        """Return what there is now."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = self._make_snapshot()
            return self._snapshot

    def segments(self) -> Segments:
        """Return the segments there are, by event type."""
        with self._lock:
            return self._segments

    def oldest_frozen(self) -> Frozen | None:
        """Return what is to be sealed next."""
        with self._lock:
            return self._frozen[0] if self._frozen else None

    def sealed(self, frozen: Frozen, made: Sequence[Segment]) -> None:
        """Put segments in the place of the oldest frozen tails."""
        with self._lock:
            for segment in made:
                before = self._segments.get(segment.event_type, ())
                self._segments = {**self._segments, segment.event_type: (*before, segment)}
            self._covered = frozen.position
            self._frozen.remove(frozen)
            self._snapshot = None

    def merged(self, parts: Sequence[Segment], whole: Segment | None) -> None:
        """Put one segment in the place of neighbours; none where nothing is left of them."""
        number = parts[0].event_type
        with self._lock:
            segments = self._segments[number]
            first = segments.index(parts[0])
            after = (*segments[:first], *([whole] if whole else ()), *segments[first + len(parts) :])
            self._segments = {**self._segments, number: after}
            self._snapshot = None

    def purge(self, customers: NDArray[np.uint32]) -> None:
        """Remove the events of some who were erased, ascending, from every part and file: the log has none of them.

        Raises what sealing raises, and `Unavailable`.
        """
        with self._lock:
            self._purged = self._purged | roaring.from_sorted(customers)
            kept = {number: tail.without(self._purged) for number, tail in self._tails.items()}
            self._tails = {number: tail for number, tail in kept.items() if len(tail)}
            self._snapshot = None
        self._sealer.purge()

    def sealed_state(self) -> tuple[Position, list[Segment]]:
        """Return the segments there are, and the position up to which they hold all events."""
        with self._lock:
            return self._covered, [each for segments in self._segments.values() for each in segments]

    def settle(self) -> None:
        """Return when nothing is being sealed or merged any more."""
        self._sealer.settle()

    def close(self) -> None:
        """Seal what there is, so that a start has nothing to replay, and stop."""
        self._sealer.close()
        if not self._reads_only:
            with self._lock:
                self._freeze()
            self._sealer.seal_now()

    def _freeze(self) -> None:
        """Set all tails aside to be sealed."""
        tails = {number: tail.view() for number, tail in self._tails.items() if len(tail)}
        if tails:
            self._frozen.append(Frozen(self._frozen_end, self.position, tails))
            self._frozen_end = self.position.rows
            self._tails = {}

    def _append(self, block: Block) -> None:
        """Add a block's events to the tails of their types."""
        arrival = np.arange(block.first_row, block.first_row + block.rows).astype(np.uint32)
        there = block.customers != NOBODY if block.is_blanked else None
        types = np.unique(block.event_types if there is None else block.event_types[there]).tolist()
        for number in types:
            tail = self._tails.setdefault(number, Tail())
            if len(types) == 1 and there is None:
                pieces: Iterable[Piece] = [((c.attribute, c.kind), c.rows, c.values) for c in block.columns]
                tail.append(block.customers, block.times, arrival, pieces)
            else:
                mine = block.event_types == number
                if there is not None:
                    mine &= there
                pieces = pieces_of(block, mine)
                tail.append(block.customers[mine], block.times[mine], arrival[mine], pieces)

    def _make_snapshot(self) -> Snapshot:
        parts: dict[int, list[Part]] = {number: list(held) for number, held in self._segments.items()}
        for frozen in self._frozen:
            for number, rows in frozen.tails.items():
                parts.setdefault(number, []).append(rows)
        for number, tail in self._tails.items():
            if len(tail):
                parts.setdefault(number, []).append(tail.view())
        return Snapshot(
            self.position,
            {number: tuple(held) for number, held in parts.items()},
            self.profiles.view(),
            self._names,
            self._values,
            self._strings,
            len(self._customers),
            self.calendar,
            self._everybody - self._erased if self._erased else self._everybody,
            self._latest,
            self._erased,
        )


def _by_type(segments: Sequence[Segment]) -> Segments:
    found: dict[int, list[Segment]] = {}
    for segment in sorted(segments, key=lambda each: each.head.log_rows):
        found.setdefault(segment.event_type, []).append(segment)
    return {number: tuple(held) for number, held in found.items()}
