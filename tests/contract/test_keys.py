"""API keys: made, shown once, listed, revoked, and what may go wrong."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from libs.gen.cohort.v1 import admin_pb2, cohort_pb2, event_pb2, ingest_pb2
from tests.contract.harness import NOW, Client, StepClock, client, event

OPERATOR = "the operator's own"
BEARER = [("authorization", f"Bearer {OPERATOR}")]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Client, StepClock]]:
    with client(tmp_path, api_key=OPERATOR) as (api, clock):
        yield api, clock


@pytest.fixture
def api(served: tuple[Client, StepClock]) -> Client:
    return served[0]


def made(api: Client, name: str = "k", *scopes: str, **fields: Any) -> tuple[dict[str, Any], Any]:
    """Make a key; return it and the metadata that carries it."""
    request = {"apiKey": {"name": name, "scopes": list(scopes) or ["read"]}, **fields}
    answer = api.call("CreateApiKey", request, metadata=BEARER)
    return answer["apiKey"], [("authorization", f"Bearer {answer['secret']}")]


def listed(api: Client) -> list[dict[str, Any]]:
    answer = api.call("ListApiKeys", metadata=BEARER)
    assert "secret" not in str(answer).lower()
    return list(answer.get("apiKeys", []))


def test_a_key_opens_what_its_scopes_say_and_nothing_else(api: Client) -> None:
    key, reading = made(api, "reader", "read")
    assert key["scopes"] == ["read"]
    assert key["projectId"] == "default"
    assert api.call("GetCatalog", metadata=reading)["timeZone"] == "UTC"
    for method in ("SendEvents", "CreateCohort", "CreateApiKey"):
        failed = api.failure(method, metadata=reading)
        assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    _, sending = made(api, "sender", "ingest", "admin")
    assert api.call("SendEvents", {"events": [event("a")]}, metadata=sending)["accepted"] == 1
    assert api.failure("GetCatalog", metadata=sending).code is grpc.StatusCode.PERMISSION_DENIED


def test_a_call_that_was_let_in_is_not_served_when_its_key_is_revoked_before_its_message_comes(
    api: Client,
) -> None:
    key, bearer = made(api, "k", "ingest", "manage", "admin", "read")
    requests = {
        "AdminService/CreateApiKey": admin_pb2.CreateApiKeyRequest(
            api_key=admin_pb2.ApiKey(name="backdoor", scopes=["admin"])
        ),
        "IngestService/SendEvents": ingest_pb2.SendEventsRequest(
            events=[event_pb2.Event(customer_id="ann", event_type="view")]
        ),
        "CohortService/StreamMembers": cohort_pb2.StreamMembersRequest(cohort_id="c"),
        "IngestService/StreamEvents": ingest_pb2.StreamEventsRequest(),
    }
    held = threading.Event()

    def late(request: Message) -> Iterator[bytes]:
        held.wait()
        yield request.SerializeToString()

    calls = [
        api.channel.stream_stream(f"/cohort.v1.{name}")(late(request), metadata=bearer, timeout=60)
        for name, request in requests.items()
    ]
    api.call("GetCatalog", metadata=bearer)  # on the same connection, so the others have arrived
    api.call("RevokeApiKey", {"keyId": key["keyId"]}, metadata=BEARER)
    held.set()
    for call in calls:
        with pytest.raises(grpc.RpcError) as ended:
            list(call)
        assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
    assert [each["name"] for each in listed(api)] == ["k"]
    assert "ann" not in str(api.call("RunRule", {"rule": {"all": {}}}, metadata=BEARER))


def test_a_secret_is_256_bits_and_in_no_file(api: Client, tmp_path: Path) -> None:
    secrets = [dict(made(api)[1])["authorization"].removeprefix("Bearer ") for _ in range(3)]
    assert len(set(secrets)) == 3
    assert all(re.fullmatch(r"cohort_[A-Za-z0-9_-]{43}", secret) for secret in secrets)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(b"key_0000000001" in file.read_bytes() for file in files)
    for secret in [*secrets, OPERATOR]:
        assert not [file for file in files if secret.encode() in file.read_bytes()]


def test_a_revoked_key_is_refused_by_the_next_call(served: tuple[Client, StepClock]) -> None:
    api, clock = served
    key, metadata = made(api)
    other, kept = made(api)
    api.call("GetCatalog", metadata=metadata)
    clock.now += 5_000
    revoked = api.call("RevokeApiKey", {"keyId": key["keyId"]}, metadata=BEARER)["apiKey"]
    assert revoked["revokeTime"] == "2026-01-01T00:00:05Z"
    failed = api.failure("GetCatalog", metadata=metadata)
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert api.call("GetCatalog", metadata=kept)
    clock.now += 5_000
    assert api.call("RevokeApiKey", {"keyId": key["keyId"]}, metadata=BEARER)["apiKey"] == revoked
    assert [each.get("revokeTime") for each in listed(api)] == ["2026-01-01T00:00:05Z", None]
    assert other["keyId"] == listed(api)[1]["keyId"]


def test_keys_and_revocations_outlive_a_restart(tmp_path: Path) -> None:
    with client(tmp_path, api_key=OPERATOR) as (api, _):
        key, gone = made(api)
        _, kept = made(api)
        api.call("RevokeApiKey", {"keyId": key["keyId"]}, metadata=BEARER)
    with client(tmp_path, api_key="another") as (api, _):
        assert api.call("GetCatalog", metadata=kept)
        for metadata in (gone, BEARER):
            assert api.failure("GetCatalog", metadata=metadata).code is grpc.StatusCode.UNAUTHENTICATED


def test_a_repeated_request_gets_the_key_without_its_secret(api: Client) -> None:
    request = {"apiKey": {"name": "k", "scopes": ["read"]}, "requestId": "r"}
    first = api.call("CreateApiKey", request, metadata=BEARER)
    again = api.call("CreateApiKey", request, metadata=BEARER)
    assert again == {"apiKey": first["apiKey"]}
    assert len(listed(api)) == 1
    other = {**request, "apiKey": {"name": "k", "scopes": ["admin"]}}
    assert api.failure("CreateApiKey", other, metadata=BEARER).reason == "REQUEST_ID_REUSED"
    _, admin = made(api, "admin", "admin")
    own = api.call("CreateApiKey", request, metadata=admin)
    assert own["secret"], "a request id of one is not that of another"


def test_the_last_use_is_shown(served: tuple[Client, StepClock]) -> None:
    api, clock = served
    _, metadata = made(api)
    assert "lastUseTime" not in listed(api)[0]
    for _ in range(2):
        clock.now += 1_000
        api.call("GetCatalog", metadata=metadata)
    assert listed(api)[0]["lastUseTime"] == "2026-01-01T00:00:02Z"
    assert clock.now == NOW + 2_000


def test_keys_are_listed_in_pages_oldest_first(api: Client) -> None:
    names = [made(api, f"key {number}")[0]["name"] for number in range(5)]
    seen, token = [], ""
    while True:
        request = {"pageSize": 2, "pageToken": token}
        answer = api.call("ListApiKeys", request, metadata=BEARER)
        seen += [key["name"] for key in answer["apiKeys"]]
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert seen == names
    failed = api.failure("ListApiKeys", {"pageToken": "x"}, metadata=BEARER)
    assert failed.reason == "PAGE_TOKEN_FOREIGN"


@pytest.mark.parametrize(
    ("key", "reason", "field"),
    [
        ({"scopes": ["read"]}, "INVALID_NAME", "apiKey.name"),
        ({"name": "x" * 201, "scopes": ["read"]}, "INVALID_NAME", "apiKey.name"),
        ({"name": "a\nb", "scopes": ["read"]}, "INVALID_NAME", "apiKey.name"),
        ({"name": "k"}, "MISSING_SCOPES", "apiKey.scopes"),
        ({"name": "k", "scopes": ["read", "root"]}, "UNKNOWN_SCOPE", "apiKey.scopes[1]"),
        ({"name": "k", "scopes": ["READ"]}, "UNKNOWN_SCOPE", "apiKey.scopes[0]"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_its_field(
    api: Client, key: dict[str, Any], reason: str, field: str
) -> None:
    failed = api.failure("CreateApiKey", {"apiKey": key}, metadata=BEARER)
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert failed.violations[0][0] == field
    assert listed(api) == []


@pytest.mark.parametrize("key_id", ["", "key_none", "x" * 5_000])
def test_a_key_that_is_not_there_cannot_be_revoked(api: Client, key_id: str) -> None:
    failed = api.failure("RevokeApiKey", {"keyId": key_id}, metadata=BEARER)
    assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND")


def test_keys_of_a_project_that_is_not_there_are_not_found(api: Client) -> None:
    for method, request in (
        ("CreateApiKey", {"apiKey": {"name": "k", "scopes": ["read"], "projectId": "other"}}),
        ("ListApiKeys", {"projectId": "other"}),
    ):
        failed = api.failure(method, request, metadata=BEARER)
        assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "PROJECT_NOT_FOUND")


def test_without_keys_asked_for_a_key_that_was_made_still_counts(tmp_path: Path) -> None:
    with client(tmp_path) as (api, _):
        assert api.call("GetCatalog", metadata=[("authorization", "Bearer whatever")])
        answer = api.call("CreateApiKey", {"apiKey": {"name": "k", "scopes": ["ingest"]}})
        metadata = [("authorization", f"Bearer {answer['secret']}")]
        assert api.failure("GetCatalog", metadata=metadata).code is grpc.StatusCode.PERMISSION_DENIED
        api.call("RevokeApiKey", {"keyId": answer["apiKey"]["keyId"]})
        assert api.failure("GetCatalog", metadata=metadata).code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("project", "reason", "field"),
    [
        ({}, "INVALID_PROJECT_ID", "project.projectId"),
        ({"projectId": "A"}, "INVALID_PROJECT_ID", "project.projectId"),
        ({"projectId": "a" * 65}, "INVALID_PROJECT_ID", "project.projectId"),
        ({"projectId": "../a"}, "INVALID_PROJECT_ID", "project.projectId"),
        ({"projectId": "a\n"}, "INVALID_PROJECT_ID", "project.projectId"),
        ({"projectId": "a", "timeZone": "Mars"}, "UNKNOWN_TIME_ZONE", "project.timeZone"),
        ({"projectId": "a", "dedupeWindow": "1s"}, "INVALID_DEDUPE_WINDOW", "project.dedupeWindow"),
        ({"projectId": "a", "dedupeWindow": "-1s"}, "INVALID_DEDUPE_WINDOW", "project.dedupeWindow"),
    ],
)
def test_a_project_that_cannot_be_is_refused_with_its_field(
    api: Client, project: dict[str, Any], reason: str, field: str
) -> None:
    failed = api.failure("CreateProject", {"project": project}, metadata=BEARER)
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert failed.violations[0][0] == field


def test_a_project_is_made_once_and_by_the_operator_alone(api: Client) -> None:
    request = {"project": {"projectId": "acme"}, "requestId": "r"}
    made_once = api.call("CreateProject", request, metadata=BEARER)
    assert made_once["project"]["timeZone"] == "UTC"
    assert made_once["project"]["dedupeWindow"] == "604800s"
    assert api.call("CreateProject", request, metadata=BEARER) == made_once
    again = api.failure("CreateProject", {"project": {"projectId": "acme"}}, metadata=BEARER)
    assert (again.code, again.reason) == (grpc.StatusCode.ALREADY_EXISTS, "PROJECT_EXISTS")
    _, admin = made(api, "admin", "admin")
    for project_id in ("acme", "other"):
        failed = api.failure("CreateProject", {"project": {"projectId": project_id}}, metadata=admin)
        assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "OPERATOR_ONLY")
    listed = api.call("ListProjects", metadata=admin)["projects"]
    assert [each["projectId"] for each in listed] == ["default"]


def test_a_server_holds_so_many_projects_and_no_more(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ingest.projects.MAX_PROJECTS", 2)
    api.call("CreateProject", {"project": {"projectId": "a"}}, metadata=BEARER)
    failed = api.failure("CreateProject", {"project": {"projectId": "b"}}, metadata=BEARER)
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_PROJECTS")


def test_the_ids_of_a_projects_keys_tell_nothing_of_other_projects(api: Client) -> None:
    api.call("CreateProject", {"project": {"projectId": "acme"}}, metadata=BEARER)

    def number(project: str) -> int:
        wanted = {"apiKey": {"name": "k", "scopes": ["read"], "projectId": project}}
        made_key = api.call("CreateApiKey", wanted, metadata=BEARER)["apiKey"]["keyId"]
        return int(made_key.removeprefix("key_")[:10], 16)

    first = number("acme")
    for _ in range(3):
        number("default")
    assert number("acme") == first + 1
