"""The compose file's three commands work as processes: there is no container engine where tests run."""

from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from tests.contract.harness import Client
from tests.integration.processes import ROOT, Process, started

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
    services = compose["services"]
    assert {service["image"] for service in services.values()} == {"cohort"}
    assert all(service["volumes"] == ["data:/data"] for service in services.values())
    assert all(services[name]["pid"] == "service:ingest" for name in ("cohort", "sync"))
    assert all(service["read_only"] and service["user"] != "root" for service in services.values())
    assert all("COHORT_API_KEY" in service["environment"] for service in services.values())
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])
