"""Does a deleted key leave a table whole, branch pages included, with all others where they were?"""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs import failpoints
from libs.storage.environment import Environment
from libs.storage.wipe import Busy
from tests.unit.storage.test_wipe import value

TABLES = ("people", "others", "numbers")
PERSONAL = ("people", "others")
READER = """
import sys
from pathlib import Path
from libs.storage.environment import Environment
tables = sys.argv[2].split()
env = Environment(Path(sys.argv[1]), "tests", 1, tables, readonly=True)
rounds = 0
print("reading", flush=True)
import threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set() or not rounds:
    with env.read() as txn:
        found = {key for key, held in txn.cursor(db=env["people"]) if held}
        again = {key for key in found if txn.get(key, db=env["people"])}
        assert found == again and len(found) >= 1000, (len(found), len(again))
    rounds += 1
print("all was there", flush=True)
"""


def opened(folder: Path) -> Environment:
    return Environment(folder, "tests", 1, TABLES, personal=PERSONAL)


def key(number: int) -> bytes:
    return b"customer-%06d-of-tests" % number


def traces(folder: Path, gone: list[bytes]) -> set[bytes]:
    data = (folder / "data.mdb").read_bytes()
    return {one for one in gone if one in data}


def filled(env: Environment, count: int) -> None:
    with env.write() as txn:
        for table in TABLES:
            for number in range(count):
                txn.put(key(number), b"v" * 30, db=env[table])


def test_no_deleted_key_of_a_personal_table_is_left_in_a_branch_page(tmp_path: Path) -> None:
    env = opened(tmp_path)
    filled(env, 4000)
    gone = random.Random(1).sample([key(number) for number in range(4000)], 400)
    with env.write() as txn:
        for one in gone:
            for table in TABLES:
                txn.delete(one, db=env[table])
        txn.drop(env["numbers"], delete=False)
        env.mark_erased(txn)
    assert len(traces(tmp_path, gone)) == len(gone)
    env.wipe()
    assert traces(tmp_path, gone) == set()
    with env.read() as txn:
        for table in PERSONAL:
            kept = [bytes(one) for one, _ in txn.cursor(db=env[table])]
            assert kept == sorted({key(number) for number in range(4000)} - set(gone))
    env.close()


def test_tables_without_deleted_keys_in_branch_pages_are_left_alone(tmp_path: Path) -> None:
    env = opened(tmp_path)
    filled(env, 500)
    with env.read() as txn:
        before = txn.id()
    env.wipe()
    with env.read() as txn:
        assert txn.id() == before
    env.close()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_any_history_leaves_what_is_kept_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance, folder = random.Random(seed), tmp_path_factory.mktemp("history")
    env, held, ever = opened(folder), {}, set()
    for version in range(chance.randrange(1, 5)):
        with env.write() as txn:
            for _ in range(chance.randrange(1, 400)):
                one = key(chance.randrange(600)) + b"~" * chance.choice((0, 1, 90, 400))
                ever.add(one)
                if chance.random() < 0.4:
                    txn.delete(one, db=env["people"])
                    held.pop(one, None)
                else:
                    held[one] = value(chance, 0, version)
                    txn.put(one, held[one], db=env["people"])
            env.mark_erased(txn)
        if chance.random() < 0.7:
            env.wipe()
            data = (folder / "data.mdb").read_bytes()
            kept = {one.rstrip(b"~") for one in held}
            assert {one for one in ever if one in data and one.rstrip(b"~") not in kept} == set()
    with env.read() as txn:
        assert {bytes(one): bytes(v) for one, v in txn.cursor(db=env["people"])} == held
    env.close()


@pytest.mark.parametrize("failpoint", ["wipe.renewed", "wipe", "wipe.some", "wiped"])
def test_a_wipe_that_was_cut_off_leaves_all_and_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failpoint: str
) -> None:
    env = opened(tmp_path)
    filled(env, 1000)
    gone = [key(number) for number in range(0, 1000, 3)]
    with env.write() as txn:
        for one in gone:
            for table in TABLES:
                txn.delete(one, db=env[table])
        txn.drop(env["numbers"], delete=False)
        env.mark_erased(txn)

    class CutOff(Exception):
        pass

    def stop(name: str) -> None:
        if name == failpoint:
            raise CutOff

    with monkeypatch.context() as patched:
        patched.setattr(failpoints, "hit", stop)
        with pytest.raises(CutOff):
            env.wipe()
    env.close()
    env = opened(tmp_path)
    assert env.needs_wipe()
    env.wipe()
    assert not env.needs_wipe()
    assert traces(tmp_path, gone) == set()
    with env.read() as txn:
        assert txn.stat(env["people"])["entries"] == 1000 - len(gone)
    env.close()


def test_a_reader_in_another_process_sees_all_meanwhile(tmp_path: Path) -> None:
    env = opened(tmp_path)
    filled(env, 3000)
    command = [sys.executable, "-c", READER, str(tmp_path), " ".join(TABLES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        gone = [key(number) for number in range(1500)]
        for first in range(0, 1500, 300):
            with env.write() as txn:
                for one in gone[first : first + 300]:
                    for table in TABLES:
                        txn.delete(one, db=env[table])
                if first == 1200:
                    txn.drop(env["numbers"], delete=False)
                env.mark_erased(txn)
            while env.needs_wipe():
                try:
                    env.wipe()
                except Busy:  # the reader was slow: as the next round would
                    continue
        output, _ = reader.communicate()
    assert (output, reader.returncode) == ("all was there\n", 0)
    assert traces(tmp_path, gone) == set()
    env.close()


def test_a_file_that_ends_before_the_last_page_given_out_is_wiped(tmp_path: Path) -> None:
    env = opened(tmp_path)
    filled(env, 200)
    with env.write() as txn:  # pages at the end, which are freed before they are written
        for number in range(200, 300):
            txn.put(key(number), b"long" * 3000, db=env["people"])
        for number in range(200, 300):
            txn.delete(key(number), db=env["people"])
        env.mark_erased(txn)
    with env.read() as txn:
        entries = txn.stat(env["people"])["entries"]
    env.wipe()
    assert not env.needs_wipe()
    with env.read() as txn:
        assert txn.stat(env["people"])["entries"] == entries == 200
    env.close()
