"""How is a run read? A table on screen, and the same figures as JSON."""

import json
import os
import platform
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.bench.compare import Measured
from tests.bench.ingest import Rate
from tests.bench.store import Loaded
from tests.bench.timing import Times
from tests.bench.wire import Wire

PEERS = ("duckdb", "polars", "clickhouse")
PACKAGES = ("numpy", "pyroaring", "lmdb", "grpcio", "duckdb", "polars", "chdb")
BASE_LETTERS = ("a:", "b:", "c:", "d:", "e:")


def machine() -> dict[str, Any]:
    """Say where the run was made."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def ms(value: float | None) -> str:
    """Write a time in ms."""
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def shapes_table(measured: list[Measured]) -> Table:
    """Show every shape beside its peers."""
    table = Table(title="Runs in the engine, cold, ms (answers equal to every peer shown)")
    table.add_column("shape")
    for column in ("customers", "p50", "p90", "p99", *(f"{peer} p50" for peer in PEERS), "× best peer"):
        table.add_column(column, justify="right")
    for each in measured:
        peers = [ms(each.peers[name].p50 if name in each.peers else None) for name in PEERS]
        own = each.cohort
        ratio = f"{each.ratio:.1f}" if each.ratio else ""
        table.add_row(each.shape, f"{each.size:,}", ms(own.p50), ms(own.p90), ms(own.p99), *peers, ratio)
    return table


def geometric_mean(measured: list[Measured]) -> float | None:
    """Return the mean ratio to the best peer on a to e."""
    ratios = [each.ratio for each in measured if each.shape.startswith(BASE_LETTERS) and each.ratio]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def store_table(loaded: Loaded, restarted: dict[str, float]) -> Table:
    """Show what keeping the events takes."""
    table = Table(title="Keeping the events")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("what it is")
    table.add_row(
        "durable events/s",
        f"{loaded.sent / loaded.append_seconds:,.0f}",
        "the log's writer, columnar batches",
    )
    table.add_row(
        "index events/s",
        f"{loaded.sent / loaded.apply_seconds:,.0f}",
        "catching up a batch, sealing beside it",
    )
    table.add_row("until all sealed, s", f"{loaded.settle_seconds:.2f}", "behind the last batch")
    table.add_row("profiles, s", f"{loaded.profile_seconds:.2f}", "upserts, and catching up with them")
    table.add_row(
        "disk bytes/event", f"{loaded.disk_bytes / loaded.events:.0f}", "blocks, dictionaries, profiles"
    )
    for name, memory in (("while loaded", loaded.memory), ("after a restart", restarted)):
        anon, mapped = memory["anon"] / loaded.events, memory["file"] / loaded.events
        table.add_row(
            f"resident bytes/event, {name}",
            f"{anon:.0f} + {mapped:.0f}",
            "own (index, dictionaries, dedupe, profiles) + mapped files",
        )
    table.add_row("restart: log open, s", f"{restarted['opened']:.2f}", "dictionaries, dedupe")
    table.add_row("restart: ready, s", f"{restarted['ready']:.2f}", "the first snapshot")
    table.add_row("restart: all sealed, s", f"{restarted['settled']:.2f}", "")
    return table


def ingest_table(rates: list[Rate]) -> Table:
    """Show ingest through a server beside DuckDB's insert."""
    table = Table(title="Durable ingest, one server process over gRPC")
    for column in ("form", "events", "a request", "events/s"):
        table.add_column(column, justify="left" if column == "form" else "right")
    for each in rates:
        table.add_row(each.name, f"{each.rows:,}", f"{each.request_rows:,}", f"{each.per_second:,.0f}")
    return table


def wire_table(wire: Wire) -> Table:
    """Show calls over gRPC."""
    rate = wire.feed.get("per_second", 0.0)
    table = Table(title=f"Over gRPC, ms: alone, and fed {rate:,.0f} events/s")
    table.add_column("call")
    for column in ("p50", "p99", "elapsed p50", "fed p50", "fed p99", "fed elapsed p50", "fed elapsed p99"):
        table.add_column(column, justify="right")

    def pair(times: Times | None) -> tuple[str, str]:
        return (ms(times.p50), ms(times.p99)) if times else ("", "")

    for call in wire.calls:
        table.add_row(
            call.name,
            *pair(call.idle),
            pair(call.elapsed)[0],
            *pair(call.feeding),
            *pair(call.feeding_elapsed),
        )
    table.caption = (
        f"{wire.pairs_per_second:,.0f} pairs/s by BatchCheckMembership; "
        f"the server was ready in {wire.ready_seconds:.1f} s, all sealed in {wire.sealed_seconds:.1f} s"
    )
    return table


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Write all figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def console() -> Console:
    """Return where tables go; wide enough for them where the output is no terminal."""
    wide = Console()
    return wide if wide.is_terminal else Console(width=150)
