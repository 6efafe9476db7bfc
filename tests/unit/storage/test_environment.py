"""A folder that cannot be opened says why; a failed opening leaves it free for the next."""

import os
from pathlib import Path

import lmdb
import pytest

from libs.storage.environment import Absent, Damaged, Environment, Locked, NewerFormat


def open_environment(folder: Path, version: int = 1, *, readonly: bool = False) -> Environment:
    return Environment(folder, "test data", version, ("things",), readonly=readonly)


def test_a_second_writer_is_refused_and_a_closed_one_makes_room(tmp_path: Path) -> None:
    first = open_environment(tmp_path)
    with pytest.raises(Locked, match="in use by another server"):
        open_environment(tmp_path)
    first.close()
    open_environment(tmp_path).close()


def test_a_lock_file_that_was_removed_lets_no_second_writer_in(tmp_path: Path) -> None:
    first = Environment(tmp_path / "e", "things", 1, ["t"])
    try:
        (tmp_path / "e" / "writer.lock").unlink()
        for _ in range(2):  # the first try has made the file anew
            with pytest.raises(Locked, match="in use by another server"):
                Environment(tmp_path / "e", "things", 1, ["t"])
    finally:
        first.close()
    Environment(tmp_path / "e", "things", 1, ["t"]).close()


def test_a_newer_format_is_refused_and_unchanged(tmp_path: Path) -> None:
    open_environment(tmp_path, version=2).close()
    with pytest.raises(NewerFormat, match="upgrade Cohort"):
        open_environment(tmp_path, version=1)
    open_environment(tmp_path, version=2).close()


def test_a_file_that_is_no_environment_is_named_and_the_lock_released(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"x" * 8192)
    for _ in range(2):
        with pytest.raises(Damaged, match="restore it from a backup"):
            open_environment(tmp_path)


def test_a_reader_is_told_that_nobody_has_written(tmp_path: Path) -> None:
    with pytest.raises(Absent):
        open_environment(tmp_path, readonly=True)
    assert not (tmp_path / "data.mdb").exists()


def test_a_data_file_that_was_lost_emptied_or_swapped_for_a_new_one_is_damage(tmp_path: Path) -> None:
    Environment(tmp_path / "mine", "things", 3, ("a",)).close()
    data = tmp_path / "mine" / "data.mdb"
    data.unlink()
    with pytest.raises(Damaged, match="lost its data file"):
        Environment(tmp_path / "mine", "things", 3, ("a",))
    data.touch()
    with pytest.raises(Damaged, match="lost its data file"):
        Environment(tmp_path / "mine", "things", 3, ("a",))
    lmdb.open(str(tmp_path / "other")).close()
    data.write_bytes((tmp_path / "other" / "data.mdb").read_bytes())
    with pytest.raises(Damaged, match="is not the one that held things"):
        Environment(tmp_path / "mine", "things", 3, ("a",))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_short_is_named_instead_of_ending_the_process(
    tmp_path: Path, share: float
) -> None:
    environment = Environment(tmp_path, "things", 3, ("a",))
    with environment.write() as txn:
        for number in range(5000):
            txn.put(b"%05d" % number, bytes(100), db=environment["a"])
    environment.close()
    data = tmp_path / "data.mdb"
    os.truncate(data, int(data.stat().st_size * share))
    for readonly in (False, True):
        with pytest.raises(Damaged, match="was cut short"):
            Environment(tmp_path, "things", 3, ("a",), readonly=readonly)
