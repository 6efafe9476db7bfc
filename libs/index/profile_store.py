"""Where do profiles stay over a restart? One mapped file: the columns of all, and the revision they are of.

The writing process replaces it in the background when much has changed since. A start maps it and reads what
changed later from the log; one that is damaged, of another version or of another state of the log is left out,
and all profiles are read from the log.
"""

from pathlib import Path

import msgspec
import structlog

from libs import failpoints
from libs.events.keeper import Keeper
from libs.events.log import Position
from libs.index.profiles import ProfileTable, ProfileView, dump
from libs.storage import arrays
from libs.storage.cover import BARE, Cover

KIND = "profiles"
VERSION = 1
"""Of the columns and their names: changed with what they mean."""
NAME = "profiles"
CHANGED, SHARE = 1 << 16, 16
"""Written when so many have changed, or 1 / so many of all: reading as many again takes some 2 us each."""
REVISIONS, REVISION_BYTES = 1 << 14, 1 << 12
"""Written when there were so many commits, and one more for so many bytes: looking at one takes some 6 us."""
CLOSING = 16
"""An orderly end writes from 1 / this of either."""

log = structlog.get_logger()


class _Meta(msgspec.Struct, array_like=True):
    log_id: str
    revision: int
    rows: int


class ProfileStore:
    """The file of one log's profiles, under a cover. Only the log's writer may change it (`writable`)."""

    def __init__(self, folder: Path, log_id: str, *, writable: bool, cover: Cover = BARE) -> None:
        self._path = folder / NAME
        self._cover = cover
        self._log_id = log_id
        self._writable = writable
        self._keeper = Keeper()
        self._position = Position()
        self._changes = 0
        self._bytes = 0

    def load(self, end: Position) -> tuple[ProfileTable, Position]:
        """Return the profiles there are and the position they are of; none where there is no file of this log.

        `end` is where the log ends: a file of what is behind it is of another state.
        """
        if self._path.exists():
            try:
                file = arrays.open_arrays(self._path, KIND, VERSION, cover=self._cover)
                meta = msgspec.convert(file.meta, _Meta)
                if meta.log_id != self._log_id or meta.revision > end.revision or meta.rows > end.rows:
                    raise arrays.DamagedFileError(f"{self._path} is of another state of the log")
                self._position = Position(meta.revision, meta.rows)
                return ProfileTable.restore(file.arrays), self._position
            except arrays.ArrayFileError as error:
                log.warning("profiles dropped, read from the log again", reason=str(error))
                if self._writable:
                    self._path.unlink(missing_ok=True)
        return ProfileTable(), Position()

    def offer(self, profiles: ProfileTable, position: Position, *, closing: bool = False) -> None:
        """Have profiles, as they are at a position, written in the background where it is worth it."""
        share = CLOSING if closing else 1
        revisions = (position.revision - self._position.revision) * share
        changes = (profiles.changes - self._changes) * share
        if not self._writable or self._keeper.busy or not revisions:
            return
        if changes < max(CHANGED, len(profiles) // SHARE) and (
            revisions < REVISIONS + self._bytes // REVISION_BYTES
        ):
            return
        view, counted = profiles.view(), profiles.changes
        self._keeper.submit(lambda: self._write(view, position, counted))

    def rewrite(self, view: ProfileView, position: Position, counted: int) -> None:
        """Write profiles, as they are at a position, over a file that has what was since erased. Raises OSError."""

        def write() -> None:
            if self._path.exists():
                self._write(view, position, counted)

        self._keeper.do(write)

    def close(self, profiles: ProfileTable, position: Position) -> None:
        """Write profiles where a start would have much to read otherwise, and end."""
        self._keeper.wait()
        self.offer(profiles, position, closing=True)
        self._keeper.close()

    def _write(self, view: ProfileView, position: Position, counted: int) -> None:
        meta = msgspec.to_builtins(_Meta(self._log_id, position.revision, position.rows))
        failpoints.hit("profiles")
        self._bytes = arrays.write(self._path, KIND, VERSION, meta, dump(view), cover=self._cover)
        self._position, self._changes = position, counted
