"""Which runs does a start find on disk? A folder of mapped runs, named by a manifest. For the log's one writer.

Each entry of the manifest says which rows of the log it has the ids of, from the oldest on and without a gap.
A run's file is complete before the manifest names it, and goes after the manifest no longer does; so a process
that is killed leaves the old state or the new one. What cannot be read is dropped with all that came later, and
the log gives it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import structlog

from libs import failpoints
from libs.events.log import Position
from libs.events.runs import Run
from libs.storage import arrays

KIND, MANIFEST_KIND = "dedupe run", "dedupe manifest"
VERSION = 1
"""Of the hash, the run and the manifest: any change of theirs is a new version, and what is old is dropped."""
MANIFEST = "manifest"
PREFIX = "run-"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """The ids of the log rows from `first_row` up to `end_row`, which arrived at `latest` (ms) or before.

    `number` names the file; a stretch without any id has neither number nor run.
    """

    first_row: int
    end_row: int
    latest: int
    number: int = 0
    run: Run | None = None

    def __len__(self) -> int:
        """Return how many ids it holds."""
        return len(self.run) if self.run else 0


class _Manifest(msgspec.Struct, array_like=True):
    log_id: str
    revision: int
    entries: list[tuple[int, int, int, int]]


class RunFiles:
    """The folder. `log_id` and `end`, where the log ends, tell a manifest that is of another state of the log.

    `entries` hold the ids of what was committed up to `covered`, so far as they were in the window then.
    """

    def __init__(self, folder: Path, log_id: str, end: Position) -> None:
        self._folder = folder
        self._log_id = log_id
        self.entries: tuple[Entry, ...] = ()
        self.covered = Position()
        folder.mkdir(exist_ok=True)
        arrays.clean_temporary(folder)
        self._last = max(self._numbers(), default=0)
        self._load(end)
        self._delete_unnamed()

    def write(self, entry: Entry, run: Run) -> Entry:
        """Write a run to disk; return the entry with its file, mapped. Raises OSError."""
        self._last += 1
        arrays.write(self._path(self._last), KIND, VERSION, None, run.arrays())
        failpoints.hit("dedupe.run")
        return replace(entry, number=self._last, run=self._open(self._last, verify=False))

    def name(self, entries: Sequence[Entry], revision: int) -> None:
        """Make these the entries a start will find, which hold all ids up to a revision. Raises OSError.

        The files of others are deleted.
        """
        named = [(each.number, each.first_row, each.end_row, each.latest) for each in entries]
        meta = msgspec.to_builtins(_Manifest(self._log_id, revision, named))
        arrays.write(self._folder / MANIFEST, MANIFEST_KIND, VERSION, meta, {})
        failpoints.hit("dedupe.named")
        self.entries = tuple(entries)
        self.covered = Position(revision, entries[-1].end_row if entries else 0)
        self._delete_unnamed()

    def _load(self, end: Position) -> None:
        path = self._folder / MANIFEST
        if not path.exists():
            return
        entries: list[Entry] = []
        try:
            manifest = msgspec.convert(arrays.open_arrays(path, MANIFEST_KIND, VERSION).meta, _Manifest)
            rows = max((end_row for _, _, end_row, _ in manifest.entries), default=0)
            if manifest.log_id != self._log_id or manifest.revision > end.revision or rows > end.rows:
                raise arrays.DamagedFileError(f"{path} is of another state of the log")
            for number, first, end_row, latest in manifest.entries:
                run = self._open(number, verify=True) if number else None
                entries.append(Entry(first, end_row, latest, number, run))
            self.entries, self.covered = tuple(entries), Position(manifest.revision, rows)
        except arrays.ArrayFileError as error:
            log.warning("dedupe files dropped, their ids are read from the log again", reason=str(error))
            self.name(entries, 0)

    def _open(self, number: int, *, verify: bool) -> Run:
        return Run(**arrays.open_arrays(self._path(number), KIND, VERSION, verify=verify).arrays)

    def _delete_unnamed(self) -> None:
        for number in self._numbers() - {entry.number for entry in self.entries}:
            self._path(number).unlink(missing_ok=True)

    def _numbers(self) -> set[int]:
        return {int(path.name.removeprefix(PREFIX)) for path in self._folder.glob(PREFIX + "*")}

    def _path(self, number: int) -> Path:
        return self._folder / f"{PREFIX}{number}"
