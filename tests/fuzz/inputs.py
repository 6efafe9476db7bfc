"""Does any input crash, hang or swell a server, or fail it otherwise than by a fault? `make fuzz-input N=1000000`.

So many executions over all targets of `tests.fuzz.targets`, guided by coverage, and a third as many again of what was
found interesting, to see how memory grows. Prints a table, and exits 1 with the findings where there are any.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.fuzz.targets import MODULES

LONGEST_SECONDS = 3 * 3600
REPLAYED = 3
"""One in so many executions is replayed for memory."""
MOST_GROWTH = 32 << 20
"""Bytes by which memory may grow in a replay before it is a finding: what an allocator does not give back."""
TAIL = 4_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target; `finding` is empty where nothing did."""

    name: str
    executions: int
    seconds: float
    errors: dict[str, int]
    corpus: int
    growth: int
    finding: str


def run(name: str, runs: int, folder: Path) -> Outcome:
    """Fuzz and replay one target, each in a process of its own."""
    started = time.monotonic()
    finding = _process(name, runs, folder)
    seconds = time.monotonic() - started
    if not finding:
        finding = _process(name, max(runs // REPLAYED, 1), folder, "replay")
    counted = _read(folder / f"{name}.json", {"executions": 0, "errors": {}})
    growth = int(_read(folder / f"{name}-growth", 0))
    if not finding and growth > MOST_GROWTH:
        finding = f"memory grew by {growth >> 20} MiB"
    corpus = len(list((folder / "corpus" / name).glob("*")))
    return Outcome(name, counted["executions"], seconds, counted["errors"], corpus, growth, finding)


def _process(name: str, runs: int, folder: Path, *more: str) -> str:
    """Run one target; return what it found, in words."""
    command = [sys.executable, "-m", "tests.fuzz.one", name, str(runs), str(folder), *more]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "never ended"
    said = (ended.stdout + ended.stderr).decode(errors="replace")
    return "" if ended.returncode == 0 else f"exit code {ended.returncode}:\n{said[-TAIL:]}"


def _read(file: Path, default: Any) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else default


def table(outcomes: list[Outcome]) -> Table:
    """Write a table of outcomes."""
    written = Table(
        "target", "executions", "a second", "refused for", "inputs kept", "growth, MiB", "findings"
    )
    for one in outcomes:
        written.add_row(
            one.name,
            f"{one.executions:,}",
            f"{one.executions / max(one.seconds, 0.001):,.0f}",
            f"{len(one.errors)} reasons",
            f"{one.corpus:,}",
            f"{one.growth / (1 << 20):.1f}",
            "1" if one.finding else "0",
        )
    total = sum(one.executions for one in outcomes)
    written.add_row("all", f"{total:,}", "", "", "", "", str(sum(bool(one.finding) for one in outcomes)))
    return written


def main() -> None:
    """Fuzz all targets, or those named."""
    parser = argparse.ArgumentParser(prog="make fuzz-input", description=__doc__)
    parser.add_argument("executions", type=int, help="how many, over all targets")
    parser.add_argument("targets", nargs="*", help=f"which: {', '.join(MODULES)}; all of them by default")
    parser.add_argument("--folder", type=Path, default=None, help="where findings and corpora stay")
    options = parser.parse_args()
    chosen = options.targets or list(MODULES)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="cohort-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    console, outcomes = Console(width=120), []
    for name in chosen:
        outcomes.append(run(name, -(-options.executions // len(chosen)), folder))
        one = outcomes[-1]
        console.print(
            f"{name}: {one.executions:,} executions, {one.seconds:,.0f} s", one.finding, markup=False
        )
    console.print(table(outcomes))
    if any(one.finding for one in outcomes):
        console.print(f"findings are in {folder}; repeat one: python -m tests.fuzz.one TARGET FILE {folder}")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
