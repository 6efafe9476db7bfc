"""How does a file take members? The full set, written beside it and put in its place at once.

A reader sees the file of the run before or that of this run, whole, never a part; so does one who looks
after a crash. CSV has a column for every attribute that any member has, so its rows are spooled to disk
first: memory stays flat, whatever the size of the cohort.
"""

import asyncio
import contextlib
import csv
import io
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from services.sync.destinations.base import DeliveryError, Snapshot
from services.sync.members import Member, Profile
from services.sync.model import FileFormat, FileSettings

ID_COLUMN = "customerId"


class Row(msgspec.Struct, frozen=True):
    """A line of a JSON lines file, and what is spooled for CSV."""

    customerId: str  # noqa: N815 - the name on the wire
    data: dict[str, str | float | int | bool]


class FileTarget(Snapshot):
    """A file on this machine."""

    def __init__(self, settings: FileSettings) -> None:
        self._path = Path(settings.path)
        self._format = settings.format

    async def check(self) -> str:
        """Make a file in the folder and remove it."""
        await asyncio.to_thread(self._in_place, lambda stream: None, False)
        return f"{self._path.parent} can be written to"

    async def replace(self, members: AsyncIterator[Sequence[Member]]) -> None:
        """Write all members and put the file in place of the one before."""
        self.attempts += 1
        with _told(self._path), tempfile.TemporaryFile() as spool:
            columns: set[str] = set()
            async for group in members:
                await asyncio.to_thread(_spool, spool, group, columns)
            spool.seek(0)
            if self._format is FileFormat.CSV:
                await asyncio.to_thread(self._in_place, lambda stream: _write_csv(stream, spool, columns))
            else:
                await asyncio.to_thread(self._in_place, lambda stream: stream.writelines(spool))

    def _in_place(self, write: Callable[[BinaryIO], None], keep: bool = True) -> None:
        """Write a file beside ours, fsync it and, to `keep` it, rename it to ours."""
        folder = self._path.parent
        with _told(self._path):
            if self._path.is_dir():
                raise DeliveryError("the path of the file is a folder")
            descriptor, name = tempfile.mkstemp(
                prefix=f".{self._path.name[:64]}.", suffix=".part", dir=folder
            )
            try:
                with open(descriptor, "wb") as stream:
                    write(stream)
                    stream.flush()
                    with contextlib.suppress(FileNotFoundError):  # a new file is its owner's alone
                        os.fchmod(stream.fileno(), stat.S_IMODE(self._path.stat().st_mode))
                    os.fsync(stream.fileno())
                if keep:
                    os.replace(name, self._path)
                    _sync_folder(folder)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says into what a person reads."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DeliveryError(f"the file cannot be written in {path.parent}: {reason}") from None


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _spool(spool: BinaryIO, group: Iterable[Member], columns: set[str]) -> None:
    for member in group:
        columns.update(member.profile)
        spool.write(msgspec.json.encode(Row(member.entry.customer_id, dict(member.profile))) + b"\n")


def _write_csv(stream: BinaryIO, spool: Iterable[bytes], columns: set[str]) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    writer = csv.writer(text)
    names = sorted(columns)
    writer.writerow([ID_COLUMN, *(f"data.{name}" if name == ID_COLUMN else name for name in names)])
    decoder = msgspec.json.Decoder(Row)
    for line in spool:
        row = decoder.decode(line)
        writer.writerow([row.customerId, *_cells(row.data, names)])
    text.flush()
    text.detach()


def _cells(profile: Profile, names: Sequence[str]) -> Iterator[str]:
    """Yield the cells of a row: empty where the attribute is missing, true and false for bools."""
    for name in names:
        value = profile.get(name, "")
        yield str(value).lower() if isinstance(value, bool) else str(value)
