"""A folder that cannot be opened says why; a failed opening leaves it free for the next."""

import os
import shutil
from pathlib import Path

import lmdb
import pytest

from libs.storage.environment import Environment
from libs.storage.failures import Absent, Damaged, Locked, NewerFormat


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


def noted(home: Path, name: str = "mine", kind: str = "things", *, readonly: bool = False) -> Environment:
    return Environment(home / name, kind, 3, ("a",), readonly=readonly, home=home)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_or_folder_that_was_lost_or_emptied_is_damage_until_its_note_is_deleted(
    tmp_path: Path, readonly: bool
) -> None:
    noted(tmp_path).close()
    data = tmp_path / "mine" / "data.mdb"
    for lose in (data.unlink, data.touch, lambda: shutil.rmtree(tmp_path / "mine")):
        lose()
        with pytest.raises(Damaged, match=r"lost its data file.*delete .*made/mine"):
            noted(tmp_path, readonly=readonly)
    (tmp_path / "made" / "mine").unlink()
    noted(tmp_path).close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_was_put_in_anothers_place_is_damage(tmp_path: Path, readonly: bool) -> None:
    for name, kind in (("mine", "things"), ("yours", "things"), ("other", "others")):
        noted(tmp_path, name, kind).close()
    lmdb.open(str(tmp_path / "bare")).close()
    mine = tmp_path / "mine" / "data.mdb"
    own = mine.read_bytes()
    for name, said in (
        ("yours", "is not the one that was made here"),
        ("bare", "is not the one that was made here"),
        ("other", "holds others, and no things"),
    ):
        mine.write_bytes((tmp_path / name / "data.mdb").read_bytes())
        with pytest.raises(Damaged, match=said):
            noted(tmp_path, readonly=readonly)
    (tmp_path / "made" / "mine").unlink()
    with pytest.raises(Damaged, match="holds others, and no things"):
        noted(tmp_path, readonly=readonly)
    mine.write_bytes(own)
    noted(tmp_path).close()


def test_what_an_older_version_made_or_whose_note_is_damaged_is_noted_at_the_next_start(
    tmp_path: Path,
) -> None:
    note = tmp_path / "made" / "mine"
    Environment(tmp_path / "mine", "things", 3, ("a",)).close()
    noted(tmp_path, readonly=True).close()
    assert not note.exists()
    noted(tmp_path).close()
    written = note.read_bytes()
    for broken in (b"", b"x", written[:-1], bytes([written[0], written[1] ^ 1]) + written[2:]):
        note.write_bytes(broken)
        noted(tmp_path, readonly=True).close()
        noted(tmp_path).close()
        assert note.read_bytes() == written


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
        with pytest.raises(Damaged, match=r"cut short|outside the file"):
            Environment(tmp_path, "things", 3, ("a",), readonly=readonly)
