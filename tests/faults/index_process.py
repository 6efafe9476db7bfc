"""A process that sends batches to an engine until it is killed: `python -m tests.faults.index_process FOLDER SEED`.

It seals every few events and merges in processes, so that a kill at any moment finds something half done.
"""

import sys
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from libs.engine import Engine
from libs.events.batch import Batch, Column, Kind, Strings
from libs.events.commit import Submission
from libs.events.log import EventLog
from libs.index import sealer
from libs.index.calendar import Calendar

NOW = 1_782_842_400_000
DAY = 86_400_000
ROWS = 60


def open_engine(folder: Path, seal_rows: int = 100) -> Engine:
    """Open the engine of a folder."""
    return Engine(
        EventLog(folder), Calendar(ZoneInfo("UTC")), lambda: NOW, writable=True, seal_rows=seal_rows
    )


def batch(seed: int) -> Batch:
    """Return events of three types, with a string and a number."""
    random = np.random.default_rng(seed)
    columns = [
        Column("brand", Kind.STRING, Strings.of(random.choice(["a", "b", "c"], ROWS).tolist())),
        Column("price", Kind.NUMBER, random.integers(0, 9, ROWS).astype(np.float64)),
    ]
    customers = Strings.of(f"c{each}" for each in random.integers(0, 200, ROWS).tolist())
    types = Strings.of(random.choice(["view", "cart", "purchase"], ROWS).tolist())
    return Batch(customers, types, NOW - random.integers(0, 90 * DAY, ROWS), None, columns)


def main(folder: str, seed: str) -> None:
    """Send until killed, saying what was acknowledged."""
    sealer.PROCESS_ROWS = 1_000
    engine = open_engine(Path(folder))
    for number in count(int(seed)):
        engine.append(Submission(batch=batch(number))).result()
        engine.snapshot()
        print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
