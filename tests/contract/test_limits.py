"""Limits of a project over the wire: set by the operator, held at once, shown with what is taken."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.contract.harness import Client, StepClock, client, did, event

OPERATOR = "operator of a test"
BEARER = [("authorization", f"Bearer {OPERATOR}")]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Client, StepClock]]:
    with client(tmp_path, api_key=OPERATOR) as (api, clock):
        yield api, clock


def limit(api: Client, mask: str = "limits", **limits: Any) -> dict[str, Any]:
    request = {"project": {"projectId": "default", "limits": limits}, "updateMask": mask}
    project: dict[str, Any] = api.call("UpdateProject", request, metadata=BEARER)["project"]
    return project


def test_past_its_rate_every_way_to_send_is_refused_until_the_time_that_retry_info_says(
    served: tuple[Client, StepClock],
) -> None:
    api, clock = served
    limit(api, eventsPerSecond=2)
    api.call("SendEvents", {"events": [event(f"c{n}") for n in range(20)]}, metadata=BEARER)
    ways: dict[str, dict[str, Any]] = {
        "SendEvents": {"events": [event()]},
        "SendEventsJson": {"jsonLines": "eyJjdXN0b21lcklkIjoiYSIsImV2ZW50VHlwZSI6InZpZXcifQo="},
        "SendEventColumns": {"customerIds": ["a"], "eventTypes": ["view"]},
        "UpsertCustomers": {"customers": [{"customerId": "a"}]},
    }
    for method, request in ways.items():
        failed = api.failure(method, request, metadata=BEARER)
        assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "EVENT_RATE_LIMIT")
        assert failed.retry_after == pytest.approx(0.5, abs=0.01)
    found = api.call("RunRule", {"rule": did(), "countOnly": True}, metadata=BEARER)
    assert found["size"] == 20
    for method, request in ways.items():
        clock.now += 501
        api.call(method, request, metadata=BEARER)


def test_a_full_log_refuses_what_adds_to_it_and_not_what_reads_or_erases(
    served: tuple[Client, StepClock],
) -> None:
    api, _ = served
    events = [event(f"c{n}", data={"text": f"{n}" * 200}) for n in range(2_000)]
    api.call("SendEvents", {"events": events}, metadata=BEARER)
    taken = int(api.call("GetProject", metadata=BEARER)["project"]["usage"]["logBytes"])
    limit(api, logBytes=taken)
    for method, request in (
        ("SendEvents", {"events": [event()]}),
        ("UpsertCustomers", {"customers": [{"customerId": "a"}]}),
    ):
        failed = api.failure(method, request, metadata=BEARER)
        assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LOG_BYTES_LIMIT")
        assert failed.retry_after == 3600
    assert api.call("RunRule", {"rule": did(), "countOnly": True}, metadata=BEARER)["size"] == 2000
    assert api.call("DeleteCustomers", {"customerIds": ["c0"]}, metadata=BEARER)["deleted"] == 1
    limit(api, logBytes=2 * taken)
    assert api.call("SendEvents", {"events": [event()]}, metadata=BEARER)["accepted"] == 1


def test_keys_are_counted_without_revoked_ones_and_the_operators(served: tuple[Client, StepClock]) -> None:
    api, _ = served
    limit(api, apiKeys=2)
    wanted = {"apiKey": {"name": "k", "scopes": ["read"]}}
    first = api.call("CreateApiKey", {**wanted, "requestId": "r"}, metadata=BEARER)
    api.call("CreateApiKey", wanted, metadata=BEARER)
    failed = api.failure("CreateApiKey", wanted, metadata=BEARER)
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "API_KEYS_LIMIT")
    again = api.call("CreateApiKey", {**wanted, "requestId": "r"}, metadata=BEARER)
    assert again["apiKey"] == first["apiKey"]
    assert api.call("GetProject", metadata=BEARER)["project"]["usage"]["apiKeys"] == "2"
    api.call("RevokeApiKey", {"keyId": first["apiKey"]["keyId"]}, metadata=BEARER)
    api.call("CreateApiKey", wanted, metadata=BEARER)


def test_an_update_changes_what_its_mask_names_and_lifts_what_is_absent(
    served: tuple[Client, StepClock],
) -> None:
    api, _ = served
    assert "limits" not in api.call("GetProject", metadata=BEARER)["project"]
    limit(api, eventsPerSecond=5, apiKeys=3)
    assert limit(api, "limits.logBytes", logBytes="7000000000")["limits"] == {
        "eventsPerSecond": "5",
        "logBytes": "7000000000",
        "apiKeys": "3",
    }
    assert limit(api, "limits.eventsPerSecond,limits.logBytes")["limits"] == {"apiKeys": "3"}
    (shown,) = api.call("ListProjects", metadata=BEARER)["projects"]
    assert shown["limits"] == {"apiKeys": "3"}
    assert "limits" not in limit(api)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"updateMask": "limits", "project": {"limits": {"apiKeys": 0}}}, "INVALID_LIMIT"),
        ({"updateMask": "limits", "project": {"limits": {"logBytes": -1}}}, "INVALID_LIMIT"),
        ({"project": {"limits": {"apiKeys": 1}}}, "INVALID_UPDATE_MASK"),
        ({"updateMask": "timeZone", "project": {"timeZone": "UTC"}}, "INVALID_UPDATE_MASK"),
        ({"updateMask": "limits.more"}, "INVALID_UPDATE_MASK"),
        ({"updateMask": "apiKeys"}, "INVALID_UPDATE_MASK"),
    ],
)
def test_an_update_that_cannot_be_is_refused_and_changes_nothing(
    served: tuple[Client, StepClock], request_: dict[str, Any], reason: str
) -> None:
    api, _ = served
    limit(api, eventsPerSecond=5)
    failed = api.failure("UpdateProject", request_, metadata=BEARER)
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert api.call("GetProject", metadata=BEARER)["project"]["limits"] == {"eventsPerSecond": "5"}
    nobody = {"project": {"projectId": "nobody"}, "updateMask": "limits"}
    assert api.failure("UpdateProject", nobody, metadata=BEARER).reason == "PROJECT_NOT_FOUND"


def test_limits_outlive_a_restart(tmp_path: Path) -> None:
    with client(tmp_path, api_key=OPERATOR) as (api, _):
        limit(api, eventsPerSecond=1)
    with client(tmp_path, api_key=OPERATOR) as (api, _):
        api.call("SendEvents", {"events": [event()] * 10}, metadata=BEARER)
        failed = api.failure("SendEvents", {"events": [event()]}, metadata=BEARER)
        assert failed.reason == "EVENT_RATE_LIMIT"
