"""When do segments become one, and where is the work done? Sizes grow geometrically; large ones in a process.

Merging rebuilds, so each event is sealed a logarithmic number of times. A large merge takes seconds of a core and
runs in a process of its own (`python -m libs.index.merge`), which leaves the interpreter of the one that answers
alone.
"""

import os
import subprocess  # nosec B404 # runs this module itself
import sys
from collections.abc import Sequence
from pathlib import Path

from pyroaring import BitMap

from libs import failpoints
from libs.index.calendar import Calendar
from libs.index.rows import concatenate, without
from libs.index.seal import seal
from libs.index.segment import Segment
from libs.index.store import SegmentStore, write
from libs.zones import ZoneInfo

GROWTH = 2
"""A segment is merged with those behind it once it is at most this many times as large as they are together."""
MAX_ROWS = 1 << 23
"""No segment is merged past this: what a merge takes in memory is some 100 bytes a row."""
PROCESS_ROWS = 500_000
"""A merge of more rows runs in a process: it takes longer than starting one."""
NICE = 10
NOTHING_LEFT = 3
"""How a process ends where all events were of customers who are erased."""


def due(segments: Sequence[Segment]) -> tuple[int, int] | None:
    """Return which neighbours, first … end − 1, are to be merged; None where none are.

    They are the longest tail of which each is not much larger than what follows it. Neighbours in order of
    arrival: so events of equal time stay in that order.
    """
    for last in range(len(segments), 1, -1):
        first, rows = last - 1, len(segments[last - 1])
        while (
            first
            and len(segments[first - 1]) <= GROWTH * rows
            and rows + len(segments[first - 1]) <= MAX_ROWS
        ):
            first -= 1
            rows += len(segments[first])
        if last - first > 1:
            return first, last
    return None


def merge(segments: Sequence[Segment], calendar: Calendar, erased: BitMap) -> Segment | None:
    """Make one segment of neighbours without the events of who was erased; None where no other is left."""
    log_rows = (segments[0].head.log_rows[0], segments[-1].head.log_rows[1])
    rows = concatenate([each.rows() for each in segments])
    if erased:
        rows = without(rows, erased)
    if not len(rows):
        return None
    return seal(rows, segments[0].event_type, calendar, log_rows)


def merge_in_process(segments: Sequence[Segment], store: SegmentStore, erased: BitMap) -> Segment | None:
    """Do so with neighbours that have files, in another process; return the segment mapped."""
    name = store.new_name()
    names = [each.name for each in segments]
    command = [sys.executable, "-m", "libs.index.merge", str(store.folder), store.zone, name, *names]
    done = subprocess.run(  # nosec B603 # our own interpreter and files, no shell
        command, input=erased.serialize(), capture_output=True, check=False, start_new_session=True
    )
    if done.returncode == NOTHING_LEFT:
        return None
    if done.returncode:
        store.discard([name])
        said = done.stderr[-500:].decode(errors="replace")
        raise RuntimeError(f"merging in a process ended with {done.returncode}: {said}")
    return store.open(name, verify=False)


def main(folder: str, zone: str, name: str, *names: str) -> int:
    """Merge files of a folder into a new one of it; a bitmap of who was erased comes in. Return the exit code."""
    os.nice(NICE)
    erased = BitMap.deserialize(sys.stdin.buffer.read())
    store = SegmentStore(Path(folder), "", zone, writable=False)
    segments = [store.open(each, verify=False) for each in names]
    whole = merge(segments, Calendar(ZoneInfo(zone)), erased)
    if whole is None:
        return NOTHING_LEFT
    failpoints.hit("merge.process")
    write(Path(folder), name, whole)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
