"""Which cohorts are saved? Names, rules, lists and etags in an LMDB environment of the cohort service's own.

Guarantees: a name belongs to one cohort; a change, the name's move and the memory of its request id are one
transaction. A rule is kept as the bytes it travels as; reading it is the servicer's affair. All cohorts are
held in memory as well, without the lists of static ones: every membership check looks some up.

On disk a list is cohort id and chunk number (4 bytes, big-endian) → msgpack list of customer ids. Ids, not the
engine's numbers: those are its own affair, and a listed customer may be yet to come.
"""

import secrets
import threading
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from libs import failpoints
from libs.errors import Conflict, Missing, Taken
from libs.storage import requests
from libs.storage.checked import DamagedRecordError, pack, unpack
from libs.storage.environment import SMALL_MAP_BYTES, Environment, scan
from libs.storage.requests import RequestIds

VERSION = 1
TABLES = ("cohorts", "cohort_names", "static_members", *requests.TABLES)
CHUNK = 10_000
"""Customer ids in one value: some 200 kB, so that a million make a hundred values."""
CHUNK_NUMBER_BYTES = 4
FORGOTTEN = b"forgotten"
"""In the table of single values: the log's id and the key of the last erasure that lists have followed."""


class CohortRecord(msgspec.Struct, frozen=True):
    """A saved cohort. `rule` is a serialized cohort.v1.Rule, empty where it is static; times are in ms."""

    cohort_id: str
    name: str
    description: str
    rule: bytes
    create_time: int
    update_time: int
    etag: str
    static: bool = False


_encode_any = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(CohortRecord).decode
_decode_list = msgspec.msgpack.Decoder(list[str]).decode


def _encode(record: CohortRecord) -> bytes:
    return pack(_encode_any(record))


def _encode_ids(customer_ids: list[str]) -> bytes:
    return pack(_encode_any(customer_ids))


def decode(data: bytes) -> CohortRecord:
    """Read a cohort. Raises `DamagedRecordError`."""
    try:
        return _decode_record(unpack(data))
    except (DamagedRecordError, msgspec.DecodeError) as error:
        raise DamagedRecordError("a saved cohort") from error


def decode_ids(data: bytes) -> list[str]:
    """Read a part of a static cohort's list. Raises `DamagedRecordError`."""
    try:
        return _decode_list(unpack(data))
    except (DamagedRecordError, msgspec.DecodeError) as error:
        raise DamagedRecordError("the list of a static cohort") from error


def open_environment(folder: Path, *, readonly: bool = False, home: Path | None = None) -> Environment:
    """Open the environment of saved cohorts in a data directory. Raises `StorageError`, `Overloaded`."""
    return Environment(
        folder, "saved cohorts", VERSION, TABLES, readonly=readonly, map_bytes=SMALL_MAP_BYTES, home=home
    )


class CohortStore:
    """The saved cohorts of one project, in the data directory `home`. One writes at a time: LMDB sees to that."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        self._environment = open_environment(folder, home=home)
        self.version = 0
        """Counts the changes made since the start: what depends on saved cohorts holds while it stays."""
        self._requests = RequestIds(self._environment)
        self._lock = threading.Lock()
        self._changing = threading.local()
        with self._environment.read() as txn:
            self._cohorts = {key.decode(): decode(value) for key, value in scan(txn, self._table)}

    @property
    def _table(self) -> Any:
        return self._environment["cohorts"]

    @property
    def _names(self) -> Any:
        return self._environment["cohort_names"]

    @property
    def _static(self) -> Any:
        return self._environment["static_members"]

    def get(self, cohort_id: str, field: str = "cohort_id") -> CohortRecord:
        """Return a cohort. Raises `Missing`, naming the field that named it."""
        return find(self._cohorts, cohort_id, field)

    def cohorts(self) -> Mapping[str, CohortRecord]:
        """Return the cohorts there are now, by id; later changes do not change it."""
        return self._cohorts

    def name_of(self, cohort_id: str) -> str | None:
        """Return the current name of a cohort, None where there is none of this id."""
        found = self._cohorts.get(cohort_id)
        return None if found is None else found.name

    def named(self, name: str) -> str | None:
        """Return the id of the cohort of a name, None where there is none."""
        found = (record.cohort_id for record in self._cohorts.values() if record.name == name)
        return next(found, None)

    def all(self) -> list[CohortRecord]:
        """Return all cohorts, by name."""
        return sorted(self._cohorts.values(), key=lambda record: record.name)

    def listed(self, cohort_id: str) -> list[str]:
        """Return the customer ids of a static cohort's list."""
        with self._environment.read() as txn:
            return [each for _, chunk in _chunks(txn, self._static, cohort_id) for each in decode_ids(chunk)]

    @contextmanager
    def trial(self) -> Iterator["Change"]:
        """Give a change that can be looked at and checked, and writes nothing."""
        with self._environment.read() as txn, self._within_change():
            yield Change(txn, self._table, self._names, self._static, writes=False)

    def mutate(
        self,
        request: tuple[str, bytes] | None,
        now: int,
        change: Callable[["Change"], bytes],
    ) -> bytes:
        """Run a change in one transaction and return its response; a repeated request gets the first one.

        `request` is (request_id, fingerprint) where the client named it.
        """
        with self._lock:  # memory follows the disk in the order of the commits
            with self._environment.write() as txn:
                if request and (response := self._requests.find(txn, *request, now)) is not None:
                    return response
                changes = Change(txn, self._table, self._names, self._static)
                with self._within_change():
                    response = change(changes)
                if request:
                    self._requests.record(txn, *request, now, response)
                failpoints.hit("cohort")
            after = self._cohorts | changes.made  # a new one: requests hold the one before
            self._cohorts = {cohort_id: record for cohort_id, record in after.items() if record is not None}
            self.version += 1
            return response

    @property
    def is_changing(self) -> bool:
        """Whether the calling thread is within a change, or a trial: it must not begin another."""
        return getattr(self._changing, "here", False)

    @contextmanager
    def _within_change(self) -> Iterator[None]:
        self._changing.here = True
        try:
            yield
        finally:
            self._changing.here = False

    def forgotten(self, log_id: str) -> bytes:
        """Return the key of the last erasure of a log that lists have followed; empty for none."""
        with self._environment.read() as txn:
            found: bytes = txn.get(FORGOTTEN, b"", db=self._environment.meta)
        return found[len(log_id) :] if found.startswith(log_id.encode()) else b""

    def forget_customers(self, customer_ids: Container[str], log_id: str, key: bytes) -> list[str]:
        """Take customers off every list, up to the erasure of a key; return the cohorts they were on."""
        changed = set()
        with self._lock, self._environment.write() as txn:
            for place, chunk in list(scan(txn, self._static)):
                listed = decode_ids(chunk)
                kept = [each for each in listed if each not in customer_ids]
                if len(kept) < len(listed):
                    txn.put(place, _encode_ids(kept), db=self._static)
                    changed.add(place[:-CHUNK_NUMBER_BYTES].decode())
            txn.put(FORGOTTEN, log_id.encode() + key, db=self._environment.meta)
            if changed:
                self._environment.mark_erased(txn)
        return sorted(changed)

    def wipe(self) -> None:
        """Overwrite what is left of customers who were forgotten, if anything is. Raises `WipeError`."""
        if self._environment.needs_wipe():
            self._environment.wipe()

    def close(self) -> None:
        """Close the environment. Nothing may be reading."""
        self._environment.close()


class Change:
    """What one transaction does to the saved cohorts; or would do, where it does not write."""

    def __init__(self, txn: Any, table: Any, names: Any, static: Any, *, writes: bool = True) -> None:
        self.made: dict[str, CohortRecord | None] = {}
        self._txn, self._table, self._names, self._static = txn, table, names, static
        self._writes = writes

    def current(self, cohort_id: str, etag: str) -> CohortRecord:
        """Return a cohort as it is now. Raises `Missing`, or `Conflict` for an etag that is not its own."""
        data = self._txn.get(cohort_id.encode(), db=self._table) if cohort_id else None
        if data is None:
            raise Missing("COHORT_NOT_FOUND", "there is no cohort of this cohort_id", "cohort", cohort_id)
        record = decode(data)
        if etag and etag != record.etag:
            raise Conflict(
                "ETAG_MISMATCH", "the cohort has changed since it was read; read it again, then change it"
            )
        return record

    def create(self, name: str, description: str, rule: bytes, now: int) -> CohortRecord:
        """Add a cohort. Raises `Taken` where the name is."""
        record = CohortRecord(
            f"coh_{secrets.token_hex(8)}", name, description, rule, now, now, secrets.token_hex(8)
        )
        self._put(record)
        return record

    def create_static(self, name: str, description: str, customer_ids: list[str], now: int) -> CohortRecord:
        """Add a cohort that is a list of customers, each named once. Raises `Taken` where the name is."""
        etag = secrets.token_hex(8)
        record = CohortRecord(
            f"coh_{secrets.token_hex(8)}", name, description, b"", now, now, etag, static=True
        )
        self._put(record)
        for number, first in enumerate(range(0, len(customer_ids), CHUNK)):
            chunk = _encode_ids(customer_ids[first : first + CHUNK])
            self._txn.put(_chunk_key(record.cohort_id, number), chunk, db=self._static)
        return record

    def replace(self, before: CohortRecord, now: int, **changed: Any) -> CohortRecord:
        """Change a cohort's name, description or rule. Raises `Taken` where the new name is."""
        record = msgspec.structs.replace(before, **changed, update_time=now, etag=secrets.token_hex(8))
        if record.name != before.name and self._writes:
            self._txn.delete(before.name.encode(), db=self._names)
        self._put(record)
        return record

    def delete(self, record: CohortRecord) -> None:
        """Take a cohort away; its id is never used again."""
        self._txn.delete(record.cohort_id.encode(), db=self._table)
        self._txn.delete(record.name.encode(), db=self._names)
        for key in [key for key, _ in _chunks(self._txn, self._static, record.cohort_id)]:
            self._txn.delete(key, db=self._static)
        self.made[record.cohort_id] = None

    def _put(self, record: CohortRecord) -> None:
        holder = self._txn.get(record.name.encode(), db=self._names)
        if holder is not None and holder.decode() != record.cohort_id:
            raise Taken(
                "COHORT_NAME_TAKEN",
                f"cohort {holder.decode()} has this name; choose another",
                "cohort",
                holder.decode(),
            )
        if self._writes:
            self._txn.put(record.name.encode(), record.cohort_id.encode(), db=self._names)
            self._txn.put(record.cohort_id.encode(), _encode(record), db=self._table)
        self.made[record.cohort_id] = record


def _chunk_key(cohort_id: str, number: int) -> bytes:
    return cohort_id.encode() + number.to_bytes(CHUNK_NUMBER_BYTES, "big")


def _chunks(txn: Any, table: Any, cohort_id: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a list. Ids of cohorts are of one length, so none begins another's keys."""
    prefix = cohort_id.encode()
    return takewhile(lambda entry: entry[0].startswith(prefix), scan(txn, table, prefix))


def find(cohorts: Mapping[str, CohortRecord], cohort_id: str, field: str) -> CohortRecord:
    """Return one of some cohorts by its id. Raises `Missing`, naming the field that named it."""
    found = cohorts.get(cohort_id)
    if found is None:
        raise Missing("COHORT_NOT_FOUND", "there is no cohort of this cohort_id", "cohort", cohort_id, field)
    return found
