"""Projects in real processes: made while they run, served by all three, there after a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.contract.harness import Client, did, event
from tests.integration.processes import Process, serve_one, started

OPERATOR = "operator of a test"


def bearer(secret: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {secret}")]


@pytest.fixture
def start() -> Iterator[Any]:
    with started() as start:
        yield start


def all_three(start: Any, folder: Path, *sync_options: str) -> tuple[list[Process], list[Client]]:
    def run(service: str, *more: str) -> Process:
        arguments = [each for each in serve_one(service, folder / "data", *more) if each != "--insecure"]
        process: Process = start(*arguments, COHORT_API_KEY=OPERATOR).listening()
        return process

    processes = [run("ingest"), run("cohort")]
    processes.append(run("sync", "--cohort-target", processes[1].target, *sync_options))
    return processes, [Client(process.target) for process in processes]


def test_a_project_made_while_three_processes_run_is_served_by_all(start: Any, tmp_path: Path) -> None:
    files = tmp_path / "files"
    (files / "acme").mkdir(parents=True)
    processes, (ingest, cohort, sync) = all_three(start, tmp_path, "--tenant-files", str(files))
    operator = bearer(OPERATOR)
    ingest.call("SendEvents", {"events": [event("mine")]}, metadata=operator)
    project = {"projectId": "acme", "timeZone": "Asia/Kolkata", "dedupeWindow": "3600s"}
    made = ingest.call("CreateProject", {"project": project}, metadata=operator)["project"]
    assert {name: made[name] for name in project} == project
    scopes = ["ingest", "read", "manage"]
    wanted = {"apiKey": {"name": "k", "scopes": scopes, "projectId": "acme"}}
    key = bearer(ingest.call("CreateApiKey", wanted, metadata=operator)["secret"])
    ingest.call("SendEvents", {"events": [event("theirs")]}, metadata=key)
    assert cohort.call("RunRule", {"rule": did()}, metadata=key)["customerIds"] == ["theirs"]
    assert cohort.call("RunRule", {"rule": did()}, metadata=operator)["customerIds"] == ["mine"]
    assert ingest.call("GetCatalog", metadata=key)["timeZone"] == "Asia/Kolkata"
    saved = cohort.call("CreateCohort", {"cohort": {"name": "all", "rule": did()}}, metadata=key)["cohort"]

    def destination(path: Path) -> Any:
        settings = {"name": path.name, "file": {"path": str(path), "format": "CSV"}}
        return {"destination": settings}

    for outside in (tmp_path / "x.csv", files / "x.csv", files / "acme" / ".." / "other" / "x.csv"):
        failed = sync.failure("CreateDestination", destination(outside), metadata=key)
        assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PATH")
    added = sync.call("CreateDestination", destination(files / "acme" / "all.csv"), metadata=key)
    pair = {"cohortId": saved["cohortId"], "destinationId": added["destination"]["destinationId"]}
    created = sync.call("CreateSync", {"sync": {**pair, "schedule": {"hourly": {}}}}, metadata=key)
    run = sync.call("RunSync", {"syncId": created["sync"]["syncId"]}, metadata=key)["run"]
    while run["state"] == "RUNNING":
        run = sync.call("GetSyncRun", {"runId": run["runId"]}, metadata=key)["run"]
    assert run["state"] == "SUCCEEDED", run
    assert (files / "acme" / "all.csv").read_text().splitlines() == ["customerId", "theirs"]
    assert "syncs" not in sync.call("ListSyncs", metadata=operator)
    for process in reversed(processes):
        assert process.terminate()[0] == 0
    _, (ingest, cohort, sync) = all_three(start, tmp_path)
    assert cohort.call("RunRule", {"rule": did()}, metadata=key)["customerIds"] == ["theirs"]
    assert len(sync.call("ListSyncs", metadata=key)["syncs"]) == 1
    listed = ingest.call("ListProjects", metadata=operator)["projects"]
    assert [each["projectId"] for each in listed] == ["acme", "default"]


def test_a_project_that_cannot_be_opened_harms_no_other(start: Any, tmp_path: Path) -> None:
    data = ["serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0", "--insecure"]
    server = start(*data).listening()
    api = Client(server.target)
    api.call("CreateProject", {"project": {"projectId": "acme"}})
    scopes = ["ingest", "read"]
    key = bearer(
        api.call("CreateApiKey", {"apiKey": {"name": "k", "scopes": scopes, "projectId": "acme"}})["secret"]
    )
    api.call("SendEvents", {"events": [event("a")]}, metadata=key)
    assert server.terminate()[0] == 0
    (log,) = (tmp_path / "tenants" / "acme" / "events").glob("*/data.mdb")
    log.write_bytes(b"x" * 8192)
    api = Client(start(*data).listening().target)
    api.call("SendEvents", {"events": [event("b")]})
    failed = api.failure("GetCatalog", metadata=key)
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "PROJECT_UNAVAILABLE")
    assert api.call("RunRule", {"rule": did()})["customerIds"] == ["b"]


def test_the_command_line_makes_lists_and_shows_projects(start: Any, tmp_path: Path) -> None:
    server = start(
        "serve", "--data-dir", str(tmp_path), "--listen", "127.0.0.1:0", COHORT_API_KEY=OPERATOR
    ).listening()

    def run(*arguments: str, key: str = OPERATOR) -> tuple[int, str, str]:
        ended: tuple[int, str, str] = start("--target", server.target, "--api-key", key, *arguments).ended()
        return ended

    assert run("projects", "create", "acme", "--time-zone", "Europe/Berlin", "--dedupe-days", "2")[0] == 0
    code, secret, _ = run("keys", "create", "a", "--scope", "admin", "--project", "acme")
    assert code == 0
    assert [line.split()[0] for line in run("projects", "list")[1].splitlines()[2:]] == ["acme", "default"]
    own = run("projects", "list", key=secret.strip())[1]
    assert [line.split()[0] for line in own.splitlines()[2:]] == ["acme"]
    assert "2 days" in own
    assert "Europe/Berlin" in run("projects", "show", key=secret.strip())[1]
    code, _, errors = run("projects", "show", "default", key=secret.strip())
    assert (code, errors) == (1, run("projects", "show", "nobody", key=secret.strip())[2])
    assert (
        run("projects", "update", "acme", "--limit", "events-per-second=5000", "--limit", "api-keys=1")[0]
        == 0
    )
    shown = run("projects", "show", key=secret.strip())[1]
    assert "at most 5,000" in shown
    assert "1 of 1" in shown
    code, _, errors = run("keys", "create", "b", "--scope", "read", "--project", "acme")
    assert (code, "1 API keys" in errors) == (1, True)
    assert run("projects", "update", "acme", "--limit", "api-keys=none")[0] == 0
    assert "1 of 1" not in run("projects", "show", key=secret.strip())[1]
    for wrong in ("more=1", "api-keys=0", "api-keys", "api-keys=1,000"):
        code, _, errors = run("projects", "update", "acme", "--limit", wrong)
        assert (code, wrong in errors) == (1, True)
    code, _, errors = run("projects", "create", "more", key=secret.strip())
    assert (code, "operator" in errors) == (1, True)
