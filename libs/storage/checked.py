"""Is a record what was written? LMDB has no checksums, so records that answers come from carry their own.

    mark (0xC1, a byte that msgpack never writes) · CRC-32 of key and data (4 bytes) · data

A record without the mark is from before there were marks, and is taken as it is. What a page of LMDB says beside
its records (how many there are, where they lie) has no checksum: `cohort verify` counts and compares.
"""

import zlib

MARK = 0xC1
BEGIN = b"\xc1"
PREFIX_BYTES = 5


class DamagedRecordError(Exception):
    """The bytes are not what was written."""


def pack(data: bytes, key: bytes = b"") -> bytes:
    """Return data as it is to be stored under a key; costs 1 us and 1 ms a MB."""
    return BEGIN + zlib.crc32(data, zlib.crc32(key)).to_bytes(4, "little") + data


def unpack(record: bytes, key: bytes = b"") -> bytes:
    """Return the data of a record. Raises `DamagedRecordError`."""
    if not record or record[0] != MARK:
        return record
    data = record[PREFIX_BYTES:]
    if zlib.crc32(data, zlib.crc32(key)) != int.from_bytes(record[1:PREFIX_BYTES], "little"):
        raise DamagedRecordError("its checksum does not fit")
    return data
