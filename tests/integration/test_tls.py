"""TLS from files, in real processes: who is let in, what happens when files change, how services reach another."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.rpc.client import connect
from libs.rpc.tls import ClientTls
from tests.contract.harness import Client, did, event
from tests.fakes.certificates import Authority
from tests.integration.processes import Process, serve, serve_one, started
from tests.integration.test_access import OPERATOR, bearer

DEADLINE = 20


@pytest.fixture
def start() -> Iterator[Any]:
    with started() as start:
        yield start


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls", "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "other", "theirs")


def options(cert: Path, key: Path, client_ca: Path | None = None) -> list[str]:
    asked = ["--tls-cert", str(cert), "--tls-key", str(key)]
    return [*asked, "--tls-client-ca", str(client_ca)] if client_ca else asked


def health(target: str, tls: ClientTls | None) -> bool:
    """Say whether a new connection is let in."""
    with connect(target, tls=tls) as channel:
        try:
            ask = channel.unary_unary("/grpc.health.v1.Health/Check")
            return bool(ask(b"", timeout=DEADLINE) == b"\x08\x01")
        except grpc.RpcError:
            return False


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it never came true"


def test_only_who_trusts_the_server_and_encrypts_gets_through(
    start: Any, tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    server = start(*serve(tmp_path / "d"), *options(*ours.issue("server"))).listening()
    assert health(server.target, ClientTls(ours.file))
    assert not health(server.target, None)
    assert not health(server.target, ClientTls(theirs.file))
    code, out, _ = start("--target", server.target, "--tls-ca", str(ours.file), "list", "--json").ended()
    assert (code, out) == (0, "{}\n")
    environment = {"COHORT_TLS_CA": str(ours.file), "COHORT_TARGET": server.target}
    assert start("health", **environment).ended()[0] == 0
    assert start("--target", server.target, "health").ended()[0] == 1


def test_with_mutual_tls_only_clients_of_the_authority_get_in_and_still_need_a_key(
    start: Any, tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    files = options(*ours.issue("server"), ours.file)
    arguments = ["serve", "--data-dir", str(tmp_path / "d"), "--listen", "127.0.0.1:0"]
    target = start(*arguments, *files, COHORT_API_KEY=OPERATOR).listening().target
    mine = ClientTls(ours.file, *ours.issue("client"))
    assert health(target, mine)
    assert not health(target, ClientTls(ours.file))
    assert not health(target, ClientTls(ours.file, *theirs.issue("stranger")))
    with connect(target, tls=mine) as channel:
        catalog = channel.unary_unary("/cohort.v1.IngestService/GetCatalog")
        with pytest.raises(grpc.RpcError) as refused:
            catalog(b"", timeout=DEADLINE)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        assert catalog(b"", timeout=DEADLINE, metadata=bearer(OPERATOR))


def test_new_files_count_for_new_connections_and_bad_ones_do_not(
    start: Any, tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    cert, key = ours.issue("server")
    target = start(*serve(tmp_path / "d"), *options(cert, key)).listening().target
    with connect(target, tls=ClientTls(ours.file)) as held:
        ask = held.unary_unary("/grpc.health.v1.Health/Check")
        ask(b"", timeout=DEADLINE)
        new_cert, new_key = theirs.issue("server")
        shutil.copy(new_cert, cert)  # and not its key yet
        assert health(target, ClientTls(ours.file))
        key.write_text("no key at all")
        assert health(target, ClientTls(ours.file))
        key.unlink()
        assert health(target, ClientTls(ours.file))
        shutil.copy(new_key, key)
        until(lambda: health(target, ClientTls(theirs.file)))
        assert not health(target, ClientTls(ours.file))
        assert ask(b"", timeout=DEADLINE) == b"\x08\x01"


def test_a_client_authority_that_is_replaced_shuts_its_clients_out(
    start: Any, tmp_path: Path, ours: Authority, theirs: Authority
) -> None:
    trusted = tmp_path / "trusted.pem"
    shutil.copy(ours.file, trusted)
    target = start(*serve(tmp_path / "d"), *options(*ours.issue("server"), trusted)).listening().target
    first, second = (ClientTls(ours.file, *each.issue("client")) for each in (ours, theirs))
    assert (health(target, first), health(target, second)) == (True, False)
    shutil.copy(theirs.file, trusted)
    until(lambda: health(target, second))
    assert not health(target, first)


def test_files_that_cannot_be_used_end_the_start_in_one_line(
    start: Any, tmp_path: Path, ours: Authority
) -> None:
    cert, _ = ours.issue("server")
    _, key = ours.issue("other")
    code, out, errors = start(*serve(tmp_path / "d"), *options(cert, key)).ended()
    assert (code, out) == (1, "")
    assert errors.strip().splitlines()[-1] == f"error: {cert} and {key} do not belong together"


def test_beyond_loopback_tls_is_enough(start: Any, tmp_path: Path, ours: Authority) -> None:
    listen = ["serve", "--data-dir", str(tmp_path / "d"), "--listen", "0.0.0.0:0"]
    server = start(*listen, *options(*ours.issue("server")), COHORT_API_KEY=OPERATOR).listening()
    assert health(server.target.replace("0.0.0.0", "127.0.0.1"), ClientTls(ours.file))


def run_a_sync(ingest: Client, cohort: Client, sync: Client, file: Path) -> None:
    """Send an event, save a cohort, and have it written to a file."""
    key = bearer(OPERATOR)
    ingest.call("SendEvents", {"events": [event("a")]}, metadata=key)
    saved = cohort.call("CreateCohort", {"cohort": {"name": "all", "rule": did()}}, metadata=key)["cohort"]
    settings = {"name": "file", "file": {"path": str(file), "format": "CSV"}}
    added = sync.call("CreateDestination", {"destination": settings}, metadata=key)["destination"]
    pair = {"cohortId": saved["cohortId"], "destinationId": added["destinationId"]}
    made = sync.call("CreateSync", {"sync": {**pair, "schedule": {"hourly": {}}}}, metadata=key)["sync"]
    run = sync.call("RunSync", {"syncId": made["syncId"]}, metadata=key)["run"]
    while run["state"] == "RUNNING":
        run = sync.call("GetSyncRun", {"runId": run["runId"]}, metadata=key)["run"]
    assert run["state"] == "SUCCEEDED", run


def test_syncs_reach_the_members_through_tls_in_one_process_and_in_three(
    start: Any, tmp_path: Path, ours: Authority
) -> None:
    mutual = options(*ours.issue("server", "cohort.example"), ours.file)
    mine = ClientTls(ours.file, *ours.issue("client"))
    one = start(*serve(tmp_path / "one"), *mutual).listening()
    api = Client(one.target, tls=mine)
    run_a_sync(api, api, api, tmp_path / "one.csv")
    assert one.terminate()[0] == 0

    def run(service: str, *more: str, before: tuple[str, ...] = ()) -> Process:
        process: Process = start(*before, *serve_one(service, tmp_path / "three"), *mutual, *more).listening()
        return process

    ingest, cohort = run("ingest"), run("cohort")
    assert mine.cert
    assert mine.key
    own = ("--tls-ca", str(ours.file), "--tls-cert", str(mine.cert), "--tls-key", str(mine.key))
    targets = ("--cohort-target", cohort.target, "--ingest-target", ingest.target)
    sync = run("sync", *targets, before=own)
    run_a_sync(*(Client(each.target, tls=mine) for each in (ingest, cohort, sync)), tmp_path / "three.csv")
    for name in ("one", "three"):
        assert (tmp_path / f"{name}.csv").read_text().splitlines() == ["customerId", "a"]
