"""Who turns frozen tails into segments, and small segments into large ones? Threads beside those that answer.

One thread seals what was frozen, so that it does not wait for a merge; another merges. What they make is swapped
in at once and named in the manifest before the files it replaces are deleted. A step that fails, for instance
because the disk is full, leaves things as they were and is tried again: answers are the same, only slower.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import structlog

from libs import failpoints
from libs.errors import Unavailable, frames
from libs.index.merge import PROCESS_ROWS, due, merge, merge_in_process
from libs.index.rows import Rows, without
from libs.index.seal import seal
from libs.index.segment import Segment
from libs.index.store import SegmentStore

if TYPE_CHECKING:
    from libs.index.index import Frozen, Index

log = structlog.get_logger()
RETRY_SECONDS = 10.0
"""When a step that failed is tried again, unless there is more to do before."""


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
        """Seal what is frozen in the calling thread: when closing. What fails, the next start reads from the log."""
        try:
            while self._seal_oldest():
                pass
            self._commit()
        except Exception as error:
            _report(error)

    def purge(self) -> None:
        """Have every segment made anew that has events of who was erased, and wait. Raises `Unavailable`.

        What is frozen comes first, so that nothing sealed before the erasure was known is missed.
        """
        for pool, step in ((self._sealing, _nothing), (self._merging, self._purge)):
            future = self._submit(pool, step)
            if future is None:
                raise Unavailable("SHUTTING_DOWN", "the server is shutting down")
            try:
                future.result()
            except CancelledError:
                raise Unavailable("SHUTTING_DOWN", "the server is shutting down") from None

    def _submit(self, pool: ThreadPoolExecutor, step: Callable[[], None]) -> Future[None] | None:
        if self._closed:
            return None
        try:
            future = pool.submit(step)
        except RuntimeError:  # a retry that comes when all is being closed
            return None
        self._pending.add(future)
        future.add_done_callback(lambda done: self._done(done, pool, step))
        return future

    def _done(self, done: Future[None], pool: ThreadPoolExecutor, step: Callable[[], None]) -> None:
        self._pending.discard(done)
        if not done.cancelled() and (error := done.exception()):
            _report(error)
            again = threading.Timer(RETRY_SECONDS, self._submit, (pool, step))
            again.daemon = True
            again.start()

    def _seal(self) -> None:
        """Seal what is frozen, and merge what that makes due."""
        while not self._closed and self._seal_oldest():
            self._commit()
            self._submit(self._merging, self._merge)

    def _seal_oldest(self) -> bool:
        """Turn the oldest frozen tails into segments, one a type; False where there are none."""
        frozen = self._index.oldest_frozen()
        if frozen is None:
            return False
        failpoints.hit("seal")
        made: list[Segment] = []
        log_rows = frozen.first_row, frozen.position.rows
        try:
            for event_type, rows in self._present(frozen):
                segment = seal(rows, event_type, self._index.calendar, log_rows)
                made.append(self._store.keep(segment) if self._store else segment)
                failpoints.hit("segment")
        except BaseException:
            if self._store:
                self._store.discard(each.name for each in made)
            raise
        self._index.sealed(frozen, made)
        failpoints.hit("sealed")
        return True

    def _present(self, frozen: "Frozen") -> Iterator[tuple[int, Rows]]:
        """Yield the rows of each type, less those that the log has no more."""
        purged = self._index.purged
        for event_type, rows in frozen.tails.items():
            kept = without(rows, purged) if purged else rows
            if len(kept):
                yield event_type, kept

    def _merge(self) -> None:
        """Merge until nothing is due."""
        for chosen in self._due():
            self._remake(chosen)
            self._commit()

    def _remake(self, chosen: Sequence[Segment]) -> None:
        """Make one segment of neighbours and put it in their place."""
        purged = self._index.purged
        if sum(map(len, chosen)) >= PROCESS_ROWS and self._store:
            whole = merge_in_process(chosen, self._store, purged)
        else:
            whole = merge(chosen, self._index.calendar, purged)
            whole = self._store.keep(whole) if self._store and whole else whole
        failpoints.hit("merge")
        self._index.merged(chosen, whole)
        failpoints.hit("merged")

    def _purge(self) -> None:
        purged = self._index.purged
        for segments in self._index.segments().values():
            for segment in segments:
                if self._closed:
                    raise Unavailable("SHUTTING_DOWN", "the server is shutting down")
                if segment.customers.intersect(purged):
                    self._remake([segment])
                    self._commit()
        self._commit()  # a step that failed may have left the manifest with files of before

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


def _report(error: BaseException) -> None:
    reason = error.strerror if isinstance(error, OSError) else ""
    log.error("sealing failed", error=type(error).__name__, reason=reason, where=frames(error))


def _nothing() -> None:
    pass
