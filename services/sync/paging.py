"""How is a long list read in pages? Sizes, and tokens that only continue the list they came from.

A token holds the place behind the last item, and a digest that ties it to the method and arguments. Lists go
on from that place, so items made or deleted meanwhile neither repeat others nor hide them.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from libs.errors import Invalid
from libs.rpc.access import caller

DEFAULT_SIZE = 1_000
LARGEST_SIZE = 10_000
DIGEST_BYTES = 12

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """The items of a page, and the token for the next; empty on the last page."""

    items: list[T]
    next_token: str


@dataclass(frozen=True, slots=True)
class Paging:
    """What page of which list: `arguments` are the method and what else the list depends on."""

    arguments: tuple[str, ...]
    size: int
    token: str
    project_id: str = field(default_factory=lambda: caller().project_id)
    """Whose list: that of the call being served."""

    def read(
        self,
        items: Callable[[bytes], Iterator[tuple[bytes, T]]],
        keep: Callable[[T], bool] = lambda item: True,
    ) -> Slice[T]:
        """Read a page of the (place, item) pairs that are to be kept. Raises `Invalid`."""
        size = self._checked_size()
        found: list[T] = []
        last = b""
        for place, item in items(self._place()):
            if not keep(item):
                continue
            if len(found) == size:
                return Slice(found, self._make_token(last))
            found.append(item)
            last = bytes(place)
        return Slice(found, "")

    def _checked_size(self) -> int:
        if self.size < 0:
            raise Invalid("INVALID_PAGE_SIZE", "a page size is 0 (for 1,000) or more", "pageSize")
        return min(self.size or DEFAULT_SIZE, LARGEST_SIZE)

    def _place(self) -> bytes:
        if not self.token:
            return b""
        try:
            raw = base64.b64decode(self.token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        place = raw[DIGEST_BYTES:]
        if not place or raw[:DIGEST_BYTES] != self._digest(place):
            raise Invalid(
                "PAGE_TOKEN_FOREIGN",
                "this page token is not of a list with these arguments; begin again without one",
                "pageToken",
            )
        return place

    def _make_token(self, place: bytes) -> str:
        return base64.urlsafe_b64encode(self._digest(place) + place).decode()

    def _digest(self, place: bytes) -> bytes:
        return hashlib.sha256(msgspec.msgpack.encode((self.project_id, self.arguments, place))).digest()[
            :DIGEST_BYTES
        ]
