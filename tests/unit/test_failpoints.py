"""Failpoints: do nothing until armed, act from the n-th time on, and are refused where nobody knows them."""

import errno
from collections.abc import Iterator

import pytest

from libs import failpoints


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_a_step_that_is_not_armed_does_nothing() -> None:
    failpoints.arm("manifest=error")
    failpoints.hit("block")


def test_an_armed_step_acts_from_the_nth_time_on_so_many_times() -> None:
    failpoints.arm("block=full@2*2;manifest=error")
    failpoints.hit("block")
    for _ in range(2):
        with pytest.raises(OSError, match="block") as raised:
            failpoints.hit("block")
        assert raised.value.errno == errno.ENOSPC
    failpoints.hit("block")
    with pytest.raises(OSError, match="manifest") as raised:
        failpoints.hit("manifest")
    assert raised.value.errno == errno.EIO


@pytest.mark.parametrize("text", ["nowhere=kill", "block=sleep", "block", "block=kill@x", "block=pause:long"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        failpoints.arm(text)
