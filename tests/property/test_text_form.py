"""Any rule of the language is written as a text that reads back as it; any text is answered, never a crash."""

from zoneinfo import ZoneInfo

from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.errors import Invalid, Missing
from libs.gen.cohort.v1 import rule_pb2
from libs.index.calendar import Calendar
from services.cohort.text.format import format_rule
from services.cohort.text.parse import parse_rule
from services.cohort.text.words import WORDS
from services.cohort.translate import read_rule
from tests.rules import Json, rules

CALENDAR = Calendar(ZoneInfo("UTC"))
NAMES = {"coh_1": "High spenders", "coh_2": 'say "`ü`"\n'}
IDS = {name: cohort_id for cohort_id, name in NAMES.items()}
PIECES = [
    *WORDS,
    *('"a"', '"', "`a b`", "`", "view", "price", "5", "-1.5", "2026-01-01", "2026-01-01T00:00:00Z"),
    *("(", ")", ",", "=", "!=", ">=", "<", "\n", "é", "\x00", "'"),
]


def written(message: rule_pb2.Rule) -> str:
    return format_rule(read_rule(message, CALENDAR), NAMES.get)


@settings(max_examples=400, deadline=None)
@given(rules)
def test_a_rule_reads_back_from_its_text(rule: Json) -> None:
    message = json_format.ParseDict(rule, rule_pb2.Rule())
    text = written(message)
    parsed = parse_rule(text, IDS.get)
    assert parsed.rule == message, text
    assert parsed.rule.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)
    assert written(parsed.rule) == text


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join)))
def test_any_text_is_a_rule_or_a_mistake_with_a_place(text: str) -> None:
    answer = answered(text)
    if isinstance(answer, str):
        assert answered(answer) == answer
    else:
        says, line, caret = answer.message.split("\n")
        assert (answer.field, says[:5], caret.strip()) == ("text", "line ", "^")
        assert len(line) <= 130


def answered(text: str) -> str | Invalid | Missing:
    """Return the canonical text of a text, or what is wrong with it."""
    try:
        parsed = parse_rule(text, IDS.get)
    except (Invalid, Missing) as fault:
        return fault
    try:
        return written(parsed.rule)
    except Invalid as fault:
        return parsed.located(fault)
