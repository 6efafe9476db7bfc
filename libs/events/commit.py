"""What does one transaction of the log hold? The requests of a group, deduplicated, encoded and recorded.

Guarantees: of two copies of an event the first is kept; a request id that was served before gets its first
receipt again; either all of a group is on disk or nothing. Neighbours: `libs.events.writer` forms the groups,
`libs.events.dedupe` remembers ids, `libs.events.encode` makes columns.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from libs import failpoints
from libs.errors import Invalid, Overloaded, frames
from libs.events import block as blocks
from libs.events import encode
from libs.events import profile as profiles
from libs.events.batch import Batch, Strings, Upsert
from libs.events.block import NO_ROWS, Block
from libs.events.dedupe import Dedupe
from libs.events.intake import Intake
from libs.events.keeper import Keeper
from libs.events.log import MAX_ROWS, EventLog, Position
from libs.events.run_files import RunFiles
from libs.events.sealing import PROFILES
from libs.storage.requests import IDS, RequestIds

logger = structlog.get_logger()


class Refusal(msgspec.Struct, array_like=True, frozen=True):
    """One event or customer that was not kept: its place in the request, the field at fault, and why."""

    index: int
    field: str
    reason: str
    message: str


class Receipt(msgspec.Struct, array_like=True, frozen=True):
    """What became of a request."""

    revision: int
    accepted: int
    duplicates: int = 0
    rejected: list[Refusal] = []


@dataclass(slots=True)
class Submission:
    """One request for the writer. `request` is (request_id, fingerprint) where the client named it.

    `size` is about what it takes in memory: the bytes it came in.
    """

    batch: Batch | None = None
    upserts: list[Upsert] = field(default_factory=list)
    task: Callable[[], object] | None = None
    """Something to do between commits, in their thread; such a request has nothing else."""
    erase: list[str] = field(default_factory=list)
    """Customers to erase; such a request has nothing else, and a commit of its own."""
    rejected: list[Refusal] = field(default_factory=list)
    request: tuple[str, bytes] | None = None
    size: int = 0
    receipt: Future[Receipt] = field(default_factory=Future)

    @property
    def is_alone(self) -> bool:
        """Whether it shares a commit with no other."""
        return bool(self.erase) or self.task is not None

    @property
    def rows(self) -> int:
        """How many events it has."""
        return self.batch.rows if self.batch else 0

    @property
    def items(self) -> int:
        """How much work it is: events and customers."""
        return self.rows + len(self.upserts) + len(self.erase)

    def names(self) -> set[str]:
        """Return the event types and attributes it has."""
        found = set().union(*(upsert.data for upsert in self.upserts))
        if self.batch:
            found.update(self.batch.event_types.distinct, (each.attribute for each in self.batch.columns))
        return found


@dataclass(frozen=True, slots=True)
class _Rows:
    """The events of a group that are kept, and what dedupe must remember of them after the commit."""

    batch: Batch
    customers: NDArray[np.uint32]
    kept: NDArray[np.bool_]
    """(events sent,) bool, in the order sent."""
    hashes: NDArray[np.uint64]
    hashed_rows: NDArray[np.int64]


_NO_STRINGS = Strings(NO_ROWS, [])
_EMPTY = Batch(_NO_STRINGS, _NO_STRINGS, np.empty(0, np.int64))


class Committer:
    """Commits groups of requests to one log. For one thread. `dedupe_window` is in ms."""

    def __init__(self, log: EventLog, dedupe_window: int, now: int) -> None:
        self._log = log
        self._requests = RequestIds(log.environment, log.cover(IDS))
        self._position = log.end()
        self._keeper = Keeper()
        self._window = dedupe_window
        self.intake = Intake()
        self._txn: Any = None
        self._dedupe: Dedupe | None = self._open_dedupe(now)

    def commit(self, group: list[Submission], now: int) -> list[Receipt | Invalid]:
        """Write a group, in which no request id stands twice, and fsync. Return an answer for each request.

        Raises `Overloaded` where there is no room; nothing was written then.
        """
        log = self._log
        if self._dedupe is None:
            self._dedupe = self._open_dedupe(now)
        dedupe = self._dedupe
        with log.environment.write() as txn:
            self._txn = txn
            answers = [self._served(txn, submission, now) for submission in group]
            fresh = [s for s, answer in zip(group, answers, strict=True) if answer is None]
            rows = self._deduplicate(dedupe, fresh, now)
            changed = self._upsert(txn, fresh)
            failpoints.hit("profile")
            erased = self._erase(txn, fresh, now)
            failpoints.hit("erasure")
            position, data = self._block(rows, changed, erased, now)
            if data:
                log.put(txn, self._position.rows, position, data)
            failpoints.hit("block")
            receipts = self._receipts(fresh, rows.kept, len(erased), position.revision)
            for submission, receipt in zip(fresh, receipts, strict=True):
                self._record(txn, submission, receipt, now)
            failpoints.hit("request")
            lengths = [dictionary.save(txn) for dictionary in log.dictionaries]
            failpoints.hit("dictionary")
            failpoints.hit("commit")
        self._position = position
        log.customers.retire(erased.tolist())
        try:
            failpoints.hit("committed")
            for dictionary, length in zip(log.dictionaries, lengths, strict=True):
                dictionary.saved(length)
            dedupe.add(rows.hashes, rows.hashed_rows, now, position)
            self.intake = self.intake.after(zip(fresh, receipts, strict=True))
            self._index_strings()
            failpoints.hit("answer")
        except Exception as error:  # what is on disk is acknowledged; what is known of it is read from there
            logger.error("following a commit failed", error=type(error).__name__, where=frames(error))
            self._dedupe = None
        written = iter(receipts)
        return [next(written) if answer is None else answer for answer in answers]

    def _open_dedupe(self, now: int) -> Dedupe:
        """Map what there is on disk of the ids in the window, and read the rest from the blocks."""
        self._keeper.wait()
        files = RunFiles(self._log.environment.folder / "dedupe", self._log.log_id, self._position)
        dedupe = Dedupe(self._log.seed, self._window, self._lookup, files, self._keeper)
        for found in self._log.recent_blocks(now - self._window, files.covered):
            ids = found.all_event_ids()
            places = np.flatnonzero(np.fromiter(map(bool, ids), np.bool_, len(ids)))
            given = [ids[i] for i in places.tolist()]
            hashes = dedupe.hashes(found.customers[places], given)
            end = Position(found.revision, found.first_row + found.rows)
            dedupe.add(hashes, places + found.first_row, found.arrival, end)
        return dedupe

    def _served(self, txn: Any, submission: Submission, now: int) -> Receipt | Invalid | None:
        """Return the answer of a request that needs no writing."""
        if submission.request is None:
            return None
        try:
            record = self._requests.find(txn, *submission.request, now)
        except Invalid as error:
            return error
        return None if record is None else msgspec.msgpack.decode(record, type=Receipt)

    def _record(self, txn: Any, submission: Submission, receipt: Receipt, now: int) -> None:
        if submission.request is not None:
            self._requests.record(txn, *submission.request, now, msgspec.msgpack.encode(receipt))

    def _deduplicate(self, dedupe: Dedupe, group: list[Submission], now: int) -> _Rows:
        """Join the events of a group and drop those that were kept before."""
        batches = [submission.batch for submission in group if submission.batch and submission.rows]
        batch = encode.join(batches) if batches else _EMPTY
        customers = encode.encode_strings(batch.customer_ids, self._log.customers)
        kept = np.ones(batch.rows, np.bool_)
        hashes, places = np.empty(0, np.uint64), np.empty(0, np.int64)
        if batch.event_ids is not None:
            ids, places = batch.event_ids, np.arange(batch.rows)
            if "" in ids:
                places = np.flatnonzero(np.fromiter(map(bool, ids), np.bool_, batch.rows))
                ids = list(filter(None, ids))
            hashes = dedupe.hashes(customers[places], ids)
            duplicates = dedupe.duplicates(customers[places], ids, hashes, now)
            kept[places[duplicates]] = False
            hashes, places = hashes[~duplicates], places[~duplicates]
        if not kept.all():
            places = (np.cumsum(kept) - 1)[places]
            batch, customers = encode.take(batch, kept), customers[kept]
        return _Rows(batch, customers, kept, hashes, places + self._position.rows)

    def _upsert(self, txn: Any, group: list[Submission]) -> NDArray[np.uint32]:
        """Merge the group's customer data into profiles; return the customers concerned, ascending."""
        upserts = [upsert for submission in group for upsert in submission.upserts]
        if not upserts:
            return NO_ROWS
        log = self._log
        table = log.environment["profiles"]
        return profiles.upsert(txn, table, upserts, *log.dictionaries, log.cover(PROFILES))

    def _erase(self, txn: Any, group: list[Submission], now: int) -> NDArray[np.uint32]:
        """Take the profiles of a group's customers to erase away, and note them; return who there was, ascending."""
        wanted = list(dict.fromkeys(customer_id for each in group for customer_id in each.erase))
        known = zip(self._log.customers.find_all(wanted), wanted, strict=True)
        found = sorted((number, customer_id) for number, customer_id in known if number is not None)
        numbers = [number for number, _ in found]
        for number in numbers:
            txn.delete(number.to_bytes(4, "big"), db=self._log.environment["profiles"])
        ids = [customer_id for _, customer_id in found]
        if found:
            self._log.environment.mark_erased(txn)
        self._log.erasures.record(txn, numbers, ids, now, self._position.revision + 1)
        return np.array(numbers, np.uint32)

    def _block(
        self, rows: _Rows, changed: NDArray[np.uint32], erased: NDArray[np.uint32], now: int
    ) -> tuple[Position, bytes]:
        """Encode a group; nothing, at the position before, where nothing is to be written."""
        batch, before = rows.batch, self._position
        if not batch.rows and not len(changed) and not len(erased):
            return before, b""
        if before.rows + batch.rows > MAX_ROWS:
            raise Overloaded("LOG_FULL", f"this project's log holds its {MAX_ROWS} events", 3600.0)
        ids = (NO_ROWS, b"") if batch.event_ids is None else blocks.join_ids(batch.event_ids)
        log = self._log
        built = Block(
            before.revision + 1,
            before.rows,
            now,
            rows.customers,
            encode.encode_strings(batch.event_types, log.names),
            batch.times,
            *ids,
            tuple(encode.encode_column(column, log.names, log.values) for column in batch.columns),
            changed,
            erased,
        )
        return Position(built.revision, before.rows + built.rows), blocks.encode(built)

    def _receipts(
        self, group: list[Submission], kept: NDArray[np.bool_], erased: int, revision: int
    ) -> list[Receipt]:
        receipts, first = [], 0
        for submission in group:
            accepted = int(np.count_nonzero(kept[first : first + submission.rows]))
            duplicates = submission.rows - accepted
            first += submission.rows
            others = erased if submission.erase else len(submission.upserts)
            receipts.append(Receipt(revision, accepted + others, duplicates, submission.rejected))
        return receipts

    def _lookup(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint32], list[str], NDArray[np.int64]]:
        """Read the customers, event ids and arrivals of ascending log rows."""
        owners, ids, arrivals = [], [], []
        for found, places in self._log.blocks_of(rows, self._txn):
            owners.append(found.customers[places])
            ids += [found.event_id(place) for place in places.tolist()]
            arrivals.append(np.full(len(places), found.arrival, np.int64))
        return np.concatenate(owners), ids, np.concatenate(arrivals)

    def close(self, now: int) -> None:
        """Bring to disk what the next start would have to derive."""
        if self._dedupe:
            self._dedupe.close(now)
        self._index_strings(closing=True)
        self._keeper.close()

    def _index_strings(self, *, closing: bool = False) -> None:
        for dictionary in self._log.dictionaries:
            if (closing or not self._keeper.busy) and dictionary.wants_index(closing=closing):
                self._keeper.submit(dictionary.write_index)

    def write_indexes(self) -> list[Future[None]]:
        """Bring the files of dictionaries that want it up to date, in the background; return what to wait for."""
        wanting = [each for each in self._log.dictionaries if each.wants_index()]
        return [self._keeper.submit(dictionary.write_index) for dictionary in wanting]
