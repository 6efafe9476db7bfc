"""Are these bytes a bitmap? Asked of bytes that a client sends, before the library in C is given them.

CRoaring reads the portable format without asking whether it is consistent: a container that says it has fewer values
than it has makes it write past what it has set aside. Neighbour: `roaring`, which writes the format.
"""

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index.roaring import ARRAY_MAX, BITSET_BYTES, CONTAINER, COOKIE

RUN_COOKIE = 12347
"""In the low half of the first word where there are run containers; their number less one in the high half."""
NO_OFFSETS = 4
"""With fewer containers than this, and runs among them, offsets are left out."""


def read_bitmap(data: bytes) -> BitMap:
    """Return the bitmap that bytes in the portable format are. Raises ValueError for any others."""
    keys, counts, runs, place = _head(data)
    if len(keys) > 1 and (np.diff(keys) <= 0).any():
        raise ValueError("containers out of order")
    for count, is_runs in zip(counts.tolist(), runs.tolist(), strict=True):
        place = _container(data, place, count, is_runs)
    if place != len(data):
        raise ValueError("bytes left over")
    return BitMap.deserialize(data)


def _head(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], int]:
    """Return keys, numbers of values, which are runs, (containers,) each, and where the first container is."""
    cookie = int.from_bytes(_take(data, 0, 4), "little")
    place = 4
    if cookie & 0xFFFF == RUN_COOKIE:
        containers = (cookie >> 16) + 1
        flags = np.frombuffer(_take(data, place, -(-containers // 8)), np.uint8)
        runs = np.unpackbits(flags, bitorder="little")[:containers].astype(np.bool_)
        place += len(flags)
    elif cookie == COOKIE:
        containers = int.from_bytes(_take(data, place, 4), "little")
        runs = np.zeros(min(containers, CONTAINER), np.bool_)
        place += 4
    else:
        raise ValueError("no bitmap")
    if containers > CONTAINER:
        raise ValueError("too many containers")
    heads = np.frombuffer(_take(data, place, 4 * containers), "<u2").reshape(-1, 2).astype(np.int64)
    place += 4 * containers
    if cookie == COOKIE or containers >= NO_OFFSETS:
        place += len(_take(data, place, 4 * containers))
    return heads[:, 0], heads[:, 1] + 1, runs, place


def _container(data: bytes, place: int, count: int, is_runs: bool) -> int:
    """Check a container; return where it ends."""
    if is_runs:
        size = 4 * int.from_bytes(_take(data, place, 2), "little")
        pairs = np.frombuffer(_take(data, place + 2, size), "<u2").reshape(-1, 2).astype(np.int64)
        ends = pairs[:, 0] + pairs[:, 1]
        if (pairs[1:, 0] <= ends[:-1]).any() or (len(ends) and ends[-1] >= CONTAINER):
            raise ValueError("runs overlap")
        found, end = int((pairs[:, 1] + 1).sum()), place + 2 + size
    elif count <= ARRAY_MAX:
        values = np.frombuffer(_take(data, place, 2 * count), "<u2")
        if (values[1:] <= values[:-1]).any():
            raise ValueError("values out of order")
        found, end = count, place + 2 * count
    else:
        bits = np.frombuffer(_take(data, place, BITSET_BYTES), np.uint8)
        found, end = int(np.bitwise_count(bits).sum(dtype=np.int64)), place + BITSET_BYTES
    if found != count:
        raise ValueError("another number of values than it says")
    return end


def _take(data: bytes, place: int, size: int) -> memoryview:
    if place + size > len(data):
        raise ValueError("cut short")
    return memoryview(data)[place : place + size]
