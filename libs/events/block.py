"""How does a committed batch look on disk? One block: columns behind a checksummed header.

    magic "CB" · format (1 byte) · 0 · CRC-32 of the rest (4 bytes) · header length (4 bytes) · header
    (msgpack) · the columns as little-endian arrays, each starting at a multiple of 8 bytes

Strings are numbers of the dictionaries. A column names the rows that have it, or none if all have. Reading
makes views, no copies.

    DamagedBlockError       the checksum does not fit, or it is no block
    NewerBlockError         a newer version wrote it
"""

import zlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Kind

MAGIC = b"CB"
FORMAT = 2
PLAIN_FORMAT = 1
"""Of a block without erasures: an older version reads it."""
PREFIX_BYTES = 12
ALIGN = 8
DTYPES: dict[Kind, Any] = {Kind.STRING: np.uint32, Kind.NUMBER: np.float64, Kind.BOOL: np.bool_}
NO_ROWS = np.empty(0, np.uint32)
NOBODY = np.uint32(0xFFFFFFFF)
"""The customer of a row whose event was erased: nothing else is left of it but its place."""


class DamagedBlockError(Exception):
    """The bytes are not what was written."""


class NewerBlockError(Exception):
    """A newer version of Cohort wrote this block."""


@dataclass(frozen=True, slots=True)
class BlockColumn:
    """The values of one attribute (by its number) of one kind.

    `values` is (k,): uint32 dictionary numbers, float64 or bool; `rows` is (k,) uint32, ascending, or None
    where every row has a value.
    """

    attribute: int
    kind: Kind
    values: NDArray[Any]
    rows: NDArray[np.uint32] | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """One commit: events by column, and the customers whose profiles changed.

    `first_row` is the number of events before it in the log and `arrival` the ms instant it was taken in.
    `customers`, `event_types` are (rows,) uint32; `times` (rows,) int64 ms; event id i is
    `event_ids[id_ends[i - 1]:id_ends[i]]`, UTF-8, empty for none; `profiles` is (changed,) uint32. `erased` are
    the customers erased by this commit, ascending, (n,) uint32. A row that was blanked has `NOBODY` as customer.
    """

    revision: int
    first_row: int
    arrival: int
    customers: NDArray[np.uint32]
    event_types: NDArray[np.uint32]
    times: NDArray[np.int64]
    id_ends: NDArray[np.uint32] = field(default_factory=lambda: NO_ROWS)
    event_ids: bytes = b""
    columns: tuple[BlockColumn, ...] = ()
    profiles: NDArray[np.uint32] = field(default_factory=lambda: NO_ROWS)
    erased: NDArray[np.uint32] = field(default_factory=lambda: NO_ROWS)

    @property
    def rows(self) -> int:
        """How many events there are."""
        return len(self.customers)

    @property
    def is_blanked(self) -> bool:
        """Whether some of its events were erased."""
        return bool((self.customers == NOBODY).any())

    def event_id(self, row: int) -> str:
        """Return the event id of a row, "" for none."""
        if not len(self.id_ends):
            return ""
        start = int(self.id_ends[row - 1]) if row else 0
        return self.event_ids[start : int(self.id_ends[row])].decode()

    def all_event_ids(self) -> list[str]:
        """Return the event ids of all rows, "" for none; an empty list where no row has one."""
        text = self.event_ids.decode()
        if len(text) < len(self.event_ids):  # places in bytes are none in a text that is not ASCII
            return [self.event_id(row) for row in range(len(self.id_ends))]
        ends = self.id_ends.tolist()
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class _Header(msgspec.Struct, array_like=True):
    revision: int
    first_row: int
    arrival: int
    lengths: list[int]
    columns: list[tuple[int, int, bool]]
    erased: int = 0
    """How many customers were erased: a last array has them."""


def join_ids(ids: list[str]) -> tuple[NDArray[np.uint32], bytes]:
    """Lay ids behind one another: their ends, (len(ids),) uint32, and the UTF-8 bytes."""
    text = "".join(ids)
    parts: list[str] | list[bytes] = ids if text.isascii() else [event_id.encode() for event_id in ids]
    ends = np.cumsum(np.fromiter(map(len, parts), np.uint32, len(parts)), dtype=np.uint32)
    return ends, text.encode()


def encode(block: Block) -> bytes:
    """Write a block as bytes."""
    arrays: list[Any] = [
        block.customers.astype("<u4", copy=False),
        block.event_types.astype("<u4", copy=False),
        block.times.astype("<i8", copy=False),
        block.id_ends.astype("<u4", copy=False),
        np.frombuffer(block.event_ids, np.uint8),
        block.profiles.astype("<u4", copy=False),
    ]
    shapes = []
    for column in block.columns:
        shapes.append((column.attribute, int(column.kind), column.rows is None))
        arrays.append(NO_ROWS if column.rows is None else column.rows)
        arrays.append(column.values)
    lengths = [len(array) for array in arrays]
    if len(block.erased):
        arrays.append(block.erased.astype("<u4", copy=False))
    header = msgspec.msgpack.encode(
        _Header(block.revision, block.first_row, block.arrival, lengths, shapes, len(block.erased))
    )
    parts = [len(header).to_bytes(4, "little"), header, bytes(-(PREFIX_BYTES + len(header)) % ALIGN)]
    for array in arrays:
        data = np.ascontiguousarray(array).tobytes()
        parts += (data, bytes(-len(data) % ALIGN))
    body = b"".join(parts)
    plain = not len(block.erased) and not block.is_blanked
    return (
        MAGIC + bytes((PLAIN_FORMAT if plain else FORMAT, 0)) + zlib.crc32(body).to_bytes(4, "little") + body
    )


def decode(data: bytes, *, check: bool = True) -> Block:
    """Read a block, as views of `data`. Raises `DamagedBlockError` or `NewerBlockError`.

    Without `check` the checksum is not computed (1 ms a MB): for blocks that were checked before.
    """
    if len(data) < PREFIX_BYTES or data[:2] != MAGIC:
        raise DamagedBlockError("these bytes are no block of events")
    if data[2] > FORMAT:
        raise NewerBlockError(f"block format {data[2]}; this version of Cohort reads up to {FORMAT}")
    if check and zlib.crc32(memoryview(data)[8:]) != int.from_bytes(data[4:8], "little"):
        raise DamagedBlockError("the checksum of a block of events does not fit")
    header, header_bytes = _header(data)
    cursor = _Cursor(data, -(-(PREFIX_BYTES + header_bytes) // ALIGN) * ALIGN, iter(header.lengths))
    customers, types = cursor.take(np.uint32), cursor.take(np.uint32)
    times, id_ends, ids = cursor.take(np.int64), cursor.take(np.uint32), cursor.take(np.uint8)
    profiles = cursor.take(np.uint32)
    columns = []
    for attribute, kind_number, dense in header.columns:
        kind = Kind(kind_number)
        rows, values = cursor.take(np.uint32), cursor.take(DTYPES[kind])
        columns.append(BlockColumn(attribute, kind, values, None if dense else rows))
    return Block(
        header.revision,
        header.first_row,
        header.arrival,
        customers,
        types,
        times,
        id_ends,
        ids.tobytes(),
        tuple(columns),
        profiles,
        cursor.last(np.uint32, header.erased),
    )


def arrival(data: bytes) -> int:
    """Return when a block was taken in, ms, without reading or checking the rest."""
    return _header(data)[0].arrival


def changed(data: bytes) -> tuple[int, NDArray[np.uint32]]:
    """Return the revision of a block and the customers whose profiles changed, a view; the rest is not read."""
    header, header_bytes = _header(data)
    cursor = _Cursor(data, -(-(PREFIX_BYTES + header_bytes) // ALIGN) * ALIGN, iter(header.lengths))
    for dtype in (np.uint32, np.uint32, np.int64, np.uint32, np.uint8):
        cursor.take(dtype)
    return header.revision, cursor.take(np.uint32)


def _header(data: bytes) -> tuple[_Header, int]:
    length = int.from_bytes(data[8:PREFIX_BYTES], "little")
    return msgspec.msgpack.decode(data[PREFIX_BYTES : PREFIX_BYTES + length], type=_Header), length


@dataclass(slots=True)
class _Cursor:
    """Takes one array after the other from the bytes of a block."""

    data: bytes
    offset: int
    lengths: Any

    def take(self, dtype: Any) -> NDArray[Any]:
        return self.last(dtype, next(self.lengths))

    def last(self, dtype: Any, length: int) -> NDArray[Any]:
        if not length:
            return np.empty(0, dtype)
        array = np.frombuffer(self.data, dtype, length, self.offset)
        self.offset += -(-array.nbytes // ALIGN) * ALIGN
        return array
