"""What does a compaction remove? Everything that is left of erased customers in a log and in the files beside it.

Answers leave them out from the moment they are erased; this takes the bytes away, and can be stopped at any step:
a start masks who is noted as erased until all steps are done, and the next compaction does them again.

    1  their rows are blanked in the blocks of the log (`libs.events.blanking`)
    2  segments, tails and the file of profiles are made anew without them
    3  strings and names that no event and no profile has any more are dropped from the dictionaries, and so are
       their ids
    4  the note that they are to be masked goes, and with it their place in the list of erasures, where destinations
       have acknowledged
    5  what all that has left behind in the pages of the environment is overwritten (`libs.storage.wipe`)

Blocks keep their places and revisions, so readers notice nothing. It costs what the blocks and segments cost that
have events of theirs; commits wait for some tens of milliseconds at a time, and once for reading the log's file.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from libs import failpoints
from libs.errors import Unavailable, frames
from libs.events.batch import Kind
from libs.events.blanking import blank
from libs.events.commit import Committer
from libs.events.log import EventLog
from libs.events.writer import Writer
from libs.index.columns import Column, NumberColumn, StringColumn
from libs.index.condition import MISSING
from libs.index.index import Index
from libs.index.rows import EMPTY
from libs.index.segment import Segment
from libs.index.snapshot import Snapshot

LEAST_REST_SECONDS = 1.0
REST = 30.0
"""Behind a compaction comes a rest of so many times as long before one that is asked for."""
QUIET_SECONDS, LONGEST_QUIET_SECONDS = 0.2, 10.0
"""One that is asked for begins when nobody has asked again for so long, so that many erasures are one."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction has removed: customers, their events, strings of the dictionaries; bytes overwritten."""

    customers: int = 0
    events: int = 0
    strings: int = 0
    wiped_bytes: int = 0


class Compactor:
    """Compacts one log and its index.

    `catch_up` has the index take in what was committed, `rewrite_profiles` makes the file of profiles anew.
    """

    def __init__(
        self,
        log: EventLog,
        index: Index,
        writer: Writer,
        catch_up: Callable[[], Any],
        rewrite_profiles: Callable[[], None],
    ) -> None:
        self._log = log
        self._index = index
        self._writer = writer
        self._catch_up = catch_up
        self._rewrite_profiles = rewrite_profiles
        self._one = threading.Lock()
        self._closed = False
        self._strings = 0
        self._writing: list[Future[None]] = []

    def is_due(self) -> bool:
        """Say whether there is anything to remove."""
        return bool(len(self._log.masked())) or self._log.environment.needs_wipe()

    def run(self) -> Compacted:
        """Remove what is to be removed, and wait for it; one at a time.

        Raises `Overloaded` on a full disk, `Unavailable` where the server stops, `libs.storage.trees.WipeError`
        where a reader is in the way: what was done stays done, the rest is for the next time.
        """
        with self._one:
            if self._closed:
                raise Unavailable("SHUTTING_DOWN", "the server is shutting down")
            with self._log.environment.read() as txn:  # first: whoever is listed by then is masked too
                acknowledged = self._log.erasures.acknowledged(txn)
            customers = self._log.masked()
            events = strings = 0
            if len(customers):
                self._catch_up()
                events = blank(self._log, log_rows(self._index.snapshot(), customers))
                failpoints.hit("compact.blanked")
                self._index.purge(customers)
                self._rewrite_profiles()
                failpoints.hit("compact.purged")
                strings = self._drop_strings(customers)
            if len(customers) or acknowledged:
                with self._log.environment.write() as txn:
                    self._log.erasures.removed(txn, customers.tolist(), acknowledged)
                    failpoints.hit("compact.removed")
                    self._log.environment.mark_erased(txn)
            wiped = self._log.environment.wipe() if self._log.environment.needs_wipe() else 0
            return Compacted(len(customers), events, strings, wiped)

    def close(self) -> None:
        """Begin nothing more, and return when nothing is under way: what it needs must be closing already."""
        self._closed = True
        with self._one:
            pass

    def _drop_strings(self, customers: NDArray[np.uint32]) -> int:
        """Drop ids of customers, and values and names that nobody has; return how many.

        Between two commits: those number strings, and must not give out again what is being dropped.
        """

        def drop(committer: Committer) -> None:
            self._catch_up()
            ids, names, values = self._log.dictionaries
            snapshot = self._index.snapshot()
            unused = values.unused(used_strings(snapshot, len(values)))
            unnamed = names.unused(used_names(snapshot, len(names)))
            with self._log.environment.write() as txn:
                gone = {
                    ids: ids.drop(txn, customers.tolist()),
                    names: names.drop(txn, unnamed),
                    values: values.drop(txn, unused),
                }
                failpoints.hit("compact.strings")
                self._log.environment.mark_erased(txn)
            for dictionary, dropped in gone.items():
                dictionary.dropped(dropped)
            self._strings = sum(map(len, gone.values()))
            self._writing = committer.write_indexes()

        self._writer.do(drop)
        wait(self._writing)
        if not all(dictionary.is_clean for dictionary in self._log.dictionaries):
            raise OSError("a file of the dictionaries could not be written; the log says why")
        return self._strings


class Compactions:
    """A thread that compacts where it is due: at once, every so many seconds, and soon when it is told.

    A compaction keeps reads and writes waiting while the log's file is read, so a short share of the time at most
    goes to those that are asked for.
    """

    def __init__(self, is_due: Callable[[], bool], compact: Callable[[], Compacted], seconds: float) -> None:
        self._is_due = is_due
        self._compact = compact
        self._seconds = seconds
        self._ending = threading.Event()
        self._asked = threading.Event()
        self._begun = self._ended = 0
        self._round = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="compactions", daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """Compact as soon as the last compaction is long enough ago."""
        self._asked.set()

    def settle(self, seconds: float) -> None:
        """Wait until one that begins from now on has ended, or so many seconds at most. Behind `soon`."""
        with self._round:
            wanted = self._begun + 1
            self._round.wait_for(lambda: self._ended >= wanted or self._ending.is_set(), seconds)

    def end(self) -> None:
        """Begin no more."""
        self._ending.set()
        self._asked.set()

    def join(self) -> None:
        """Return when the thread has ended, behind `end`."""
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            with self._round:
                self._begun += 1
            try:
                if self._is_due():
                    done = self._compact()
                    log.info(
                        "compacted",
                        customers=done.customers,
                        events=done.events,
                        strings=done.strings,
                        wiped_bytes=done.wiped_bytes,
                    )
            except Exception as error:  # the next time does what is left
                if not self._ending.is_set():
                    log.error("compaction failed", error=type(error).__name__, where=frames(error))
            took = time.monotonic() - began
            with self._round:
                self._ended = self._begun
                self._round.notify_all()
            self._ending.wait(min(self._seconds, max(LEAST_REST_SECONDS, REST * took)))
            self._asked.wait(self._seconds)
            self._await_quiet()

    def _await_quiet(self) -> None:
        """Return when nobody asks any more, or many have for long."""
        until = time.monotonic() + LONGEST_QUIET_SECONDS
        while self._asked.is_set() and not self._ending.is_set() and time.monotonic() < until:
            self._asked.clear()
            self._ending.wait(QUIET_SECONDS)


def used_names(snapshot: Snapshot, count: int) -> NDArray[np.bool_]:
    """Say of the numbers below `count` whether some event or profile has their name, (count,) bool."""
    used = np.zeros(count, np.bool_)
    for event_type, parts in snapshot.parts.items():
        for part in filter(len, parts):
            used[event_type] = True
            for (attribute, kind), column in part.columns.items():
                used[attribute] |= _has_values(column, kind)
    for key in snapshot.profiles.columns:
        used[key[0]] |= len(snapshot.profiles.present(key)) > 0
    return used


def _has_values(column: Column | NDArray[Any], kind: Kind) -> bool:
    if isinstance(column, StringColumn):
        return len(column.values) > 0
    if isinstance(column, NumberColumn) and column.values is not None:
        return len(column.values) > 0
    plain = column if isinstance(column, np.ndarray) else column.codes
    return not bool(np.isnan(plain).all() if kind is Kind.NUMBER else (plain == EMPTY[kind]).all())


def log_rows(snapshot: Snapshot, customers: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the log rows of some customers' events, ascending, (n,) int64; `customers` is ascending."""
    found = [np.empty(0, np.int64)]
    for parts in snapshot.parts.values():
        for part in parts:
            if isinstance(part, Segment):
                arrivals = part.arrival[part.rows_of(customers)[1]]
            else:
                arrivals = part.arrival[np.isin(part.customer, customers)]
            found.append(arrivals.astype(np.int64))
    return np.sort(np.concatenate(found))


def used_strings(snapshot: Snapshot, count: int) -> NDArray[np.bool_]:
    """Say of the numbers below `count` whether some event or profile has their string, (count,) bool."""
    used = np.zeros(count, np.bool_)
    for numbers in _numbers(snapshot):
        used[numbers] = True
    return used


def _numbers(snapshot: Snapshot) -> Iterator[NDArray[np.uint32]]:
    for part in (part for parts in snapshot.parts.values() for part in parts):
        for (_, kind), column in part.columns.items():
            if kind is not Kind.STRING:
                continue
            if isinstance(column, StringColumn):
                yield column.values
            elif isinstance(column, np.ndarray):
                yield column[column != MISSING]
    for (_, kind), chunks in snapshot.profiles.columns.items():
        if kind is Kind.STRING:
            yield from (chunk[chunk != MISSING] for chunk in chunks if chunk is not None)
