"""Whom does a destination not take, and why? So that nobody is tried again of whom nothing has changed.

Members who cannot be matched or were refused are *left out*: one bitmap of their numbers for each reason, which
means something in one epoch. The plan of a run leaves them out until their profiles change. Beside them stands one
row for every customer refused, sealed, with a digest of the key that was refused: who changed otherwise, or was
given another number, is not sent under the same key again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from pyroaring import BitMap

from libs.storage.cover import covering
from libs.storage.environment import Environment, scan
from libs.storage.vault import Vault
from services.sync.delivered import Entry
from services.sync.diff import Numbers, intersect, subtract, unite
from services.sync.model import SyncId

ROWS, LEFT_OUT = TABLES = ("refusals", "left_out")
DIGEST_BYTES = 16


class Refusal(msgspec.Struct, frozen=True):
    """Why a customer was refused, what was sent (a digest), and its number then."""

    reason: str
    digest: bytes
    shard: str = ""
    number: int = 0


class _LeftOut(msgspec.Struct, frozen=True):
    epoch: str
    numbers: dict[str, bytes]


class Refusals:
    """The refused and unmatched customers of every sync in one environment, rows sealed by a vault."""

    def __init__(self, environment: Environment, vault: Vault) -> None:
        self._environment = environment
        self._cover = covering(vault, ROWS)

    @property
    def _rows(self) -> Any:
        return self._environment[ROWS]

    @property
    def _left_out(self) -> Any:
        return self._environment[LEFT_OUT]

    # Refused keys

    def known(self, txn: Any, sync_id: SyncId, keys: Mapping[str, bytes]) -> dict[str, str]:
        """Return which of these customers were refused with these keys, and why. An empty key says nothing."""
        found: dict[str, str] = {}
        for customer_id, key in keys.items():
            row_key = _row_key(sync_id, customer_id)
            row = txn.get(row_key, db=self._rows) if key else None
            if row is not None:
                refusal = msgspec.msgpack.decode(self._cover.open(row, row_key), type=Refusal)
                if refusal.digest == _digest(key):
                    found[customer_id] = refusal.reason
        return found

    def record(self, txn: Any, sync_id: SyncId, refused: Iterable[tuple[Entry, str]]) -> None:
        """Note (customer with the key sent, reason) that were refused, or still stand refused."""
        for entry, reason in refused:
            row = msgspec.msgpack.encode(Refusal(reason, _digest(entry.key), entry.shard, entry.number))
            key = _row_key(sync_id, entry.customer_id)
            txn.put(key, self._cover.seal(row, key), db=self._rows)

    # Numbers

    def left_out(self, txn: Any, sync_id: SyncId, epoch: str) -> dict[str, dict[str, BitMap]]:
        """Return the numbers of those left out, by reason, as far as they are of this epoch."""
        found: dict[str, dict[str, BitMap]] = {}
        for key, value in _within(txn, self._left_out, sync_id):
            kept = msgspec.msgpack.decode(value, type=_LeftOut)
            if kept.epoch == epoch:
                reason = key[len(sync_id) :].decode()
                found[reason] = {shard: BitMap.deserialize(data) for shard, data in kept.numbers.items()}
        return found

    def settle(
        self, txn: Any, sync_id: SyncId, epoch: str, tried: Numbers, left_out: Mapping[str, Numbers]
    ) -> None:
        """Note who of those that were tried is left out now, by reason; the others are not any more."""
        before = self.left_out(txn, sync_id, epoch)
        for reason in {*before, *left_out}:
            held = before.get(reason, {})
            after = unite(subtract(held, tried), left_out.get(reason, {}))
            if after != held:
                self._keep(txn, sync_id, epoch, reason, after)

    def sweep(self, txn: Any, sync_id: SyncId, epoch: str, members: Numbers) -> None:
        """Forget those who are members no more."""
        left_out = self.left_out(txn, sync_id, epoch)
        for reason, numbers in left_out.items():
            self._keep(txn, sync_id, epoch, reason, intersect(numbers, members))
        stale = []
        for key, value in _within(txn, self._rows, sync_id):
            row = msgspec.msgpack.decode(self._cover.open(value, key), type=Refusal)
            still = left_out.get(row.reason, {}).get(row.shard, BitMap())
            if row.number not in still or row.number not in members.get(row.shard, ()):
                stale.append(bytes(key))
        for key in stale:
            txn.delete(key, db=self._rows)

    def forget(self, txn: Any, sync_id: SyncId, customer_ids: Iterable[str]) -> None:
        """Forget these customers' keys. Numbers of those left out are dropped when they are members no more."""
        for customer_id in customer_ids:
            txn.delete(_row_key(sync_id, customer_id), db=self._rows)

    def drop(self, txn: Any, sync_id: SyncId) -> None:
        """Forget everything of a sync."""
        for table in (self._rows, self._left_out):
            for key in [bytes(key) for key, _ in _within(txn, table, sync_id)]:
                txn.delete(key, db=table)

    def _keep(self, txn: Any, sync_id: SyncId, epoch: str, reason: str, numbers: Numbers) -> None:
        key = sync_id.encode() + reason.encode()
        packed = {shard: bitmap.serialize() for shard, bitmap in numbers.items() if bitmap}
        if packed:
            txn.put(key, msgspec.msgpack.encode(_LeftOut(epoch, packed)), db=self._left_out)
        else:
            txn.delete(key, db=self._left_out)


def _row_key(sync_id: SyncId, customer_id: str) -> bytes:
    return sync_id.encode() + customer_id.encode()


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=DIGEST_BYTES).digest()


def _within(txn: Any, table: Any, sync_id: SyncId) -> Iterator[tuple[bytes, bytes]]:
    prefix = sync_id.encode()
    for key, value in scan(txn, table, prefix):
        if not key.startswith(prefix):
            return
        yield key, value
