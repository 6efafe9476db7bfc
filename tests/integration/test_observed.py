"""Real processes show Prometheus, health and `cohort status` what they do; with three processes each its own."""

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from libs.cli.main import app
from tests.contract.harness import did, event
from tests.integration.processes import connected, serve, serve_one, started


@pytest.fixture
def start() -> Iterator[Any]:
    with started() as starting:
        yield starting


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def read(port: int) -> dict[str, float]:
    """Return the series of a process, by name with labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to be")


def test_one_process_shows_calls_intake_bytes_syncs_and_itself(start: Any, tmp_path: Path) -> None:
    port = free_port()
    server = start(*serve(tmp_path / "data", "--metrics", str(port))).listening()
    with connected(server) as client:
        client.send(event("secret-ann", data={"brand": "secret-acme"}), event("None"))
        client.run(did())
        client.failure("GetCohort", {"cohortId": "secret-cohort"})
        made = client.call("CreateCohort", {"cohort": {"name": "n", "rule": did()}})["cohort"]
        file = {"name": "f", "file": {"path": str(tmp_path / "out.csv"), "format": "CSV"}}
        destination = client.call("CreateDestination", {"destination": file})["destination"]
        pair = {"cohortId": made["cohortId"], "destinationId": destination["destinationId"]}
        sync = client.call("CreateSync", {"sync": {**pair, "schedule": {"once": {}}}})["sync"]
        until(lambda: client.call("GetSync", {"syncId": sync["syncId"]})["sync"]["state"] == "DONE")
        until(
            lambda: (
                'cohort_sync_runs_total{destination="file",project="default",state="SUCCEEDED"}' in read(port)
            )
        )
        shown = read(port)
        status = CliRunner().invoke(app, ["--target", server.target, "status"])
    assert shown['cohort_rpc_seconds_count{code="OK",method="RunRule",service="CohortService"}'] == 1
    assert shown['cohort_rpc_seconds_count{code="NOT_FOUND",method="GetCohort",service="CohortService"}'] == 1
    assert (
        shown['cohort_rpc_seconds_bucket{code="OK",le="0.0001",method="GetStatus",service="AdminService"}']
        == 0
    )
    assert shown['cohort_events_total{outcome="accepted",project="default"}'] == 1
    assert shown['cohort_events_total{outcome="rejected",project="default"}'] == 1
    assert shown['cohort_log_revision{project="default"}'] == 1
    assert shown['cohort_index_lag_seconds{project="default"}'] == 0
    assert shown['cohort_bytes{part="event log",project="default",where="disk"}'] > 0
    assert shown['cohort_writer_waiting_items{project="default"}'] == 0
    assert shown['cohort_sync_customers_total{change="added",destination="file",project="default"}'] == 1
    assert shown['cohort_syncs{project="default",state="DONE"}'] == 1
    assert shown['cohort_sync_runs_under_way{project="default"}'] == 0
    assert shown['cohort_serving{service="cohort.v1.SyncService"}'] == 1
    assert shown["process_resident_memory_bytes"] > 0
    assert not [name for name in shown if "secret" in name]
    assert status.exit_code == 0
    for line in ("IngestService serves", "1 events taken", "CohortService/RunRule", "succeeded"):
        assert line in status.output
    code, _, errors = server.terminate()
    assert (code, "Traceback" in errors) == (0, False)


def test_each_process_shows_its_own_and_a_reader_keeps_up_unasked(start: Any, tmp_path: Path) -> None:
    ports = {service: free_port() for service in ("ingest", "cohort", "sync")}

    def one(service: str, *arguments: str) -> Any:
        metrics = ("--metrics", f"127.0.0.1:{ports[service]}")
        return start(*serve_one(service, tmp_path, *arguments, *metrics))

    reader = one("cohort").waiting()
    assert 'cohort_serving{service="cohort.v1.CohortService"}' not in read(ports["cohort"])
    ingest = one("ingest").listening()
    cohort = reader.listening()
    one("sync", "--cohort-target", cohort.target).listening()
    with connected(ingest) as client:
        client.send(event("a"))
    while 'cohort_index_lag_seconds{project="default"}' not in (shown := read(ports["cohort"])):
        pass
    while shown['cohort_bytes{part="dictionaries",project="default",where="memory"}'] == 0:
        shown = read(
            ports["cohort"]
        )  # nobody asks the cohort service anything; it takes the event in all the same
    assert not [name for name in shown if name.startswith("cohort_events")]
    assert read(ports["ingest"])['cohort_events_total{outcome="accepted",project="default"}'] == 1
    assert read(ports["sync"])['cohort_syncs{project="default",state="ACTIVE"}'] == 0


def test_an_address_that_is_none_is_refused(start: Any, tmp_path: Path) -> None:
    code, _, errors = start(*serve(tmp_path, "--metrics", "here")).ended()
    assert (code, "--metrics is PORT or HOST:PORT" in errors) == (1, True)
