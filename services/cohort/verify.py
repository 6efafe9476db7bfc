"""Are the saved cohorts what was written? Every record, and whether names, lists and cohorts fit one another."""

from collections.abc import Iterator
from pathlib import Path

from libs.storage.verify import Given, Step, TableCheck
from services.cohort.store import CHUNK_NUMBER_BYTES, decode, decode_ids, open_environment


def check(folder: Path, given: Given) -> Iterator[Step]:
    """Go through the cohorts in a folder. Raises `Absent`, `Corrupt`, `StorageError`."""
    environment = open_environment(folder, readonly=True, home=given.home)
    try:
        with environment.read() as txn:
            tables, ids = TableCheck(environment, txn), dict[str, str]()

            def cohort(key: bytes, value: bytes) -> None:
                record = decode(value)
                ids[record.cohort_id] = record.name
                if record.cohort_id.encode() != key:
                    raise ValueError("a cohort under another's id")

            def name(key: bytes, value: bytes) -> None:
                if ids.get(value.decode()) != key.decode():
                    raise ValueError("a name of no cohort")

            def listed(key: bytes, value: bytes) -> None:
                decode_ids(value)
                if key[:-CHUNK_NUMBER_BYTES].decode() not in ids:
                    raise ValueError("a list of no cohort")

            yield from tables.table("cohorts", cohort)
            yield from tables.table("cohort_names", name)
            yield from tables.table("static_members", listed)
            yield from tables.request_ids()
    finally:
        environment.close()
