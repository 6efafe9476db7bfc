"""Is what was deleted gone from an LMDB file, and is everything else still there?"""

import random
import threading
from pathlib import Path
from typing import Any

import lmdb
import pytest

from libs.storage.environment import Environment
from libs.storage.trees import UnknownFormat
from libs.storage.wipe import Busy, wipe

TABLES = ("small", "large", "numbered")


def value(chance: random.Random, number: int, version: int) -> bytes:
    """Return a value that is found again by a search: it repeats its own name."""
    name = f"<{number}.{version}>".encode()
    return name * chance.choice((1, 3, 40, 200, 1500))


def change(
    env: Environment, chance: random.Random, held: dict[tuple[str, bytes], bytes], version: int
) -> None:
    """Put, replace and delete at random, in one transaction; now and then one that fails."""
    made = dict(held)
    try:
        with env.write() as txn:
            for _ in range(chance.randrange(1, 150)):
                table, number = chance.choice(TABLES), chance.randrange(400)
                key = b"%04d" % number
                if chance.random() < 0.5:
                    txn.delete(key, db=env[table])
                    made.pop((table, key), None)
                else:
                    made[table, key] = value(chance, number, version)
                    txn.put(key, made[table, key], db=env[table])
            if chance.random() < 0.1:
                raise ZeroDivisionError
    except ZeroDivisionError:
        return
    held.clear()
    held.update(made)


def contents(env: Environment) -> dict[tuple[str, bytes], bytes]:
    with env.read() as txn:
        return {(table, bytes(k)): bytes(v) for table in TABLES for k, v in txn.cursor(db=env[table])}


def names(data: bytes) -> set[bytes]:
    """Return every <number.version> there is in some bytes."""
    return {
        piece + b">"
        for part in data.split(b"<")[1:]
        if b">" in part[:16]
        for piece in [b"<" + part.split(b">")[0]]
    }


@pytest.mark.parametrize("seed", range(12))
def test_behind_a_wipe_the_file_holds_what_is_kept_and_nothing_else(tmp_path: Path, seed: int) -> None:
    chance, held = random.Random(seed), {}
    env = Environment(tmp_path, "test", 1, TABLES)
    for version in range(40):
        change(env, chance, held, version)
        if chance.random() < 0.15:
            env.wipe()
            assert contents(env) == held
            kept = {name for each in held.values() for name in names(each)}
            assert names((tmp_path / "data.mdb").read_bytes()) == kept
    env.wipe()
    assert env.wipe() == 0, "what was wiped is not written again"
    env.close()
    env = Environment(tmp_path, "test", 1, TABLES)
    assert contents(env) == held
    change(env, chance, held, 99)
    assert contents(env) == held
    env.close()


def test_readers_see_the_truth_while_it_is_wiped(tmp_path: Path) -> None:
    chance, held = random.Random(1), {}
    env = Environment(tmp_path, "test", 1, TABLES)
    change(env, chance, held, 0)
    ended, wrong = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            found = contents(env)
            if any(
                names(each) != {names(each).pop()} or len(each) % len(names(each).pop())
                for each in found.values()
            ):
                wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in range(1, 25):
        change(env, chance, held, version)
        env.wipe()
    ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert contents(env) == held
    env.close()


def test_a_reader_of_an_older_state_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.storage.wipe.PATIENCE_SECONDS", 0.05)
    env = Environment(tmp_path, "test", 1, TABLES)
    with env.write() as txn:
        txn.put(b"k", b"<1.1>" * 2000, db=env["large"])
    began, release = threading.Event(), threading.Event()
    seen: list[Any] = []

    def read() -> None:
        with env.read() as txn:
            txn.get(b"k", db=env["large"])
            began.set()
            release.wait()
            seen.append(txn.get(b"k", db=env["large"]))

    thread = threading.Thread(target=read)
    thread.start()
    began.wait()
    with env.write() as txn:
        txn.delete(b"k", db=env["large"])
    with pytest.raises(Busy):
        env.wipe()
    release.set()
    thread.join()
    assert seen == [b"<1.1>" * 2000]
    assert env.wipe() > 0
    assert b"<1.1>" not in (tmp_path / "data.mdb").read_bytes()
    env.close()


def test_what_is_not_understood_is_left_as_it_is(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), max_dbs=2) as env:
        table = env.open_db(b"several", dupsort=True)
        with env.begin(write=True) as txn:
            for number in range(2000):
                txn.put(b"k%d" % (number % 7), b"%d" % number, db=table)
        before = (tmp_path / "data.mdb").read_bytes()
        with pytest.raises(UnknownFormat):
            wipe(env, tmp_path / "data.mdb")
        assert (tmp_path / "data.mdb").read_bytes() == before
