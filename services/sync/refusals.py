"""Whom did a destination refuse, and what was sent of them then? So that nobody is sent again unchanged.

One row for every customer refused, keyed by customer id: the reason, a digest of the key that was refused, and
the run that last met it. A customer whose key is the same is not sent again, and counts as refused for the same
reason; one whose profile has changed is. Rows that a complete run did not meet are of people who are members no
more, and are dropped at its end.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from libs.storage.environment import Environment, scan
from services.sync.model import RunId, SyncId

TABLES = ("refusals",)
DIGEST_BYTES = 16


class Refusal(msgspec.Struct, frozen=True):
    """Why a customer was refused, what was sent (a digest), and in which run it was last met."""

    reason: str
    digest: bytes
    run_id: RunId


class Refusals:
    """The refused customers of every sync in one environment."""

    def __init__(self, environment: Environment) -> None:
        self._table = environment["refusals"]

    def standing(self, txn: Any, sync_id: SyncId, keys: Mapping[str, bytes]) -> dict[str, str]:
        """Return which of these customers were refused with these keys, and why. An empty key says nothing."""
        found: dict[str, str] = {}
        for customer_id, key in keys.items():
            row = txn.get(_row_key(sync_id, customer_id), db=self._table) if key else None
            if row is not None:
                refusal = msgspec.msgpack.decode(row, type=Refusal)
                if refusal.digest == _digest(key):
                    found[customer_id] = refusal.reason
        return found

    def record(
        self, txn: Any, sync_id: SyncId, run_id: RunId, refused: Iterable[tuple[str, str, bytes]]
    ) -> None:
        """Note (customer, reason, key) that were refused, or still stand refused, in a run."""
        for customer_id, reason, key in refused:
            row = msgspec.msgpack.encode(Refusal(reason, _digest(key), run_id))
            txn.put(_row_key(sync_id, customer_id), row, db=self._table)

    def sweep(self, txn: Any, sync_id: SyncId, run_id: RunId | None) -> None:
        """Drop the rows that this run has not met; None drops all."""
        prefix = sync_id.encode()
        stale = []
        for key, value in scan(txn, self._table, prefix):
            if not key.startswith(prefix):
                break
            if msgspec.msgpack.decode(value, type=Refusal).run_id != run_id:
                stale.append(bytes(key))
        for key in stale:
            txn.delete(key, db=self._table)


def _row_key(sync_id: SyncId, customer_id: str) -> bytes:
    return sync_id.encode() + customer_id.encode()


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=DIGEST_BYTES).digest()
