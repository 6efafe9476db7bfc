"""A backup made while a server writes is the log as it was at one commit, and comes back whole."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from libs.events.log import EventLog, Position
from tests.contract.harness import Client as Api
from tests.contract.harness import event
from tests.faults import load
from tests.faults.check import check, numbers_there
from tests.faults.load import Client
from tests.faults.server import ROOT, Server

RULE = {"did": {"eventType": "view"}}


def cohort(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "libs.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def content(folder: Path) -> tuple[int, list[tuple[str, int, str]]]:
    """Return the revision of a log, and its events in order."""
    log = EventLog(folder)
    try:
        rows = [
            (log.customers[customer], time, block.event_id(row))
            for changes in log.changes(Position())
            for block in changes.blocks
            for row, (customer, time) in enumerate(
                zip(block.customers.tolist(), block.times.tolist(), strict=True)
            )
        ]
        return log.end().revision, rows
    finally:
        log.close()


def behind(folder: Path, client: Client) -> Client:
    """Return a client as far as a log goes: behind its last request with events; the next may be there, an upsert."""
    log = EventLog(folder)
    there = numbers_there(log)
    log.close()
    found = [n for n in range(client.sent) if not load.is_upsert(n) and client.number(n, 0) in there]
    return Client(client.name, found[-1] + 1, found[-1] + 2, plain=True)


def test_a_backup_made_while_a_server_writes_comes_back_as_one_of_its_revisions(tmp_path: Path) -> None:
    data, clients, done = (
        tmp_path / "data",
        [Client("0", plain=True), Client("1", plain=True)],
        threading.Event(),
    )
    with Server(data) as server, ThreadPoolExecutor(2) as pool:
        api = Api(server.target)
        api.send(event("a", eventId="1"))
        api.call("CreateCohort", {"cohort": {"name": "all", "rule": RULE}})
        tasks = [pool.submit(load.write, server.target, client, done) for client in clients]
        while not all(client.acknowledged > 5 for client in clients):
            done.wait(0.01)
        before = [client.acknowledged for client in clients]
        made = cohort("backup", "--with-master-key", "--data-dir", data, tmp_path / "backup")
        assert made.returncode == 0, made.stderr
        assert "backed up to" in made.stdout
        done.set()
        for task in tasks:
            task.result()
        old = api.call("RunRule", {"rule": RULE})["revision"]
        api.close()
        assert server.terminate() == 0
    restored = cohort("restore", tmp_path / "backup", "--data-dir", tmp_path / "new")
    assert restored.returncode == 0, restored.stderr
    assert cohort("verify", "--data-dir", tmp_path / "new").returncode == 0

    revision, rows = content(tmp_path / "new/events/default")
    last, all_rows = content(data / "events/default")
    assert 0 < revision <= last
    assert rows == all_rows[: len(rows)], "the events of one revision, and no others"
    then = [behind(tmp_path / "new/events/default", client) for client in clients]
    assert all(each.sent > least for each, least in zip(then, before, strict=True)), (
        "all that was acknowledged before"
    )
    assert all(each.acknowledged <= client.sent for each, client in zip(then, clients, strict=True))
    verdict = check(tmp_path / "new/events/default", then)
    assert (verdict.lost, verdict.doubled, verdict.wrong) == (0, 0, [])

    with Server(tmp_path / "new") as server:
        api = Api(server.target)
        assert [each["name"] for each in api.call("ListCohorts")["cohorts"]] == ["all"]
        assert api.failure("RunRule", {"rule": RULE, "minRevision": old}).reason == "REVISION_FOREIGN"
        assert api.send(event("a", eventId="1"))["duplicates"] == 1
        load.repeat(server.target, clients)  # what came after the backup is taken again, what is in it is not
        api.close()
        assert server.terminate() == 0
    assert sorted(content(tmp_path / "new/events/default")[1]) == sorted(all_rows)


@pytest.fixture
def backed_up(tmp_path: Path) -> Path:
    with Server(tmp_path / "data") as server:
        api = Api(server.target)
        api.send(event("a", eventId="1"))
        api.close()
    made = cohort("backup", "--data-dir", tmp_path / "data", tmp_path / "backup")
    assert made.returncode == 0, made.stderr
    assert "master.key is not in the backup" in made.stderr
    assert not (tmp_path / "backup/master.key").exists()
    return tmp_path / "backup"


def test_nothing_is_written_over_and_a_damaged_or_half_backup_is_refused(
    backed_up: Path, tmp_path: Path
) -> None:
    for command in (
        ("backup", "--data-dir", tmp_path / "data", backed_up),
        ("restore", backed_up, "--data-dir", tmp_path / "data"),
    ):
        refused = cohort(*command)
        assert refused.returncode == 1
        assert "is not empty; nothing was changed" in refused.stderr
    path = backed_up / "events/default/data.mdb"
    with path.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(b"\x55")
    refused = cohort("restore", backed_up, "--data-dir", tmp_path / "new")
    assert refused.returncode == 1
    assert "is not what was backed up" in refused.stderr
    (backed_up / "backup.json").unlink()
    assert "is no whole backup" in cohort("restore", backed_up, "--data-dir", tmp_path / "new").stderr
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.restoring").exists()


def test_a_backup_that_lost_a_part_or_whose_list_was_changed_is_refused(
    backed_up: Path, tmp_path: Path
) -> None:
    path = backed_up / "backup.json"
    written = json.loads(path.read_text())
    shorter = {**written, "files": [each for each in written["files"] if "events" not in each["path"]]}
    unmarked = {name: value for name, value in shorter.items() if name != "xxh3"}
    no_projects = {**unmarked, "files": [each for each in written["files"] if "projects" not in each["path"]]}
    for bad, said in (
        (shorter, "is no whole backup"),
        ({**written, "files": [3]}, "is no whole backup"),
        ([], "is no whole backup"),
        (unmarked, "lacks the event log of project default"),
        (no_projects, "lacks its projects"),
    ):
        path.write_text(json.dumps(bad))
        refused = cohort("restore", backed_up, "--data-dir", tmp_path / "new")
        assert (refused.returncode, said in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)
        assert not (tmp_path / "new").exists()
    path.write_text(json.dumps({name: value for name, value in written.items() if name != "xxh3"}))
    assert cohort("restore", backed_up, "--data-dir", tmp_path / "new").returncode == 0


def test_what_has_no_secret_starts_without_the_key_of_before(backed_up: Path, tmp_path: Path) -> None:
    restored = cohort("restore", backed_up, "--data-dir", tmp_path / "new")
    assert (restored.returncode, "master key" in restored.stderr) == (0, True)
    with Server(tmp_path / "new") as server:
        api = Api(server.target)
        assert api.send(event("a", eventId="1"))["duplicates"] == 1
        api.close()
        assert server.terminate() == 0


def test_places_that_cannot_be_are_named(backed_up: Path, tmp_path: Path) -> None:
    inside = cohort("backup", "--data-dir", tmp_path / "data", tmp_path / "data" / "backup")
    assert (inside.returncode, "is in the data directory itself" in inside.stderr) == (1, True)
    assert not (tmp_path / "data" / "backup").exists()
    (tmp_path / "file").touch()
    onto = cohort("restore", backed_up, "--data-dir", tmp_path / "file")
    assert (onto.returncode, "is a file" in onto.stderr) == (1, True)
