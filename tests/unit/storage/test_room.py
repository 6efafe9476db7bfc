"""Is an environment begun, and a process alive, where the disk has no room for it?"""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.errors import Overloaded
from libs.storage.environment import Environment


@contextmanager
def _room_for(size: int) -> Iterator[None]:
    """Let this process write no file past `size` bytes, which it is told as it is of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], Environment]:
    """Opens the same small environment, anew or again."""
    return lambda: Environment(tmp_path / "env", "things", 1, ("t",), map_bytes=1 << 20)


def test_a_new_environment_needs_room_before_anything_of_it_is_made(opened, tmp_path):
    with _room_for(4096), pytest.raises(Overloaded) as refused:
        opened()
    assert refused.value.reason == "STORAGE_FULL"
    assert not (tmp_path / "env" / "data.mdb").exists()
    opened().close()


def test_a_table_of_readers_that_has_no_room_is_not_mapped_and_the_next_start_finds_all(opened, tmp_path):
    made = opened()
    with made.write() as txn:
        txn.put(b"a", b"1", db=made["t"])
    made.close()
    (tmp_path / "env" / "lock.mdb").unlink()
    with _room_for(4096), pytest.raises(Overloaded) as refused:
        opened()
    assert refused.value.reason == "STORAGE_FULL"
    again = opened()
    with again.read() as txn:
        assert txn.get(b"a", db=again["t"]) == b"1"
    again.close()
