"""Who gets in? Every RPC that reflection shows, tried with every kind of key, against real processes."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.rpc.errors import Failure
from libs.rpc.scopes import SCOPES, Scope
from libs.storage.directory import new_secret
from tests.contract.harness import Client, did
from tests.integration.processes import Process, serve_one, started

OPERATOR = "operator of a test"
DENIED = (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


def bearer(secret: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {secret}")]


def make_key(api: Client, *scopes: str) -> tuple[str, str]:
    """Return the id and the secret of a new key."""
    request = {"apiKey": {"name": "-".join(scopes), "scopes": list(scopes)}}
    answer = api.call("CreateApiKey", request, metadata=bearer(OPERATOR))
    return answer["apiKey"]["keyId"], answer["secret"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("access")
    with started() as start:
        arguments = ["serve", "--data-dir", str(folder), "--listen", "127.0.0.1:0"]
        api = Client(start(*arguments, COHORT_API_KEY=OPERATOR).listening().target)
        yield api
        api.close()


def rpcs(api: Client) -> dict[str, str]:
    """Return every RPC of ours that the server shows: full name by name."""
    return {
        name: f"{method.containing_service.full_name}.{name}" for name, method in api.services.methods.items()
    }


def test_every_rpc_is_in_the_table_and_refuses_whoever_has_no_valid_key(server: Client) -> None:
    shown = rpcs(server)
    assert len(shown) > 45
    assert {full for full in SCOPES if "Destination" not in full.split(".")[2]} == set(shown.values())
    key_id, revoked = make_key(server, *Scope)
    server.call("GetCatalog", metadata=bearer(revoked))
    server.call("RevokeApiKey", {"keyId": key_id}, metadata=bearer(OPERATOR))
    _, valid = make_key(server, *Scope)
    wrong: list[Any] = [
        None,
        *([("authorization", each)] for each in ("", "Bearer", "Bearer ", valid, f"bearer {valid}")),
        *([("authorization", each)] for each in (f"Basic {valid}", f"Bearer  {valid}", f"Bearer {valid}x")),
        [*bearer(valid), *bearer(valid)],
        [("x-api-key", valid)],
        bearer(valid[:-1]),
        bearer(new_secret()),
        bearer(revoked),
    ]
    for name in shown:
        for metadata in wrong:
            failed = server.failure(name, metadata=metadata)
            assert (failed.code, failed.reason) == REFUSED, (name, metadata)


def test_every_rpc_opens_to_its_scope_alone(server: Client) -> None:
    by_scope = {scope: bearer(make_key(server, scope)[1]) for scope in Scope}
    for name, full in rpcs(server).items():
        for scope, metadata in by_scope.items():
            outcome = None
            try:
                server.call(name, metadata=metadata)
            except grpc.RpcError as error:
                failed = Failure.of(error)
                outcome = (failed.code, failed.reason)
            if scope is SCOPES[full]:
                assert outcome not in (DENIED, REFUSED), (name, scope)
            else:
                assert outcome == DENIED, (name, scope)


def test_health_and_reflection_are_open(server: Client) -> None:
    health = server.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert health(b"", timeout=10) == b"\x08\x01"
    assert "cohort.v1.SyncService" in server.services.services


def test_a_revocation_shuts_out_of_all_three_processes_and_ends_streams(tmp_path: Path) -> None:
    with started() as start:

        def run(service: str, *more: str) -> Process:
            arguments = [each for each in serve_one(service, tmp_path, *more) if each != "--insecure"]
            process: Process = start(*arguments, COHORT_API_KEY=OPERATOR).listening()
            return process

        processes = [run("ingest"), run("cohort")]
        processes.append(run("sync", "--cohort-target", processes[1].target))
        ingest, cohort, sync = clients = [Client(process.target) for process in processes]
        rule = {"cohort": {"name": "all", "rule": did()}}
        made = cohort.call("CreateCohort", rule, metadata=bearer(OPERATOR))["cohort"]["cohortId"]
        key_id, secret = make_key(ingest, "read")
        key = bearer(secret)
        calls = ((ingest, "GetCatalog"), (cohort, "ListCohorts"), (sync, "ListSyncs"))
        for api, method in calls:
            api.call(method, metadata=key)
        stream = cohort.channel.unary_stream("/cohort.v1.CohortService/WatchCohort")(
            b"\x0a" + bytes([len(made)]) + made.encode(), metadata=key, timeout=60
        )
        next(stream)
        ingest.call("RevokeApiKey", {"keyId": key_id}, metadata=bearer(OPERATOR))
        for api, method in calls:
            failed = api.failure(method, metadata=key)
            assert (failed.code, failed.reason) == REFUSED
        with pytest.raises(grpc.RpcError) as ended:
            list(stream)
        assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        for process in processes[1:]:
            assert process.terminate()[0] == 0  # and writes when it has seen the key
        [shown] = ingest.call("ListApiKeys", metadata=bearer(OPERATOR))["apiKeys"]
        order = [datetime.fromisoformat(shown[f"{what}Time"]) for what in ("create", "lastUse", "revoke")]
        assert order == sorted(order)
        for client in clients:
            client.close()


def test_an_operators_key_is_made_offline_and_then_serves_alone(tmp_path: Path) -> None:
    data = ["--data-dir", str(tmp_path / "data")]
    with started() as start:
        code, secret, said = start("keys", "create", "me", "--operator", *data).ended()
        assert (code, "operator" in said) == (0, True)
        server = start("serve", *data, "--listen", "127.0.0.1:0").listening()
        code, _, errors = start("keys", "create", "x", "--scope", "read", *data).ended()
        assert (code, "in use by another server" in errors) == (1, True)
        mine = ["--target", server.target, "--api-key", secret.strip(), "keys"]
        code, reader, _ = start(*mine, "create", "shop", "--scope", "read", "--scope", "ingest").ended()
        assert (code, reader.startswith("cohort_")) == (0, True)
        code, out, _ = start(*mine, "list").ended()
        assert code == 0
        assert [line.split()[1] for line in out.splitlines()[2:]] == ["me", "shop"]
        shop = out.splitlines()[-1].split()[0]
        assert start(*mine, "revoke", shop).ended()[0] == 0
        code, _, errors = start("--target", server.target, "--api-key", reader.strip(), "list").ended()
        assert (code, "valid API key" in errors) == (1, True)
        assert server.terminate()[0] == 0
