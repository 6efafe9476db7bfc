"""What does each destination hold? One row for every customer delivered, and a bitmap as a cache of them.

The rows are the truth and are keyed by customer id. Beside them stands, for the epoch of the last run, the
bitmap of their members' numbers, cut into chunks of 65,536 so that acknowledging a page rewrites a few
kilobytes. A row knows its number and the generation of numbering that number is of. When the epoch changes a
new generation begins with an empty cache: rows of older generations are *stale* until a run has matched them
with the new numbers or removed them. So a crash at any point leaves rows that are right, and
rows = cached + stale always holds.

A row also keeps the *key* that was uploaded for the customer (hashes, an external id: what the destination
knows people by), so that a removal sends what was sent, whatever has become of the profile since, or of the
customer. It is sealed, as it comes of the profile. Two customers may have the same key: `held_by_others` says
whose removal would take somebody off who is to stay, by a digest of the vault that counts who has it.

Every function takes the transaction of its caller, so that rows, cache and a run's counters move together.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from pyroaring import BitMap

from libs import failpoints
from libs.storage.cover import Cover, covering
from libs.storage.environment import Environment, records_in_turn, scan
from libs.storage.vault import DIGEST_BYTES, Vault
from services.sync.diff import Numbers
from services.sync.model import SyncId

ROWS, HOLDERS = "delivered", "delivered_keys"
TABLES = ("ledgers", ROWS, "delivered_numbers", HOLDERS)
CHUNK_BITS = 16
ROW = struct.Struct(">IHI")
"""A row's value: generation, index of the shard, number; the sealed key, if any, stands behind it."""
COUNT = struct.Struct(">I")
"""How many rows have a key."""
KEY_DIGEST_BYTES = DIGEST_BYTES
CHUNK = struct.Struct(">HH")
"""The end of a chunk's key: index of the shard, the number's upper 16 bits."""


class Entry(NamedTuple):
    """A customer with the number it has in a shard, and the key that was uploaded for it."""

    customer_id: str
    shard: str
    number: int
    key: bytes = b""


class Removal(NamedTuple):
    """A customer to be removed, and the key that was uploaded for it."""

    customer_id: str
    key: bytes = b""


class Ledger(msgspec.Struct, frozen=True):
    """What is known of a sync's rows as a whole: how many, and what numbering the cache is of.

    The keys of rows are those of the profiles at `revision` or later, made in the way that `keying` names; where
    `revision` is empty nobody knows.
    """

    epoch: str = ""
    generation: int = 0
    rows: int = 0
    shards: tuple[str, ...] = ()
    revision: str = ""
    keying: bytes = b""


class Found(NamedTuple):
    """Customers to be removed, and the key to go on from; `after` is None at the end."""

    removals: list[Removal]
    after: bytes | None


class Delivered:
    """The delivered customers of every sync in one environment, their keys sealed by a vault."""

    def __init__(self, environment: Environment, vault: Vault) -> None:
        self._environment = environment
        self._vault = vault
        self._cover = covering(vault, ROWS)

    @property
    def _ledgers(self) -> Any:
        return self._environment["ledgers"]

    @property
    def _rows(self) -> Any:
        return self._environment[ROWS]

    @property
    def _chunks(self) -> Any:
        return self._environment["delivered_numbers"]

    @property
    def _keys(self) -> Any:
        return self._environment[HOLDERS]

    def ledger(self, txn: Any, sync_id: SyncId) -> Ledger:
        """Return what is known of a sync's rows as a whole."""
        found = txn.get(sync_id.encode(), db=self._ledgers)
        return msgspec.msgpack.decode(found, type=Ledger) if found else Ledger()

    def numbers(self, txn: Any, sync_id: SyncId) -> dict[str, BitMap]:
        """Return the numbers of the delivered customers that are not stale, by shard."""
        ledger, prefix = self.ledger(txn, sync_id), sync_id.encode()
        chunks: dict[str, list[BitMap]] = {}
        for key, value in _within(txn, self._chunks, prefix):
            index, _ = CHUNK.unpack(key[len(prefix) :])
            chunks.setdefault(ledger.shards[index], []).append(BitMap.deserialize(value))
        return {shard: BitMap.union(*parts) for shard, parts in chunks.items()}

    def begin_epoch(self, txn: Any, sync_id: SyncId, epoch: str, shards: Iterable[str]) -> None:
        """Count numbers as of this epoch from now on. Where it is a new one, every row becomes stale."""
        ledger = self.ledger(txn, sync_id)
        if ledger.epoch != epoch:
            self._delete(txn, self._chunks, sync_id)
            generation = ledger.generation + 1
            ledger = msgspec.structs.replace(ledger, epoch=epoch, generation=generation, shards=())
        known = ledger.shards + tuple(sorted(set(shards) - set(ledger.shards)))
        self._keep(txn, sync_id, msgspec.structs.replace(ledger, shards=known))

    def match(self, txn: Any, sync_id: SyncId, entries: Sequence[Entry]) -> int:
        """Give those of these customers that have been delivered their present numbers; return how many."""
        ledger, touched = self.ledger(txn, sync_id), _Chunks(self._chunks, txn, sync_id)
        matched = 0
        for entry in entries:
            key = _row_key(sync_id, entry.customer_id)
            row = txn.get(key, db=self._rows)
            if row is not None:
                self._forget_number(touched, ledger, row)
                self._put(txn, touched, ledger, key, entry, row[ROW.size :])
                matched += 1
        touched.flush()
        return matched

    def acknowledge(
        self, txn: Any, sync_id: SyncId, adds: Iterable[Entry], removes: Iterable[str]
    ) -> tuple[int, int]:
        """Note that the destination has taken these; return how many rows that added and removed."""
        ledger, touched = self.ledger(txn, sync_id), _Chunks(self._chunks, txn, sync_id)
        added = removed = 0
        for customer_id in removes:
            key = _row_key(sync_id, customer_id)
            row = txn.pop(key, db=self._rows)
            if row is not None:
                self._forget_number(touched, ledger, row)
                self._count_holder(txn, sync_id, key_of(self._cover, key, row), -1)
                removed += 1
        for entry in adds:
            key = _row_key(sync_id, entry.customer_id)
            row = txn.get(key, db=self._rows)
            if row is not None:
                self._forget_number(touched, ledger, row)
                self._count_holder(txn, sync_id, key_of(self._cover, key, row), -1)
            self._count_holder(txn, sync_id, entry.key, 1)
            self._put(txn, touched, ledger, key, entry, seal_key(self._cover, key, entry.key))
            added += row is None
        touched.flush()
        rows = ledger.rows + added - removed
        self._keep(txn, sync_id, msgspec.structs.replace(ledger, rows=rows))
        failpoints.hit("delivered")
        return added, removed

    def settle_keys(self, txn: Any, sync_id: SyncId, revision: str, keying: bytes) -> None:
        """Note that the keys of all rows are those of the profiles at a revision, or later."""
        ledger = msgspec.structs.replace(self.ledger(txn, sync_id), revision=revision, keying=keying)
        self._keep(txn, sync_id, ledger)

    def keys(self, txn: Any, sync_id: SyncId, customer_ids: Iterable[str]) -> dict[str, bytes]:
        """Return the keys that were uploaded for those of these customers who have been delivered."""
        found: dict[str, bytes] = {}
        for customer_id in customer_ids:
            key = _row_key(sync_id, customer_id)
            row = txn.get(key, db=self._rows)
            if row is not None:
                found[customer_id] = key_of(self._cover, key, row)
        return found

    def rows(self, txn: Any, sync_id: SyncId, after: str) -> Iterator[str]:
        """Yield the delivered customers behind one, "" for all; nothing may be written meanwhile."""
        prefix = sync_id.encode()
        start = _row_key(sync_id, after) + b"\0" if after else b""
        for key, _ in _within(txn, self._rows, prefix, start):
            yield key[len(prefix) :].decode()

    def find(self, txn: Any, sync_id: SyncId, customer_id: str) -> Entry | None:
        """Return a delivered customer, None for one who is not, or whose number is stale."""
        key = _row_key(sync_id, customer_id)
        ledger, row = self.ledger(txn, sync_id), txn.get(key, db=self._rows)
        if row is None:
            return None
        generation, index, number = ROW.unpack_from(row)
        if generation != ledger.generation:
            return None
        return Entry(customer_id, ledger.shards[index], number, key_of(self._cover, key, row))

    def find_removed(self, txn: Any, sync_id: SyncId, gone: Numbers, after: bytes, most: int) -> Found:
        """Return up to `most` customers behind key `after` whose row is stale or has a number in `gone`.

        Reads the rows themselves, so that a customer who was erased since is found as well. Costs about a
        microsecond a row passed.
        """
        ledger, prefix = self.ledger(txn, sync_id), sync_id.encode()
        wanted = [gone.get(shard, BitMap()) for shard in ledger.shards]
        found: list[Removal] = []
        for key, value in _within(txn, self._rows, prefix, after + b"\0" if after else b""):
            generation, index, number = ROW.unpack_from(value)
            if generation != ledger.generation or number in wanted[index]:
                found.append(Removal(key[len(prefix) :].decode(), key_of(self._cover, key, value)))
                if len(found) == most:
                    return Found(found, bytes(key))
        return Found(found, None)

    def held_by_others(self, txn: Any, sync_id: SyncId, removals: Sequence[Removal]) -> set[str]:
        """Return the customers of these whose key a delivered customer has too, who is not among them.

        Nothing may be sent to remove such a customer: the destination would take the other one off as well.
        """
        leaving: Counter[bytes] = Counter()
        for removal in removals:
            row = txn.get(_row_key(sync_id, removal.customer_id), db=self._rows) if removal.key else None
            leaving[removal.key] += row is not None
        shared = {key for key, count in leaving.items() if self._holders(txn, sync_id, key) > count}
        return {removal.customer_id for removal in removals if removal.key in shared}

    def drop(self, txn: Any, sync_id: SyncId) -> None:
        """Forget everything about a sync's destination."""
        self._delete(txn, self._rows, sync_id)
        self._delete(txn, self._chunks, sync_id)
        self._delete(txn, self._keys, sync_id)
        txn.delete(sync_id.encode(), db=self._ledgers)

    def _put(
        self, txn: Any, touched: "_Chunks", ledger: Ledger, key: bytes, entry: Entry, sealed: bytes
    ) -> None:
        index = ledger.shards.index(entry.shard)
        txn.put(key, ROW.pack(ledger.generation, index, entry.number) + sealed, db=self._rows)
        touched[index, entry.number].add(entry.number)

    def _forget_number(self, touched: "_Chunks", ledger: Ledger, row: bytes) -> None:
        generation, index, number = ROW.unpack_from(row)
        if generation == ledger.generation:
            touched[index, number].discard(number)

    def _holders(self, txn: Any, sync_id: SyncId, key: bytes) -> int:
        found = txn.get(self._holder_key(sync_id, key), db=self._keys)
        return int(COUNT.unpack(found)[0]) if found else 0

    def _count_holder(self, txn: Any, sync_id: SyncId, key: bytes, change: int) -> None:
        if not key:
            return
        holders = self._holders(txn, sync_id, key) + change
        if holders > 0:
            txn.put(self._holder_key(sync_id, key), COUNT.pack(holders), db=self._keys)
        else:
            txn.delete(self._holder_key(sync_id, key), db=self._keys)

    def _holder_key(self, sync_id: SyncId, key: bytes) -> bytes:
        return sync_id.encode() + self._vault.digest(key)

    def _keep(self, txn: Any, sync_id: SyncId, ledger: Ledger) -> None:
        txn.put(sync_id.encode(), msgspec.msgpack.encode(ledger), db=self._ledgers)

    def _delete(self, txn: Any, table: Any, sync_id: SyncId) -> None:
        prefix = sync_id.encode()
        with txn.cursor(db=table) as cursor:
            found = cursor.set_range(prefix)
            while found and cursor.key().startswith(prefix):
                found = cursor.delete()


class _Chunks:
    """The chunks of a sync's bitmap that a transaction touches, read once and written back once."""

    def __init__(self, table: Any, txn: Any, sync_id: SyncId) -> None:
        self._table = table
        self._txn = txn
        self._prefix = sync_id.encode()
        self._chunks: dict[tuple[int, int], BitMap] = {}

    def __getitem__(self, place: tuple[int, int]) -> BitMap:
        """Return the chunk that (index of the shard, number) is in."""
        index, number = place
        chunk = index, number >> CHUNK_BITS
        if chunk not in self._chunks:
            value = self._txn.get(self._prefix + CHUNK.pack(*chunk), db=self._table)
            self._chunks[chunk] = BitMap.deserialize(value) if value else BitMap()
        return self._chunks[chunk]

    def flush(self) -> None:
        """Write the chunks back."""
        for chunk, numbers in self._chunks.items():
            key = self._prefix + CHUNK.pack(*chunk)
            if numbers:
                self._txn.put(key, numbers.serialize(), db=self._table)
            else:
                self._txn.delete(key, db=self._table)


def _row_key(sync_id: SyncId, customer_id: str) -> bytes:
    return sync_id.encode() + customer_id.encode()


def seal_key(cover: Cover, row_key: bytes, key: bytes) -> bytes:
    """Return what stands behind a row for the key that was uploaded; nothing for no key."""
    return cover.seal(key, row_key) if key else b""


def key_of(cover: Cover, row_key: bytes, row: bytes) -> bytes:
    """Return the key in a row. Raises `libs.storage.checked.DamagedRecordError`."""
    sealed = bytes(row[ROW.size :])
    return cover.open(sealed, bytes(row_key)) if sealed else b""


def recover(environment: Environment, txn: Any, before: Vault | None, after: Vault) -> None:
    """Seal the keys of all rows by another vault, and count by its digests who has which."""
    bare, sealed = covering(before, ROWS), covering(after, ROWS)
    counts: Counter[bytes] = Counter()
    for sync_id, _ in list(scan(txn, environment["ledgers"])):
        for row_key, row in records_in_turn(txn, environment[ROWS], sync_id):
            if not row_key.startswith(sync_id):
                break
            key = key_of(bare, row_key, row)
            txn.put(row_key, row[: ROW.size] + seal_key(sealed, row_key, key), db=environment[ROWS])
            counts[sync_id + after.digest(key)] += bool(key)
    txn.drop(environment[HOLDERS], delete=False)
    for holder, count in counts.items():
        if count:
            txn.put(holder, COUNT.pack(count), db=environment[HOLDERS])


def _within(txn: Any, table: Any, prefix: bytes, start: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
    """Yield the pairs whose key begins with `prefix`, from key `start` on."""
    for key, value in scan(txn, table, max(start, prefix)):
        if not key.startswith(prefix):
            return
        yield key, value
