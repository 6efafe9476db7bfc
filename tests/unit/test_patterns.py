import pytest

from libs.patterns import compile_pattern, weight


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc", True),
        ("c$", "abc\n", False),
        (r"^\w$", "é", False),
        (r"\d", "٣", False),
        ("日.", "x日本", True),
        ("", "", True),
        ("(a+)+$", "a" * 100_000 + "b", False),
    ],
)
def test_a_match_may_be_anywhere_and_classes_are_ascii(pattern: str, text: str, matches: bool) -> None:
    assert (compile_pattern(pattern).search(text) is not None) is matches


def test_case_is_ignored_on_demand() -> None:
    assert compile_pattern("ÀB", ignore_case=True).search("xàb")
    assert not compile_pattern("ÀB").search("xàb")


@pytest.mark.parametrize(
    "pattern", ["a(", "(?=a)", r"\1", "((a{100}){100}){100}", "[b-a]", "\\", "a" * 100_001]
)
def test_what_is_no_pattern_is_refused_in_words(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        compile_pattern(pattern)
    assert capfd.readouterr() == ("", "")


def test_groups_cost_nothing() -> None:
    nested = compile_pattern("(" * 50_000 + ")" * 50_000)  # capturing them takes all memory there is
    assert nested.programsize < 100
    assert nested.search("a")


def test_a_pattern_weighs_its_characters_or_its_program() -> None:
    assert weight("(" * 1000 + ")" * 1000) == 2000
    assert weight(r"\pL{10}") > 10_000
