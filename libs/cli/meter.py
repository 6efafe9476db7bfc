"""How far is something that reads or writes many bytes? A bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from typing import Any, Self

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from libs.cli.output import console, note
from libs.cli.status import size

LINE_SECONDS = 3.0


class Meter:
    """Tells on stderr how many of `total` bytes are done."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._told = time.monotonic()
        self._what = ""
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console(stderr=True))
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        return self

    def at(self, what: str) -> None:
        """Say what is being done from now on."""
        self._what = what
        if self._bar:
            self._bar.update(self._task, description=what)

    def add(self, done: int) -> None:
        """Count bytes that are done."""
        self._done += done
        if self._bar:
            self._bar.update(self._task, completed=min(self._done, self._total))
        elif time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            note(f"{self._what}: {size(self._done) or 'nothing'} of about {size(self._total)}")

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.update(self._task, completed=self._total)
            self._bar.stop()
