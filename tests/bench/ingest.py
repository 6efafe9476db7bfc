"""How many events a second become durable? One server process over gRPC, each form, beside DuckDB's insert.

DuckDB appends the same rows to a file, committing as often; it looks for no duplicates and builds no index.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow

from libs.events.batch import Batch
from libs.gen.cohort.v1 import ingest_pb2
from libs.rpc.client import connect
from tests.bench import requests
from tests.bench.server import serving
from tests.bench.world import World, batch

IN_FLIGHT = 3
"""Requests under way at once, so that the server decodes one while another is written."""


@dataclass(frozen=True)
class Form:
    """A way to send: events a request, events in all, and how a request is written and answered."""

    name: str
    method: str
    request_rows: int
    rows: int
    write: Callable[[Batch], bytes]
    response: type


FORMS = (
    Form(
        "columns",
        "SendEventColumns",
        50_000,
        1_000_000,
        requests.columns,
        ingest_pb2.SendEventColumnsResponse,
    ),
    Form(
        "JSON lines",
        "SendEventsJson",
        20_000,
        400_000,
        requests.json_lines,
        ingest_pb2.SendEventsJsonResponse,
    ),
    Form("protobuf rows", "SendEvents", 5_000, 200_000, requests.rows, ingest_pb2.SendEventsResponse),
)


@dataclass(frozen=True)
class Rate:
    """Durable events a second."""

    name: str
    rows: int
    request_rows: int
    per_second: float


def _batches(world: World, form: Form, prefix: str) -> list[Batch]:
    total = min(form.rows, world.rows)
    size = min(form.request_rows, max(total // 10, 1))
    order = world.arrivals[:total]
    return [batch(world, order[first : first + size], prefix) for first in range(0, total, size)]


def over_grpc(world: World, folder: Path) -> list[Rate]:
    """Measure every form against a server with empty data."""
    rates = []
    for place, form in enumerate(FORMS):
        data_dir = folder / f"ingest-{place}"
        data_dir.mkdir()
        payloads = [form.write(each) for each in _batches(world, form, f"{place}-")]
        with serving(data_dir) as served, connect(served.target) as channel:
            send = requests.sender(channel, form.method, form.response)
            with ThreadPoolExecutor(IN_FLIGHT) as pool:
                started = time.perf_counter()
                answers = list(pool.map(send, payloads))
                seconds = time.perf_counter() - started
        taken = sum(each.accepted + each.duplicates for each in answers)
        assert not any(each.rejected for each in answers)
        rates.append(Rate(form.name, taken, taken // len(payloads), taken / seconds))
    return rates


def into_duckdb(world: World, folder: Path) -> list[Rate]:
    """Insert the rows of each form into DuckDB, a transaction a request."""
    rates = []
    for place, form in enumerate(FORMS):
        tables = [_table(each) for each in _batches(world, form, "")]
        with duckdb.connect(str(folder / f"ingest-{place}.duckdb")) as connection:
            connection.register("chunk", tables[0])
            connection.execute("CREATE TABLE events AS FROM chunk LIMIT 0")
            started = time.perf_counter()
            for table in tables:
                connection.register("chunk", table)
                connection.execute("INSERT INTO events FROM chunk")
            seconds = time.perf_counter() - started
        total = sum(map(len, tables))
        rates.append(Rate(f"DuckDB, as {form.name}", total, len(tables[0]), total / seconds))
    return rates


def _table(events: Batch) -> pyarrow.Table:
    return pyarrow.table(
        {
            "customer_id": events.customer_ids.tolist(),
            "event_type": events.event_types.tolist(),
            "event_time": np.asarray(events.times).astype("datetime64[ms]"),
            "event_id": events.event_ids or [],
            **{column.attribute: column.values.tolist() for column in events.columns},
        }
    )
