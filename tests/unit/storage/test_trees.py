"""Is a file whose pages LMDB would die of told from one that holds together, before LMDB reads it?"""

import mmap
import os
import random
from pathlib import Path

import pytest

from libs.storage import trees
from libs.storage.environment import Environment
from libs.storage.failures import Damaged
from libs.storage.trees import UnknownFormat, check_tree, walk_tree
from tests.unit.storage.test_wipe import TABLES, change

PAGE = 4096
READ, REFUSED = 10, 11


def filled(folder: Path, seed: int, changes: int = 30) -> Path:
    env, held = Environment(folder, "tests", 1, TABLES), {}
    chance = random.Random(seed)
    for version in range(changes):
        change(env, chance, held, version)
        check_tree(folder / "data.mdb")
    env.close()
    return folder / "data.mdb"


def used_pages(path: Path) -> list[int]:
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    metas = trees._metas(data)
    return [int(page) for page in walk_tree(data, metas[max(metas)]).used.nonzero()[0]]


def outcome(folder: Path) -> int:
    """Open and read everything in a process of its own; return what came of it, minus a signal that ended it."""
    child = os.fork()
    if not child:
        try:
            env = Environment(folder, "tests", 1, TABLES)
            with env.read() as txn:
                for table in TABLES:
                    sum(len(value) for _, value in txn.cursor(db=env[table]))
            os._exit(READ)
        except Damaged:
            os._exit(REFUSED)
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_was_committed_holds_together(tmp_path: Path, seed: int) -> None:
    path = filled(tmp_path, seed, 60)
    with pytest.MonkeyPatch.context() as patched:
        for most in (0, 2, 10):
            patched.setattr(trees, "MOST_PAGES", most)
            check_tree(path)


def test_a_page_that_is_gone_is_refused_where_it_would_end_the_process(tmp_path: Path) -> None:
    path = filled(tmp_path, 1)
    whole = path.read_bytes()
    refused = 0
    for page in used_pages(path)[2:]:
        for bad in (bytes(PAGE), os.urandom(PAGE)):
            path.write_bytes(whole[: page * PAGE] + bad + whole[(page + 1) * PAGE :])
            found = outcome(tmp_path)
            assert found in (READ, REFUSED), f"page {page}: {found}"
            refused += found == REFUSED
    assert refused > 20
    path.write_bytes(whole)
    assert outcome(tmp_path) == READ


def test_a_file_that_was_cut_anywhere_is_refused_or_read_whole(tmp_path: Path) -> None:
    env = Environment(tmp_path, "tests", 1, TABLES)
    with env.write() as txn:
        txn.put(b"k", os.urandom(50_000), db=env["large"])
    env.close()
    path = tmp_path / "data.mdb"
    whole = path.read_bytes()
    end = (used_pages(path)[-1] + 1) * PAGE
    for size in (*range(PAGE * 2, len(whole), PAGE), *range(end - 5, end + 1), len(whole)):
        path.write_bytes(whole[:size])
        assert outcome(tmp_path) == (READ if size >= end else REFUSED), size


def test_numbers_out_of_all_bounds_are_refused(tmp_path: Path) -> None:
    path = filled(tmp_path, 3)
    whole = bytearray(path.read_bytes())
    chance = random.Random(5)
    for _ in range(400):
        changed = bytearray(whole)
        place = chance.randrange(2 * PAGE) if chance.random() < 0.5 else chance.randrange(len(whole))
        changed[place : place + 8] = chance.choice((b"\xff" * 8, bytes(8), os.urandom(8)))
        path.write_bytes(changed)
        try:
            check_tree(path)
        except UnknownFormat:
            continue
