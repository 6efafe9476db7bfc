"""Are the files of an index what was written? The manifest, the segments it names, and the table of profiles."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.index import profile_store, store
from libs.storage import arrays
from libs.storage.verify import REBUILT, Finding, Given, Step

TRIES = 5
"""A server that writes may replace what the manifest names while it is read."""


def check(folder: Path, given: Given) -> Iterator[Step]:
    """Go through the index in a folder; there may be none."""
    path = folder / store.MANIFEST_NAME
    for last in range(1, TRIES + 1):
        if not path.exists():
            break
        before = path.stat()
        findings = []
        for step in _segments(folder, path):
            if isinstance(step, int):
                yield step
            else:
                findings.append(step)
        now = path.stat()
        if (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns) or last == TRIES:
            yield from findings
            break
    path = folder / profile_store.NAME
    if path.exists():
        yield from _file(path, profile_store.KIND, profile_store.VERSION)


def _segments(folder: Path, path: Path) -> Iterator[Step]:
    try:
        found = arrays.open_arrays(path, store.MANIFEST, store.VERSION)
        manifest = msgspec.convert(found.meta, store.Manifest)
    except (arrays.ArrayFileError, msgspec.ValidationError) as error:
        yield Finding(str(path), str(error).removeprefix(f"{path} "), REBUILT)
        return
    yield found.nbytes
    for entry in manifest.entries:
        yield from _file(folder / entry.name, store.SEGMENT, store.VERSION)


def _file(path: Path, kind: str, version: int) -> Iterator[Step]:
    try:
        yield arrays.check(path, kind, version)
    except arrays.ArrayFileError as error:
        yield Finding(str(path), str(error).removeprefix(f"{path} "), REBUILT)
