"""Where do sealed segments stay over a restart? Mapped files in one folder, named by a manifest.

The writing process seals, writes a file, and then a manifest that names all files and the place in the log they
cover; others map what the manifest names. Nothing here is the truth: what is missing, damaged, of another
version or another log is derived from the log again.
"""

import os
import secrets
from collections.abc import Iterable
from itertools import count
from pathlib import Path

import msgspec
import structlog

from libs import failpoints
from libs.events.log import Position
from libs.index.segment import Head, Segment
from libs.storage import arrays
from libs.storage.arrays import ArrayFileError

log = structlog.get_logger()

SEGMENT, MANIFEST = "segment", "manifest"
VERSION = 1
"""Of segments and manifest alike: changed with what they mean."""
MANIFEST_NAME = "manifest"


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One segment: its file, and the events in it, those of a type among the log rows first … end − 1."""

    name: str
    event_type: int
    first: int
    end: int


class Manifest(msgspec.Struct, array_like=True, frozen=True):
    """The segments there are, in order of arrival by type, and what they cover of which log in which zone."""

    log_id: str
    zone: str
    revision: int
    rows: int
    next_number: int
    entries: list[Entry]

    @property
    def covered(self) -> Position:
        """The position in the log behind what the segments hold."""
        return Position(self.revision, self.rows)


class SegmentStore:
    """The folder of one log's segments. Only the log's writer may change it (`writable`)."""

    def __init__(self, folder: Path, log_id: str, zone: str, *, writable: bool) -> None:
        self.folder = folder
        self.zone = zone
        self.writable = writable
        self._log_id = log_id
        self._numbers = count(1)
        self._token = secrets.token_hex(4)
        self._named: set[str] = set()
        self._seen: tuple[int, int] | None = None
        if writable:
            folder.mkdir(parents=True, exist_ok=True)
            arrays.clean_temporary(folder)

    def manifest(self) -> Manifest | None:
        """Read the manifest; None where there is none of this log and version."""
        path = self.folder / MANIFEST_NAME
        try:
            status = path.stat()
            meta = arrays.open_arrays(path, MANIFEST, VERSION).meta
            found = msgspec.convert(meta, Manifest)
        except FileNotFoundError:
            return None
        except (ArrayFileError, msgspec.ValidationError) as error:
            log.warning("index manifest dropped", reason=str(error))
            return None
        self._seen = (status.st_ino, status.st_mtime_ns)
        self._numbers = count(found.next_number)
        return found if (found.log_id, found.zone) == (self._log_id, self.zone) else None

    def changed(self) -> bool:
        """Say whether there is another manifest than the one read last."""
        try:
            status = os.stat(self.folder / MANIFEST_NAME)
        except OSError:
            return False
        return (status.st_ino, status.st_mtime_ns) != self._seen

    def open(self, name: str, *, verify: bool = True) -> Segment:
        """Map a segment. Raises `ArrayFileError`."""
        found = arrays.open_arrays(self.folder / name, SEGMENT, VERSION, verify=verify)
        try:
            return Segment(msgspec.convert(found.meta, Head), found.arrays, name)
        except (msgspec.ValidationError, KeyError) as error:
            raise arrays.DamagedFileError(f"{name} does not hold a segment: {error}") from error

    def new_name(self) -> str:
        """Return a name no file has had, and none will have.

        A killed server's merge may still be at work beside the next server, which counts on from the same manifest.
        """
        return f"segment-{next(self._numbers):08d}-{self._token}"

    def keep(self, segment: Segment) -> Segment:
        """Write a segment and return it mapped, which frees what it took in memory."""
        name = self.new_name()
        write(self.folder, name, segment)
        return self.open(name, verify=False)

    def commit(self, covered: Position, segments: Iterable[Segment]) -> None:
        """Name the segments there are from now on, then delete those that were named and are no more.

        Who has one mapped keeps what it maps.
        """
        entries = [Entry(each.name, each.event_type, *each.head.log_rows) for each in segments]
        manifest = Manifest(
            self._log_id, self.zone, covered.revision, covered.rows, next(self._numbers), entries
        )
        failpoints.hit("manifest")
        arrays.write(self.folder / MANIFEST_NAME, MANIFEST, VERSION, msgspec.to_builtins(manifest), {})
        failpoints.hit("manifest.named")
        named = {each.name for each in entries}
        for name in self._named - named - {""}:  # that of a segment for which there was no room
            (self.folder / name).unlink(missing_ok=True)
        self._named = named

    def discard(self, names: Iterable[str]) -> None:
        """Delete files, whole or begun, that no manifest names."""
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
            (self.folder / (name + arrays.TEMPORARY)).unlink(missing_ok=True)

    def clean(self, segments: Iterable[Segment]) -> None:
        """At a start: delete what a process that was killed has left, all but some segments."""
        self._named = {each.name for each in segments}
        for path in self.folder.glob("segment-*"):
            if path.name not in self._named:
                path.unlink(missing_ok=True)

    def disk_bytes(self) -> int:
        """Return what the files take on disk."""
        return sum(path.stat().st_blocks * 512 for path in self.folder.glob("*"))


def write(folder: Path, name: str, segment: Segment) -> None:
    """Write a segment's file. Raises OSError."""
    arrays.write(folder / name, SEGMENT, VERSION, msgspec.to_builtins(segment.head), segment.arrays)
