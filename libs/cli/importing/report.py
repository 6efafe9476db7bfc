"""What does an import say while it runs and at the end? Progress with a rate, and what was rejected."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from libs.cli.errors import Failed
from libs.cli.importing.sender import SHOWN_REJECTS, Tally
from libs.cli.importing.table import Reject
from libs.cli.output import console, count, note, say, show_table

LINE_SECONDS = 3.0
"""How often progress is told where no terminal shows a bar."""


class Rate(ProgressColumn):
    """Rows a second since the start."""

    def render(self, task: Task) -> Text:
        """Write the rate."""
        return Text(f"{task.completed / (task.elapsed or 1):,.0f} rows/s")


class Report:
    """Tells of one import on stderr: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(
        self,
        name: str,
        total: int,
        rejects: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._total = total
        self._rejects = rejects
        self._clock = clock
        self._started = self._told = clock()
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate())
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console(stderr=True))
            self._task = self._bar.add_task(self._name, total=self._total)
            self._bar.start()
        self._started = self._told = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def batch(self, tally: Tally, rejects: list[Reject]) -> None:
        """Take note of a batch that is done."""
        if self._rejects is not None:
            for one in rejects:
                self._rejects.write(json.dumps(asdict(one)) + "\n")
        if self._bar is not None:
            self._bar.update(self._task, completed=tally.rows)
            return
        now = self._clock()
        if now - self._told >= LINE_SECONDS:
            self._told = now
            part = f"{count(tally.rows)} of {count(self._total)}"
            note(f"{self._name}: {part} rows, {tally.rows / (now - self._started):,.0f} rows/s")

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return max(self._clock() - self._started, 1e-6)


def show_outcome(tally: Tally, seconds: float, what: str) -> None:
    """Print what became of the rows of a file."""
    said = [f"{count(tally.accepted, what)} imported"]
    if tally.duplicates:
        said.append(f"{count(tally.duplicates)} there before")
    if tally.rejected:
        said.append(f"{count(tally.rejected, 'row')} rejected")
    say(f"{', '.join(said)}: {seconds:.1f} s, {tally.rows / seconds:,.0f} rows/s")
    if not tally.rejected:
        return
    for reason, number in tally.reasons.most_common():
        say(f"  {reason}: {count(number, 'row')}")
    rows = [[str(one.row), one.field, one.message] for one in tally.first_rejects]
    show_table([">row", "field", "what is wrong"], rows)
    if tally.rejected > SHOWN_REJECTS:
        say(f"… and {count(tally.rejected - SHOWN_REJECTS)} more: --rejects FILE writes them all")


def outcome_json(tally: Tally, seconds: float) -> str:
    """Return what became of the rows as one JSON object."""
    outcome = {
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "rejected": tally.rejected,
        "rejectedByReason": dict(tally.reasons),
        "firstRejected": [asdict(one) for one in tally.first_rejects],
        "revision": tally.revision,
        "seconds": round(seconds, 3),
    }
    return json.dumps(outcome)


def exit_unless_any_kept(tally: Tally) -> None:
    """Fail an import of which every single row was rejected."""
    if tally.rejected and tally.rejected == tally.rows:
        raise Failed(f"all {count(tally.rejected, 'row')} were rejected", exit_code=2)
