"""How does a deleted key leave the branch pages of a table? The table is written anew, in one transaction.

LMDB copies a key into a branch page when it splits a page below, and leaves the copy there when the key is deleted:
one key in 75 of 30 bytes or so. Nothing may be overwritten there, as every search passes it. So where a branch page
has a key that the table has no more, all records of the table are put, in order, into another one and back.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from libs.storage.trees import separators

COPY = b"renewing"
"""The table that holds the records meanwhile: within the transaction, so nobody ever sees it."""


def renew(environment: Any, txn: Any, path: Path, tables: Mapping[str, Any]) -> list[str]:
    """Write those tables anew, by name with their handles, whose branch pages hold deleted keys; return which.

    `txn` is the write transaction, nothing written in it so far. Raises `UnknownFormat`, lmdb.Error.
    """
    found = separators(path, txn.id() - 1, {name.encode() for name in tables})
    stale = [
        name
        for name, table in tables.items()
        if any(txn.get(key, db=table) is None for key in found.get(name.encode(), ()))
    ]
    for name in stale:
        copy = environment.open_db(COPY, txn=txn)
        _copy(txn, tables[name], copy)
        txn.drop(tables[name], delete=False)
        _copy(txn, copy, tables[name])
        txn.drop(copy)
    return stale


def _copy(txn: Any, source: Any, target: Any) -> None:
    with txn.cursor(source) as records, txn.cursor(target) as writing:
        writing.putmulti(records.iternext(), append=True)
