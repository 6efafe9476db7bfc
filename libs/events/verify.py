"""Is an event log what was written? Every record and file of it, and whether they fit one another.

Reads one committed state, beside a server that goes on writing. What has no checksum of its own (keys, counts) is
compared with what must be so: blocks and lists of strings follow one another without a gap, and no number stands
for a string that is not there.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from libs.events import block as blocks
from libs.events import dictionary, erasures, run_files, sealing, string_index
from libs.events.log import END, IDENTITY, open_environment, split_key
from libs.events.profile import Profile
from libs.storage import arrays
from libs.storage.checked import pack, unpack
from libs.storage.cover import BARE, covering
from libs.storage.environment import Environment
from libs.storage.master_key import MasterKey
from libs.storage.verify import REBUILT, Finding, Given, Step, TableCheck

UNKNOWN = 1 << 32
"""More strings than there can be: how many there are is sealed."""
DICTIONARIES = ("customers", "names", "values")


def check(folder: Path, given: Given) -> Iterator[Step]:
    """Go through the log in a folder. Raises `Absent`, `Corrupt`, `StorageError`.

    Without the master key, sealed profiles and strings are compared with their checksums alone.
    """
    environment = open_environment(folder, readonly=True, home=given.home)
    try:
        with environment.read() as txn:
            yield from _Log(environment, txn).check(given.master)
    finally:
        environment.close()
    yield from _files(folder)


class _Log(TableCheck):
    """The tables of a log."""

    def __init__(self, environment: Environment, txn: Any) -> None:
        super().__init__(environment, txn)
        self._meta = {key: txn.get(key, db=environment.meta) for key in (b"log_id", b"seed", IDENTITY, END)}
        self._lengths = dict.fromkeys(DICTIONARIES, 0)
        self._rows = self._revision = 0

    def check(self, master: MasterKey | None) -> Iterator[Step]:
        """Go through all of them."""
        yield from self.open_vault(master)
        given = (self._meta[b"log_id"] or b"") + (self._meta[b"seed"] or b"")
        if self._meta[IDENTITY] is not None and self._meta[IDENTITY] != pack(given):
            yield self.finding("the log's id or seed")
        for name in DICTIONARIES:
            yield from self.table(name, partial(self._strings, name))
        yield from self.table("blocks", self._block)
        end = (0, 0) if self._meta[END] is None else split_key(self._meta[END])
        if end != (self._rows, self._revision):
            yield self.finding(
                f"the end of the log is said to be {end} and is {(self._rows, self._revision)}"
            )
        yield from self.table("profiles", self._profile)
        yield from self.table(
            "erasures", lambda _, value: msgspec.msgpack.decode(value, type=erasures.Erasure)
        )
        yield from self.table("erased", self._erased)
        yield from self.request_ids()

    def _strings(self, name: str, key: bytes, value: bytes) -> None:
        cover = BARE
        if name == sealing.VALUES:
            cover = covering(self.vault, name)
            if self.is_closed:
                unpack(value)
                self._lengths[name] = UNKNOWN
                return
        first = int.from_bytes(key, "big")
        expected, self._lengths[name] = self._lengths[name], first
        strings = dictionary.decode(value, first, cover)
        self._lengths[name] = first + len(strings)
        if first != expected:
            raise ValueError(f"a list of strings that begins at {first}, where {expected} is next")

    def _block(self, key: bytes, value: bytes) -> None:
        before = self._rows, self._revision + 1
        self._rows, self._revision = split_key(key)
        found = blocks.decode(value)
        self._rows += found.rows
        if (found.first_row, found.revision) != split_key(key) or before != split_key(key):
            raise ValueError(f"a block at {split_key(key)}, where {before} is next")
        highest = {
            "customers": [found.customers[found.customers != blocks.NOBODY], found.profiles],
            "names": [found.event_types, np.array([column.attribute for column in found.columns], np.uint32)],
            "values": [column.values for column in found.columns if column.values.dtype == np.uint32],
        }
        for name, numbers in highest.items():
            if any(len(each) and int(each.max()) >= self._lengths[name] for each in numbers):
                raise ValueError(f"a block with a number of {name} that stands for nothing")

    def _profile(self, key: bytes, value: bytes) -> None:
        data = unpack(value, key)
        if self.is_closed:
            return
        found = msgspec.msgpack.decode(covering(self.vault, sealing.PROFILES).open(data, key), type=Profile)
        names = [*found.strings, *found.numbers, *found.bools]
        if (
            int.from_bytes(key, "big") >= self._lengths["customers"]
            or max(names, default=-1) >= self._lengths["names"]
            or max(found.strings.values(), default=-1) >= self._lengths["values"]
        ):
            raise ValueError("a profile with a number that stands for nothing")

    def _erased(self, key: bytes, value: bytes) -> None:
        if value or int.from_bytes(key, "big") >= self._lengths["customers"]:
            raise ValueError("an erased customer who was never there")


def _files(folder: Path) -> Iterator[Step]:
    """Look at the files kept for a start; a server that writes may replace one meanwhile."""
    named = [folder / "dictionaries" / name for name in DICTIONARIES]
    for path in [each for each in named if each.exists()]:
        yield from _file(path, string_index.KIND, string_index.VERSION)
    runs = folder / "dedupe"
    manifest = runs / run_files.MANIFEST
    if manifest.exists():
        yield from _file(manifest, run_files.MANIFEST_KIND, run_files.VERSION)
    for path in sorted(runs.glob(run_files.PREFIX + "*")):
        yield from _file(path, run_files.KIND, run_files.VERSION)


def _file(path: Path, kind: str, version: int) -> Iterator[Step]:
    """Look at one file of arrays; one that is gone was replaced, and is no damage."""
    try:
        yield arrays.check(path, kind, version)
    except arrays.ArrayFileError as error:
        if path.exists():
            yield Finding(str(path), str(error).removeprefix(f"{path} "), REBUILT)
