"""Who turns frozen tails into segments, and small segments into large ones? Threads beside those that answer.

One thread seals what was frozen, so that it does not wait for a merge; another merges. What they make is swapped
in at once and named in the manifest before the files it replaces are deleted. A step that fails leaves things as
they were: answers are the same, only slower.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import structlog

from libs.errors import frames
from libs.index.merge import PROCESS_ROWS, due, merge, merge_in_process
from libs.index.seal import seal
from libs.index.segment import Segment
from libs.index.store import SegmentStore

if TYPE_CHECKING:
    from libs.index.index import Index

log = structlog.get_logger()


class Sealer:
    """Seals and merges for one index. With a store, segments are files; without, they stay in memory."""

    def __init__(self, index: "Index", store: SegmentStore | None) -> None:
        self._index = index
        self._store = store
        self._sealing = ThreadPoolExecutor(1, "sealer")
        self._merging = ThreadPoolExecutor(1, "merger")
        self._manifest = threading.Lock()
        self._pending: set[Future[None]] = set()
        self._closed = False

    def freeze(self) -> None:
        """Seal what was frozen, some time soon."""
        self._submit(self._sealing, self._seal)

    def settle(self) -> None:
        """Return when there is nothing left to seal or merge."""
        while self._pending:
            wait(list(self._pending))

    def close(self) -> None:
        """Finish the sealing under way, give up what has not begun, and stop."""
        self._closed = True
        self._merging.shutdown(wait=True, cancel_futures=True)
        self._sealing.shutdown(wait=True, cancel_futures=True)

    def seal_now(self) -> None:
        """Seal what is frozen in the calling thread: when closing."""
        while self._index.oldest_frozen() is not None:
            self._seal()

    def _submit(self, pool: ThreadPoolExecutor, step: Callable[[], None]) -> None:
        if self._closed:
            return
        future = pool.submit(step)
        self._pending.add(future)
        future.add_done_callback(self._done)

    def _done(self, done: Future[None]) -> None:
        self._pending.discard(done)
        if not done.cancelled() and (error := done.exception()):
            log.error("sealing failed", error=type(error).__name__, where=frames(error))

    def _seal(self) -> None:
        """Turn the oldest frozen tails into segments, one a type."""
        frozen = self._index.oldest_frozen()
        if frozen is None:
            return
        made = []
        for event_type, rows in frozen.tails.items():
            segment = seal(rows, event_type, self._index.calendar, (frozen.first_row, frozen.position.rows))
            made.append(self._store.keep(segment) if self._store else segment)
        self._index.sealed(frozen, made)
        self._commit()
        self._submit(self._merging, self._merge)

    def _merge(self) -> None:
        """Merge until nothing is due."""
        for chosen in self._due():
            if sum(map(len, chosen)) >= PROCESS_ROWS and self._store:
                whole = merge_in_process(chosen, self._store)
            else:
                whole = merge(chosen, self._index.calendar)
                whole = self._store.keep(whole) if self._store else whole
            self._index.merged(chosen, whole)
            self._commit()

    def _due(self) -> Iterator[tuple[Segment, ...]]:
        found = True
        while found and not self._closed:
            found = False
            for segments in self._index.segments().values():
                chosen = due(segments)
                if chosen:
                    found = True
                    yield segments[slice(*chosen)]

    def _commit(self) -> None:
        if self._store is None:
            return
        with self._manifest:
            covered, segments = self._index.sealed_state()
            self._store.commit(covered, segments)
