"""The compose file's three commands work as processes: there is no container engine where tests run."""

import re
import tomllib
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from libs.rpc import server
from services.sync import runner
from tests.contract.harness import Client
from tests.integration.processes import ROOT, Process, started

SERVICES = ("ingest", "cohort", "sync")
HOLDER = "pids"
"""The container whose process ids the services share."""
KEY = "a key of this test"
BEARER = (("authorization", f"Bearer {KEY}"),)


@pytest.fixture
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def command(service: dict[str, Any], data_dir: Path, cohort: str = "") -> list[str]:
    """Return a service's command, on a free port of this machine and a folder of the test."""
    places = {"/data": str(data_dir), "cohort:50052": cohort}
    return [
        "127.0.0.1:0" if word.startswith("0.0.0.0:") else places.get(word, word)
        for word in service["command"]
    ]


def test_the_commands_serve_one_log_with_one_key(compose: dict[str, Any], tmp_path: Path) -> None:
    services = compose["services"]
    with started() as start:
        ingest: Process = start(*command(services["ingest"], tmp_path), COHORT_API_KEY=KEY).listening()
        cohort: Process = start(*command(services["cohort"], tmp_path), COHORT_API_KEY=KEY).listening()
        asked = command(services["sync"], tmp_path, cohort.target)
        sync: Process = start(*asked, COHORT_API_KEY=KEY).listening()
        send, ask, keep = (Client(process.target) for process in (ingest, cohort, sync))
        event = {"customerId": "ann", "eventType": "view"}
        send.call("SendEvents", {"events": [event]}, metadata=BEARER)
        rule = {"rule": {"did": {"eventType": "view"}}}
        assert ask.call("RunRule", rule, metadata=BEARER)["customerIds"] == ["ann"]
        assert ask.failure("RunRule", rule).code is grpc.StatusCode.UNAUTHENTICATED
        cohort_id = ask.call("CreateCohort", {"cohort": {"name": "all", **rule}}, metadata=BEARER)["cohort"][
            "cohortId"
        ]
        file = {"path": f"{tmp_path}-members.csv", "format": "CSV"}
        made = keep.call(
            "CreateDestination", {"destination": {"name": "file", "file": file}}, metadata=BEARER
        )
        pair = {"cohortId": cohort_id, "destinationId": made["destination"]["destinationId"]}
        created = keep.call("CreateSync", {"sync": {**pair, "schedule": {"hourly": {}}}}, metadata=BEARER)
        assert created["sync"]["state"] == "ACTIVE"
        for client in (send, ask, keep):
            client.close()
        for process in (sync, cohort, ingest):
            assert process.terminate()[0] == 0


def test_all_services_share_image_volume_and_process_ids(compose: dict[str, Any]) -> None:
    containers = compose["services"]
    services = {name: containers[name] for name in SERVICES}
    assert set(containers) == {*SERVICES, HOLDER}
    assert {container["image"] for container in containers.values()} == {"cohort"}
    assert all(service["volumes"] == ["data:/data"] for service in services.values())
    assert all(service["pid"] == f"service:{HOLDER}" for service in services.values())
    assert all(HOLDER in service["depends_on"] for service in services.values())
    assert all(each["read_only"] and each["user"] == "10001:10001" for each in containers.values())
    assert all(
        service["environment"]["COHORT_API_KEY"].startswith("${COHORT_API_KEY:?")
        for service in services.values()
    )
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])


def test_the_holder_of_process_ids_has_nothing_to_lose(compose: dict[str, Any]) -> None:
    holder = compose["services"][HOLDER]
    assert holder["entrypoint"] == ["sleep", "infinity"]
    assert holder["init"] is True
    assert holder["network_mode"] == "none"
    assert not {"volumes", "environment", "ports", "pid"} & set(holder)


def test_a_stop_waits_for_a_batch_and_then_for_calls(compose: dict[str, Any]) -> None:
    drain = runner.DRAIN_SECONDS + server.DRAIN_SECONDS
    graces = [compose["services"][name]["stop_grace_period"] for name in SERVICES]
    assert all(int(grace.removesuffix("s")) > drain for grace in graces)


def test_each_service_is_asked_for_its_health_where_it_listens(compose: dict[str, Any]) -> None:
    for name in SERVICES:
        service = compose["services"][name]
        port = service["command"][service["command"].index("--listen") + 1].rpartition(":")[2]
        assert service["healthcheck"]["test"] == ["CMD", "cohort", "--target", f"127.0.0.1:{port}", "health"]
        assert service["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_image_installs_only_what_a_hash_pins() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert len(installs) == 1
    assert all("--require-hashes -r requirements-run.lock" in line for line in installs)


def test_the_image_runs_as_nobody_in_particular_and_owns_its_data_alone() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    last = lines[lines.index("FROM python:3.11-slim") :]
    assert [line for line in last if line.startswith("USER")] == ["USER 10001:10001"]
    after = last[last.index("USER 10001:10001") + 1 :]
    assert {line.split()[0] for line in after} == {
        "VOLUME",
        "ENTRYPOINT",
        "CMD",
    }  # nothing is done as root behind it
    assert not any("--chown" in line or "chmod" in line or "setuid" in line for line in last)
    [made] = [line for line in last if "useradd" in line]
    assert "--uid 10001" in made
    assert "install -d -m 700 -o cohort -g cohort /data" in made


def test_containers_can_write_to_their_data_alone_and_gain_nothing(compose: dict[str, Any]) -> None:
    for name, container in compose["services"].items():
        assert container["read_only"] is True
        assert container["user"] == "10001:10001"
        assert container["cap_drop"] == ["ALL"]
        assert container["security_opt"] == ["no-new-privileges:true"]
        assert not {"cap_add", "privileged", "devices", "userns_mode"} & set(container)
        assert container.get("volumes", []) in ([], ["data:/data"])
        places = container.get("tmpfs", [])
        assert places == ([] if name == HOLDER else ["/tmp:nosuid,nodev,mode=1777"])


def test_what_the_image_runs_is_what_was_tested() -> None:
    tested, runs = (locked(ROOT / name) for name in ("requirements.lock", "requirements-run.lock"))
    assert runs
    assert {name: tested.get(name) for name in runs} == runs
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.split("[><=]", one)[0] for one in project["dependencies"]} <= set(runs)


def locked(file: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the version and the hashes of each package of a lock file."""
    found = {}
    for entry in re.split(r"\n(?=\w)", file.read_text()):
        head = re.match(r"([\w.-]+)==([\w.+!]+)", entry)
        assert head, entry
        found[head[1]] = (head[2], frozenset(re.findall(r"--hash=(\S+)", entry)))
    return found
