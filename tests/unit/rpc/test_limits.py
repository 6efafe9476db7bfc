import pytest

from libs.rpc.limits import Limits, UnknownLimitError, read_limits


def test_a_limit_that_is_not_named_keeps_its_number() -> None:
    assert read_limits(["working=7"]) == Limits(working=7)


def test_what_is_off_by_default_can_be_turned_off_again() -> None:
    assert read_limits(["connection_age_s=60", "connection_age_s=0"]) == Limits()


@pytest.mark.parametrize(
    "setting", ["", "working", "work=7", "working=", "working=0", "working=-1", "working=٣"]
)
def test_what_is_no_limit_is_refused(setting: str) -> None:
    with pytest.raises(UnknownLimitError):
        read_limits([setting])
