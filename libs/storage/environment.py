"""How is an LMDB environment opened so that it stays whole? One folder, one writer, one format.

Guarantees: a committed transaction is fsynced; only one process writes (an flock on `writer.lock`, and on the
folder); a folder written by a newer version is refused, and so is a file that was lost, or another's; a tree with a
page that LMDB would die of is refused before it is opened; where damage was found nothing more is read or written; a
disk or map that is full fails the transaction, harms no reader, and the next transaction tries
again. Rules learnt elsewhere and kept here: no `writemap` (a full disk would kill the process with SIGBUS),
one large map that only grows address space, one environment per process and path, and read transactions that
end soon.

Neighbours: `failures`, by which opening fails; `writer_lock`.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from libs import failpoints
from libs.errors import Corrupt, Fault, Overloaded, Unavailable
from libs.storage import made
from libs.storage.checked import DamagedRecordError
from libs.storage.failures import Absent, Damaged, NewerFormat
from libs.storage.gate import Gate
from libs.storage.renew import renew
from libs.storage.rewrite import rewrite
from libs.storage.room import FULL, NEW_BYTES, PROBE_BYTES, allocate, check_room, is_full
from libs.storage.trees import UnknownFormat, check_tree, is_whole
from libs.storage.wipe import Busy, wipe
from libs.storage.writer_lock import WriterLock

MAP_BYTES = 1 << 40
"""Address space, not memory or disk: 1 TiB, far above what one project's log can reach on one disk."""
SMALL_MAP_BYTES = 1 << 36
"""64 GiB, for what is not a log: a process has 128 TiB for the environments of all its projects."""
MAX_READERS = 512
META = b"meta"
UNWIPED = b"unwiped"
"""In the table of single values: something was deleted that must not stay in the file."""
PATIENCE_SECONDS = 1.0
"""How long others wait for those inside, where the file is to be opened anew."""
RECORDS_AT_ONCE = 10_000
"""Read before some of them are replaced."""
PROBE = b"probe"
IDENTITY = b"environment"
"""In the table of single values: what was made here, as its note has it."""
ADVICE = (
    "restore it from a backup (`cohort verify` says what is damaged, `cohort restore` brings a backup back)"
)
DAMAGED = (lmdb.CorruptedError, lmdb.PageNotFoundError, DamagedRecordError)


class Environment:
    """An LMDB environment with named tables and a checked format.

    `kind` says whose it is and stands in the messages; `version` is the format this code writes. With
    `readonly` nothing is created and `Absent` is raised where there is nothing. Raises `StorageError`, and
    `Overloaded` where the disk has no room to begin. In `personal` tables keys hold what a wipe must take away.
    `home` is the data directory, which keeps a note of what was made in it (`libs.storage.made`).
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        version: int,
        tables: Sequence[str],
        *,
        readonly: bool = False,
        map_bytes: int | None = None,
        personal: Sequence[str] = (),
        home: Path | None = None,
    ) -> None:
        self.folder = folder
        self._name = folder.relative_to(home).as_posix() if home else ""
        self._note = made.note_of(home, folder) if home else None
        self.kind = kind
        self.version = version
        self._names = tables
        self._personal = personal
        self._readonly = readonly
        self._gate = Gate()
        self._map_bytes = map_bytes
        self._damage = ""
        self.found_version = version
        """The format that was found at the start; `version` where there was nothing."""
        self._lock: WriterLock | None = None
        noted = self._noted()
        is_there = _has_content(folder / "data.mdb")
        if noted and not is_there:
            raise Damaged(
                f"{folder} lost its data file, data.mdb, which held {kind}; {ADVICE}; if it is to begin anew, delete "
                f"{self._note}"
            )
        if readonly and not is_there:
            raise Absent(f"{folder} holds no {kind} yet")
        if not readonly:
            self._lock = WriterLock(folder)
            try:
                if is_there:
                    self._check_pages()
                else:  # half a first page would be damage for good
                    check_room(folder, NEW_BYTES, kind)
                allocate(folder / "lock.mdb", kind)
            except BaseException:
                self._release()
                raise
        self._open()

    def _noted(self) -> made.Made | None:
        """Return what was made here, by its note; None where there is none, or none that can be read."""
        try:
            return made.read(self._note) if self._note else None
        except DamagedRecordError:
            return None

    def _check_pages(self) -> None:
        """Raise `Damaged` for a tree that does not hold together: LMDB would end the process where it reads it."""
        path = self.folder / "data.mdb"
        try:
            check_tree(path)
        except UnknownFormat as error:
            raise Damaged(f"{path}: {error}, so it is not what was written; {ADVICE}") from error

    def _open(self) -> None:
        readonly = self._readonly
        try:
            self._environment: Any = lmdb.open(
                os.fspath(self.folder),
                map_size=self._map_bytes or MAP_BYTES,
                max_dbs=len(self._names) + 2,  # the single values, and a table that is being renewed
                max_readers=MAX_READERS,
                readonly=readonly,
                create=not readonly,
                readahead=False,
            )
        except lmdb.Error as error:
            self._release()
            if isinstance(fault := self._fault(error), Overloaded):
                raise fault from error
            raise Damaged(f"{self.folder} cannot be opened: {error}; {ADVICE}") from error
        try:
            self._check_length()
            self._meta = self._open_table(META, readonly)
            here = self._check_identity(readonly)
            self._check_format(self.version, readonly)
            self._tables = {name: self._open_table(name.encode(), readonly) for name in self._names}
            if here and self._note and not readonly and self._noted() is None:
                with suppress(OSError):  # on a full disk the next start does it
                    made.write(self._note, here)
        except Absent as error:
            self.close()
            if self._noted():  # which is written last
                raise self._is_another() from error
            raise
        except lmdb.Error as error:
            self.close()
            if isinstance(fault := self._fault(error), Overloaded):
                raise fault from error
            raise Damaged(f"{self.folder}: a page of data.mdb is damaged ({error}); {ADVICE}") from error
        except BaseException:
            self.close()
            raise

    def _check_length(self) -> None:
        """Raise `Damaged` for a file that was cut short: LMDB would end the process where it reads past the end.

        A file may end before the last page that was given out, as not every such page is written.
        """
        path = self.folder / "data.mdb"
        pages = self._environment.info()["last_pgno"] + 1
        short = path.stat().st_size < pages * self._environment.stat()["psize"]
        if short and _has_content(path) and not is_whole(path):
            raise Damaged(f"{path} was cut short; {ADVICE}")

    def rewrite(self) -> None:
        """Write the file anew, so that no byte of what was deleted is left in it. Raises `Overloaded`.

        Nobody may be reading, in this process or another; handles of tables are to be asked for again.
        """
        self._environment.close()
        try:
            rewrite(self.folder, self._map_bytes or MAP_BYTES)
        except (lmdb.Error, OSError) as error:
            raise Overloaded("STORAGE_FULL", f"no room to write {self.kind} anew: {error}", 30.0) from error
        finally:
            self._open()

    def _open_table(self, name: bytes, readonly: bool) -> Any:
        try:
            return self._environment.open_db(name, create=not readonly)
        except lmdb.NotFoundError:
            raise Absent(f"{self.folder} holds no {self.kind} yet") from None

    def _check_identity(self, readonly: bool) -> made.Made | None:
        """Compare what is here with its note; return what it is. What an older version made learns it now."""
        noted = self._noted()  # first: another process may be making both, and writes the note last
        with self._environment.begin(db=self._meta) as txn:
            found = txn.get(IDENTITY)
            is_new = txn.get(b"format") is None
        try:
            here = made.decode(found) if found else None
        except DamagedRecordError as error:
            raise Damaged(f"{self.folder}: what data.mdb says of itself is damaged; {ADVICE}") from error
        if here and here.kind != self.kind:
            raise Damaged(f"{self.folder}: data.mdb holds {here.kind}, and no {self.kind}; {ADVICE}")
        if noted and (here is None or here.environment_id != noted.environment_id):
            raise self._is_another()
        if here or readonly or not self._note:
            return here
        here = made.new(self.kind, self._name)
        try:
            with self._environment.begin(write=True) as txn:
                txn.put(IDENTITY, made.encode(here), db=self._meta)
        except lmdb.Error:
            if is_new:
                raise
            return None  # on a full disk the next start does it
        return here

    def _is_another(self) -> Damaged:
        return Damaged(
            f"{self.folder}: data.mdb is not the one that was made here; {ADVICE}; if it is right, delete "
            f"{self._note}"
        )

    def _check_format(self, version: int, readonly: bool) -> None:
        with self._environment.begin(db=self._meta) as txn:
            found = txn.get(b"format")
        if found is None:
            if readonly:
                raise Absent(f"{self.folder} holds no {self.kind} yet")
            with self.write() as txn:
                txn.put(b"format", b"%d" % version, db=self._meta)
            found = b"%d" % version
        elif not found.isdigit():
            raise Damaged(f"{self.folder}: the format number is not what was written; {ADVICE}")
        elif int(found) > version:
            raise NewerFormat(
                f"{self.folder} was written by a newer version of Cohort ({self.kind} format {int(found)}, "
                f"this version reads up to {version}); upgrade Cohort, nothing was changed"
            )
        self.found_version = int(found)

    def set_format(self, txn: Any) -> None:
        """Note that what is here is in the format this code writes, so that an older version refuses it."""
        txn.put(b"format", b"%d" % self.version, db=self._meta)

    def __getitem__(self, table: str) -> Any:
        """Return the handle of a table, to pass to LMDB as `db`."""
        return self._tables[table]

    @property
    def meta(self) -> Any:
        """The handle of the table of single values (format, ids)."""
        return self._meta

    @contextmanager
    def read(self, *, buffers: bool = False) -> Iterator[Any]:
        """Begin a read transaction: one consistent view; with `buffers`, values are views of the map.

        Raises `Corrupt` where damage was found, now or before.
        """
        self._check_whole()
        self._gate.enter()
        try:
            with self._environment.begin(buffers=buffers) as txn:
                yield txn
        except DAMAGED as error:
            raise self.damaged(_place(error)) from error
        finally:
            self._gate.leave()

    def damaged(self, what: str) -> Corrupt:
        """Return the error for damage that was found. From now on nothing is read or written here."""
        self._damage = self._damage or f"{self.folder}: {what} is not what was written; {ADVICE}"
        return Corrupt("STORAGE_DAMAGED", self._damage)

    def _check_whole(self) -> None:
        if self._damage:
            raise Corrupt("STORAGE_DAMAGED", self._damage)

    @contextmanager
    def write(self) -> Iterator[Any]:
        """Begin the write transaction; leaving it without an error commits and fsyncs.

        Raises `Overloaded` where the disk or the map is full, `Unavailable` where the disk fails, `Corrupt` where
        damage was found: nothing was written.
        """
        self._check_whole()
        self._gate.enter()
        try:
            with self._environment.begin(write=True) as txn:
                yield txn
        except (lmdb.Error, OSError, DamagedRecordError) as error:
            fault = self._fault(error)
            if fault is None:
                raise
            raise fault from error
        finally:
            self._gate.leave()

    def _fault(self, error: Exception) -> Fault | None:
        """Say what a failed write means; None where it is no failure of the storage.

        LMDB calls a write that the disk cut short an input/output error, as it calls a disk that fails.
        """
        if isinstance(error, lmdb.MapFullError):
            size = (self._map_bytes or MAP_BYTES) >> 20
            what = f"no room to write {self.kind}: it has come to the {size} MiB it may take"
            return Overloaded("STORAGE_FULL", what, 30.0)
        if isinstance(error, DAMAGED):
            return self.damaged(_place(error))
        if isinstance(error, lmdb.PanicError):
            return Unavailable(
                "STORAGE_FAILED", f"writing {self.kind} failed; the server must be restarted", 30.0
            )
        number = getattr(error, "errno", None)
        failed = isinstance(error, OSError) or os.strerror(errno.EIO) in str(error)
        if number in FULL or isinstance(error, lmdb.DiskError) or (failed and is_full(self.folder)):
            return Overloaded("STORAGE_FULL", f"the disk is full: no room to write {self.kind}", 5.0)
        if failed:
            return Unavailable("STORAGE_FAILED", f"the disk failed while {self.kind} were written", 5.0)
        return None

    def probe(self) -> None:
        """Write a little and take it away again. Raises `Overloaded` where there is no room."""
        with self.write() as txn:
            txn.put(PROBE, bytes(PROBE_BYTES), db=self._meta)
        with self.write() as txn:
            txn.delete(PROBE, db=self._meta)

    def mark_erased(self, txn: Any) -> None:
        """Note, in the transaction that deletes it, that something must not stay in the file: see `wipe`."""
        txn.put(UNWIPED, os.urandom(8), db=self._meta)

    def needs_wipe(self) -> bool:
        """Say whether there is something that was deleted and must not stay in the file."""
        with self.read() as txn:
            return txn.get(UNWIPED, db=self._meta) is not None

    def wipe(self) -> int:
        """Overwrite what is not in use in the file; return how many bytes. For whoever may write.

        It is opened anew for that, since LMDB keeps the pages it has written in memory, and what lies between
        their records would be written again with later ones. Who reads or writes waits while the file is read
        once; handles of tables are to be asked for again. Raises `libs.storage.trees.WipeError`: try again later.
        """
        with self.read() as txn:
            mark = txn.get(UNWIPED, db=self._meta)
        if self._personal:
            with self.write() as txn:
                tables = {name: self._tables[name] for name in self._personal}
                renew(self._environment, txn, self.folder / "data.mdb", tables)
            failpoints.hit("wipe.renewed")
        with self._gate.shut(PATIENCE_SECONDS) as shut:
            if not shut:
                raise Busy(f"somebody is reading {self.kind} at length; a backup, for instance")
            self._environment.close()
            self._open()
            wiped = wipe(self._environment, self.folder / "data.mdb")
        if mark is not None:
            failpoints.hit("wiped")
            with self.write() as txn:
                if txn.get(UNWIPED, db=self._meta) == mark:  # nothing was deleted meanwhile
                    txn.delete(UNWIPED, db=self._meta)
        return wiped

    def used_bytes(self) -> int:
        """Return the bytes of pages that hold something now; the file also has free ones, to be filled again."""
        with self.read() as txn:
            stats = [txn.stat(db=table) for table in (self._meta, *self._tables.values())]
        kinds = ("branch_pages", "leaf_pages", "overflow_pages")
        pages: int = sum(stat[kind] for stat in stats for kind in kinds)
        return pages * int(stats[0]["psize"])

    def disk_bytes(self) -> int:
        """Return what the data file takes on disk: it is sparse."""
        return (self.folder / "data.mdb").stat().st_blocks * 512

    def close(self) -> None:
        """Close the environment and let others write."""
        self._environment.close()
        self._release()

    def _release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None


def _place(error: Exception) -> str:
    return str(error) if isinstance(error, DamagedRecordError) else f"a page of the file ({error})"


def _has_content(file: Path) -> bool:
    """Whether a file is there, and its maker has begun to write it."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def scan(txn: Any, table: Any, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield the (key, value) pairs of a table from the first key ≥ `start`, in order of their keys."""
    with txn.cursor(db=table) as cursor:
        if cursor.set_range(start):
            yield from cursor


def records_in_turn(txn: Any, table: Any, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """Yield the (key, value) pairs of a table as `scan` does; each value may be replaced meanwhile."""
    more = True
    while more:
        some = list(islice(scan(txn, table, start), RECORDS_AT_ONCE))
        yield from some
        more = len(some) == RECORDS_AT_ONCE
        start = some[-1][0] + b"\0" if some else b""
