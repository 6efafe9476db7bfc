"""How do numpy arrays lie on disk so that a start can map them? Immutable files of named arrays.

    magic "COHA" · format (4 bytes) · XXH3-64 of all that follows (8 bytes) · XXH3-64 of the header (8 bytes)
    · header length (8 bytes) · header (msgpack: kind, version, meta, arrays, whether they are sealed) · the arrays,
    each at a multiple of 64 bytes

Guarantees: a file under its own name is complete and on disk; what is not what was written is noticed, so that
whoever keeps such files may drop one and derive it again. Nothing here is ever the only copy. Under a cover that
seals, each array is sealed by its name, and a start reads and opens it in place of mapping it.

    ArrayFileError
    ├── DamagedFileError       missing, cut short, or not what was written
    └── OtherVersionError      of another kind, version or format, or under another cover
"""

import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from libs import failpoints
from libs.storage.checked import DamagedRecordError
from libs.storage.cover import BARE, Cover

MAGIC = b"COHA"
FORMAT = 1
PREFIX_BYTES = 32
HASHED_FROM = 16
"""Where what the checksum covers begins."""
ALIGN = 64
"""A cache line: what numpy's vector loops like best."""
CHUNK_BYTES = 1 << 20
"""Read or hashed at once: stays in the cache, and lets other threads in (xxh3 does some 10 GB/s)."""
SYNC_BYTES = 8 << 20
"""Brought to disk at a time: ext4 makes the fsync of whoever commits wait for what else is dirty."""
TEMPORARY = ".tmp"


class ArrayFileError(Exception):
    """A file that is of no use. The message names it."""


class DamagedFileError(ArrayFileError):
    """The file is missing, cut short, or not what was written."""


class OtherVersionError(ArrayFileError):
    """The file is of another kind or version than asked for."""


class _Array(msgspec.Struct, array_like=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    """From the end of the header, rounded up to `ALIGN`."""


class _Header(msgspec.Struct, array_like=True):
    kind: str
    version: int
    meta: Any
    arrays: list[_Array]
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """An open file: `arrays` are read-only views of a map that lives as long as one of them, or were sealed.

    `nbytes` is the size of the file.
    """

    path: Path
    meta: Any
    arrays: dict[str, NDArray[Any]]
    nbytes: int


def write(
    path: Path, kind: str, version: int, meta: Any, arrays: Mapping[str, NDArray[Any]], *, cover: Cover = BARE
) -> int:
    """Write a file under its name at once or not at all; return its bytes. It is on disk then.

    `kind` and `version` say what the arrays mean; `meta` is anything msgpack can hold. Array by array, so
    that no second copy of all is in memory. Raises OSError, for instance where the disk is full.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with temporary.open("wb") as file:
            header = _Header(kind, version, meta, _layout(arrays, cover), cover.seals)
            size = _write(file, header, arrays, cover)
            file.flush()
            os.fsync(file.fileno())
        failpoints.hit("file.whole")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    failpoints.hit("file.named")
    sync_folder(path.parent)
    return size


def open_arrays(
    path: Path, kind: str, version: int, *, verify: bool = True, cover: Cover = BARE
) -> ArrayFile:
    """Map a file; what is sealed is read and opened. Raises `DamagedFileError` or `OtherVersionError`.

    With `verify` the checksum is computed first, by ordinary reads: so the map is not resident for it.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header, data_start = _read_header(path, file, kind, version, verify)
            if header.sealed != cover.seals:
                raise OtherVersionError(f"{path} is {'' if header.sealed else 'not '}sealed")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}") from error
    try:
        arrays = {each.name: _view(mapped, each, data_start, cover) for each in header.arrays}
    except ValueError as error:
        raise DamagedFileError(f"{path} is cut short") from error
    except DamagedRecordError as error:
        raise DamagedFileError(f"{path} is not what was written: {error}") from error
    return ArrayFile(path, header.meta, arrays, size)


def check(path: Path, kind: str, version: int) -> int:
    """Compare a file with its checksum, sealed or not; return its bytes. Raises as `open_arrays` does."""
    try:
        with path.open("rb") as file:
            _read_header(path, file, kind, version, verify=True)
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}") from error


def clean_temporary(folder: Path) -> None:
    """Delete what a process that was killed while it wrote has left in a folder. For its one writer."""
    for path in folder.glob("*" + TEMPORARY):
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _layout(arrays: Mapping[str, NDArray[Any]], cover: Cover) -> list[_Array]:
    placed, offset = [], 0
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{name} holds {array.dtype}; a file holds plain numbers and bools")
        placed.append(_Array(name, array.dtype.str, array.shape, offset))
        offset = _aligned(offset + array.nbytes + cover.overhead)
    return placed


def _write(file: IO[bytes], header: _Header, arrays: Mapping[str, NDArray[Any]], cover: Cover) -> int:
    """Write all but the checksum, then the checksum."""
    encoded = msgspec.msgpack.encode(header)
    digest = xxhash.xxh3_64()

    def put(piece: Any) -> None:
        digest.update(piece)
        file.write(piece)
        if file.tell() // SYNC_BYTES > (file.tell() - len(piece)) // SYNC_BYTES:
            file.flush()
            os.fdatasync(file.fileno())

    file.write(bytes(HASHED_FROM))
    put(xxhash.xxh3_64_intdigest(encoded).to_bytes(8, "little"))
    put(len(encoded).to_bytes(8, "little"))
    put(encoded)
    put(bytes(_aligned(PREFIX_BYTES + len(encoded)) - PREFIX_BYTES - len(encoded)))
    for number, (name, array) in enumerate(arrays.items()):
        if number == len(arrays) // 2:
            file.flush()
            failpoints.hit("file.half")
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        if cover.seals:
            flat = np.frombuffer(cover.seal(flat.tobytes(), name.encode()), np.uint8)
        for start in range(0, len(flat), CHUNK_BYTES):
            put(flat[start : start + CHUNK_BYTES].data)
        put(bytes(_aligned(len(flat)) - len(flat)))
    size = file.tell()
    file.seek(0)
    file.write(MAGIC + FORMAT.to_bytes(4, "little") + digest.intdigest().to_bytes(8, "little"))
    return size


def _read_header(path: Path, file: IO[bytes], kind: str, version: int, verify: bool) -> tuple[_Header, int]:
    """Return the header and where the arrays begin, having checked what can be without a map."""
    prefix = file.read(PREFIX_BYTES)
    if len(prefix) < PREFIX_BYTES or prefix[:4] != MAGIC:
        raise DamagedFileError(f"{path} is no file of arrays")
    if (found := int.from_bytes(prefix[4:8], "little")) != FORMAT:
        raise OtherVersionError(f"{path} is in format {found}, this version of Cohort reads {FORMAT}")
    if verify and _digest(file) != int.from_bytes(prefix[8:16], "little"):
        raise DamagedFileError(f"{path} is not what was written: its checksum does not fit")
    length = int.from_bytes(prefix[24:], "little")
    if length > os.fstat(file.fileno()).st_size:
        raise DamagedFileError(f"{path} is cut short")
    file.seek(PREFIX_BYTES)
    encoded = file.read(length)
    if xxhash.xxh3_64_intdigest(encoded) != int.from_bytes(prefix[16:24], "little"):
        raise DamagedFileError(f"{path} is not what was written: its header's checksum does not fit")
    header = msgspec.msgpack.decode(encoded, type=_Header)
    if (header.kind, header.version) != (kind, version):
        raise OtherVersionError(f"{path} holds {header.kind} {header.version}, not {kind} {version}")
    return header, _aligned(PREFIX_BYTES + length)


def _digest(file: IO[bytes]) -> int:
    digest = xxhash.xxh3_64()
    for chunk in _chunks(file):
        digest.update(chunk)
    return digest.intdigest()


def _chunks(file: IO[bytes]) -> Iterator[memoryview]:
    """Yield what a file holds behind the old checksum; each piece is good until the next."""
    file.seek(HASHED_FROM)
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while read := file.readinto(buffer):  # type: ignore[attr-defined]
        yield buffer[:read]


def _view(mapped: mmap.mmap, array: _Array, data_start: int, cover: Cover) -> NDArray[Any]:
    dtype, count = np.dtype(array.dtype), 1
    for length in array.shape:
        count *= length
    place = data_start + array.offset
    if cover.seals:
        sealed = mapped[place : place + count * dtype.itemsize + cover.overhead]
        return np.frombuffer(cover.open(sealed, array.name.encode()), dtype).reshape(array.shape)
    if count == 0:
        empty = np.empty(array.shape, dtype)
        empty.flags.writeable = False
        return empty
    return np.frombuffer(mapped, dtype, count, place).reshape(array.shape)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGN) * ALIGN
