"""Was this request served before? Request ids with the responses they got, kept for 24 hours.

The record is written in the transaction it guards, so that a change and the memory of it live or die
together. Neighbours: every servicer with a mutation.
"""

import hashlib
from typing import Any

from google.protobuf.message import Message

from libs.errors import Invalid
from libs.storage.checked import DamagedRecordError, pack, unpack
from libs.storage.environment import Environment, scan

TABLES = ("requests", "request_times")
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
    """The request ids of one environment, which must have the tables `TABLES`. Instants are in ms."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @property
    def _ids(self) -> Any:
        return self._environment["requests"]

    @property
    def _times(self) -> Any:
        return self._environment["request_times"]

    def find(self, txn: Any, request_id: str, content: bytes, now: int) -> bytes | None:
        """Return the response the id got, or None where it is new or older than a day.

        Raises `Invalid` (REQUEST_ID_REUSED) where it came with other content (a `fingerprint`).
        """
        record = txn.get(request_id.encode(), db=self._ids)
        if record is None:
            return None
        record = _content(record, request_id.encode())
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
            if kept is not None and _content(kept, key[8:])[:8] == key[:8]:
                txn.delete(key[8:], db=self._ids)
        time = now.to_bytes(8, "big")
        kept = pack(time + content + response, request_id.encode())
        txn.put(request_id.encode(), kept, db=self._ids)
        txn.put(time + request_id.encode(), b"", db=self._times)


def _content(record: bytes, key: bytes) -> bytes:
    """Return what is kept of a request id. Raises `DamagedRecordError`."""
    try:
        content = unpack(bytes(record), bytes(key))
        if content[:2] != bytes(2):  # of an instant until the year 10889
            raise DamagedRecordError
        return content
    except DamagedRecordError:
        raise DamagedRecordError("what is kept of a request id") from None


def check_record(key: bytes, record: bytes) -> None:
    """Look at what is kept of a request id. Raises `DamagedRecordError` or ValueError."""
    if len(_content(record, key)) < CONTENT_BYTES:
        raise ValueError("too little is kept of a request id")


def may_be_time(time: int, record: bytes, key: bytes) -> bool:
    """Say whether an id was used at a time, ms: that of its record, or one from before it could be used again."""
    kept = int.from_bytes(_content(record, key)[:8], "big")
    return time == kept or kept - time >= LIFETIME_MS
