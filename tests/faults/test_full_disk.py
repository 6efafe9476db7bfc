"""A disk that is full refuses writers, harms no reader, and is over when there is room. A real, small disk."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.rpc.errors import Failure
from tests.contract.harness import Client, event
from tests.faults.server import Server

RULE = {"did": {"eventType": "view"}}
DISK_BYTES = 6 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


def send(api: Client, first: int) -> int:
    """Send events from one number on, in batches that seal segments, until refused; return where it stopped."""
    while True:
        try:
            assert api.send(*events(first, first + 200, data={"text": "x" * 600}))["accepted"] == 200
        except grpc.RpcError as error:
            failure = Failure.of(error)
            assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED, failure
            assert failure.reason == "STORAGE_FULL"
            assert failure.retry_after
            return first
        first += 200


def size(api: Client) -> int:
    """Count the customers there are."""
    return int(api.call("RunRule", {"rule": RULE, "countOnly": True})["size"])


@contextmanager
def serving(disk: Path) -> Iterator[tuple[Server, Client]]:
    """Serve from a disk, and connect."""
    with Server(disk / "data") as server:
        api = Client(server.target)
        try:
            yield server, api
        finally:
            api.close()


def events(first: int, end: int, **fields: Any) -> list[dict[str, Any]]:
    """Make one event a customer."""
    return [event(f"c{n}", eventId=str(n), **fields) for n in range(first, end)]


def test_a_full_disk_refuses_writers_and_harms_no_reader_until_there_is_room(disk: Path) -> None:
    sent = 200
    with serving(disk) as (_, api):
        api.send(*events(0, sent))
        for time in range(2):
            fill(disk / "ballast")
            assert send(api, sent) == sent
            assert size(api) == sent, "readers are unharmed"
            cohort = {"cohort": {"name": f"n{time}", "rule": RULE}}
            assert api.failure("CreateCohort", cohort).reason == "STORAGE_FULL"
            project = {"project": {"projectId": f"p{time}"}}
            assert api.failure("CreateProject", project).reason == "STORAGE_FULL"
            (disk / "ballast").unlink()
            api.send(*events(sent, sent + 200))
            sent += 200
        fill(disk / "ballast")
    for _ in range(2):  # what a stop leaves free the next start may take
        with serving(disk) as (_, api):
            assert size(api) == sent, "a server starts on a full disk, and answers"
        fill(disk / "rest")
    (disk / "rest").unlink()
    with serving(disk) as (_, api):
        (disk / "ballast").unlink()
        assert api.send(*events(0, sent))["duplicates"] == sent
        api.call("CreateCohort", {"cohort": {"name": "now", "rule": RULE}})
        api.call("CreateProject", {"project": {"projectId": "p0"}})


def test_a_log_that_has_come_to_its_map_refuses_writers_and_harms_no_reader_until_it_may_be_more(
    tmp_path: Path,
) -> None:
    with Server(tmp_path / "data", "", "--limit", "log_map_mib=1") as server:
        api = Client(server.target)
        sent = send(api, 0)
        assert sent >= 200
        for _ in range(3):
            assert send(api, sent) == sent
            assert size(api) == sent, "readers are unharmed"
        api.call("CreateCohort", {"cohort": {"name": "n", "rule": RULE}})
        large = {"customers": [{"customerId": "a", "data": {"note": "x" * 500_000}}]}
        assert api.failure("UpsertCustomers", large).reason == "STORAGE_FULL"
        api.close()
        assert server.terminate() == 0
    for more in (1, 2, 64):
        with Server(tmp_path / "data", "", "--limit", f"log_map_mib={more}") as server:
            api = Client(server.target)
            assert size(api) == sent
            if more == 64:
                api.send(*events(sent, sent + 200, data={"text": "x" * 600}))
                assert size(api) == sent + 200
                assert api.send(*events(0, 200))["duplicates"] == 200
            api.close()
            assert server.terminate() == 0


def test_a_log_that_fills_the_disk_loses_nothing_though_segments_could_not_be_written(disk: Path) -> None:
    with serving(disk) as (server, api):
        sent = send(api, 0)
        assert size(api) == sent
        assert server.terminate() == 0, "it ends in order on a full disk too"
    with serving(disk) as (_, api):
        assert size(api) == sent
        assert all(api.send(*events(n, n + 200))["duplicates"] == 200 for n in range(0, sent, 200))
