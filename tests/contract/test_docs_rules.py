"""docs/rules.md says what the server says: every example of it is read, written and compared."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from services.cohort.text.words import WORDS
from tests.contract.harness import Client, client, did
from tests.integration.processes import ROOT

PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
RULES = [text for kind, text in BLOCKS if kind == "rule"]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with the cohort that the page names."""
    with client(tmp_path_factory.mktemp("served")) as (connected, _):
        connected.call("CreateCohort", {"cohort": {"name": "Lapsed regulars", "rule": did("purchase")}})
        yield connected


@pytest.mark.parametrize("text", RULES)
def test_every_rule_is_canonical(api: Client, text: str) -> None:
    rule = api.call("ParseRule", {"text": text})["rule"]
    assert api.call("FormatRule", {"rule": rule})["text"] == text


def test_what_stands_behind_a_rule_means_the_same(api: Client) -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert {*kinds} == {"rule", "json", "also", "mistake", "says"}
    for (kind, first), (then, second) in pairwise(BLOCKS):
        if then == "json":
            assert api.call("ParseRule", {"text": first})["rule"] == json.loads(second)
        if kind == "also":
            assert api.call("ParseRule", {"text": first}) == api.call("ParseRule", {"text": second})
        if kind == "mistake":
            assert then == "says"
            assert api.failure("ParseRule", {"text": first}).message == second


def test_every_construct_has_its_example() -> None:
    used = {word for text in RULES for word in re.findall(r"[a-z]+", re.sub(r'"[^"]*"|`[^`]*`', "", text))}
    other_numbers = {"minute", "minutes", "hour", "day", "week", "month", "months"}
    assert set(WORDS) - used - other_numbers == {"false"}


def test_the_words_are_all_there() -> None:
    [listed] = re.findall(r"The words are: (.*?)\.", PAGE, re.DOTALL)
    assert set(listed.split()) == set(WORDS)
