"""What does a start do with the segments on disk? Maps those that are whole, and derives the others from the log."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import structlog

from libs.events.block import NOBODY
from libs.events.log import EventLog
from libs.index.calendar import Calendar
from libs.index.seal import seal
from libs.index.segment import Segment
from libs.index.store import Entry, Manifest, SegmentStore
from libs.index.tail import Tail, pieces_of
from libs.storage.arrays import ArrayFileError

if TYPE_CHECKING:
    from libs.index.index import Index

log = structlog.get_logger()
TRIES = 3
"""A reader may find a file gone that the writer has just merged: then there is another manifest."""


def load(index: "Index", store: SegmentStore, events: EventLog, replay: Callable[[], None]) -> None:
    """Have an index start from, or go over to, what a store has of a log. Whoever may write repairs it.

    `replay` brings an index that was in use up to the log's end, which is behind what any manifest covers.
    """
    for _ in range(TRIES):
        manifest = store.manifest()
        if manifest is None or manifest.covered.rows > events.end().rows:
            break
        segments = list(_segments(manifest, store, events, index.calendar))
        if store.writable or not store.changed():
            replay()
            index.install(segments, manifest.covered)
            break
    if store.writable:
        covered, segments = index.sealed_state()
        try:
            store.commit(covered, segments)
        except OSError as error:  # a server starts on a full disk too, and answers
            log.warning("index manifest not written", reason=str(error))
            return
        store.clean(segments)


def _segments(
    manifest: Manifest, store: SegmentStore, events: EventLog, calendar: Calendar
) -> Iterator[Segment]:
    for entry in manifest.entries:
        try:
            yield store.open(entry.name)
        except ArrayFileError as error:
            if store.changed():
                return
            log.warning("segment dropped, derived from the log again", reason=str(error))
            segment = rebuild(entry, events, calendar)
            yield _kept(segment, store) if store.writable else segment


def _kept(segment: Segment, store: SegmentStore) -> Segment:
    try:
        return store.keep(segment)
    except OSError as error:
        log.warning("segment not written, held in memory", reason=str(error))
        return segment


def rebuild(entry: Entry, events: EventLog, calendar: Calendar) -> Segment:
    """Derive a segment from the log. Raises `DamagedLogError`."""
    tail = Tail()
    for block in events.blocks_between(entry.first, entry.end):
        chosen = (block.event_types == entry.event_type) & (block.customers != NOBODY)
        mine = np.flatnonzero(chosen)
        if len(mine):
            arrival = (mine + block.first_row).astype(np.uint32)
            tail.append(block.customers[mine], block.times[mine], arrival, pieces_of(block, chosen))
    return seal(tail.view(), entry.event_type, calendar, (entry.first, entry.end))
