"""A log's writer in a process of its own, to be killed: `python -m tests.faults.log_process FOLDER`.

Sends batches from the first on until it is killed, and prints each once it is answered: its number, and how
many of its events were duplicates. Files are kept far more often than a server keeps
them, so that a kill meets them at any moment.
"""

import sys
from pathlib import Path

from libs.clock import system_clock
from libs.events import dedupe, string_index
from libs.events.commit import Submission
from libs.events.log import EventLog
from libs.events.writer import Writer
from tests.unit.events.support import submission

ROWS = 7
KEPT_ROWS = 20
BUFFER_IDS = 16


def keep_often() -> None:
    """Bring ids and strings to disk every few commits."""
    dedupe.KEPT_ROWS, dedupe.BUFFER_IDS = KEPT_ROWS, BUFFER_IDS
    string_index.LEAST = KEPT_ROWS


def make_batch(number: int) -> Submission:
    """Return a batch: of customers that come again, and of one that is new."""
    first = number * ROWS
    rows = [(f"c{row % 50}" if row % ROWS else f"new {row}", f"e{row}") for row in range(first, first + ROWS)]
    return submission(*rows)


def main(folder: str) -> None:
    """Send until killed."""
    keep_often()
    writer = Writer(EventLog(Path(folder)), system_clock)
    number = 0
    while True:
        receipt = writer.submit(make_batch(number)).result()
        print(number, receipt.duplicates, flush=True)
        number += 1


if __name__ == "__main__":
    main(sys.argv[1])
