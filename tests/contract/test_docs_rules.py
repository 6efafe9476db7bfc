"""docs/rules.md says what the server says: every example is read, written, compared, and run on the demo's data."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import grpc
import pytest

from services.cohort.text.words import WORDS
from tests.contract.harness import Client, client
from tests.integration.processes import ROOT
from tests.journey import demo_client

PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
ROWS = re.findall(r"^\| `(.+?)` \|(?: [^|]* \|)*? ([\d,]+) \|", PAGE, re.MULTILINE)
"""Rules in tables, with the number of households."""
SIZED = re.findall(r"^```rule\n([^`]*?)\n```\n\n(?:```json\n[^`]*?\n```\n\n)?→ ([\d,]+) ", PAGE, re.MULTILINE)
DATED = re.findall(r"^\| (\d{4}-\S+Z) \| `(.+?)` \| (.+) \|$", PAGE, re.MULTILINE)
REFUSED = re.findall(r"^\| `(\{.+\})` \| `(.+)` \|$", PAGE, re.MULTILINE)
RULES = [text for kind, text in BLOCKS if kind == "rule"] + [text for text, _ in ROWS]


def of_kind(kind: str) -> list[str]:
    return [body for each, body in BLOCKS if each == kind]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server of the demo's data with the cohort that the page names."""
    with demo_client(tmp_path_factory.mktemp("served")) as connected:
        [saved] = of_kind("saved")
        rule = connected.call("ParseRule", {"text": saved})["rule"]
        connected.call("CreateCohort", {"cohort": {"name": "Lapsed regulars", "rule": rule}})
        yield connected


def test_every_part_of_the_page_is_met() -> None:
    rows = re.findall(r"^\| (?!---|rule|as of)", PAGE, re.MULTILINE)
    assert len(ROWS) + len(DATED) + len(REFUSED) == len(rows) > 80
    said = re.findall(r"^→ [1-9]", PAGE, re.MULTILINE)
    assert len(SIZED) >= len(said) > 3
    assert {kind for kind, _ in BLOCKS} == {
        *("rule", "json", "also", "mistake", "says", "saved", "events", "sh"),
    }


@pytest.mark.parametrize("text", RULES)
def test_every_rule_is_canonical(api: Client, text: str) -> None:
    rule = api.call("ParseRule", {"text": text})["rule"]
    assert api.call("FormatRule", {"rule": rule})["text"] == text


def test_every_rule_takes_as_many_households_as_the_page_says(api: Client) -> None:
    said = dict([*ROWS, *SIZED])
    found = {
        text: f"{api.call('RunRule', {'text': text, 'countOnly': True}).get('size', 0):,}" for text in said
    }
    assert found == said


def test_what_stands_behind_a_rule_means_the_same(api: Client) -> None:
    for (kind, first), (then, second) in pairwise(BLOCKS):
        if then == "json":
            assert api.call("ParseRule", {"text": first})["rule"] == json.loads(second)
        if kind == "also":
            assert api.call("ParseRule", {"text": first}) == api.call("ParseRule", {"text": second})
        if kind == "mistake":
            assert then == "says"
            assert api.failure("ParseRule", {"text": first}).message == second


def test_bad_rules_are_answered_as_the_page_says(api: Client) -> None:
    for rule, answer in REFUSED:
        failed = api.failure("RunRule", {"rule": json.loads(rule)})
        assert (failed.code, failed.message) == (grpc.StatusCode.INVALID_ARGUMENT, answer)
        assert [at for at, _ in failed.violations] == [answer.split(": ")[0]]


def test_names_never_seen_are_warned_of_and_an_unknown_cohort_is_not_found(api: Client) -> None:
    for text, warnings in (
        ('profile where signupDate >= "2026-01-01"', ["'signupDate'"]),
        ('purchase where flavour = "mint" or web_visit', ["'flavour'", "'web_visit'"]),
    ):
        assert text in RULES
        answer = api.call("RunRule", {"text": text})
        assert len(answer["warnings"]) == len(warnings)
        assert all(name in said for name, said in zip(warnings, answer["warnings"], strict=True))
    assert 'cohort id "coh_0123456789abcdef"' in RULES
    failed = api.failure("RunRule", {"text": 'cohort id "coh_0123456789abcdef"'})
    assert failed.code == grpc.StatusCode.NOT_FOUND


def test_days_where_clocks_change_are_as_the_page_says(tmp_path_factory: pytest.TempPathFactory) -> None:
    with client(tmp_path_factory.mktemp("berlin"), zone="Europe/Berlin") as (api, _):
        [events] = of_kind("events")
        api.send(*map(json.loads, events.splitlines()))
        for as_of, text, customers in DATED:
            answer = api.call("RunRule", {"text": text, "asOf": as_of})
            assert ", ".join(answer["customerIds"]) == customers, (as_of, text)


def test_every_construct_has_its_example() -> None:
    used = {word for text in RULES for word in re.findall(r"[a-z]+", re.sub(r'"[^"]*"|`[^`]*`', "", text))}
    assert set(WORDS) - used == {"minute", "hour", "day", "week", "months"} - used


def test_the_words_are_all_there() -> None:
    [listed] = re.findall(r"The words are: (.*?)\.", PAGE, re.DOTALL)
    assert set(listed.split()) == set(WORDS)
