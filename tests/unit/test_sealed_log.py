"""Is what profiles say on disk sealed alone, whatever was there before, and is every answer the same?"""

import contextlib
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from libs import failpoints
from libs.engine import Engine
from libs.errors import Corrupt
from libs.events import log as logs
from libs.events import sealing, string_index
from libs.events.batch import Upsert
from libs.events.commit import Submission
from libs.events.log import EventLog, Position
from libs.index import profile_store
from libs.index.calendar import Calendar
from libs.storage import master_key, vault
from libs.storage.checked import pack, unpack
from libs.storage.environment import Environment
from libs.storage.master_key import KeyFault, MasterKey, Masters
from libs.storage.wipe import Busy
from tests.unit.events.support import batch

NOW = 1_782_842_400_000
READER = """
import sys
import numpy as np
from pathlib import Path
from zoneinfo import ZoneInfo
from libs.engine import Engine
from libs.errors import Fault
from libs.events.log import EventLog, Position
from libs.index.calendar import Calendar
from libs.storage.master_key import Masters, read_file
folder, given = Path(sys.argv[1]), sys.argv[2:]
masters = Masters(folder, read_file(Path(given[0])) if given else None)
log = EventLog(folder / "log", readonly=True, masters=masters)
engine = Engine(log, Calendar(ZoneInfo("UTC")), lambda: 0, writable=False)
for _ in sys.stdin:
    try:
        snapshot = engine.snapshot()
        rows = engine.profiles(snapshot, np.array(snapshot.profiles.holders, np.uint32))
        print(sorted(row.get("email", "") for row in rows), flush=True)
    except Fault as error:
        print(error.reason, flush=True)
"""


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files that a start reads written for few strings and few profiles."""
    monkeypatch.setattr(string_index, "LEAST", 4)
    monkeypatch.setattr(profile_store, "CHANGED", 4)
    monkeypatch.setattr(profile_store, "CLOSING", 1 << 16)


def new_key() -> MasterKey:
    return master_key.parse(master_key.new_key(), "test")


def started(folder: Path, *, encrypt: bool = False, key: MasterKey | None = None) -> Engine:
    log = EventLog(folder / "log", masters=Masters(folder, key), encrypt=encrypt)
    return Engine(log, Calendar(ZoneInfo("UTC")), lambda: NOW, writable=True, seal_rows=64)


class People:
    """Customers whose profiles say what can be searched for on the disk."""

    def __init__(self, seed: int, count: int = 60) -> None:
        chance = random.Random(seed)
        self.data = {
            f"customer-{number}": {
                "email": f"mail-{chance.randrange(16**12):012x}",
                "city": f"city-{chance.randrange(4)}-{seed}",
                "income": chance.random() * 1e6,
                "vip": number % 2 == 0,
            }
            for number in range(count)
        }

    def send(self, engine: Engine) -> None:
        upserts = [Upsert(who, data) for who, data in self.data.items()]
        for first in range(0, len(upserts), 7):
            engine.append(Submission(upserts=upserts[first : first + 7])).result()
        engine.append(Submission(batch=batch(("customer-0", "e1"), brand="brand-of-an-event"))).result()
        engine.snapshot()
        engine._profiles._keeper.wait()

    def left_in(self, folder: Path) -> list[tuple[str, Any]]:
        """Return (file, value) of what a search of every file finds."""
        found = []
        for path in filter(Path.is_file, folder.rglob("*")):
            content = path.read_bytes()
            for value in {value for data in self.data.values() for value in data.values()}:
                if isinstance(value, str):
                    forms = (value.encode(),)
                elif isinstance(value, float):
                    forms = (struct.pack(">d", value), struct.pack("<d", value))
                else:
                    continue
                found += [(path.name, value)] if any(form in content for form in forms) else []
        return found


def everything(engine: Engine) -> dict[str, Any]:
    """Return all profiles there are."""
    snapshot = engine.snapshot()
    holders = np.array(snapshot.profiles.holders, np.uint32)
    return dict(zip(engine.customer_ids(holders), engine.profiles(snapshot, holders), strict=True))


@pytest.fixture
def people() -> People:
    return People(1)


def test_nothing_that_profiles_say_is_on_the_disk_and_restarts_answer_the_same(
    tmp_path: Path, people: People
) -> None:
    engine = started(tmp_path, encrypt=True)
    people.send(engine)
    assert everything(engine) == people.data
    engine.close()
    assert {path.name for path in (tmp_path / "log").rglob("*")} >= {"values", "profiles"}
    assert people.left_in(tmp_path) == []
    for _ in range(2):  # it stays so, though nobody asks for it again
        engine = started(tmp_path)
        assert everything(engine) == people.data
        assert engine._log.values.find("brand-of-an-event") is not None
        more = People(2, 9)
        more.send(engine)
        engine.close()
        assert [*people.left_in(tmp_path), *more.left_in(tmp_path)] == []
        people.data.update(more.data)


def test_the_search_finds_what_is_not_sealed(tmp_path: Path, people: People) -> None:
    engine = started(tmp_path)
    people.send(engine)
    engine.close()
    found = {value for _, value in people.left_in(tmp_path)}
    assert found == {v for data in people.data.values() for v in data.values() if not isinstance(v, bool)}
    assert {name for name, _ in people.left_in(tmp_path)} == {"data.mdb", "profiles"}


def test_what_was_there_before_is_sealed_and_no_byte_of_it_stays(tmp_path: Path, people: People) -> None:
    engine = started(tmp_path)
    people.send(engine)
    engine.close()
    engine = started(tmp_path, encrypt=True)
    assert people.left_in(tmp_path) == []
    assert everything(engine) == people.data
    engine.close()
    assert people.left_in(tmp_path) == []
    engine = started(tmp_path)
    assert everything(engine) == people.data
    engine.close()


def test_a_missing_or_wrong_key_is_an_error_at_the_start_that_changes_nothing(
    tmp_path: Path, people: People
) -> None:
    mine = new_key()
    engine = started(tmp_path, encrypt=True, key=mine)
    people.send(engine)
    engine.close()
    assert not (tmp_path / "master.key").exists()
    with pytest.raises(KeyFault, match=f"sealed by master key {mine.key_id} and no master key is given"):
        started(tmp_path)
    with pytest.raises(KeyFault, match="the one given"):
        started(tmp_path, key=new_key(), encrypt=True)
    with pytest.raises(KeyFault):
        EventLog(tmp_path / "log")
    engine = started(tmp_path, key=mine)
    assert everything(engine) == people.data
    engine.close()


@pytest.mark.parametrize("table", [sealing.PROFILES, sealing.VALUES])
def test_a_record_that_was_changed_or_moved_is_damage(tmp_path: Path, people: People, table: str) -> None:
    engine = started(tmp_path, encrypt=True)
    people.send(engine)
    engine.close()
    for path in (tmp_path / "log/index/profiles", tmp_path / "log/dictionaries/values"):
        path.unlink()

    def damaged() -> None:
        with (
            pytest.raises(Corrupt, match="cohort restore"),
            contextlib.closing(EventLog(tmp_path / "log", masters=Masters(tmp_path))) as log,
        ):
            list(log.changes(Position()))

    environment = logs.open_environment(tmp_path / "log")
    with environment.write() as txn:
        records = list(txn.cursor(db=environment[table]))
        (key, record), (_, other) = records[0], records[-1]
    bound = key if table == sealing.PROFILES else b""
    changed = bytearray(unpack(record, bound))
    changed[-1] ^= 1
    other_key = records[-1][0] if table == sealing.PROFILES else b""
    for bad in [bytes(changed), *([unpack(other, other_key)] if len(records) > 1 else [])]:
        with environment.write() as txn:
            txn.put(key, pack(bad, bound), db=environment[table])
        environment.close()
        damaged()
        environment = logs.open_environment(tmp_path / "log")
    with environment.write() as txn:
        txn.put(key, record, db=environment[table])
    environment.close()
    engine = started(tmp_path)
    assert everything(engine) == people.data
    engine.close()


def test_sealing_that_was_cut_off_leaves_all_as_it_was_and_is_done_again(
    tmp_path: Path, people: People
) -> None:
    engine = started(tmp_path)
    people.send(engine)
    engine.close()
    failpoints.arm("encrypt=full")
    try:
        with pytest.raises(Exception, match="disk is full"):
            started(tmp_path, encrypt=True)
    finally:
        failpoints.arm("")
    engine = started(tmp_path)
    assert everything(engine) == people.data
    engine.close()
    assert people.left_in(tmp_path)
    started(tmp_path, encrypt=True).close()
    assert people.left_in(tmp_path) == []


def test_what_could_not_be_overwritten_at_once_is_by_the_next_compaction(
    tmp_path: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = started(tmp_path)
    people.send(engine)
    engine.close()

    def busy(_: Environment) -> int:
        raise Busy("a reader holds an older state of the data")

    with monkeypatch.context() as patched:
        patched.setattr(Environment, "wipe", busy)
        engine = started(tmp_path, encrypt=True)
    assert people.left_in(tmp_path)
    assert engine.wants_compaction()
    engine.compact()
    assert people.left_in(tmp_path) == []
    engine.close()


def data_key(folder: Path) -> bytes:
    environment = logs.open_environment(folder / "log")
    with environment.read() as txn:
        record = vault.data_key(environment, txn)
    environment.close()
    assert record is not None
    return record[-48:]


def test_keys_are_rotated_and_the_old_one_opens_nothing(tmp_path: Path, people: People) -> None:
    one, two, three = new_key(), new_key(), new_key()
    engine = started(tmp_path, encrypt=True, key=one)
    people.send(engine)
    engine.close()
    wrapped = data_key(tmp_path)
    assert wrapped in (tmp_path / "log/data.mdb").read_bytes()

    def rotate(known: MasterKey, new: MasterKey) -> bool:
        environment = logs.open_environment(tmp_path / "log")
        try:
            return sealing.rotate(environment, [known], new)
        finally:
            environment.close()

    with pytest.raises(KeyFault):
        rotate(three, two)
    assert rotate(one, two)
    assert not rotate(one, two)
    with pytest.raises(KeyFault):
        started(tmp_path, key=one)
    assert wrapped not in (tmp_path / "log/data.mdb").read_bytes()
    engine = started(tmp_path, key=two)
    assert everything(engine) == people.data
    engine.close()
    assert people.left_in(tmp_path) == []


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Any]:
    """Give a process that reads the log, and answers with the e-mail addresses when it is asked."""
    running: list[subprocess.Popen[str]] = []

    def start(*key_file: str) -> Any:
        command = [sys.executable, "-c", READER, str(tmp_path), *key_file]
        running.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        )

        def ask() -> str:
            process = running[-1]
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            return process.stdout.readline().strip()

        return ask

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_process_that_reads_goes_on_while_the_log_is_sealed_below_it(
    tmp_path: Path, people: People, reading: Any
) -> None:
    engine = started(tmp_path)
    people.send(engine)
    engine.close()
    ask = reading()
    assert ask() == str(sorted(data["email"] for data in people.data.values()))
    engine = started(tmp_path, encrypt=True)
    more = People(3, 5)
    more.send(engine)
    people.data.update(more.data)
    assert ask() == str(sorted(data["email"] for data in people.data.values()))
    engine.close()


def test_a_process_that_reads_without_the_key_says_so(tmp_path: Path, people: People, reading: Any) -> None:
    started(tmp_path).close()
    ask = reading()
    assert ask() == "[]"
    engine = started(tmp_path, encrypt=True, key=new_key())
    people.send(engine)
    assert ask() == "MASTER_KEY_MISSING"
    engine.close()
