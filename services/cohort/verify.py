"""Are the saved cohorts what was written? Every record, and whether names, lists and cohorts fit one another."""

from collections.abc import Iterator
from pathlib import Path

from libs.storage.environment import Environment
from libs.storage.verify import Step, TableCheck
from services.cohort.store import CHUNK_NUMBER_BYTES, TABLES, VERSION, decode, decode_ids


def check(folder: Path) -> Iterator[Step]:
    """Go through the cohorts in a folder. Raises `Absent`, `Corrupt`, `StorageError`."""
    environment = Environment(folder, "saved cohorts", VERSION, TABLES, readonly=True)
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
