"""Where was a client in a long list? Results kept between pages, found again by their token.

A token is tied to the request it came from, all but its page size, and to whose it was, and pins the result, so that
a chain of pages reads one snapshot; one that was changed anywhere is none. Results are kept for ten minutes and at
most 256 of them, in this process.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from typing import Generic, TypeVar

from google.protobuf.message import Message

from libs.clock import Clock
from libs.errors import Invalid
from libs.rpc.access import caller
from libs.storage.requests import fingerprint

LIFETIME_MS = 600_000
MAX_RESULTS = 256
DEFAULT_SIZE = 1000
MAX_SIZE = 10_000
RANDOM_BYTES = 16
PRINT_BYTES = 8
ID_BYTES = RANDOM_BYTES + PRINT_BYTES
"""What names a result: chance, and which request it is of."""
PLACE_BYTES = 8
SEAL_BYTES = 16

T = TypeVar("T")


def page_size(asked: int) -> int:
    """Return the number of items a page has. Raises `Invalid` for a negative number."""
    if asked < 0:
        raise Invalid("INVALID_PAGE_SIZE", "page_size is 0 (for 1,000) or more", "page_size")
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


class Pages(Generic[T]):
    """Results of one kind of list."""

    def __init__(self, clock: Clock, *, token_field: str = "page_token") -> None:
        self._clock = clock
        self._field = token_field
        self._secret = os.urandom(SEAL_BYTES)
        self._results: OrderedDict[bytes, tuple[int, T]] = OrderedDict()

    def find(self, request: Message) -> tuple[T, bytes, int] | None:
        """Return (result, its id, place) that the request's token stands for; None where it has no token.

        Raises `Invalid`: PAGE_TOKEN_FOREIGN for one that is no token or of another request,
        PAGE_TOKEN_EXPIRED for one whose result is no longer held.
        """
        token: str = getattr(request, self._field)
        if not token:
            return None
        try:
            decoded = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        said, seal = decoded[:-SEAL_BYTES], decoded[-SEAL_BYTES:]
        key, of_request = said[:ID_BYTES], self._fingerprint(request)
        if not hmac.compare_digest(seal, self._seal(said)) or key[RANDOM_BYTES:] != of_request:
            raise Invalid(
                "PAGE_TOKEN_FOREIGN",
                f"this {self._field} is of another request; send the one of the page before, all else unchanged",
                self._field,
            )
        held = self._results.get(key)
        if held is None or self._clock() - held[0] > LIFETIME_MS:
            raise Invalid(
                "PAGE_TOKEN_EXPIRED",
                f"the list this {self._field} stands for is no longer held; start again without it",
                self._field,
            )
        self._results[key] = (self._clock(), held[1])
        self._results.move_to_end(key)
        return held[1], key, int.from_bytes(said[ID_BYTES:], "big")

    def keep(self, request: Message, result: T) -> bytes:
        """Hold a result for further pages of a request; return its id."""
        key = os.urandom(RANDOM_BYTES) + self._fingerprint(request)
        self._results[key] = (self._clock(), result)
        while len(self._results) > MAX_RESULTS:
            self._results.popitem(last=False)
        return key

    def token(self, key: bytes, place: int) -> str:
        """Return the token of a place in a result that is held."""
        said = key + place.to_bytes(PLACE_BYTES, "big")
        return base64.urlsafe_b64encode(said + self._seal(said)).decode()

    def _seal(self, said: bytes) -> bytes:
        """Return what shows that this process told it, to callers like the one of the running call."""
        who = caller()
        whose = f"{who.project_id} {who.operator}".encode()
        return hashlib.blake2b(said + whose, digest_size=SEAL_BYTES, key=self._secret).digest()

    def _fingerprint(self, request: Message) -> bytes:
        known = request.DESCRIPTOR.fields_by_name
        return fingerprint(request, tuple(n for n in (self._field, "page_size") if n in known))[:PRINT_BYTES]
