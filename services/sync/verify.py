"""Is what sync knows what was written? Every record, and whether rows, counts, names and runs fit one another.

Rows of delivered customers have no checksum of their own: they are counted against the ledger of their sync, and
each must name a shard that the ledger has. What is sealed shows damage when it is opened: it is, where the key is
given.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from pyroaring import BitMap

from libs.storage.cover import covering
from libs.storage.environment import Environment
from libs.storage.master_key import MasterKey
from libs.storage.verify import Given, Records, Step, TableCheck
from services.sync import plans, sealing
from services.sync.delivered import CHUNK, COUNT, KEY_DIGEST_BYTES, ROW, ROWS, Entry, Ledger, key_of
from services.sync.in_flight import Sent, SentPage
from services.sync.model import Run, Sync
from services.sync.refusals import Refusal
from services.sync.store import COUNTER, open_environment


def check(folder: Path, given: Given) -> Iterator[Step]:
    """Go through the syncs in a folder. Raises `Absent`, `Corrupt`, `StorageError`.

    Without the master key, what is sealed is counted and looked no further into.
    """
    environment = open_environment(folder.parent, readonly=True, home=given.home)
    try:
        with environment.read() as txn:
            yield from _Syncs(environment, txn).check(given.master)
    finally:
        environment.close()


class _Syncs(TableCheck):
    """The tables of sync; ids are learnt in the first and looked up in those that follow."""

    def __init__(self, environment: Environment, txn: Any) -> None:
        super().__init__(environment, txn)
        self._ids: dict[str, set[bytes]] = {"destinations": set(), "syncs": set(), "runs": set()}
        self._ledgers: dict[bytes, Ledger] = {}
        self._rows: Counter[bytes] = Counter()
        self._id_bytes = 0

    def check(self, master: MasterKey | None) -> Iterator[Step]:
        """Go through all of them."""
        yield from self.open_vault(master)
        for name, looking in self._looks().items():
            yield from self.table(name, looking)
        yield from self.counter(COUNTER)
        yield from self.request_ids()
        for sync_id, ledger in self._ledgers.items():
            if ledger.rows != self._rows[sync_id]:
                yield self.finding(
                    f"sync {sync_id.decode(errors='replace')}: {self._rows[sync_id]} customers delivered are found, "
                    f"and {ledger.rows} were counted"
                )

    def _looks(self) -> dict[str, Records]:
        return {
            "destinations": self._destination,
            "destination_names": lambda _, value: self._known("destinations", value),
            "syncs": lambda key, value: self._learn("syncs", key, value, Sync),
            "sync_pairs": lambda _, value: self._known("syncs", value),
            "runs": lambda key, value: self._learn("runs", key, value, Run),
            "sync_runs": self._run_of_sync,
            "audiences": self._audience,
            "ledgers": self._ledger,
            "delivered": self._row,
            "delivered_numbers": self._chunk,
            "delivered_keys": self._holder,
            "in_flight": self._of_sync(Sent, "in_flight"),
            "pages": self._of_sync(SentPage, "pages"),
            "plans": self._of_sync(Any, "plans"),
            "places": self._of_sync(plans.Place),
            "staged": self._of_sync(Entry, "staged"),
            "refusals": self._of_sync(Refusal, "refusals"),
        }

    def _learn(self, table: str, key: bytes, value: bytes, kind: Any) -> None:
        msgspec.msgpack.decode(value, type=kind)
        self._ids[table].add(key)
        if table == "syncs":
            self._id_bytes = len(key)

    def _known(self, table: str, key: bytes) -> None:
        if key not in self._ids[table]:
            raise ValueError(f"it names one of {table} that is not there")

    def _sync_of(self, key: bytes) -> bytes:
        sync_id = key[: self._id_bytes]
        self._known("syncs", sync_id)
        return sync_id

    def _destination(self, key: bytes, value: bytes) -> None:
        self._learn("destinations", key, value, sealing.Kept)
        if self.vault:
            sealing.decode(value, self.vault)

    def _of_sync(self, kind: Any, sealed: str = "") -> Records:
        """Return what looks at records of syncs; `sealed` is the name of their table where they are."""

        def look(key: bytes, value: bytes) -> None:
            self._sync_of(key)
            if not (sealed and self.is_closed):
                data = covering(self.vault, sealed).open(value, key) if sealed else value
                msgspec.msgpack.decode(data, type=kind)

        return look

    def _run_of_sync(self, key: bytes, value: bytes) -> None:
        self._known("runs", key[len(self._sync_of(key)) :])

    def _audience(self, key: bytes, value: bytes) -> None:
        self._known("syncs", key)
        value.decode()

    def _ledger(self, key: bytes, value: bytes) -> None:
        self._known("syncs", key)
        self._ledgers[key] = msgspec.msgpack.decode(value, type=Ledger)

    def _row(self, key: bytes, value: bytes) -> None:
        sync_id = self._sync_of(key)
        self._rows[sync_id] += 1
        key[self._id_bytes :].decode()
        generation, index, _ = ROW.unpack_from(value)
        ledger = self._ledgers[sync_id]
        if generation > ledger.generation or (
            generation == ledger.generation and index >= len(ledger.shards)
        ):
            raise ValueError("a delivered customer of a numbering that its sync has not")
        if self.vault:
            key_of(covering(self.vault, ROWS), key, value)

    def _chunk(self, key: bytes, value: bytes) -> None:
        index, _ = CHUNK.unpack(key[len(self._sync_of(key)) :])
        if index >= len(self._ledgers[key[: self._id_bytes]].shards) or not BitMap.deserialize(value):
            raise ValueError("a part of a bitmap of no shard, or with nobody in it")

    def _holder(self, key: bytes, value: bytes) -> None:
        if len(key) != len(self._sync_of(key)) + KEY_DIGEST_BYTES or COUNT.unpack(value)[0] == 0:
            raise ValueError("a count of customers of a key, which is none")
