"""Are projects and API keys what was written? Every record of their environment."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.storage.directory import COUNTER, ApiKey, open_environment
from libs.storage.projects import Project
from libs.storage.verify import Given, Step, TableCheck


def check(folder: Path, given: Given) -> Iterator[Step]:
    """Go through the projects and keys in a folder. Raises `Absent`, `Corrupt`, `StorageError`."""
    environment = open_environment(given.home, readonly=True)
    try:
        with environment.read() as txn:
            tables, projects = TableCheck(environment, txn), set[str]()

            def project(key: bytes, value: bytes) -> None:
                found = msgspec.json.decode(value, type=Project)
                projects.add(found.project_id)
                if found.project_id.encode() != key or not found.zone:
                    raise ValueError("a project under another's id")

            def api_key(key: bytes, value: bytes) -> None:
                found = msgspec.json.decode(value, type=ApiKey)
                if found.key_id.encode() != key or (found.project_id and found.project_id not in projects):
                    raise ValueError("a key under another's id, or of no project")

            yield from tables.table("projects", project)
            yield from tables.table("keys", api_key)
            yield from tables.counter(COUNTER)
            yield from tables.request_ids()
    finally:
        environment.close()
