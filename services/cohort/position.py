"""How is a place in a watched cohort's changes written for a client? Opaque, and tied to its cohort."""

import base64
import binascii
import hashlib
import os
import struct
from dataclasses import dataclass

from libs.errors import Invalid

LAYOUT = struct.Struct(">8s8sQI")
"""Which cohort, by hash; which feed; the number of a change; how many customers of it are behind."""
FEED_BYTES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Behind `offset` customers of a change of a feed."""

    feed: bytes
    change: int
    offset: int

    @staticmethod
    def new_feed() -> bytes:
        """Return what names a feed, and no feed of another process or time."""
        return os.urandom(FEED_BYTES)


def write_position(cohort_id: str, place: Place) -> str:
    """Write a place in a cohort's changes."""
    packed = LAYOUT.pack(_print(cohort_id), place.feed, place.change, place.offset)
    return base64.urlsafe_b64encode(packed).decode()


def read_position(cohort_id: str, position: str) -> Place:
    """Read what `write_position` wrote. Raises `Invalid` for what is no position, or of another cohort."""
    try:
        packed = base64.b64decode(position.encode(), altchars=b"-_", validate=True)
        cohort, feed, change, offset = LAYOUT.unpack(packed)
    except (binascii.Error, ValueError, struct.error):
        cohort, feed, change, offset = b"", b"", 0, 0
    if cohort != _print(cohort_id):
        raise Invalid(
            "POSITION_FOREIGN", "this is no position of a watch of this cohort; watch without it", "position"
        )
    return Place(feed, change, offset)


def _print(cohort_id: str) -> bytes:
    return hashlib.sha256(cohort_id.encode()).digest()[:8]
