import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.cli.importing.encode import number_of, typed
from libs.cli.importing.kinds import Guess, Kind


def guess(*parts: list[str]) -> Kind:
    one = Guess()
    for part in parts:
        one.see(part)
    return one.kind


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2.5", "1e3", ".5", ""], Kind.NUMBER),
        (["true", "FALSE", ""], Kind.BOOL),
        (["01234", "98765"], Kind.STRING),
        (["0", "0.5"], Kind.NUMBER),
        (["123456789012345"], Kind.NUMBER),
        (["1234567890123456"], Kind.STRING),
        (["1", "true"], Kind.STRING),
        (["", ""], Kind.STRING),
        ([], Kind.STRING),
        (["nan"], Kind.STRING),
        (["inf"], Kind.STRING),
        (["1_000"], Kind.STRING),
        (["1,5"], Kind.STRING),
        ([" 1"], Kind.STRING),
        (["1\n2"], Kind.STRING),
        (["٣"], Kind.STRING),
    ],
)
def test_a_column_has_one_kind(cells: list[str], kind: Kind) -> None:
    assert guess(cells) is kind


@given(st.lists(st.floats(-1e14, 1e14).filter(lambda x: "e" not in repr(x)), min_size=1))
def test_numbers_come_back_exactly(numbers: list[float]) -> None:
    cells = [repr(number) for number in numbers]
    assert guess(cells) is Kind.NUMBER
    assert typed(cells, Kind.NUMBER) == numbers


cells = st.lists(st.sampled_from(["", "1", "-2.5", "true", "False", "x", "01", "1\n2", "1e5"]), max_size=4)


@given(cells, cells)
def test_the_order_of_cells_and_how_they_are_parted_do_not_matter(
    first: list[str], second: list[str]
) -> None:
    whole = guess(first + second)
    assert guess(first, second) is whole
    assert guess(second, first) is whole
    assert guess(sorted(first + second)) is whole


@given(st.lists(st.text(alphabet="0123456789.-eE+_ tru", min_size=1, max_size=8), min_size=1))
def test_whatever_is_a_number_can_be_read_as_one(cells: list[str]) -> None:
    if guess(cells) is Kind.NUMBER:
        assert all(number_of(cell) == float(cell) for cell in cells)


def test_a_forced_number_may_have_leading_zeros() -> None:
    assert number_of("007") == 7
    assert number_of("0.50") == 0.5
    assert number_of("nan") is None
    assert number_of("") is None
    assert number_of(True) is None
