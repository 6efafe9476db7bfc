"""Which cohorts are saved? Names, rules and etags in an LMDB environment of the cohort service's own.

Guarantees: a name belongs to one cohort; a change, the name's move and the memory of its request id are one
transaction. A rule is kept as the bytes it travels as; reading it is the servicer's affair. All cohorts are
held in memory as well: every membership check looks some up.
"""

import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from libs.errors import Conflict, Missing, Taken
from libs.storage import requests
from libs.storage.environment import Environment, scan
from libs.storage.requests import RequestIds

VERSION = 1
TABLES = ("cohorts", "cohort_names", *requests.TABLES)


class CohortRecord(msgspec.Struct, frozen=True):
    """A saved cohort. `rule` is a serialized cohort.v1.Rule; times are in ms."""

    cohort_id: str
    name: str
    description: str
    rule: bytes
    create_time: int
    update_time: int
    etag: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CohortRecord).decode


class CohortStore:
    """The saved cohorts of one project. One thread writes at a time: LMDB sees to that."""

    def __init__(self, folder: Path) -> None:
        self._environment = Environment(folder, "saved cohorts", VERSION, TABLES)
        self._table = self._environment["cohorts"]
        self._names = self._environment["cohort_names"]
        self._requests = RequestIds(self._environment)
        self._lock = threading.Lock()
        with self._environment.read() as txn:
            self._cohorts = {key.decode(): _decode(value) for key, value in scan(txn, self._table)}

    def get(self, cohort_id: str, field: str = "cohort_id") -> CohortRecord:
        """Return a cohort. Raises `Missing`, naming the field that named it."""
        return find(self._cohorts, cohort_id, field)

    def cohorts(self) -> Mapping[str, CohortRecord]:
        """Return the cohorts there are now, by id; later changes do not change it."""
        return self._cohorts.copy()

    def name_of(self, cohort_id: str) -> str | None:
        """Return the current name of a cohort, None where there is none of this id."""
        found = self._cohorts.get(cohort_id)
        return None if found is None else found.name

    def named(self, name: str) -> str | None:
        """Return the id of the cohort of a name, None where there is none."""
        found = (record.cohort_id for record in list(self._cohorts.values()) if record.name == name)
        return next(found, None)

    def all(self) -> list[CohortRecord]:
        """Return all cohorts, by name."""
        return sorted(self._cohorts.values(), key=lambda record: record.name)

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
                changes = Change(txn, self._table, self._names)
                response = change(changes)
                if request:
                    self._requests.record(txn, *request, now, response)
            for cohort_id, record in changes.made.items():
                if record is None:
                    self._cohorts.pop(cohort_id, None)
                else:
                    self._cohorts[cohort_id] = record
            return response

    def close(self) -> None:
        """Close the environment. Nothing may be reading."""
        self._environment.close()


class Change:
    """What one transaction does to the saved cohorts."""

    def __init__(self, txn: Any, table: Any, names: Any) -> None:
        self.made: dict[str, CohortRecord | None] = {}
        self._txn, self._table, self._names = txn, table, names

    def current(self, cohort_id: str, etag: str) -> CohortRecord:
        """Return a cohort as it is now. Raises `Missing`, or `Conflict` for an etag that is not its own."""
        data = self._txn.get(cohort_id.encode(), db=self._table) if cohort_id else None
        if data is None:
            raise Missing("COHORT_NOT_FOUND", "there is no cohort of this cohort_id", "cohort", cohort_id)
        record = _decode(data)
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

    def replace(self, before: CohortRecord, now: int, **changed: Any) -> CohortRecord:
        """Change a cohort's name, description or rule. Raises `Taken` where the new name is."""
        record = msgspec.structs.replace(before, **changed, update_time=now, etag=secrets.token_hex(8))
        if record.name != before.name:
            self._txn.delete(before.name.encode(), db=self._names)
        self._put(record)
        return record

    def delete(self, record: CohortRecord) -> None:
        """Take a cohort away; its id is never used again."""
        self._txn.delete(record.cohort_id.encode(), db=self._table)
        self._txn.delete(record.name.encode(), db=self._names)
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
        self._txn.put(record.name.encode(), record.cohort_id.encode(), db=self._names)
        self._txn.put(record.cohort_id.encode(), _encode(record), db=self._table)
        self.made[record.cohort_id] = record


def find(cohorts: Mapping[str, CohortRecord], cohort_id: str, field: str) -> CohortRecord:
    """Return one of some cohorts by its id. Raises `Missing`, naming the field that named it."""
    found = cohorts.get(cohort_id)
    if found is None:
        raise Missing("COHORT_NOT_FOUND", "there is no cohort of this cohort_id", "cohort", cohort_id, field)
    return found
