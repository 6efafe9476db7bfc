"""JSON lines in both spellings of proto3 JSON: event_type beside eventType."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.gen.cohort.v1 import ingest_pb2
from tests.contract.conftest import Cli
from tests.fakes.services import Fakes


@pytest.fixture(autouse=True)
def _all_kept(fakes: Fakes) -> None:
    fakes.answers["SendEventsJson"] = lambda request: ingest_pb2.SendEventsJsonResponse(
        accepted=len(request.json_lines.splitlines()), revision="r"
    )
    fakes.answers["UpsertCustomers"] = lambda request: ingest_pb2.UpsertCustomersResponse(
        accepted=len(request.customers), revision="r"
    )


def write(directory: Path, *objects: dict[str, Any]) -> str:
    path = directory / "rows.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in objects))
    return str(path)


def test_events_are_sent_whichever_way_each_line_spells_their_names(
    cli: Cli, fakes: Fakes, tmp_path: Path
) -> None:
    inner = {"event_id": "inner", "customer_id": "inner"}
    data = {"event_type": "attribute"}
    path = write(
        tmp_path,
        {"customer_id": "a", "event_type": "v", "event_time": "2026-01-01", "event_id": "e-1", "data": inner},
        {"customerId": "b", "eventType": "v", "eventId": "e-2", "data": data},
        {"customer_id": "c", "eventType": "v", "event_id": "e-3"},
        {"customer_id": "d", "customerId": "e", "eventType": "v", "eventId": "e-4"},
    )
    assert cli("import", path).exit_code == 0
    request = fakes.last("SendEventsJson")
    assert [json.loads(line) for line in request.json_lines.splitlines()] == [
        {"customerId": "a", "eventType": "v", "eventTime": "2026-01-01", "eventId": "e-1", "data": inner},
        {"customerId": "b", "eventType": "v", "eventId": "e-2", "data": data},
        {"customerId": "c", "eventType": "v", "eventId": "e-3"},
        {"customer_id": "d", "customerId": "e", "eventType": "v", "eventId": "e-4"},  # refused by the server
    ]


def test_customers_are_sent_in_both_spellings(cli: Cli, fakes: Fakes, tmp_path: Path) -> None:
    path = write(tmp_path, {"customer_id": "a", "data": {"n": 1}}, {"customerId": "b", "data": {"n": 2}})
    assert cli("customers", "import", path).exit_code == 0
    request = fakes.last("UpsertCustomers")
    assert [customer.customer_id for customer in request.customers] == ["a", "b"]
