"""A flipped byte is found, named and never answered from. Every file of a data directory that a real server made."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.harness import Client, event
from tests.faults.server import ROOT, Server

PER_FILE = 8
RULE = {
    "did": {
        "eventType": "view",
        "where": {"test": {"attribute": "brand", "op": "EQUALS", "values": ["acme"]}},
    }
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with every kind of file in it."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with Server(folder) as server:
        api = Client(server.target)
        for batch in range(6):
            rows = range(batch * 200, batch * 200 + 200)
            api.send(*[event(f"c{n}", eventId=str(n), data={"brand": "acme", "price": n % 7}) for n in rows])
            customers = [{"customerId": f"c{n}", "data": {"city": f"town {n % 9}"}} for n in rows]
            api.call("UpsertCustomers", {"customers": customers, "requestId": f"r{batch}"})
        api.call("CreateCohort", {"cohort": {"name": "all", "rule": RULE}})
        api.call("CreateCohort", {"cohort": {"name": "some", "static": True, "customerIds": ["c1", "c2"]}})
        api.close()
        assert server.terminate() == 0
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def cohort(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "libs.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes((old[0] ^ 0x20,)))


def places(path: Path, what: bytes) -> Iterator[int]:
    """Yield where some bytes stand in a file."""
    content, at = path.read_bytes(), -1
    while (at := content.find(what, at + 1)) >= 0:
        yield at


def test_flipped_bytes_of_every_file_are_found_or_change_nothing(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.flips", str(data), str(PER_FILE), "4"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert not done.returncode, done.stdout + done.stderr
    files = [name for name in lines if not name.endswith("data.mdb")]
    assert {Path(name).parent.name for name in files} == {"index", "dedupe", "dictionaries"}
    assert all(lines[name] == f"{{'found': {PER_FILE}}}" for name in files), lines


@pytest.mark.parametrize(
    ("file", "what", "said"),
    [
        ("events/default/data.mdb", b"c777", "table customers"),
        ("events/default/data.mdb", b"CB\x01", "table blocks"),
        ("cohort/data.mdb", b"\xa3all", "table cohorts"),
    ],
)
def test_damage_of_a_record_is_named_and_neither_answered_from_nor_written_to(
    data: Path, file: str, what: bytes, said: str
) -> None:
    assert cohort("verify", "--data-dir", str(data)).stdout == f"{data} is whole\n"
    for at in places(data / file, what):
        flip(data / file, at + len(what) - 1)
    verified = cohort("verify", "--data-dir", str(data))
    assert verified.returncode == 1
    assert str(data / file) in verified.stdout
    assert said in verified.stdout
    assert "cohort restore" in verified.stdout
    started = cohort("serve", "--data-dir", str(data), "--listen", "127.0.0.1:0", "--insecure")
    assert started.returncode == 1
    assert started.stderr.splitlines()[-1].startswith(f"error: {data / file}".removesuffix("/data.mdb"))
    assert "cohort restore" in started.stderr


def test_a_damaged_segment_is_derived_again(data: Path) -> None:
    [first, *_] = sorted((data / "events/default/index").glob("segment-*"))
    flip(first, first.stat().st_size // 2)
    verified = cohort("verify", "--data-dir", str(data))
    assert verified.returncode == 1
    assert f"{first}: is not what was written" in verified.stdout
    with Server(data) as server:
        api = Client(server.target)
        assert api.call("RunRule", {"rule": RULE, "countOnly": True})["size"] == 1200
        api.close()
    assert cohort("verify", "--data-dir", str(data)).returncode == 0


def test_what_verify_cannot_find_is_an_error_of_its_own(tmp_path: Path) -> None:
    none = cohort("verify", "--data-dir", str(tmp_path))
    assert (none.returncode, none.stdout) == (1, "")
    assert "no data directory" in none.stderr


def test_every_project_is_gone_through(data: Path) -> None:
    second = data / "tenants/second/events/second"
    shutil.copytree(data / "events/default", second)
    path = second / "data.mdb"
    for at in places(path, b"c777"):
        flip(path, at + 3)
    verified = cohort("verify", "--data-dir", str(data))
    assert verified.returncode == 1
    assert f"{path}: table customers" in verified.stdout
    shutil.copytree(second, data / "elsewhere")
    assert "is of no part that is known" in cohort("verify", "--data-dir", str(data)).stderr


@pytest.mark.parametrize("lost", ["events", "events/default/data.mdb", "cohort", "sync", "projects"])
def test_a_part_that_was_lost_is_named_and_no_beginning(data: Path, tmp_path: Path, lost: str) -> None:
    path = data / lost
    folder = next(each.parent for each in [path, *path.rglob("*")] if each.name == "data.mdb")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = sorted(data.rglob("*"))
    verified = cohort("verify", "--data-dir", str(data))
    assert (verified.returncode, f"{folder}/data.mdb: it is not there" in verified.stdout) == (1, True)
    copied = cohort("backup", "--data-dir", str(data), str(tmp_path / "backup"))
    assert (copied.returncode, f"{folder}/data.mdb is not there" in copied.stderr) == (1, True)
    started = cohort("serve", "--data-dir", str(data), "--listen", "127.0.0.1:0", "--insecure")
    last = started.stderr.splitlines()[-1]
    assert (started.returncode, last.startswith(f"error: {folder} lost its data file")) == (1, True)
    assert f"delete {data}/made/" in last
    assert sorted(each for each in data.rglob("data.mdb")) == [p for p in before if p.name == "data.mdb"]


def test_logs_of_two_projects_that_were_swapped_are_answered_from_by_neither(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Server(data) as server:
        api = Client(server.target)
        api.call("CreateProject", {"project": {"projectId": "acme"}})
        api.send(event("ann"))
        api.close()
        assert server.terminate() == 0
    one, two = data / "events/default/data.mdb", data / "tenants/acme/events/acme/data.mdb"
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)
    verified = cohort("verify", "--data-dir", str(data))
    assert verified.returncode == 1
    assert verified.stdout.count("is not the one that was made here") == 2
    started = cohort("serve", "--data-dir", str(data), "--listen", "127.0.0.1:0", "--insecure")
    assert (started.returncode, "is not the one that was made here" in started.stderr) == (1, True)


def test_a_damaged_note_is_named_and_written_anew(data: Path) -> None:
    note = data / "made" / "events.default"
    flip(note, 9)
    verified = cohort("verify", "--data-dir", str(data))
    assert (verified.returncode, str(note) in verified.stdout, "nothing is lost" in verified.stdout) == (
        1,
        True,
        True,
    )
    with Server(data) as server:
        assert server.served
    assert cohort("verify", "--data-dir", str(data)).returncode == 0


def test_a_damaged_master_key_is_named_and_so_is_what_else_is_damaged(data: Path) -> None:
    (data / "master.key").write_text("nothing like a key")
    flip(data / "made" / "cohort", 9)
    verified = cohort("verify", "--data-dir", str(data))
    assert verified.returncode == 1
    assert f"{data}/master.key: " in verified.stdout
    assert f"{data}/made/cohort: " in verified.stdout
    assert "nothing like a key" not in verified.stdout
