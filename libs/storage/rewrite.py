"""How do deleted bytes leave a file? Every record is put into a new file, which then takes the old one's place.

LMDB frees pages without clearing them, leaves what was deleted in the gaps of pages it still uses, and copies those
gaps even when it compacts. So records are written anew, in the order of their keys. Costs about 1 s a million
records, and the disk of the live ones. The environment must be closed; a crash leaves the old file or the new one.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import lmdb

COPYING = "rewriting"
"""The folder, within the environment's, in which the new file is written."""
RECORDS_AT_ONCE = 100_000
"""Records a transaction: bounds the memory of its dirty pages."""


def rewrite(folder: Path, map_size: int) -> None:
    """Write the environment of a folder anew. The caller holds its writer's lock. Raises OSError, lmdb.Error.

    `map_size` is its address space, bytes.
    """
    target = folder / COPYING
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    options: dict[str, Any] = {"map_size": map_size, "readahead": False}
    with (
        lmdb.open(os.fspath(folder), readonly=True, lock=False, max_dbs=0, **options) as source,
        source.begin() as txn,
        txn.cursor() as cursor,
    ):
        names = [bytes(name) for name in cursor.iternext(values=False)]
    with (
        lmdb.open(os.fspath(folder), readonly=True, lock=False, max_dbs=len(names), **options) as source,
        lmdb.open(os.fspath(target), max_dbs=len(names), sync=False, **options) as copy,
    ):
        for name in names:
            _copy_table(source, copy, name)
        copy.sync(True)
    _put_in_place(folder, target)


def _copy_table(source: Any, copy: Any, name: bytes) -> None:
    table, into = source.open_db(name, create=False), copy.open_db(name)
    with source.begin(db=table) as txn, txn.cursor() as cursor:
        more = cursor.first()
        while more:
            with copy.begin(write=True, db=into) as writing:
                for _ in range(RECORDS_AT_ONCE):
                    if not writing.put(cursor.key(), cursor.value(), append=True):
                        raise lmdb.Error(f"a key of table {name!r} is out of order")
                    more = cursor.next()
                    if not more:
                        break


def _put_in_place(folder: Path, target: Path) -> None:
    os.replace(target / "data.mdb", folder / "data.mdb")
    shutil.rmtree(target)
    (folder / "lock.mdb").unlink(missing_ok=True)  # it speaks of the readers of the old file
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
