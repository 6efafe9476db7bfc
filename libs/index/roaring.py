"""How does an array become a bitmap, fast? The one module that knows the portable roaring format.

pyroaring has no buffer path: `BitMap(array)` iterates. Writing the portable format in numpy and deserialising
it is 10 to 100 times faster (tests/bench shows by how much). Format: https://github.com/RoaringBitmap/RoaringFormatSpec
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.index import kernels

COOKIE = 12346
"""No run containers."""
CONTAINER = 1 << 16
"""Values a container spans."""
ARRAY_MAX = 4096
"""The most values a container holds as an array; with more it is a bitset of 8 KiB."""
BITSET_BYTES = CONTAINER // 8
CONTAINER_WORDS = CONTAINER // 64


def from_sorted(values: NDArray[np.uint32]) -> BitMap:
    """Build a bitmap from ascending, distinct values, (n,) uint32."""
    if not len(values):
        return BitMap()
    keys = values >> np.uint32(16)
    starts = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1))
    counts = np.diff(starts, append=len(values))
    low = values.astype(np.uint16)
    if counts.max() <= ARRAY_MAX:
        return _assemble(keys[starts], counts, [low])
    containers = []
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        part = low[start : start + count]
        containers.append(part if count <= ARRAY_MAX else _bitset(part))
    return _assemble(keys[starts], counts, containers)


def from_values(values: NDArray[np.uint32]) -> BitMap:
    """Build a bitmap from values in any order, repeats allowed, (n,) uint32."""
    if not len(values):
        return BitMap()
    ordered = np.sort(values)
    distinct = np.empty(len(ordered), np.bool_)
    distinct[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=distinct[1:])
    return from_sorted(ordered[distinct])


def from_mask(mask: NDArray[np.bool_], first: int = 0) -> BitMap:
    """Build the bitmap of the places where a mask, (n,) bool, is true. `first`, the value of its first place,
    is a multiple of 65,536.
    """
    words = empty_bits(len(mask))
    words.view(np.uint8)[: -(-len(mask) // 8)] = np.packbits(mask, bitorder="little")
    return from_bits(words, first)


def empty_bits(size: int) -> NDArray[np.uint64]:
    """Return bits for the values below `size`, none of them set: (words,) uint64, whole containers of 1,024."""
    return np.zeros(-(-size // CONTAINER) * CONTAINER_WORDS, np.uint64)


def from_bits(words: NDArray[np.uint64], first: int = 0) -> BitMap:
    """Build the bitmap of the bits set in whole containers of words, (1,024 n,) uint64; `first` as for a mask.

    It takes 15 µs, and as many more for each million values, full or not.
    """
    counts = np.bitwise_count(words).reshape(-1, CONTAINER_WORDS).sum(axis=1, dtype=np.int64)
    held = np.flatnonzero(counts)
    sizes = np.minimum(counts, ARRAY_MAX)  # in two bytes; a bitset has as many as the largest array
    head = 4 + 4 * len(held)
    ends = head + np.cumsum(sizes)
    if not len(held):
        return BitMap()
    written = np.empty(int(ends[-1]), "<u2")
    written[:4].view("<u4")[:] = COOKIE, len(held)
    keys = written[4 : 4 + 2 * len(held)].reshape(-1, 2)
    keys[:, 0] = held + (first >> 16)
    keys[:, 1] = counts[held] - 1
    starts = ends - sizes
    written[4 + 2 * len(held) : head].view("<u4")[:] = starts[held] * 2
    kernels.fill_containers(words, counts, starts, written)
    return BitMap.deserialize(cast(bytes, written.view(np.uint8)))  # it takes any buffer


def to_array(bitmap: BitMap) -> NDArray[np.uint32]:
    """Return the values of a bitmap, ascending, (n,) uint32."""
    return np.frombuffer(bitmap.to_array(), np.uint32)


def union(bitmaps: Sequence[BitMap]) -> BitMap:
    """Unite bitmaps into a new one; of none, an empty one."""
    if not bitmaps:
        return BitMap()
    return BitMap.union(*bitmaps) if len(bitmaps) > 1 else bitmaps[0].copy()


def _bitset(low: NDArray[np.uint16]) -> NDArray[np.uint8]:
    bits = np.zeros(CONTAINER, np.bool_)
    bits[low] = True
    return np.packbits(bits, bitorder="little")


def _assemble(keys: NDArray[np.uint32], counts: NDArray[np.int64], containers: list[NDArray[Any]]) -> BitMap:
    """Write the portable format: cookie, number of containers, their keys and counts, offsets, contents."""
    if not len(keys):
        return BitMap()
    heads = np.empty((len(keys), 2), "<u2")
    heads[:, 0] = keys
    heads[:, 1] = counts - 1
    sizes = np.where(counts > ARRAY_MAX, BITSET_BYTES, counts * 2)
    offsets = np.cumsum(sizes) - sizes + 8 + 8 * len(keys)
    parts = [
        COOKIE.to_bytes(4, "little"),
        len(keys).to_bytes(4, "little"),
        heads.tobytes(),
        offsets.astype("<u4").tobytes(),
        *(container.tobytes() for container in containers),
    ]
    return BitMap.deserialize(b"".join(parts))
