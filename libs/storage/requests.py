"""Was this request served before? Request ids with the responses they got, kept for 24 hours.

The record is written in the transaction it guards, so that a change and the memory of it live or die
together. Where an environment has things sealed, so are responses and fingerprints, which may tell of them.
Neighbours: every servicer with a mutation.
"""

import hashlib
from typing import Any

from google.protobuf.message import Message

from libs.errors import Invalid
from libs.storage.checked import DamagedRecordError, pack, unpack
from libs.storage.cover import BARE, Cover, covering
from libs.storage.environment import Environment, records_in_turn, scan
from libs.storage.vault import Vault

IDS, TIMES = TABLES = ("requests", "request_times")
LIFETIME_MS = 24 * 3600 * 1000
MAX_ID_BYTES = 256
CONTENT_BYTES = 8 + 32
"""The instant and the fingerprint, in front of the response."""
PRUNED_AT_ONCE = 64
"""Old ids dropped at each new one: more than one, so that a burst is worked off."""


def fingerprint(request: Message, ignoring: tuple[str, ...] = ("request_id",)) -> bytes:
    """Digest a request's type and content, some fields left out; 32 bytes."""
    bare = type(request)()
    bare.CopyFrom(request)
    for name in ignoring:
        bare.ClearField(name)
    content = bare.SerializeToString(deterministic=True)
    return hashlib.sha256(request.DESCRIPTOR.full_name.encode() + b"\0" + content).digest()


def check_id(request_id: str) -> None:
    """Raise `Invalid` for a request id that is too long to keep."""
    if len(request_id.encode()) > MAX_ID_BYTES:
        raise Invalid("INVALID_REQUEST_ID", f"a request_id has at most {MAX_ID_BYTES} bytes", "request_id")


class RequestIds:
    """The request ids of one environment, which must have the tables `TABLES`. Instants are in ms.

    `cover` is what is kept of an id under.
    """

    def __init__(self, environment: Environment, cover: Cover = BARE) -> None:
        self._environment = environment
        self._cover = cover

    @property
    def _ids(self) -> Any:
        return self._environment[IDS]

    @property
    def _times(self) -> Any:
        return self._environment[TIMES]

    def find(self, txn: Any, request_id: str, content: bytes, now: int) -> bytes | None:
        """Return the response the id got, or None where it is new or older than a day.

        Raises `Invalid` (REQUEST_ID_REUSED) where it came with other content (a `fingerprint`).
        """
        record = txn.get(request_id.encode(), db=self._ids)
        if record is None:
            return None
        record = _content(record, request_id.encode(), self._cover)
        time, first, response = int.from_bytes(record[:8], "big"), record[8:40], record[40:]
        if now - time >= LIFETIME_MS:
            return None
        if first != content:
            raise Invalid(
                "REQUEST_ID_REUSED",
                "this request_id was used for another request; make a new one for each new request",
                "request_id",
            )
        return bytes(response)

    def record(self, txn: Any, request_id: str, content: bytes, now: int, response: bytes) -> None:
        """Remember the response an id got, and drop some that are older than a day."""
        expired: list[bytes] = []
        for key, _ in scan(txn, self._times):
            if now - int.from_bytes(key[:8], "big") < LIFETIME_MS or len(expired) == PRUNED_AT_ONCE:
                break
            expired.append(key)
        for key in expired:
            txn.delete(key, db=self._times)
            kept = txn.get(key[8:], db=self._ids)
            if kept is not None and _content(kept, key[8:], self._cover)[:8] == key[:8]:
                txn.delete(key[8:], db=self._ids)
        time = now.to_bytes(8, "big")
        key = request_id.encode()
        txn.put(key, pack(self._cover.seal(time + content + response, key), key), db=self._ids)
        txn.put(time + key, b"", db=self._times)


def recover(environment: Environment, txn: Any, before: Vault | None, after: Vault) -> None:
    """Put what is kept of request ids under another vault."""
    bare, sealed = covering(before, IDS), covering(after, IDS)
    for key, record in records_in_turn(txn, environment[IDS]):
        kept = sealed.seal(bare.open(unpack(record, key), key), key)
        txn.put(key, pack(kept, key), db=environment[IDS])


def _content(record: bytes, key: bytes, cover: Cover) -> bytes:
    """Return what is kept of a request id. Raises `DamagedRecordError`."""
    try:
        content = cover.open(unpack(bytes(record), bytes(key)), bytes(key))
        if content[:2] != bytes(2):  # of an instant until the year 10889
            raise DamagedRecordError
        return content
    except DamagedRecordError:
        raise DamagedRecordError("what is kept of a request id") from None


def check_record(key: bytes, record: bytes, cover: Cover) -> None:
    """Look at what is kept of a request id. Raises `DamagedRecordError` or ValueError."""
    if len(_content(record, key, cover)) < CONTENT_BYTES:
        raise ValueError("too little is kept of a request id")


def may_be_time(time: int, record: bytes, key: bytes, cover: Cover) -> bool:
    """Say whether an id was used at a time, ms: that of its record, or one from before it could be used again."""
    kept = int.from_bytes(_content(record, key, cover)[:8], "big")
    return time == kept or kept - time >= LIFETIME_MS
