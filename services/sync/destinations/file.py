"""How does a file take members? The full set, in place of the one of the run before, whole.

A reader sees the file of the run before or that of this run, never a part; so does one who looks after a crash.
Neighbours: `file_formats` (how it looks), `file_places` (where it goes).
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from typing import BinaryIO

from libs import blocking
from services.sync.destinations import file_formats
from services.sync.destinations.base import Snapshot
from services.sync.destinations.file_places import place_of, told
from services.sync.members import Member
from services.sync.model import FileSettings


class FileTarget(Snapshot):
    """A file on this machine, or where an fsspec URL says."""

    def __init__(self, settings: FileSettings) -> None:
        self._place = place_of(settings.path)
        self._format = settings.format

    async def check(self) -> str:
        """Write where the file goes and clean up."""
        file_formats.check(self._format)
        return await blocking.call(self._place.check)

    async def remove(self, customer_ids: frozenset[str]) -> None:
        """Write the file anew without some customers, and put it in place of the one before."""
        self.attempts += 1
        file_formats.check(self._format)

        def rewrite(source: BinaryIO, stream: BinaryIO) -> None:
            file_formats.leave_out(source, stream, self._format, customer_ids)

        await blocking.call(lambda: self._place.rewrite(rewrite))

    async def replace(self, members: AsyncIterator[Sequence[Member]]) -> None:
        """Write all members and put the file in place of the one before."""
        self.attempts += 1
        file_formats.check(self._format)
        kinds: file_formats.Kinds = {}
        with told("there is no room to prepare the file"), tempfile.TemporaryFile() as spool:
            async for group in members:
                await asyncio.to_thread(file_formats.spool, spool, group, kinds)
            spool.seek(0)
            await blocking.call(
                lambda: self._place.put(lambda stream: file_formats.write(stream, self._format, spool, kinds))
            )
