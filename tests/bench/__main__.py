"""How is the benchmark run? `make bench`, `SIZE=1m make bench`, or `python -m tests.bench --help`."""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from libs.engine import Engine
from libs.index.index import SEAL_ROWS
from tests.bench import report
from tests.bench.compare import Measured, measure
from tests.bench.ingest import into_duckdb, over_grpc
from tests.bench.peers import open_peers
from tests.bench.shapes import all_shapes
from tests.bench.store import BATCH_ROWS, Cohort, Loaded, load, restart
from tests.bench.wire import FEED_RATE, measure_wire
from tests.bench.world import EVENTS_PER_CUSTOMER, make_world

SIZES = {"1m": 1_000_000, "10m": 10_000_000, "100m": 100_000_000}
QUICK_ROWS = 20_000
WIRE_SECONDS, LONG_WIRE_SECONDS = 8.0, 40.0


@dataclass(frozen=True)
class Options:
    """What to run. `only` is `engine`, `grpc`, or "" for all; `fast` times each rule once."""

    rows: int
    json: Path
    only: str = ""
    peers: tuple[str, ...] = ("duckdb", "polars", "clickhouse")
    seal_rows: int = SEAL_ROWS
    batch_rows: int = BATCH_ROWS
    wire_seconds: float = WIRE_SECONDS
    feed_rate: int = FEED_RATE
    fast: bool = False


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--size", choices=SIZES, default=os.environ.get("SIZE", "10m"), help="[10m, or $SIZE]"
    )
    parser.add_argument("--quick", action="store_true", help="20,000 events: does everything still run?")
    parser.add_argument("--json", type=Path, help="[bench-results/SIZE.json]")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--grpc", action="store_true", help="only what goes over gRPC, calls for longer")
    mode.add_argument(
        "--engine", action="store_true", help="only Runs in the engine and what keeping events takes"
    )
    given = parser.parse_args(arguments)
    if given.size not in SIZES:
        parser.error(f"SIZE is one of {', '.join(SIZES)}, not {given.size}")
    size = "quick" if given.quick else given.size
    only = "grpc" if given.grpc else "engine" if given.engine else ""
    path = given.json or Path("bench-results") / f"{size}{'-' + only if only else ''}.json"
    if given.quick:
        return Options(
            QUICK_ROWS, path, only, seal_rows=1024, batch_rows=2_000, wire_seconds=2.0, feed_rate=5_000
        )
    return Options(SIZES[size], path, only, wire_seconds=LONG_WIRE_SECONDS if given.grpc else WIRE_SECONDS)


class Run:
    """One run: the same events through every part that is asked for."""

    def __init__(self, options: Options, folder: Path, console: Console) -> None:
        self.options, self.folder, self.console = options, folder, console
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self.results: dict[str, Any] = {"rows": options.rows, "machine": report.machine()}
        self.world = make_world(options.rows)

    def all(self) -> dict[str, Any]:
        """Run what is asked for and show each part when it is done."""
        with Progress(console=self.console, transient=True) as progress:
            engine, loaded = self._load(progress)
            measured = [] if self.options.only == "grpc" else self._compare(engine, progress)
            engine.close()
        if measured:
            mean = self.results["geometric_mean_a_to_e"]
            self.console.print(report.shapes_table(measured))
            self.console.print(f"a–e: {mean:.1f} × the best peer on each, geometric mean")
            restarted = self.results["restart"] = restart(self.data_dir)
            self.console.print(report.store_table(loaded, restarted))
        if self.options.only != "engine":
            rates = [*over_grpc(self.world, self.folder), *into_duckdb(self.world, self.folder)]
            self.results["ingest"] = rates
            self.console.print(report.ingest_table(rates))
        if self.options.only != "engine":
            wire = measure_wire(self.world, self.data_dir, self.options.wire_seconds, self.options.feed_rate)
            self.results["wire"] = wire
            self.console.print(report.wire_table(wire))
        return self.results

    def _load(self, progress: Progress) -> tuple[Engine, Loaded]:
        options, task = self.options, progress.add_task("loading", total=len(self.world.arrivals))
        engine, loaded = load(
            self.world,
            self.data_dir,
            lambda rows: progress.advance(task, rows),
            options.seal_rows,
            options.batch_rows,
        )
        self.results["loaded"] = loaded
        return engine, loaded

    def _compare(self, engine: Engine, progress: Progress) -> list[Measured]:
        shapes = all_shapes()
        task = progress.add_task("peers load", total=len(shapes))
        peers = open_peers(self.world, self.folder, self.options.peers)
        measured = []
        for shape in shapes:
            progress.update(task, description=shape.name)
            measured.append(measure(shape, Cohort(engine), peers, once=self.options.fast))
            progress.advance(task)
        for peer in peers:
            peer.close()
        self.results["shapes"] = measured
        self.results["geometric_mean_a_to_e"] = report.geometric_mean(measured)
        return measured


def run(options: Options) -> dict[str, Any]:
    """Run what is asked for, show it, write it."""
    console = report.console()
    console.print(f"{options.rows:,} events, {options.rows // EVENTS_PER_CUSTOMER:,} customers")
    with tempfile.TemporaryDirectory(prefix="cohort-bench-") as folder:
        results = Run(options, Path(folder), console).all()
    report.write_json(options.json, results)
    console.print(f"written to {options.json}")
    return results


if __name__ == "__main__":
    run(parse())
