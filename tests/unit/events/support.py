"""How do tests of the log make batches? Small ones, one customer and event id a row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from libs.events.batch import Batch, Column, Kind, Strings
from libs.events.commit import Submission
from libs.events.log import EventLog
from libs.events.writer import Writer

DAY_MS = 86_400_000


class StepClock:
    """A clock that stands still until it is stepped; ms."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the present instant."""
        return self.now


def batch(*events: tuple[str, str], brand: str = "acme", event_type: str = "view") -> Batch:
    """Make a batch of (customer, event id) pairs, with a brand each and a price in every second row."""
    rows = len(events)
    half = np.arange(0, rows, 2, dtype=np.uint32)
    return Batch(
        Strings.of([customer for customer, _ in events]),
        Strings.of([event_type] * rows),
        np.arange(rows, dtype=np.int64) * 1000,
        [event_id for _, event_id in events] if any(event_id for _, event_id in events) else None,
        [
            Column("brand", Kind.STRING, Strings.of([brand] * rows)),
            Column("price", Kind.NUMBER, half.astype(np.float64) + 0.5, half),
        ],
    )


def submission(*events: tuple[str, str], request: tuple[str, bytes] | None = None) -> Submission:
    """Make a request of (customer, event id) pairs."""
    return Submission(batch=batch(*events), request=request)


@contextmanager
def written(folder: Path, clock: StepClock, **options: int) -> Iterator[tuple[EventLog, Writer]]:
    """Open a log with its writer."""
    log = EventLog(folder)
    writer = Writer(log, clock, **options)  # type: ignore[arg-type]
    try:
        yield log, writer
    finally:
        writer.close()
        log.close()


def customers(log: EventLog) -> Sequence[str]:
    """Return the customer of each event of a log, in order."""
    from libs.events.log import Position

    found: list[str] = []
    for changes in log.changes(Position()):
        for block in changes.blocks:
            found += log.customers.strings(block.customers.tolist())
    return found
