"""Who was erased, and what is left to do about it? Two small tables of the log.

    erasures    revision, place (8 + 4 bytes, big-endian) → `Erasure`: until all destinations have acknowledged, and
                a compaction behind that has taken the bytes away
    erased      customer number (4 bytes, big-endian) → nothing: until a compaction has removed their events

An erasure is written in the transaction that takes the profile away; from then on no answer has the customer.
The id stays in `erasures` because destinations know people by it. Every function takes its caller's transaction.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.errors import Missing
from libs.storage.environment import Environment, scan

TABLES = ("erasures", "erased")
PREFIX = "ers_"
KEY_BYTES = 12


class Erasure(msgspec.Struct, array_like=True, frozen=True):
    """One customer erased: the number that was theirs, the id, when (ms), and at which revision.

    `acknowledged`: no destination has the customer any more.
    """

    customer: int
    customer_id: str
    create_time: int
    revision: int
    acknowledged: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Erasure).decode


class Erasures:
    """The erasures of one log."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @property
    def _pending(self) -> Any:
        return self._environment["erasures"]

    @property
    def _erased(self) -> Any:
        return self._environment["erased"]

    def record(self, txn: Any, customers: Sequence[int], ids: Sequence[str], now: int, revision: int) -> None:
        """Note that these were erased by the commit of a revision."""
        for place, (customer, customer_id) in enumerate(zip(customers, ids, strict=True)):
            key = revision.to_bytes(8, "big") + place.to_bytes(4, "big")
            txn.put(key, _encode(Erasure(customer, customer_id, now, revision)), db=self._pending)
            txn.put(customer.to_bytes(4, "big"), b"", db=self._erased)

    def pending(self, txn: Any, after: bytes = b"") -> Iterator[tuple[bytes, Erasure]]:
        """Yield (key, erasure) of those of which something is left somewhere, oldest first, from behind a key."""
        for key, value in scan(txn, self._pending, after + b"\0" if after else b""):
            yield bytes(key), _decode(value)

    def is_unacknowledged(self, txn: Any, key: bytes) -> bool:
        """Say whether this is the key of an erasure that destinations have not all acknowledged."""
        found = txn.get(key, db=self._pending)
        return found is not None and not _decode(found).acknowledged

    def acknowledge(self, txn: Any, key: bytes) -> bool:
        """Note that every destination has acknowledged; False where there is no such erasure that waits for it."""
        found = txn.get(key, db=self._pending)
        if found is None or (erasure := _decode(found)).acknowledged:
            return False
        txn.put(key, _encode(msgspec.structs.replace(erasure, acknowledged=True)), db=self._pending)
        return True

    def acknowledged(self, txn: Any) -> list[bytes]:
        """Return the keys of those that destinations have all acknowledged."""
        return [key for key, erasure in self.pending(txn) if erasure.acknowledged]

    def any_unacknowledged(self, txn: Any) -> bool:
        """Say whether any waits for a destination; the newest are looked at first, as they are acknowledged last."""
        with txn.cursor(db=self._pending) as cursor:
            there = cursor.last()
            while there:
                if not _decode(cursor.value()).acknowledged:
                    return True
                there = cursor.prev()
        return False

    def masked(self, txn: Any) -> NDArray[np.uint32]:
        """Return the numbers whose events may still be there, ascending, (n,) uint32."""
        keys = b"".join(bytes(key) for key, _ in scan(txn, self._erased))
        return np.frombuffer(keys, ">u4").astype(np.uint32)

    def removed(self, txn: Any, customers: Sequence[int], keys: Sequence[bytes]) -> None:
        """Note that nothing of these customers is in the log's blocks or beside it, and forget these erasures."""
        for customer in customers:
            txn.delete(customer.to_bytes(4, "big"), db=self._erased)
        for key in keys:
            txn.delete(key, db=self._pending)


def no_such_erasure() -> Missing:
    """Say that there is no erasure of an id, or no more."""
    return Missing(
        "ERASURE_NOT_FOUND",
        "there is no erasure of this erasure_id, or it was confirmed already",
        "erasure",
        field="erasure_id",
    )


def write_id(key: bytes) -> str:
    """Return the id of an erasure for the wire."""
    return PREFIX + key.hex()


def read_id(erasure_id: str) -> bytes:
    """Return the key of an erasure's id; empty for what is no such id."""
    digits = erasure_id.removeprefix(PREFIX)
    if len(digits) != 2 * KEY_BYTES or not erasure_id.startswith(PREFIX):
        return b""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""
