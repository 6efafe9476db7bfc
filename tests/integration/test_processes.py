"""Real processes: one for all three services, or one for each. What is acknowledged is seen, and kept."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.events import log as event_log
from tests.contract.harness import did, event, test_of
from tests.integration.processes import connected, serve, serve_one, started

RULES: list[dict[str, Any]] = [
    {"all": {}},
    did(count={"op": "AT_LEAST", "value": 2}),
    did(where=test_of("price", "BETWEEN", 2, 5)),
    {"all": {"rules": [did(), {"not": {"rule": did("cart")}}]}},
    {"profile": {"where": test_of("city", "EQUALS", "Pune")}},
]


@pytest.fixture
def start() -> Iterator[Any]:
    with started() as starting:
        yield starting


def one_line(errors: str) -> str:
    """Return the single line that is not of the log."""
    [line] = [line for line in errors.splitlines() if line and not line.startswith("{")]
    assert "Traceback" not in errors
    return line


def healthy(channel: grpc.Channel) -> bool:
    return bool(channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5) == b"\x08\x01")


def test_both_forms_see_what_was_acknowledged_and_answer_the_same(start: Any, tmp_path: Path) -> None:
    answers = []
    for three in (False, True):
        data = tmp_path / str(three)
        if three:
            reader = start(*serve_one("cohort", data)).waiting()
            ingest = start(*serve_one("ingest", data)).listening()
            cohort = reader.listening()
            sync = start(*serve_one("sync", data, "--cohort-target", cohort.target)).listening()
            servers = [ingest, cohort, sync]
        else:
            ingest = cohort = sync = start(*serve(data)).listening()
            servers = [ingest]
        with connected(ingest) as sending, connected(cohort) as asking, connected(sync) as syncing:
            assert all(healthy(each.channel) for each in (sending, asking, syncing))
            assert "cohort.v1.IngestService" in sending.services.services
            assert "cohort.v1.CohortService" in asking.services.services
            assert "cohort.v1.SyncService" in syncing.services.services
            for number in range(60):
                customer = f"c{number % 40}"
                kind = "view" if number % 3 else "cart"
                revision = sending.send(event(customer, kind, data={"price": number % 7, "b": str(number)}))
                seen = asking.call("RunRule", {"rule": did(kind), "countOnly": True})
                assert seen["revision"] == revision["revision"]
                data_of = {"city": ["Pune", "Goa"][number % 2]}
                sending.call(
                    "UpsertCustomers", {"customers": [{"customerId": f"p{number}", "data": data_of}]}
                )
                assert f"p{number}" in asking.run({"profile": {}})
            answers.append([asking.run(rule) for rule in RULES])
            cohort_id = asking.call("CreateCohort", {"cohort": {"name": "n", "rule": RULES[1]}})["cohort"]
            destination = {"name": "f", "file": {"path": str(tmp_path / f"{three}.csv"), "format": "CSV"}}
            made = syncing.call("CreateDestination", {"destination": destination})["destination"]
            sync_of = {"cohortId": cohort_id["cohortId"], "destinationId": made["destinationId"]}
            preview = syncing.call("CreateSync", {"sync": {**sync_of, "schedule": {"hourly": {}}}})
            assert preview["sync"]["cohortId"] == cohort_id["cohortId"]
        for server in reversed(servers):
            code, _, errors = server.terminate()
            assert (code, "Traceback" in errors) == (0, False), errors
    assert answers[0] == answers[1]
    assert all(answers[0])


def test_a_restart_keeps_everything_and_a_second_server_is_refused(start: Any, tmp_path: Path) -> None:
    first = start(*serve(tmp_path, "--time-zone", "Asia/Kolkata")).listening()
    with connected(first) as api:
        api.send(event("a", eventId="1"))
        made = api.call("CreateCohort", {"cohort": {"name": "Viewers", "rule": did()}})["cohort"]
        for arguments in (serve(tmp_path), serve_one("ingest", tmp_path)):
            code, out, errors = start(*arguments).ended()
            assert (code, out) == (1, "")
            assert "in use by another server" in one_line(errors)
        assert api.run(did()) == {"a"}
    code, _, _ = first.terminate()
    assert code == 0
    code, _, errors = start(*serve(tmp_path, "--time-zone", "UTC")).ended()
    assert code == 1
    assert "Asia/Kolkata" in one_line(errors)
    with connected(start(*serve(tmp_path)).listening()) as api:
        assert api.call("GetCatalog")["timeZone"] == "Asia/Kolkata"
        assert api.call("GetCohort", {"cohortId": made["cohortId"]})["cohort"] == made
        assert api.send(event("a", eventId="1"))["duplicates"] == 1


def test_data_of_a_newer_version_is_refused_in_one_line(start: Any, tmp_path: Path) -> None:
    start(*serve(tmp_path)).listening().terminate()
    environment = event_log.open_environment(tmp_path / "events" / "default")
    with environment.write() as txn:
        txn.put(b"format", b"%d" % (event_log.VERSION + 1), db=environment.meta)
    environment.close()
    for arguments in (serve(tmp_path), serve_one("ingest", tmp_path), serve_one("cohort", tmp_path)):
        code, out, errors = start(*arguments).ended()
        assert (code, out) == (1, "")
        assert "newer version of Cohort" in one_line(errors)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "127.0.0.1:0"], "COHORT_API_KEY"),
        (["--listen", "0.0.0.0:0", "--insecure"], "loopback only"),
        (["--listen", "0.0.0.0:0", "--insecure", "--allow-plaintext"], "loopback only"),
        (["--listen", "nowhere", "--insecure"], "HOST:PORT"),
        (["--listen", "LOCALHOST:0", "--insecure", "--metrics", "0.0.0.0:0"], "loopback only"),
        (
            ["--listen", "127.0.0.1:0", "--insecure", "--allow-plaintext", "--metrics", "[::]:0"],
            "loopback only",
        ),
        (["--listen", "127.0.0.1:0", "--insecure", "--time-zone", "Mars/Olympus"], "no IANA time zone"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_line(
    start: Any, tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, out, errors = start("serve", "--data-dir", str(tmp_path / "d"), *arguments).ended()
    assert (code, out) == (1, "")
    assert said in one_line(errors)


def test_beyond_loopback_without_tls_must_be_allowed(start: Any, tmp_path: Path) -> None:
    listen = ["--data-dir", str(tmp_path), "--listen", "0.0.0.0:0"]
    code, _, errors = start("serve", *listen, COHORT_API_KEY="k").ended()
    assert (code, "--allow-plaintext" in one_line(errors)) == (1, True)
    process = start("serve", *listen, "--allow-plaintext", COHORT_API_KEY="k").listening()
    process.target = process.target.replace("0.0.0.0", "127.0.0.1")
    with connected(process) as api:
        assert api.failure("RunRule", {"rule": did()}).code == grpc.StatusCode.UNAUTHENTICATED
        assert api.call("RunRule", {"rule": did()}, metadata=[("authorization", "Bearer k")])
    assert process.terminate()[0] == 0


def test_metrics_beyond_loopback_must_be_allowed(start: Any, tmp_path: Path) -> None:
    for metrics in ("0.0.0.0:0", "[::]:0", "*:0", "example.com:0"):
        arguments = ["serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0", "--metrics", metrics]
        code, _, errors = start(*arguments, COHORT_API_KEY="k").ended()
        assert (code, "--allow-plaintext" in one_line(errors)) == (1, True)
    process = start(*arguments[:-1], "0.0.0.0:0", "--allow-plaintext", COHORT_API_KEY="k").listening()
    assert process.terminate()[0] == 0


@pytest.mark.parametrize("key", ["key ", "key\n", " key", "schlüssel", "k\tey"])
def test_a_key_that_no_client_can_send_is_refused(start: Any, tmp_path: Path, key: str) -> None:
    arguments = ["serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0"]
    code, _, errors = start(*arguments, COHORT_API_KEY=key).ended()
    assert (code, "COHORT_API_KEY" in one_line(errors)) == (1, True)


def test_what_a_server_and_a_backup_make_is_their_users_alone_to_read(start: Any, tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    server = start(*serve(data)).listening()
    with connected(server) as api:
        api.call("CreateProject", {"project": {"projectId": "acme"}})
        api.send(event("ann"))
    assert start("backup", "--data-dir", str(data), str(copy)).ended()[0] == 0
    server.terminate()
    made = [data, copy, *data.rglob("*"), *copy.rglob("*")]
    assert len(made) > 20
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


def test_proxies_of_the_environment_are_not_used(start: Any, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:1"
    proxies = {"http_proxy": nobody, "https_proxy": nobody, "grpc_proxy": nobody, "no_proxy": ""}
    server = start(*serve(tmp_path / "data"), **proxies).listening()
    with connected(server) as api:
        cohort = api.call("CreateCohort", {"cohort": {"name": "all", "rule": did()}})["cohort"]
        file = {"path": str(tmp_path / "out.csv"), "format": "CSV"}
        made = api.call("CreateDestination", {"destination": {"name": "f", "file": file}})["destination"]
        pair = {"cohortId": cohort["cohortId"], "destinationId": made["destinationId"]}
        sync = api.call("CreateSync", {"sync": {**pair, "schedule": {"hourly": {}}}})["sync"]
        assert api.call("PreviewSync", {"syncId": sync["syncId"]}) is not None
    code, _, errors = start("--target", server.target, "health", **proxies).ended()
    assert (code, errors) == (0, "")


def test_a_port_that_is_taken_is_said_in_the_last_line(start: Any, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, errors = start(
            "serve", "--data-dir", str(tmp_path), "--listen", address, "--insecure"
        ).ended()
    assert (code, "Traceback" in errors) == (1, False)
    assert f"cannot listen on {address}" in errors.splitlines()[-1]  # grpc itself writes lines before it


def test_a_service_that_waits_for_the_log_stops_when_told(start: Any, tmp_path: Path) -> None:
    code, _, errors = start(*serve_one("cohort", tmp_path)).waiting().terminate()
    assert (code, "Traceback" in errors) == (0, False)


def test_the_dedupe_window_is_what_was_said_last(start: Any, tmp_path: Path) -> None:
    windows = []
    for options in ([], ["--dedupe-days", "0.5"], []):
        server = start(*serve(tmp_path), *options).listening()
        with connected(server) as client:
            windows.append(client.call("GetProject", {"projectId": "default"})["project"]["dedupeWindow"])
        server.terminate()
    assert windows == ["604800s", "43200s", "43200s"]
