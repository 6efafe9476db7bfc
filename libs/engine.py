"""Who answers questions about one project's customers? The engine: its log and the index over it.

Everything above storage talks to an engine and to nothing below it. It takes plans and gives customers; the
numbers it gives customers are its own affair. Where customers are one day spread over many engines, each is
one of these and the answers are united.
"""

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.clock import Clock
from libs.compaction import Compacted, Compactions, Compactor
from libs.errors import Corrupt, Invalid, OutOfRange, Refused, Unavailable, frames
from libs.events import sealing
from libs.events.batch import Scalar
from libs.events.commit import Receipt, Submission
from libs.events.erasures import Erasure, no_such_erasure
from libs.events.intake import Intake
from libs.events.log import EventLog, LoggedEvent
from libs.events.writer import DEDUPE_WINDOW_MS, MAX_NAMES, MAX_WAITING_BYTES, Writer
from libs.index import evaluate, kernels
from libs.index.calendar import Calendar
from libs.index.catalog import Asked, Catalog, index_bytes, read_catalog
from libs.index.completion import Completion
from libs.index.evaluate import Evaluation, NodeCost
from libs.index.index import SEAL_ROWS, Index
from libs.index.keeper import Keeper
from libs.index.loading import TRIES, load
from libs.index.matches import Found, matches
from libs.index.plan import Did, Plan
from libs.index.profile_store import ProfileStore
from libs.index.snapshot import Snapshot
from libs.index.store import SegmentStore
from libs.storage.requests import IDS, RequestIds
from libs.storage.wipe import Busy

logger = structlog.get_logger()

SHARD = "0"
"""The name of the one shard there is."""
SETTLE_SECONDS = 5.0
"""How long the last acknowledgement may wait for the compaction behind it."""


STRING_BYTES = 139
"""What a string of a dictionary takes in memory, about: the string, its number, and its place in a dict."""


@dataclass(frozen=True, slots=True)
class PartSize:
    """The bytes of one part, on disk and in memory, mapped files included; None where it does not apply."""

    name: str
    disk_bytes: int | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """The revision of the log's end, how far (ms) the index is behind it, and what the parts take.

    `intake` is what was taken in since the engine was opened and `waiting` how many events and customers wait to be
    written; None where another process writes.
    """

    revision: int
    lag: int
    parts: list[PartSize]
    intake: Intake | None = None
    waiting: int | None = None


def _nothing() -> None:
    pass


class Engine:
    """One project's customers. `writable`, it also takes events; else another process does.

    With `compact_every`, in seconds, what is left of erased customers is removed at once and then so often.
    """

    def __init__(
        self,
        log: EventLog,
        calendar: Calendar,
        clock: Clock,
        *,
        writable: bool,
        seal_rows: int = SEAL_ROWS,
        compact_every: float = 0.0,
        dedupe_window: int = DEDUPE_WINDOW_MS,
        writing_bytes: int = MAX_WAITING_BYTES,
        most_names: int = MAX_NAMES,
    ) -> None:
        self.calendar = calendar
        self.epoch = log.log_id
        self._log = log
        self._clock = clock
        self._caught_up = clock()
        self._store = SegmentStore(
            log.environment.folder / "index", log.log_id, calendar.zone.key, writable=writable
        )
        self._index = Index(
            calendar, log.names, log.values, log.customers, store=self._store, seal_rows=seal_rows
        )
        self._completion = Completion(log.values)
        self._seal_rows = seal_rows
        self._requests = RequestIds(log.environment, log.cover(IDS))
        self._lock = threading.Lock()
        self._closed = False
        self._loading = threading.Thread(target=kernels.load, name="kernels")
        self._loading.start()
        masked = self._load()
        self._profiles = ProfileStore(
            self._store.folder, log.log_id, writable=writable, cover=log.cover(sealing.TABLE_OF_PROFILES)
        )
        self._index.profiles, self._profiled = self._profiles.load(log.end())
        for changed in log.profiles_between(self._profiled, self._index.position):
            self._index.profiles.update(changed)
        self._index.erase(masked)
        log.refresh()
        self._keeper = Keeper(self.catch_up) if writable else None
        committed = self._keeper.wake if self._keeper else _nothing
        self._writer = (
            Writer(
                log,
                clock,
                dedupe_window=dedupe_window,
                committed=committed,
                most_waiting=writing_bytes,
                most_names=most_names,
            )
            if writable
            else None
        )
        self._compactor = (
            Compactor(log, self._index, self._writer, self.catch_up, self._rewrite_profiles)
            if self._writer
            else None
        )
        self._compactions: Compactions | None = None
        if self._writer and compact_every:
            self._compactions = Compactions(self.wants_compaction, self.compact, compact_every)

    def _load(self) -> NDArray[np.uint32]:
        """Start from the segments there are; return who may still be in them though erased, ascending.

        Who is removed from them meanwhile by another process is in those the manifest names then, or is returned.
        """
        masked = self._log.masked()
        for _ in range(TRIES):
            load(self._index, self._store, self._log, _nothing)
            masked = np.union1d(masked, self._log.masked())
            if self._store.writable or not self._store.changed():
                break
        return masked

    def append(self, submission: Submission) -> Future[Receipt]:
        """Take events and profiles; a receipt means on disk. Raises `Overloaded`, `Unavailable`, `Refused`."""
        if self._writer is None:
            raise Refused("READ_ONLY", "this process reads the event log; send events to the ingest service")
        return self._writer.submit(submission)

    def snapshot(self, min_revision: str = "") -> Snapshot:
        """Return everything committed so far; `OutOfRange` or `Invalid` for a revision it cannot reach."""
        wanted = self._log.revision_of(min_revision) if min_revision else 0
        with self._lock:
            self._catch_up()
            snapshot = self._index.snapshot()
        if snapshot.position.revision < wanted:
            raise OutOfRange("REVISION_NOT_REACHED", "this revision has not been committed")
        return snapshot

    def revision(self) -> int:
        """Return the revision of the log's end, whether it is taken in yet or not: a read of a few bytes."""
        return self._log.end().revision

    def catch_up(self) -> None:
        """Take in everything committed so far."""
        with self._lock:
            self._catch_up()

    def _catch_up(self) -> None:
        self._replay()
        store = self._store
        full = self._index.is_full
        if store.writable or not (full or self._index.erased) or not store.changed():
            return
        if full or self._index.holds_erased():
            load(self._index, store, self._log, self._replay)

    def compact(self) -> Compacted:
        """Remove what is left of erased customers, and wait. Raises `Overloaded`, `Unavailable`; begin again then."""
        if self._compactor is None:
            raise Refused("READ_ONLY", "this process reads the event log; ask the ingest service")
        try:
            return self._compactor.run()
        except Busy as error:
            raise Unavailable("STORAGE_BUSY", f"{error}; try again when it is done") from error
        except OSError as error:
            logger.error("compaction failed", error=type(error).__name__, where=frames(error))
            raise Unavailable(
                "STORAGE_FAILED", "what is left could not all be removed; the server's log says why", 5.0
            ) from error

    def wants_compaction(self) -> bool:
        """Say whether anything is left of erased customers, for who may remove it."""
        return self._compactor is not None and self._compactor.is_due()

    def _rewrite_profiles(self) -> None:
        with self._lock:
            profiles, position = self._index.profiles, self._index.position
            view, counted = profiles.view(), profiles.changes
        self._profiles.rewrite(view, position, counted)

    def _replay(self) -> None:
        self._caught_up = self._clock()
        if self._log.end() != self._index.position:
            for changes in self._log.changes(self._index.position, self._profiled.revision):
                self._index.apply(changes)
                self._profiles.offer(self._index.profiles, self._index.position)

    def evaluate(self, plan: Plan, snapshot: Snapshot, as_of: int) -> BitMap:
        """Return the customers that satisfy a plan at an instant, ms. Not to be changed."""
        return evaluate.evaluate(plan, snapshot, as_of)

    def every_node(self, plan: Plan, snapshot: Snapshot, as_of: int) -> list[BitMap]:
        """Return the customers of each node of a plan, in pre-order, each as if evaluated alone."""
        return Evaluation(snapshot, as_of).every_node(plan)

    def explain(self, plan: Plan, snapshot: Snapshot, as_of: int) -> tuple[BitMap, list[NodeCost]]:
        """Return the customers that satisfy a plan, and how each node was evaluated, in pre-order."""
        evaluation = Evaluation(snapshot, as_of, costs={})
        return evaluation.run(plan), evaluation.explained(plan)

    def among(self, plan: Plan, snapshot: Snapshot, as_of: int, customers: BitMap) -> BitMap:
        """Return which of some customers satisfy a plan, from their own rows where they are few."""
        evaluation = Evaluation(snapshot, as_of)
        known = customers & evaluation.universe
        return evaluation.run(plan, known) & known

    def matches(self, plan: Did, snapshot: Snapshot, as_of: int, customer: int) -> Found:
        """Return times (ms) and log rows of a customer's events that a behaviour is about, newest first."""
        return matches(Evaluation(snapshot, as_of).question(plan), customer)

    def status(self) -> Status:
        """Return how far the log and the index are, and the bytes of every part."""
        end, snapshot = self._log.end(), self._index.snapshot()
        dictionaries = (self._log.customers, self._log.names, self._log.values)
        strings = sum(map(len, dictionaries)) * STRING_BYTES
        parts = [
            PartSize("event log", self._log.environment.disk_bytes(), None),
            PartSize("dictionaries", None, strings),
            PartSize("index files", self._store.disk_bytes(), None),
            *(PartSize(f"index: {name}", None, size) for name, size in index_bytes(snapshot).items()),
            PartSize("profiles", None, snapshot.profiles.nbytes),
        ]
        behind = 0 if end == snapshot.position else max(0, self._clock() - self._caught_up)
        writer = self._writer
        taken = (writer.intake, writer.waiting) if writer else (None, None)
        return Status(end.revision, behind, parts, *taken)

    def log_bytes(self) -> int:
        """Return the bytes in use in the event log: events, profiles, dictionaries and what belongs to them."""
        return self._log.environment.used_bytes()

    @property
    def trouble(self) -> str:
        """Why the last commit failed, where it did and none has succeeded since; "" elsewhere."""
        return self._writer.trouble if self._writer else ""

    def why_not_writable(self) -> str:
        """Say why events would not be written; "" where they would. After trouble it tries to write, 1 MB."""
        if self._writer is None:
            return "this process reads the event log"
        if self._writer.trouble:
            self._writer.probe()
        return self._writer.trouble

    def catalog(self, snapshot: Snapshot, asked: Asked) -> Catalog:
        """Return such event types and attributes as are asked for."""
        return read_catalog(snapshot, asked, self._completion)

    def customer(self, customer_id: str, snapshot: Snapshot) -> int | None:
        """Return the number of a customer of the snapshot, None where there is none of this id."""
        number = self._log.customers.find(customer_id)
        return None if number is None or number >= snapshot.customers else number

    def numbers(self, customer_ids: Sequence[str], snapshot: Snapshot) -> list[int | None]:
        """Return the numbers of customers of the snapshot, in their order, None for an id it does not have."""
        known = snapshot.customers
        found = self._log.customers.find_all(customer_ids)
        return [None if number is None or number >= known else number for number in found]

    def customer_ids(self, numbers: Sequence[int] | NDArray[np.uint32]) -> list[str]:
        """Return the ids of customers. Raises IndexError for a number that was never given."""
        listed = numbers.tolist() if isinstance(numbers, np.ndarray) else numbers
        return self._log.customers.strings(listed)

    def present(self, numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Leave out who was erased since: a chain of pages may have begun before, (n,) uint32."""
        self.catch_up()
        erased = self._index.erased
        if not erased:
            return numbers
        return numbers[[number not in erased for number in numbers.tolist()]]

    def was_erased(self, number: int) -> bool:
        """Say whether a customer was erased, by number: one of an answer that was begun before."""
        self.catch_up()
        return number in self._index.erased

    def profiles(
        self, snapshot: Snapshot, customers: NDArray[np.uint32], fields: Collection[str] = ()
    ) -> list[dict[str, Scalar]]:
        """Return customers' profiles as a snapshot has them, in order: all attributes, or those of `fields`."""
        return snapshot.profiles.data(customers, fields, snapshot.names, snapshot.values)

    def changed_since(self, revision: str, snapshot: Snapshot) -> BitMap | None:
        """Return whose profile changed behind a revision, as far as a snapshot; None where it is not of this log."""
        try:
            since = self._log.revision_of(revision)
        except Invalid:
            return None
        until = snapshot.position.revision  # before `since` where a backup was put back
        return self._log.changed_since(since, until) if since <= until else None

    def erasures(self, after: bytes = b"") -> list[tuple[bytes, Erasure]]:
        """Return (key, erasure) of those of which something is left somewhere, oldest first, behind a key."""
        with self._log.environment.read() as txn:
            return list(self._log.erasures.pending(txn, after))

    def pending_erasures(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return which of these keys are of erasures not yet acknowledged."""
        with self._log.environment.read() as txn:
            return {key for key in keys if self._log.erasures.is_unacknowledged(txn, key)}

    def confirm_erasure(self, key: bytes, request: tuple[str, bytes] | None) -> None:
        """Note that no destination holds an erased customer, and have the bytes removed soon.

        Raises `Missing`, `Overloaded`.

        `request` is (request_id, fingerprint) where the client named it: a repeat changes nothing.
        """
        with self._log.environment.write() as txn:
            now = self._clock()
            self._log.environment.mark_erased(txn)
            if request and self._requests.find(txn, *request, now) is not None:
                return
            if not self._log.erasures.acknowledge(txn, key):
                raise no_such_erasure()
            if request:
                self._requests.record(txn, *request, now, b"")
        if self._compactions:
            self._compactions.soon()

    def settle_erasures(self) -> None:
        """Where no erasure waits for a destination, wait for the compaction behind them, some seconds at most."""
        with self._log.environment.read() as txn:
            is_waiting = self._log.erasures.any_unacknowledged(txn)
        if self._compactions and not is_waiting:
            self._compactions.settle(SETTLE_SECONDS)

    def events(self, log_rows: NDArray[np.int64]) -> list[LoggedEvent]:
        """Read events back as they were sent, in the order of their log rows given."""
        return self._log.events(log_rows)

    def token(self, snapshot: Snapshot) -> str:
        """Write a snapshot's revision for the wire."""
        return self._log.token(snapshot.position.revision)

    def revision_token(self, revision: int) -> str:
        """Write a revision, as a receipt has it, for the wire."""
        return self._log.token(revision)

    def settle(self) -> None:
        """Return when nothing is being sealed: for benchmarks, and tests of sealed segments."""
        self._index.settle()

    def close(self) -> None:
        """Commit what waits, seal it, and close the log. No call may be under way; once is enough."""
        if self._closed:
            return
        self._closed = True
        self._loading.join()
        if self._compactions:
            self._compactions.end()
        if self._writer:
            self._writer.close()
        if self._keeper:
            self._keeper.close()
            with suppress(Corrupt):  # what was damaged was said when it was found
                self.catch_up()
        self._profiles.close(self._index.profiles, self._index.position)
        self._index.close()
        if self._compactor:
            self._compactor.close()
        if self._compactions:
            self._compactions.join()
        self._log.close()
