"""What has been acknowledged? The event log of one project, in one LMDB environment.

Guarantees: one transaction holds a batch's block, its new dictionary entries, profiles and request ids; a
revision is the number of such transactions, and what one reader sees at a revision every reader sees. Only
`libs.events.writer` writes. Tables: blocks (first row, revision → block), customers, names, values
(dictionaries), profiles, erasures, requests.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.errors import Corrupt, Invalid, Refused, Unavailable
from libs.events import block as blocks
from libs.events import erasures, sealing
from libs.events import profile as profiles
from libs.events.batch import Kind, Scalar
from libs.events.block import NOBODY, Block
from libs.events.dictionary import Dictionary
from libs.events.erasures import Erasures
from libs.events.profile import Profiles
from libs.events.string_index import StringIndex
from libs.storage import requests, vault
from libs.storage.checked import DamagedRecordError, pack
from libs.storage.cover import BARE, Cover, covering
from libs.storage.environment import ADVICE, Environment, scan
from libs.storage.failures import Absent
from libs.storage.master_key import KeyFault, Masters
from libs.storage.vault import Vault

VERSION = 2
"""Since 2 profiles may be sealed (`libs.events.sealing`)."""
TABLES = ("blocks", "customers", "names", "values", "profiles", *erasures.TABLES, *requests.TABLES)
GULP_ROWS = 1_000_000
"""Rows read in one go: bounds the memory of catching up, not of the log."""
LARGE_BLOCK = 1 << 16
"""Bytes from which it is remembered that a block was checked; a smaller one is checked in 0.1 ms."""
PROFILE_ROWS = 8
"""A profile read back takes the memory of so many rows of events."""
END = b"end"
MAX_ROWS = 1 << 32
"""Events in one log: indexes and dedupe hold log rows in 32 bits."""


IDENTITY = b"identity"
"""The log's id and seed once more, with a checksum: with another seed no event id would be found again."""


class DamagedLogError(Corrupt):
    """A block cannot be read. The message says which, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__("STORAGE_DAMAGED", message)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the log: behind `revision`, with `rows` events before it."""

    revision: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What the log holds behind a position, up to `position`: blocks, and profiles as they are now."""

    position: Position
    blocks: list[Block]
    profiles: Profiles


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event as it was sent, read back from the log. `time` is in ms."""

    event_type: str
    time: int
    event_id: str
    data: dict[str, Scalar]


def open_environment(
    folder: Path, *, readonly: bool = False, home: Path | None = None, map_bytes: int | None = None
) -> Environment:
    """Open the environment of a log in a data directory, as yet locked. Raises `StorageError`, `Overloaded`."""
    return Environment(
        folder, "event log", VERSION, TABLES, readonly=readonly, home=home, map_bytes=map_bytes
    )


class EventLog:
    """The log of one project. With `readonly`, another process writes it; raises `Absent` where none has.

    `masters` has the key of a log whose profiles are sealed (`KeyFault` where it is not the one); with `encrypt`
    those of a log that is not are sealed now. `home` is the data directory, `map_bytes` the most the log may come to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        readonly: bool = False,
        masters: Masters | None = None,
        encrypt: bool = False,
        home: Path | None = None,
        map_bytes: int | None = None,
    ) -> None:
        self.environment = open_environment(folder, readonly=readonly, home=home, map_bytes=map_bytes)
        self._readonly = readonly
        self._masters = masters
        self._encrypt = encrypt
        self._data_key: bytes | None = None
        self._vault: Vault | None = None
        self._checked: set[int] = set()
        self.erasures = Erasures(self.environment)
        try:
            self._open()
        except BaseException:
            self.environment.close()
            raise

    def _open(self) -> None:
        if not self._readonly:
            self._identify()
            if self._encrypt:
                assert self._masters is not None
                sealing.seal(self.environment, self._masters)
        with self.environment.read() as txn:
            self.log_id, self.seed = self._identity(txn)
            self._unlock(txn)
            self._check_end(txn)
            self.customers, self.names, self.values = map(self._dictionary, ("customers", "names", "values"))
            self._load_dictionaries(txn)
            self.customers.retire(self.erasures.masked(txn).tolist())

    def _unlock(self, txn: Any) -> bool:
        """Open the vault there is, where that is another than before; say whether it was. Raises `KeyFault`."""
        data_key = vault.data_key(self.environment, txn)
        if data_key == self._data_key:
            return False
        master = self._masters.present() if self._masters else None
        self._vault = vault.open_vault(self.environment, txn, master)
        self._data_key = data_key
        return True

    def cover(self, name: str) -> Cover:
        """Return what covers a table or file, of those that `libs.events.sealing` names."""
        return covering(self._vault, name)

    def check_names(self, names: Collection[str], most: int) -> None:
        """Raise `Refused` where these event types and attributes would bring a log more than `most` of them."""
        new = self.names.find_all(list(names)).count(None)
        if new and len(self.names) + new > most:
            raise Refused(
                "TOO_MANY_NAMES",
                f"{new} event types and attributes are new, and this project may have {most} in all: a name is no "
                "place for an id or another value (the server's limit `names` can be raised)",
            )

    def masked(self) -> NDArray[np.uint32]:
        """Return who was erased and not yet removed, ascending, (n,) uint32; nobody finds them by id any more."""
        with self.environment.read() as txn:
            self._refresh(txn)
            found = self.erasures.masked(txn)
            if self._readonly:
                self.customers.retire(found.tolist())
        return found

    def _identify(self) -> None:
        with self.environment.write() as txn:
            meta = self.environment.meta
            for key in (b"log_id", b"seed"):
                txn.put(key, os.urandom(8), db=meta, overwrite=False)
            identity = pack(txn.get(b"log_id", db=meta) + txn.get(b"seed", db=meta))
            txn.put(IDENTITY, identity, db=meta, overwrite=False)

    def _check_end(self, txn: Any) -> None:
        """Compare where the log is said to end with its last block."""
        with txn.cursor(db=self.environment["blocks"]) as cursor:
            last = Position()
            if cursor.last():
                found = self.decode(cursor.key(), cursor.value())
                last = Position(found.revision, found.first_row + found.rows)
        if last != self.end(txn):
            raise DamagedRecordError(f"the end of the log, which is said to be {self.end(txn)} and is {last}")

    def _identity(self, txn: Any) -> tuple[str, int]:
        """Return the log's id and the seed of its hashes; its writer notes both when it has made the tables."""
        log_id, seed = (txn.get(key, db=self.environment.meta) for key in (b"log_id", b"seed"))
        if log_id is None or seed is None:
            raise Absent(f"{self.environment.folder} holds no event log yet")
        second = txn.get(IDENTITY, db=self.environment.meta)
        if second is not None and second != pack(log_id + seed):
            raise DamagedRecordError("the log's id or seed")
        return log_id.hex(), int.from_bytes(seed, "big")

    def _dictionary(self, table: str) -> Dictionary:
        path = self.environment.folder / "dictionaries" / table
        sealed = table == sealing.VALUES
        cover = self.cover(sealing.INDEX_OF_VALUES) if sealed else BARE
        index = StringIndex(path, self.log_id, self.seed, readonly=self._readonly, cover=cover)
        return Dictionary(lambda: self.environment[table], index, self.cover(table) if sealed else BARE)

    @property
    def dictionaries(self) -> tuple[Dictionary, Dictionary, Dictionary]:
        """The dictionaries of customers, names and values."""
        return self.customers, self.names, self.values

    def _load_dictionaries(self, txn: Any) -> None:
        for dictionary in self.dictionaries:
            dictionary.load(txn)

    def refresh(self) -> None:
        """Read the strings that another process has written since: behind files that may speak of them."""
        with self.environment.read() as txn:
            self._refresh(txn)

    def _refresh(self, txn: Any) -> None:
        if self._readonly:  # in the writing process they are there before they are on disk
            self._follow(txn)
            self._load_dictionaries(txn)

    def _follow(self, txn: Any) -> None:
        """Go on under another vault where the process that writes has sealed the log since."""
        try:
            if self._unlock(txn):
                self.values.cover = self.cover(sealing.VALUES)
        except KeyFault as error:
            raise Unavailable(
                "MASTER_KEY_MISSING",
                "the event log is sealed by a master key that this server was not started with; restart it with it",
            ) from error

    def end(self, txn: Any | None = None) -> Position:
        """Return the position behind the last commit."""
        if txn is None:
            with self.environment.read() as txn:
                return self.end(txn)
        end = txn.get(END, db=self.environment.meta)
        if end is None:
            return Position()
        rows, revision = split_key(end)
        return Position(revision, rows)

    def put(self, txn: Any, first_row: int, position: Position, data: bytes) -> None:
        """Write the block of a commit that ends at `position`. For the writer."""
        txn.put(join_key(first_row, position.revision), data, db=self.environment["blocks"])
        txn.put(END, join_key(position.rows, position.revision), db=self.environment.meta)

    def replace(self, txn: Any, block: Block, data: bytes) -> None:
        """Write what is left of a block in its place."""
        txn.put(join_key(block.first_row, block.revision), data, db=self.environment["blocks"])

    def changes(self, since: Position, profiles_behind: int = 0) -> Iterator[Changes]:
        """Yield what was committed behind a position, in gulps, up to what is committed now.

        Profiles that changed at the revision `profiles_behind` or before are left out. Raises
        `DamagedLogError`.
        """
        more = True
        while more:
            with self.environment.read() as txn:
                gulp, since, more = self._gulp(txn, since)
                if gulp:
                    self._refresh(txn)
                    if self._readonly:  # the writing thread has done so
                        self.customers.retire(number for each in gulp for number in each.erased.tolist())
                    changed = [each.profiles for each in gulp if each.revision > profiles_behind]
                    yield Changes(since, gulp, self._profiles(txn, changed))

    def blocks_between(self, first: int, end: int) -> Iterator[Block]:
        """Yield the blocks that hold the log rows first … end − 1, where `first` begins one.

        Raises `DamagedLogError`.
        """
        with self.environment.read() as txn:
            for key, data in scan(txn, self.environment["blocks"], join_key(first, 0)):
                if split_key(key)[0] >= end:
                    return
                yield self.decode(key, data)

    def _gulp(self, txn: Any, since: Position) -> tuple[list[Block], Position, bool]:
        gulp: list[Block] = []
        rows = 0
        for key, data in scan(txn, self.environment["blocks"], join_key(since.rows, since.revision + 1)):
            if rows >= GULP_ROWS:
                return gulp, since, True
            found = self.decode(key, data)
            if (found.first_row, found.revision) != (since.rows, since.revision + 1):
                raise DamagedRecordError(f"the log, which lacks the block behind revision {since.revision}")
            gulp.append(found)
            rows += found.rows + PROFILE_ROWS * len(found.profiles)
            since = Position(found.revision, found.first_row + found.rows)
        return gulp, since, False

    def recent_blocks(self, since: int, covered: Position) -> Iterator[Block]:
        """Yield the blocks behind a position that arrived after `since`, ms. Raises `DamagedLogError`.

        A block is a view of the map, good until the next.
        """
        with self.environment.read(buffers=True) as txn, txn.cursor(db=self.environment["blocks"]) as cursor:
            start, least = b"", join_key(covered.rows, covered.revision + 1)
            at = cursor.last()
            while at and bytes(cursor.key()) >= least and self._arrival(cursor) > since:
                start = bytes(cursor.key())
                at = cursor.prev()
            if start:
                cursor.set_key(start)
                for key, data in cursor:
                    yield self.decode(key, data)

    def _arrival(self, cursor: Any) -> int:
        try:
            return blocks.arrival(cursor.value())
        except Exception:
            return self.decode(cursor.key(), cursor.value()).arrival  # says what is wrong

    def _profiles(self, txn: Any, changed: list[NDArray[np.uint32]]) -> Profiles:
        customers = profiles.distinct(np.concatenate([blocks.NO_ROWS, *changed]))
        if self._readonly:
            self._follow(txn)
        return profiles.read(txn, self.environment["profiles"], customers, self.cover(sealing.PROFILES))

    def profiles_between(self, since: Position, until: Position) -> Iterator[Profiles]:
        """Yield the profiles, as they are now, that changed behind a position and up to another, in gulps."""
        changed: list[NDArray[np.uint32]] = []
        with self.environment.read(buffers=True) as txn:
            first = join_key(since.rows, since.revision + 1)
            for key, data in scan(txn, self.environment["blocks"], first):
                found = self.decode(key, data)
                if found.revision > until.revision:
                    break
                if len(found.profiles):
                    changed.append(found.profiles.copy())
        customers = profiles.distinct(np.concatenate([blocks.NO_ROWS, *changed]))
        for start in range(0, len(customers), GULP_ROWS // PROFILE_ROWS):
            with self.environment.read() as txn:
                yield self._profiles(txn, [customers[start : start + GULP_ROWS // PROFILE_ROWS]])

    def changed_since(self, since: int, until: int) -> BitMap:
        """Return whose profile changed behind a revision and up to another.

        Looks at the head of each block in between: some 10 µs a commit, whatever it holds.
        """
        found = BitMap()
        with self.environment.read(buffers=True) as txn, txn.cursor(db=self.environment["blocks"]) as cursor:
            at = cursor.last()
            while at and split_key(bytes(cursor.key()))[1] > since:
                revision, customers = blocks.changed(cursor.value())
                if revision <= until and len(customers):
                    found |= BitMap(customers)
                at = cursor.prev()
        return found

    def decode(self, key: bytes, data: bytes) -> Block:
        """Read the block under a key. Raises `DamagedLogError`, which says where it stands.

        The checksum of a large block is computed once a process: it costs 1 ms a MB.
        """
        first_row, revision = split_key(key)
        try:
            found = blocks.decode(data, check=revision not in self._checked)
            if (found.first_row, found.revision) != (first_row, revision):
                raise blocks.DamagedBlockError("a block of events stands in another's place")
        except blocks.NewerBlockError as error:
            raise DamagedLogError(
                f"{self.environment.folder}: {error} (revision {revision}); upgrade Cohort, or {ADVICE}"
            ) from error
        except Exception as error:
            damage = self.environment.damaged(f"the block of revision {revision} ({error})")
            raise DamagedLogError(damage.message) from error
        if len(data) >= LARGE_BLOCK:
            self._checked.add(revision)
        return found

    def blocks_of(
        self, rows: NDArray[np.int64], txn: Any | None = None
    ) -> Iterator[tuple[Block, NDArray[Any]]]:
        """Yield, for ascending log rows, each block that holds some and the rows within it, (k,) int64.

        A block is a view of the map, good until the next. Raises IndexError for a row behind the end, and
        `DamagedLogError`.
        """
        if txn is None:
            with self.environment.read(buffers=True) as txn:
                yield from self.blocks_of(rows, txn)
                return
        start = 0
        with txn.cursor(db=self.environment["blocks"]) as cursor:
            while start < len(rows):
                if not cursor.set_range(join_key(int(rows[start]), 1 << 63)):
                    cursor.last()
                else:
                    cursor.prev()
                found = self.decode(cursor.key(), cursor.value())
                stop = int(np.searchsorted(rows, found.first_row + found.rows))
                if stop == start:
                    raise IndexError(f"the log has no row {rows[start]}")
                yield found, rows[start:stop] - found.first_row
                start = stop

    def events(self, rows: NDArray[np.int64]) -> list[LoggedEvent]:
        """Read events back by their log rows, in the order of `rows`."""
        order = np.argsort(rows, kind="stable")
        events: list[LoggedEvent] = []
        for found, places in self.blocks_of(rows[order]):
            events += [self._event(found, place) for place in places.tolist()]
        back = np.argsort(order, kind="stable").tolist()
        return [events[place] for place in back]

    def _event(self, found: Block, row: int) -> LoggedEvent:
        if found.customers[row] == NOBODY:  # erased since its row was asked for
            return LoggedEvent("", 0, "", {})
        data: dict[str, Scalar] = {}
        for column in found.columns:
            place = row
            if column.rows is not None:
                place = int(np.searchsorted(column.rows, np.uint32(row)))
                if place == len(column.rows) or column.rows[place] != row:
                    continue
            value = column.values[place].item()
            data[self.names[column.attribute]] = self.values[value] if column.kind is Kind.STRING else value
        event_type = self.names[int(found.event_types[row])]
        return LoggedEvent(event_type, int(found.times[row]), found.event_id(row), data)

    def token(self, revision: int) -> str:
        """Write a revision for the wire; opaque there."""
        return f"{self.log_id}-{revision}"

    def revision_of(self, token: str, field: str = "min_revision") -> int:
        """Read a revision off the wire. Raises `Invalid` for one that is no revision of this log."""
        log_id, _, number = token.partition("-")
        if not number.isascii() or not number.isdecimal() or len(number) > 18:
            raise Invalid("REVISION_FOREIGN", "this is no revision; send one that a response carried", field)
        if log_id != self.log_id:
            raise Invalid("REVISION_FOREIGN", "this revision is of another log than this server's", field)
        return int(number)

    def close(self) -> None:
        """Close the environment. Nothing may be reading."""
        self.environment.close()


def join_key(first_row: int, revision: int) -> bytes:
    """Return the key of a block; blocks sort by their place in the log."""
    return first_row.to_bytes(8, "big") + revision.to_bytes(8, "big")


def split_key(key: bytes) -> tuple[int, int]:
    """Return the (first row, revision) of a key."""
    return int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
