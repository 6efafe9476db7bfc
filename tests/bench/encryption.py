"""What does sealing profiles cost? `python -m tests.bench.encryption [CUSTOMERS]`, beside profiles that lie bare.

Customers are upserted in batches of 1,000, each with an e-mail address, a name, a town and two numbers, and then once
more with another number. Processor time, not wall-clock; bytes as on disk. The last line seals what lay bare.
"""

import sys
import tempfile
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from libs.engine import Engine
from libs.events.batch import Upsert
from libs.events.commit import Submission
from libs.events.log import EventLog
from libs.index.calendar import Calendar
from libs.logs import Level, configure
from libs.storage.master_key import Masters

BATCH = 1_000
NOW = 1_767_225_600_000
LINE = "{:16}{:>12}{:>14}{:>12}{:>18}"


def opened(folder: Path, *, encrypt: bool) -> Engine:
    """Open the engine over a log in a folder."""
    log = EventLog(folder / "log", masters=Masters(folder), encrypt=encrypt)
    return Engine(log, Calendar(ZoneInfo("UTC")), lambda: NOW, writable=True)


def upserts(first: int, score: float) -> list[Upsert]:
    """Make a batch of customers' data."""
    return [
        Upsert(
            f"customer-{number}",
            {
                "email": f"person.{number}@mail.example",
                "firstName": f"name-{number % 5_000}",
                "city": f"town-{number % 300}",
                "age": float(number % 80),
                "score": score + number,
            },
        )
        for number in range(first, first + BATCH)
    ]


def measure(folder: Path, customers: int, *, encrypt: bool) -> list[str]:
    """Return µs an upsert, bytes a customer, s of a start, and s of one without the files that spare it reading."""
    engine = opened(folder, encrypt=encrypt)
    began = time.process_time()
    for score in (0.0, 0.5):
        for first in range(0, customers, BATCH):
            engine.append(Submission(upserts=upserts(first, score))).result()
            engine.snapshot()
    spent = (time.process_time() - began) / customers / 2 * 1e6
    engine.close()
    size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file()) / customers
    starts = [start(folder)]
    for name in ("index/profiles", "dictionaries/values", "dictionaries/customers"):
        (folder / "log" / name).unlink(missing_ok=True)
    starts.append(start(folder))
    return [f"{spent:.1f}", f"{size:.0f}", *(f"{seconds:.2f}" for seconds in starts)]


def start(folder: Path, *, encrypt: bool = False) -> float:
    """Return the s of processor time that a start takes."""
    began = time.process_time()
    engine = opened(folder, encrypt=encrypt)
    engine.snapshot()
    spent = time.process_time() - began
    engine.close()
    return spent


def main(customers: int = 200_000) -> None:
    """Print a table."""
    configure(Level.ERROR)
    with tempfile.TemporaryDirectory() as bare, tempfile.TemporaryDirectory() as sealed:
        print(LINE.format(f"{customers:,}", "µs/upsert", "B/customer", "start s", "without files s"))
        print(LINE.format("bare", *measure(Path(bare), customers, encrypt=False)))
        print(LINE.format("sealed", *measure(Path(sealed), customers, encrypt=True)))
        print(f"sealing what lay bare, at a start: {start(Path(bare), encrypt=True):.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
