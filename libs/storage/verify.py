"""How is a folder of records gone through in search of damage? Table by table, each record, and how many there are.

A check is a generator: it yields a `Finding` for each damage, an int for each so many bytes it has read, and a `Note`
of what it could not look at.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import lmdb

from libs.errors import Corrupt
from libs.storage import requests, vault
from libs.storage.checked import unpack
from libs.storage.cover import covering
from libs.storage.environment import Environment, scan
from libs.storage.failures import Absent, StorageError
from libs.storage.master_key import KeyFault, MasterKey
from libs.storage.vault import Vault


@dataclass(frozen=True, slots=True)
class Given:
    """What a check is given beside a folder: the data directory it is in, and the master key, if there is one."""

    home: Path
    master: MasterKey | None = None


STEP_BYTES = 1 << 20
"""How often a check says how far it is."""
MOST_FINDINGS = 20
"""Of one table: a damaged page may hold hundreds of records."""
RESTORE = "restore it from a backup with `cohort restore`"
REBUILT = "nothing is lost: it is derived from the log again when the server that writes it starts"


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage: the file, what of it is damaged, and what to do."""

    path: str
    what: str
    advice: str = RESTORE


@dataclass(frozen=True, slots=True)
class Note:
    """What a person should know who takes a folder for whole."""

    what: str


Step: TypeAlias = Finding | Note | int
Records: TypeAlias = Callable[[bytes, bytes], object]
"""Looks at one record, (key, value), and raises anything where it is not as it should be."""


class TableCheck:
    """Goes through the tables of an environment as they are in one transaction."""

    def __init__(self, environment: Environment, txn: Any) -> None:
        self._environment = environment
        self._txn = txn
        self.path = str(environment.folder / "data.mdb")
        self.vault: Vault | None = None
        self.is_closed = False

    def table(self, name: str, look: Records) -> Iterator[Step]:
        """Look at every record of a table, in order of their keys, and count them."""
        table, count, read, found = self._environment[name], 0, 0, 0
        for key, value in scan(self._txn, table):
            count += 1
            read += len(key) + len(value)
            if read >= STEP_BYTES:
                yield read
                read = 0
            try:
                look(bytes(key), value)
            except Exception as error:
                found += 1
                if found <= MOST_FINDINGS:
                    yield self.finding(f"table {name}, record {count}: {_reason(error)}")
        yield read
        if found > MOST_FINDINGS:
            yield self.finding(f"table {name}: {found - MOST_FINDINGS} further records")
        expected = self._txn.stat(table)["entries"]
        if count != expected:
            yield self.finding(f"table {name} holds {expected} records, of which {count} are found")

    def open_vault(self, master: MasterKey | None) -> Iterator[Step]:
        """Open what is sealed, if this is its key: then `vault` is set; else `is_closed`, which is no damage."""
        sealed_by = vault.sealed_by(self._environment, self._txn)
        if sealed_by is None:
            return
        self.is_closed = True
        if master is None or master.key_id != sealed_by:
            yield Note(
                f"{self._environment.folder} has records that are sealed by master key {sealed_by}, which was not "
                f"given: they were compared with their checksums alone"
            )
            return
        try:
            self.vault = vault.open_vault(self._environment, self._txn, master)
            self.is_closed = False
        except KeyFault as error:
            yield self.finding(str(error))

    def counter(self, key: bytes) -> Iterator[Step]:
        """Look at a number among the single values, which there may not be yet."""
        if not self._txn.get(key, b"0", db=self._environment.meta).isdigit():
            yield self.finding(f"the number {key.decode()!r} among the single values")

    def request_ids(self) -> Iterator[Step]:
        """Look at the tables of request ids."""
        ids, times = requests.TABLES
        yield from self.table(ids, self._look_at_id)
        yield from self.table(times, self._look_at_time)

    def _look_at_id(self, key: bytes, value: bytes) -> None:
        if self.is_closed:
            unpack(value, key)
        else:
            requests.check_record(key, value, covering(self.vault, requests.IDS))

    def _look_at_time(self, key: bytes, value: bytes) -> None:
        kept = self._txn.get(key[8:], db=self._environment[requests.IDS])
        if value or kept is None:
            raise ValueError("a time of a request id that is not there")
        time, cover = int.from_bytes(key[:8], "big"), covering(self.vault, requests.IDS)
        if not self.is_closed and not requests.may_be_time(time, kept, key[8:], cover):
            raise ValueError("a time of a request id that has another")

    def finding(self, what: str, advice: str = RESTORE) -> Finding:
        """Return a damage of the environment's file."""
        return Finding(self.path, what, advice)


def whole(check: Callable[[], Iterator[Step]], path: Path) -> Iterator[Step]:
    """Run a check; what keeps it from going on is a finding as well. Raises `Absent`."""
    try:
        yield from check()
    except Absent:
        raise
    except (Corrupt, StorageError, lmdb.Error) as error:
        yield Finding(str(path), str(error))


def _reason(error: Exception) -> str:
    """Say what is wrong, without what is in the record: it may be personal data."""
    return str(error) if isinstance(error, ValueError) and type(error) is ValueError else type(error).__name__
