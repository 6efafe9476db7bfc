"""What does remembering event ids cost? `python -m tests.bench.dedupe [EVENTS]`, with ids and without.

Events go to the writer in batches of 10,000, of 5,000 customers. Processor time, not wall-clock; bytes as on disk.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from libs.events.batch import Batch, Strings
from libs.events.commit import Submission
from libs.events.log import EventLog
from libs.events.writer import Writer

BATCH, CUSTOMERS = 10_000, 5_000
NOW = 1_767_225_600_000


def batch(first: int, *, with_ids: bool) -> Batch:
    """Make a batch whose ids have 18 bytes, none seen before."""
    customers = Strings((np.arange(BATCH) % CUSTOMERS).astype(np.uint32), [f"c{n}" for n in range(CUSTOMERS)])
    types = Strings(np.zeros(BATCH, np.uint32), ["view"])
    ids = [f"event-{number:012d}" for number in range(first, first + BATCH)] if with_ids else None
    return Batch(customers, types, np.full(BATCH, NOW), ids)


def measure(events: int, *, with_ids: bool) -> tuple[float, float, float, float]:
    """Return µs and bytes of the log an event, bytes of files of ids an event, and s of processor time of a start."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = EventLog(folder)
        writer = Writer(log, lambda: NOW)
        began = time.process_time()
        for first in range(0, events, BATCH):
            writer.submit(Submission(batch=batch(first, with_ids=with_ids))).result()
        spent = time.process_time() - began
        writer.close()
        log_bytes = log.environment.disk_bytes()
        id_bytes = sum(path.stat().st_blocks * 512 for path in (folder / "dedupe").iterdir())
        log.close()
        began = time.process_time()
        log = EventLog(folder)
        writer = Writer(log, lambda: NOW)
        start = time.process_time() - began
        writer.close()
        log.close()
    return spent / events * 1e6, log_bytes / events, id_bytes / events, start


def main(events: int = 2_000_000) -> None:
    """Print a table."""
    print(f"{events:,} events          µs/event  log B/event  ids B/event  start s")
    for with_ids in (False, True):
        figures = measure(events, with_ids=with_ids)
        print(
            f"{'with ids' if with_ids else 'without':20}" + "".join(f"{figure:12.2f}" for figure in figures)
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
