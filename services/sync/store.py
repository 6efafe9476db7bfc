"""Where do destinations, syncs and runs live? Tables of one LMDB environment, and threads to reach it from.

Functions take the transaction of their caller (`services.sync.lifecycle` decides what changes together) and
guarantee the indexes: a destination's name, a sync's (cohort, destination) pair, a sync's runs. Ids begin
with a counter, so that their order is the order of creation, and end at random, so that an id is never given
twice, not even by another environment. Neighbours: `services.sync.delivered`, in the same environment.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from libs import failpoints
from libs.storage import requests
from libs.storage.cover import covering
from libs.storage.environment import SMALL_MAP_BYTES, Environment, scan
from libs.storage.master_key import Masters
from services.sync import delivered, in_flight, plans, refusals, sealing
from services.sync.model import Destination, DestinationId, Run, RunId, RunState, Sync, SyncId

VERSION = sealing.VERSION
TABLES = (
    "destinations",
    "destination_names",
    "syncs",
    "sync_pairs",
    "runs",
    "sync_runs",
    "audiences",
    *delivered.TABLES,
    *in_flight.TABLES,
    *plans.TABLES,
    *refusals.TABLES,
    *requests.TABLES,
)
PERSONAL = ("delivered", "in_flight", "staged", "refusals")
"""The tables whose keys hold ids of customers."""
KEPT_RUNS = 1000
"""The runs of a sync that are kept, some 300 bytes each: of an hourly one 41 days."""
COUNTER = b"ids"
LONGEST_KEY = 511
"""LMDB's own limit, in bytes; what is longer is in no table."""
THREADS = 4
"""One writes at a time; the others read. LMDB itself keeps writers apart."""

T = TypeVar("T")


def open_environment(root: Path, *, readonly: bool = False, home: Path | None = None) -> Environment:
    """Open the environment of a project's root, as yet locked. Raises `StorageError`.

    `home` is the data directory, None where that is the root.
    """
    return Environment(
        root / "sync",
        "syncs",
        VERSION,
        TABLES,
        readonly=readonly,
        map_bytes=SMALL_MAP_BYTES,
        personal=PERSONAL,
        home=home or root,
    )


class Store:
    """The environment of the sync service. Secrets, and what comes of profiles, are sealed by a master key.

    `root` is that of a project; `masters` knows the data directory. Without, the root is it, and the key the one kept
    there, made where there is none. Raises `libs.storage.failures.StorageError`.
    """

    def __init__(self, root: Path, masters: Masters | None = None) -> None:
        known = masters or Masters(root)
        self.environment = open_environment(root, home=known.data_dir)
        try:
            self._vault = sealing.unlock(self.environment, known)
        except BaseException:
            self.environment.close()
            raise
        self.delivered = delivered.Delivered(self.environment, self._vault)
        self.in_flight = in_flight.InFlight(self.environment, self._vault)
        self.plans = plans.Plans(self.environment, self._vault)
        self.refusals = refusals.Refusals(self.environment, self._vault)
        self.requests = requests.RequestIds(self.environment, covering(self._vault, requests.IDS))
        self._threads = ThreadPoolExecutor(THREADS, "sync-store")

    def read(self) -> AbstractContextManager[Any]:
        """Begin a read transaction."""
        return self.environment.read()

    def write(self) -> AbstractContextManager[Any]:
        """Begin the write transaction, which commits when it is left without an error."""
        return self.environment.write()

    async def reading(self, work: Callable[[Any], T]) -> T:
        """Do `work` with a read transaction, in a thread."""
        return await self._within(self.read, work)

    async def writing(self, work: Callable[[Any], T]) -> T:
        """Do `work` with the write transaction, in a thread. Begun is finished, even if we are cancelled."""
        return await self._within(self.write, work)

    async def _within(self, begin: Callable[[], AbstractContextManager[Any]], work: Callable[[Any], T]) -> T:
        def run() -> T:
            with begin() as txn:
                done = work(txn)
            if begin == self.write:
                failpoints.hit("delivered.committed")
            return done

        loop, context = asyncio.get_running_loop(), copy_context()  # which has whose call it is
        return await loop.run_in_executor(self._threads, partial(context.run, run))

    async def wipe(self) -> None:
        """Overwrite what is left in the file of erased customers, if anything is. Raises `WipeError`."""

        def wipe() -> None:
            if self.environment.needs_wipe():
                self.environment.wipe()

        await asyncio.get_running_loop().run_in_executor(self._threads, wipe)

    async def close(self) -> None:
        """Finish the work begun, and close the environment."""
        await asyncio.to_thread(self._threads.shutdown)
        self.environment.close()

    def new_id(self, txn: Any, prefix: str) -> str:
        """Make an id of a fixed length, greater than all before it of the same prefix."""
        count = int(txn.get(COUNTER, b"0", db=self.environment.meta)) + 1
        txn.put(COUNTER, b"%d" % count, db=self.environment.meta)
        return f"{prefix}_{count:010x}{secrets.token_hex(6)}"

    # Destinations

    def destination(self, txn: Any, destination_id: str) -> Destination | None:
        """Return a destination, or None."""
        found = self._find(txn, "destinations", destination_id)
        return sealing.decode(found, self._vault) if found else None

    def destination_named(self, txn: Any, name: str) -> DestinationId | None:
        """Return which destination has this name, or None."""
        found = txn.get(name.encode(), db=self.environment["destination_names"])
        return DestinationId(found.decode()) if found else None

    def destinations(self, txn: Any, after: bytes) -> Iterator[tuple[bytes, Destination]]:
        """Yield (place, destination) by name, from behind a place."""
        for name, destination_id in _behind(txn, self.environment["destination_names"], after):
            destination = self.destination(txn, destination_id.decode())
            assert destination is not None  # names and destinations change in the same transaction
            yield name, destination

    def put_destination(self, txn: Any, destination: Destination) -> None:
        """Save a destination under its name, which must be free or its own."""
        names = self.environment["destination_names"]
        before = self.destination(txn, destination.destination_id)
        if before is not None:
            txn.delete(before.name.encode(), db=names)
        txn.put(destination.name.encode(), destination.destination_id.encode(), db=names)
        sealed = sealing.encode(destination, self._vault)
        txn.put(destination.destination_id.encode(), sealed, db=self.environment["destinations"])

    def delete_destination(self, txn: Any, destination: Destination) -> None:
        """Delete a destination."""
        txn.delete(destination.name.encode(), db=self.environment["destination_names"])
        txn.delete(destination.destination_id.encode(), db=self.environment["destinations"])

    # Syncs

    def sync(self, txn: Any, sync_id: str) -> Sync | None:
        """Return a sync, or None."""
        return self._get(txn, "syncs", sync_id, Sync)

    def sync_of_pair(self, txn: Any, cohort_id: str, destination_id: str) -> SyncId | None:
        """Return which sync keeps this cohort in step at this destination, or None."""
        found = txn.get(_pair(cohort_id, destination_id), db=self.environment["sync_pairs"])
        return SyncId(found.decode()) if found else None

    def syncs(self, txn: Any, after: bytes = b"") -> Iterator[tuple[bytes, Sync]]:
        """Yield (place, sync), oldest first, from behind a place."""
        for key, value in _behind(txn, self.environment["syncs"], after):
            yield key, msgspec.msgpack.decode(value, type=Sync)

    def put_sync(self, txn: Any, sync: Sync) -> None:
        """Save a sync, under its pair as well."""
        pair = _pair(sync.cohort_id, sync.destination_id)
        txn.put(pair, sync.sync_id.encode(), db=self.environment["sync_pairs"])
        self._put(txn, "syncs", sync.sync_id, sync)

    def delete_sync(self, txn: Any, sync: Sync) -> None:
        """Delete a sync with its runs and what it has delivered."""
        runs = [key for key, _ in self._run_keys(txn, sync.sync_id)]
        for key in runs:
            txn.delete(key, db=self.environment["sync_runs"])
            txn.delete(key[len(sync.sync_id) :], db=self.environment["runs"])
        self.delivered.drop(txn, sync.sync_id)
        self.in_flight.drop(txn, sync.sync_id)
        self.plans.end(txn, sync.sync_id)
        self.refusals.drop(txn, sync.sync_id)
        txn.delete(sync.sync_id.encode(), db=self.environment["audiences"])
        txn.delete(_pair(sync.cohort_id, sync.destination_id), db=self.environment["sync_pairs"])
        txn.delete(sync.sync_id.encode(), db=self.environment["syncs"])

    def audience(self, txn: Any, sync_id: SyncId) -> str:
        """Return which audience of its destination a sync keeps, "" where it has opened none yet."""
        found = txn.get(sync_id.encode(), db=self.environment["audiences"])
        return found.decode() if found else ""

    def put_audience(self, txn: Any, sync_id: SyncId, audience: str) -> None:
        """Note which audience a sync keeps."""
        txn.put(sync_id.encode(), audience.encode(), db=self.environment["audiences"])

    # Runs

    def run(self, txn: Any, run_id: str) -> Run | None:
        """Return a run, or None."""
        return self._get(txn, "runs", run_id, Run)

    def running(self, txn: Any, sync: Sync) -> Run | None:
        """Return the run of a sync that is under way, or None."""
        run = self.run(txn, sync.last_run) if sync.last_run else None
        return run if run is not None and run.state is RunState.RUNNING else None

    def runs(self, txn: Any, sync_id: SyncId, before: bytes = b"") -> Iterator[tuple[bytes, Run]]:
        """Yield (place, run), newest first, from before a place."""
        prefix = sync_id.encode()
        with txn.cursor(db=self.environment["sync_runs"]) as cursor:
            found = cursor.set_range(before or prefix + b"\xff")
            found = cursor.prev() if found else cursor.last()
            while found and (key := cursor.key()).startswith(prefix):
                run = self.run(txn, key[len(prefix) :].decode())
                assert run is not None  # written in the same transaction as the key
                yield key, run
                found = cursor.prev()

    def put_run(self, txn: Any, run: Run) -> None:
        """Save a run, under its sync as well."""
        txn.put(f"{run.sync_id}{run.run_id}".encode(), b"", db=self.environment["sync_runs"])
        self._put(txn, "runs", run.run_id, run)

    def prune_runs(self, txn: Any, sync_id: SyncId) -> None:
        """Forget the oldest runs of a sync beyond `KEPT_RUNS`."""
        keys = [bytes(key) for key, _ in self._run_keys(txn, sync_id)]
        for key in keys[: max(0, len(keys) - KEPT_RUNS)]:
            txn.delete(key, db=self.environment["sync_runs"])
            txn.delete(key[len(sync_id) :], db=self.environment["runs"])

    def new_run_id(self, txn: Any) -> RunId:
        """Make an id for a run."""
        return RunId(self.new_id(txn, "run"))

    def _run_keys(self, txn: Any, sync_id: SyncId) -> Iterator[tuple[bytes, bytes]]:
        prefix = sync_id.encode()
        for key, value in scan(txn, self.environment["sync_runs"], prefix):
            if not key.startswith(prefix):
                return
            yield key, value

    def _find(self, txn: Any, table: str, key: str) -> bytes | None:
        encoded = key.encode()
        if not 0 < len(encoded) <= LONGEST_KEY:
            return None
        found: bytes | None = txn.get(encoded, db=self.environment[table])
        return found

    def _get(self, txn: Any, table: str, key: str, kind: type[T]) -> T | None:
        found = self._find(txn, table, key)
        return msgspec.msgpack.decode(found, type=kind) if found else None

    def _put(self, txn: Any, table: str, key: str, record: msgspec.Struct) -> None:
        txn.put(key.encode(), msgspec.msgpack.encode(record), db=self.environment[table])


def _pair(cohort_id: str, destination_id: str) -> bytes:
    """Return a key of a fixed length for a cohort and a destination."""
    return hashlib.sha256(msgspec.msgpack.encode((cohort_id, destination_id))).digest()


def _behind(txn: Any, table: Any, after: bytes) -> Iterator[tuple[bytes, bytes]]:
    return scan(txn, table, after + b"\0" if after else b"")
