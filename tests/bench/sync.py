"""What does a sync of many members take? `make bench-sync`, `SIZE=1m make bench-sync`, or `--help`.

Real processes: an ingest and cohort service with the customers, and a sync service of its own, which sends a
cohort of all of them to an ad account, then again when 10,000 have come and gone. The account is a sink on this
machine that counts rows and keeps none, so that what is measured is ours. Then the plan of a second run by itself,
with its messages counted, over what the processes left behind. There is no peer to run beside it.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import grpc
from google.protobuf.struct_pb2 import Struct
from pyroaring import BitMap
from rich.table import Table

from libs.clock import system_clock
from libs.gen.cohort.v1 import (
    cohort_pb2,
    cohort_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    sync_pb2,
    sync_pb2_grpc,
)
from services.sync.destinations.addresses import Hosts
from services.sync.destinations.facebook.account import Accounts
from services.sync.destinations.opener import Opener
from services.sync.members import Members
from services.sync.model import RunId, SyncId
from services.sync.planning import Planner
from services.sync.store import Store
from tests.bench import report
from tests.bench.server import serving

SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000}
CHANGED = 10_000
"""How many come and go before the second run: half of them each."""
BATCH = 10_000
PLANS = 20
RUN_SECONDS = 3600.0
RULE = (
    '{"all": {"rules": [{"did": {"eventType": "join"}}, {"not": {"rule": {"did": {"eventType": "leave"}}}}]}}'
)


@dataclass(frozen=True)
class Figures:
    """What was measured. Sizes in bytes, times in seconds but for those in ms."""

    members: int
    first_seconds: float
    first_peak_mb: float
    first_peak_with_files_mb: float
    idle_mb: float
    second_seconds: float
    second_adds: int
    second_removes: int
    plan_ms: float
    best_plan_ms: float
    worst_plan_ms: float
    asking_ms: float
    bitmap_bytes: int
    beside_bitmap_bytes: int
    largest_other_bytes: int


# The sink


class Sink(ThreadingHTTPServer):
    """An ad account that takes every row and keeps none."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.rows = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """What to set as graph_url."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Taker(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        answer: dict[str, Any] = {"data": []}
        if "payload=" in body:
            rows = len(json.loads(parse_qs(body)["payload"][0])["data"])
            sink = self.server
            assert isinstance(sink, Sink)
            with sink.lock:
                sink.rows += rows
            answer = {"num_received": rows, "num_invalid_entries": 0, "audience_id": "1"}
        elif self.command == "POST":
            answer = {"id": "120000000001"}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _take  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def sinking() -> Iterator[Sink]:
    """Serve a sink from a thread."""
    sink = Sink()
    thread = threading.Thread(target=sink.serve_forever, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.shutdown()
        sink.server_close()


# The customers


def _batches(numbers: range) -> Iterator[range]:
    for start in range(numbers.start, numbers.stop, BATCH):
        yield range(start, min(start + BATCH, numbers.stop))


def _send(target: str, event_type: str, numbers: range) -> None:
    with grpc.insecure_channel(target) as channel:
        stub: Any = ingest_pb2_grpc.IngestServiceStub(channel)
        for batch in _batches(numbers):
            request = ingest_pb2.SendEventColumnsRequest(
                customer_ids=[f"customer-{n}" for n in batch], event_types=[event_type]
            )
            request.event_times_ms.extend([system_clock() - 1000] * len(batch))
            stub.SendEventColumns(request)


def _upsert(target: str, numbers: range) -> None:
    with grpc.insecure_channel(target) as channel:
        stub: Any = ingest_pb2_grpc.IngestServiceStub(channel)
        for batch in _batches(numbers):
            request = ingest_pb2.UpsertCustomersRequest()
            for number in batch:
                data = Struct()
                data.update({"email": f"Person.{number}@Example.com", "city": f"City {number % 500}"})
                request.customers.add(customer_id=f"customer-{number}", data=data)
            stub.UpsertCustomers(request)


def _save(target: str) -> str:
    from google.protobuf import json_format

    with grpc.insecure_channel(target) as channel:
        stub: Any = cohort_pb2_grpc.CohortServiceStub(channel)
        cohort = cohort_pb2.Cohort(name="Everybody")
        json_format.Parse(RULE, cohort.rule)
        answer = stub.CreateCohort(cohort_pb2.CreateCohortRequest(cohort=cohort))
        return str(answer.cohort.cohort_id)


# The sync service


@contextmanager
def syncing(data_dir: Path, cohort_target: str) -> Iterator[tuple[str, int]]:
    """Run a sync service in a process of its own; yields HOST:PORT and the process's id."""
    command = [sys.executable, "-m", "libs.cli.main", "sync", "serve", "--insecure"]
    command += ["--listen", "127.0.0.1:0", "--cohort-target", cohort_target, "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout
    try:
        for line in process.stdout:
            if line.startswith("listening on "):
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield line.removeprefix("listening on ").strip(), process.pid
                break
        else:
            raise RuntimeError(f"the sync service ended with {process.wait()} before it listened")
    finally:
        process.terminate()
        process.wait(60)


def _memory(process_id: int, name: str) -> float:
    """Return a figure of a process's memory, in MB: RssAnon is its own, VmHWM the peak with mapped files."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {name} of process {process_id}")


def _create(stub: Any, cohort_id: str, url: str) -> str:
    destination = sync_pb2.Destination(name="ads")
    destination.facebook_ads.CopyFrom(
        sync_pb2.FacebookAdsDestination(
            ad_account_id="1", access_token="token", match_keys=["EMAIL"], graph_url=url
        )
    )
    made = stub.CreateDestination(sync_pb2.CreateDestinationRequest(destination=destination)).destination
    sync = sync_pb2.Sync(cohort_id=cohort_id, destination_id=made.destination_id)
    sync.schedule.hourly.SetInParent()
    return str(stub.CreateSync(sync_pb2.CreateSyncRequest(sync=sync)).sync.sync_id)


def _run(stub: Any, sync_id: str, process_id: int) -> tuple[Any, float, float]:
    """Run a sync to its end; return the run, the seconds it took and the peak of the service's own memory, MB."""
    started, peak = time.perf_counter(), 0.0
    run = stub.RunSync(sync_pb2.RunSyncRequest(sync_id=sync_id)).run
    while run.state == sync_pb2.SyncRun.RUNNING:
        time.sleep(0.02)
        peak = max(peak, _memory(process_id, "RssAnon"))
        run = stub.GetSyncRun(sync_pb2.GetSyncRunRequest(run_id=run.run_id)).run
        if time.perf_counter() - started > RUN_SECONDS:
            raise RuntimeError("the run takes too long")
    if run.state != sync_pb2.SyncRun.SUCCEEDED:
        raise RuntimeError(f"the run did not succeed: {run.error}")
    return run, time.perf_counter() - started, peak


# The plan by itself


@dataclass(frozen=True)
class Plans:
    """Times of plans in ms, what of it was asking for the members, and messages in bytes."""

    times: list[float]
    asking: list[float]
    bitmap: int
    beside: int
    other: int


async def _plans(data_dir: Path, cohort_target: str, cohort_id: str, sync_id: str) -> Plans:
    """Make the plan of the run that would be next, again and again, as a run does, its writing down included."""
    store, members = Store(data_dir), Members(cohort_target, lambda: ())
    with store.read() as txn:
        sync = store.sync(txn, sync_id)
        assert sync
        destination = store.destination(txn, sync.destination_id)
        assert destination
    opener = Opener(system_clock, Accounts(system_clock), Hosts(True, frozenset()))
    target = await opener.open(destination)
    times, asking = [], []
    for _ in range(PLANS + 1):
        started = time.perf_counter()
        await members.get(cohort_id)
        asked = time.perf_counter()
        plan = await Planner(store, members, sync, target).plan()
        await store.writing(
            partial(store.plans.begin, sync_id=SyncId(sync_id), run_id=RunId("run_bench"), plan=plan)
        )
        times.append((time.perf_counter() - asked) * 1000)
        asking.append((asked - started) * 1000)
    await store.writing(lambda txn: store.plans.end(txn, SyncId(sync_id)))
    await target.close()
    await members.close()
    await store.close()
    return Plans(times[1:], asking[1:], *_messages(cohort_target, cohort_id))


def _messages(cohort_target: str, cohort_id: str) -> tuple[int, int, int]:
    """Return the bytes of the members' bitmap, of its message beside it, and of the largest other message."""
    with grpc.insecure_channel(cohort_target, options=[("grpc.max_receive_message_length", -1)]) as channel:
        stub: Any = cohort_pb2_grpc.CohortServiceStub(channel)
        answer = stub.GetMemberSet(cohort_pb2.GetMemberSetRequest(cohort_id=cohort_id))
        (shard,) = answer.members.shards
        numbers = BitMap.deserialize(shard.roaring)
        largest = 0
        for group in (numbers[:BATCH], numbers[-BATCH:]):  # a page of Facebook's, the largest there are
            request = cohort_pb2.ResolveMembersRequest(profile_fields=["email"])
            request.members.epoch = answer.members.epoch
            request.members.shards.add(shard=shard.shard, roaring=group.serialize())
            sizes = [response.ByteSize() for response in stub.ResolveMembers(request)]
            largest = max(largest, request.ByteSize(), *sizes)
        return len(shard.roaring), answer.ByteSize() - len(shard.roaring), largest


# All of it


def measure(members: int, folder: Path) -> Figures:
    """Go through a first and a second sync of so many members."""
    half = min(CHANGED // 2, members // 4)
    data_dir, sync_dir = folder / "data", folder / "sync-data"
    data_dir.mkdir()
    sync_dir.mkdir()
    with serving(data_dir) as served, sinking() as sink:
        everybody = range(members)
        _upsert(served.target, everybody)
        _send(served.target, "join", everybody)
        cohort_id = _save(served.target)
        served.wait_until_idle()
        with (
            syncing(sync_dir, served.target) as (target, process_id),
            grpc.insecure_channel(target) as channel,
        ):
            stub: Any = sync_pb2_grpc.SyncServiceStub(channel)
            idle = _memory(process_id, "RssAnon")
            sync_id = _create(stub, cohort_id, sink.url)
            first, first_seconds, peak = _run(stub, sync_id, process_id)
            with_files = _memory(process_id, "VmHWM")
            if first.delivered_adds != members or sink.rows != members:
                raise RuntimeError(f"delivered {first.delivered_adds:,}, taken {sink.rows:,}")
            come = range(members, members + half)
            _upsert(served.target, come)
            _send(served.target, "join", come)
            _send(served.target, "leave", range(half))
            second, second_seconds, _ = _run(stub, sync_id, process_id)
            come = range(members + half, members + 2 * half)
            _upsert(served.target, come)
            _send(served.target, "join", come)
            _send(served.target, "leave", range(half, 2 * half))
        plans = asyncio.run(_plans(sync_dir, served.target, cohort_id, sync_id))
    return Figures(
        members,
        first_seconds,
        peak,
        with_files,
        idle,
        second_seconds,
        second.delivered_adds,
        second.delivered_removes,
        statistics.median(plans.times),
        min(plans.times),
        max(plans.times),
        statistics.median(plans.asking),
        plans.bitmap,
        plans.beside,
        plans.other,
    )


def table(measured: list[Figures]) -> Table:
    """Show sizes side by side."""
    shown = Table(title="Syncs to an ad account by e-mail")
    shown.add_column("")
    for figures in measured:
        shown.add_column(f"{figures.members:,} members", justify="right")
    rows = {
        "first run": lambda f: f"{f.first_seconds:.1f} s, {f.members / f.first_seconds:,.0f} customers/s",
        "own memory of the sync service before it": lambda f: f"{f.idle_mb:.0f} MB",
        "… its peak in it": lambda f: f"{f.first_peak_mb:.0f} MB",
        "… with what it has mapped of its files": lambda f: f"{f.first_peak_with_files_mb:.0f} MB",
        "second run": lambda f: f"{f.second_seconds:.2f} s, +{f.second_adds:,} −{f.second_removes:,}",
        "plan of a second run, written down, p50": lambda f: f"{f.plan_ms:.1f} ms",
        "… the fastest and the slowest of 20": lambda f: f"{f.best_plan_ms:.1f}, {f.worst_plan_ms:.1f} ms",
        "… of it asking who the members are": lambda f: f"{f.asking_ms:.1f} ms",
        "bitmap of the members": lambda f: f"{f.bitmap_bytes:,} B",
        "… its message beside it": lambda f: f"{f.beside_bitmap_bytes:,} B",
        "largest other message": lambda f: f"{f.largest_other_bytes:,} B",
    }
    for name, show in rows.items():
        shown.add_row(name, *(show(figures) for figures in measured))
    return shown


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sync", description=__doc__)
    parser.add_argument(
        "--size",
        choices=SIZES,
        default=os.environ.get("SIZE", "1m"),
        help="[1m, or $SIZE]; a tenth of it too",
    )
    parser.add_argument("--json", type=Path, help="[bench-results/sync-SIZE.json]")
    given = parser.parse_args()
    largest = SIZES[given.size]
    console, measured = report.console(), []
    for members in (largest // 10, largest):
        with tempfile.TemporaryDirectory(prefix="cohort-bench-") as folder:
            measured.append(measure(members, Path(folder)))
    console.print(table(measured))
    path = given.json or Path("bench-results") / f"sync-{given.size}.json"
    report.write_json(path, {"machine": report.machine(), "sizes": [asdict(one) for one in measured]})
    console.print(f"written to {path}")


if __name__ == "__main__":
    main()
