"""What is left in an LMDB file of what was deleted? Behind a wipe, nothing: what no page in use holds is zeros.

LMDB never writes over a page in use: a change goes to other pages, and the old ones stay as they were until they
are used again, as does what was deleted from the middle of a page. A copy would leave both behind, but other
processes map the file they have opened. So what is not in use is overwritten where it lies, while the one write
transaction there can be is held: pages that the newest tree does not reach, the gap in the middle of a page, the
rest behind a long value. No reader looks there.

Nothing is written unless all agrees: LMDB's own counts of the pages of every table with the pages found, no page
reached twice, none of them on LMDB's list of free pages, and no reader left that sees an older tree. The format
is read by `libs.storage.trees`.

    WipeError
    ├── Busy               a reader holds an older tree: try again later
    └── UnknownFormat      this is not the format described here: nothing was written
"""

import mmap
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from libs import failpoints
from libs.storage.trees import WipeError, format_errors, newest_tree, page_size, walk_tree

WRITTEN_AT_ONCE = 1 << 20
PATIENCE_SECONDS = 2.0
"""How long to wait for readers of older trees, of other processes; writers wait as long."""


class Busy(WipeError):
    """A reader holds an older tree."""


def wipe(environment: Any, path: Path) -> int:
    """Overwrite what is not in use in the file of an `lmdb.Environment`; return how many bytes that were not zero.

    Writers wait until it is done: the file is read once. For the one process that writes. Raises `WipeError`.
    """
    environment.reader_check()
    with environment.begin(write=True) as txn:
        _wait_for_readers(environment, txn.id() - 1)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)  # goes with the last array over it
            failpoints.hit("wipe")
            with format_errors():
                spans = _unused(data, txn.id() - 1)
            wiped = _overwrite(descriptor, data, spans)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
            txn.abort()
    return wiped


def _wait_for_readers(environment: Any, newest: int) -> None:
    """Return when all readers see the newest tree; who begins later does anyhow. Raises `Busy`."""
    until = time.monotonic() + PATIENCE_SECONDS
    while any(seen < newest for seen in _seen(environment.readers())):
        if time.monotonic() > until:
            raise Busy("a reader holds an older state of the data; a backup, for instance")
        time.sleep(0.002)


def _seen(readers: str) -> list[int]:
    """Return the transactions that active readers see, by LMDB's table of them: pid, thread, transaction."""
    rows = [line.split() for line in readers.splitlines()[1:]]
    return [int(row[2]) for row in rows if len(row) == 3 and row[2] != "-"]


def _unused(data: mmap.mmap, newest: int) -> list[tuple[int, int]]:
    """Return the spans of bytes, first and behind the last, that the tree of a transaction does not use."""
    page_bytes = page_size(data)
    meta = newest_tree(data, newest)
    last = meta[2]
    walk = walk_tree(data, meta)
    edges = np.flatnonzero(np.diff(walk.used.astype(np.int8), prepend=1, append=1)) * page_bytes
    spans = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    spans += [*walk.gaps, ((last + 1) * page_bytes, len(data))]
    # A page that was given out and freed in one transaction is never written: the file may end before the last page.
    return [(first, min(end, len(data))) for first, end in spans]


def _overwrite(descriptor: int, data: mmap.mmap, spans: list[tuple[int, int]]) -> int:
    """Write zeros over such spans as hold anything else; return how many bytes those are."""
    wiped = 0
    for first, end in spans:
        for start in range(first, end, WRITTEN_AT_ONCE):
            size = min(WRITTEN_AT_ONCE, end - start)
            if np.frombuffer(data, np.uint8, size, start).any():
                os.pwrite(descriptor, bytes(size), start)
                failpoints.hit("wipe.some")
                wiped += size
    return wiped
