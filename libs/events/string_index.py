"""Which number has a string that nobody has asked for yet? A mapped file beside a dictionary's table.

A dict of a million strings takes 0.4 s to fill and 140 bytes each; most are not asked for soon. So a start maps
the hashes of those there were when the file was written, and looks a string up there once. A file that is
damaged, old or of another state of the log is left out: then all strings go into the dict.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import structlog

from libs import failpoints
from libs.events.runs import Run, hash_strings, make_run, merge
from libs.storage import arrays
from libs.storage.cover import BARE, Cover

KIND = "dictionary index"
VERSION = 1
"""Of the hash and the run: any change of theirs is a new version."""
LEAST = 1 << 14
"""New strings from which a file is worth writing: as many go into a dict in 6 ms."""
GROWTH = 8
"""A file is written when 1 / this of the strings are new, so each is written a few times in all."""
HASHED_AT_ONCE = 4096
"""Hashing keeps other threads waiting: 0.6 ms."""

log = structlog.get_logger()


class _Meta(msgspec.Struct, array_like=True):
    log_id: str
    count: int


class StringIndex:
    """The file and what it holds: the numbers below `count`, each behind the hash of its string.

    Only the log's one writer may write it, or delete one that is of no use.
    """

    def __init__(
        self, path: Path, log_id: str, seed: int, *, readonly: bool = False, cover: Cover = BARE
    ) -> None:
        self._path = path
        self._cover = cover
        self._log_id = log_id
        self._seed = seed
        self._readonly = readonly
        self._run: Run | None = None
        self.count = 0
        self._base: Run | None = None
        self._base_count = 0
        self.outdated = False
        """Whether strings were dropped that the file still has the hashes of."""

    def open(self, strings: Sequence[str]) -> None:
        """Map the file, where there is one of these strings: the first so many of them."""
        if not self._readonly:
            arrays.clean_temporary(self._path.parent)
        if not self._path.exists():
            return
        try:
            file = arrays.open_arrays(self._path, KIND, VERSION, cover=self._cover)
            meta, run = msgspec.convert(file.meta, _Meta), Run(**file.arrays)
            if meta.log_id != self._log_id or meta.count > len(strings) or not self._fits(run, strings, meta):
                raise arrays.DamagedFileError(f"{self._path} is of another state of the log")
        except arrays.ArrayFileError as error:
            log.warning("dictionary index left out", reason=str(error))
            if not self._readonly:
                self._path.unlink(missing_ok=True)
            return
        self._run = self._base = run
        self.count = self._base_count = meta.count

    def exists(self) -> bool:
        """Say whether there is a file."""
        return self._path.exists()

    def _fits(self, run: Run, strings: Sequence[str], meta: _Meta) -> bool:
        """Say whether the file's last string is this dictionary's: a log may have been put back and gone on."""
        last = strings[meta.count - 1]
        return meta.count - 1 in run.find(hash_strings([last], self._seed, 1))[1]

    def find(self, strings: Sequence[str]) -> list[tuple[int, int]]:
        """Return (place, number) for every number that may be that of some strings: to be compared."""
        if self._run is None:
            return []
        hashes = hash_strings(strings, self._seed, len(strings))
        order = np.argsort(hashes)
        places, numbers = self._run.find(hashes[order])
        return list(zip(order[places].tolist(), numbers.tolist(), strict=True))

    def wanted(self, count: int, *, closing: bool = False) -> bool:
        """Say whether to write the file again, for a dictionary of `count` strings on disk."""
        if self.outdated and self._base:
            return True
        new = count - self._base_count
        return new >= LEAST and new * GROWTH * (8 if closing else 1) >= count

    def write(self, strings: list[str], count: int) -> None:
        """Write the file for the first `count` strings. Raises OSError. What is mapped stays as it is."""
        base, known = (None, 0) if self.outdated else (self._base, self._base_count)
        fresh = strings[known:count]
        hashes = np.empty(len(fresh), np.uint64)
        for first in range(0, len(fresh), HASHED_AT_ONCE):
            some = fresh[first : first + HASHED_AT_ONCE]
            hashes[first : first + len(some)] = hash_strings(some, self._seed, len(some))
        run = make_run(hashes, np.arange(known, count, dtype=np.uint32))
        if base:
            run = merge([base, run])
        self._path.parent.mkdir(exist_ok=True)
        meta = msgspec.to_builtins(_Meta(self._log_id, count))
        failpoints.hit("strings")
        arrays.write(self._path, KIND, VERSION, meta, run.arrays(), cover=self._cover)
        written = arrays.open_arrays(self._path, KIND, VERSION, verify=False, cover=self._cover)
        self._base = Run(**written.arrays)
        self._base_count = count
        self.outdated = False
