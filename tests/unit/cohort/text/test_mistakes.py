import pytest

from libs.errors import Invalid, Missing, NotBuilt
from services.cohort.text.mistakes import expectation, mistake, relocated


def test_programs_get_line_and_column() -> None:
    fault = mistake("a\nbc", 3, "no")
    assert (fault.field, fault.metadata) == ("text", {"line": "2", "column": "2"})
    assert fault.message == "line 2, column 2: no\nbc\n ^"


def test_a_fault_of_a_field_goes_to_where_the_nearest_part_around_it_stands() -> None:
    places = {"rule": 0, "rule.did.count": 5, "rule.did.where.test.values": 2}
    for field, column in (
        ("rule.did.count.value", 6),
        ("rule.did.where.test.values[101]", 3),
        ("rule.profile", 1),
    ):
        moved = relocated(Invalid("INVALID_RULE", f"{field}: must not", field), "view x", places)
        assert moved.message.startswith(f"line 1, column {column}: must not\n")
        assert moved.field == "text"


@pytest.mark.parametrize("kind", [Missing, NotBuilt])
def test_a_fault_keeps_its_kind(kind: type) -> None:
    moved = relocated(kind("REASON", "rule: why", field="rule"), "view", {"rule": 0})
    assert (type(moved), moved.reason, moved.field) == (kind, "REASON", "text")


def test_a_fault_of_no_part_of_the_rule_stays() -> None:
    fault = Invalid("INVALID_TIME", "as_of is no instant", "as_of")
    assert relocated(fault, "view", {"rule": 0}) is fault


def test_what_was_expected_is_said_in_words_where_there_are_some() -> None:
    terminals = {"STRING", "NUMBER", "TRUE", "FALSE"}
    assert expectation(terminals, "not `x`") == 'expected a value ("text", 10, true, false), not `x`'
    assert (
        expectation({"_AND_TEST", "$END", "_CLOSE"}, "not `x`") == "expected `)`, `and` or the end, not `x`"
    )
