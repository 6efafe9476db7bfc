import io
import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from rich.console import Console

from libs.cli.errors import Failed
from libs.cli.rules_input import read_source
from libs.cli.rules_words import preorder, rule_tree, rule_words
from libs.gen.cohort.v1 import rule_pb2

YAML = """\
all:
  rules:
    - did:
        eventType: purchase
        where:
          all:
            conditions:
              - test: {attribute: brand, op: EQUALS, values: ["103"]}
              - test: {attribute: price, op: GREATER_THAN, values: [5]}
              - test: {attribute: country, op: IN, values: [NO, yes, 12:30, 2026-01-01, true, null_ish]}
        when: {between: {from: 2026-01-01, to: 2026-01-31}}
        count: {op: AT_LEAST, value: 3}
    - not:
        rule: {profile: {where: {test: {attribute: city, op: IS_NOT_SET}}}}
"""


def read_rule(source: str) -> rule_pb2.Rule:
    rule = read_source(source)
    assert isinstance(rule, rule_pb2.Rule)
    return rule


def drawn(rule: rule_pb2.Rule, *notes: str) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=200).print(rule_tree(rule, notes))
    return text.getvalue().splitlines()


class TestInput:
    def test_yaml_is_read_as_its_json(self, tmp_path: Path) -> None:
        path = tmp_path / "rule.yaml"
        path.write_text(YAML)
        did = read_rule(str(path)).all.rules[0].did
        assert (did.when.between.start, did.when.between.to) == ("2026-01-01", "2026-01-31")
        values = json_format.MessageToDict(did)["where"]["all"]["conditions"][2]["test"]["values"]
        assert values == ["NO", "yes", "12:30", "2026-01-01", True, "null_ish"]

    def test_json_is_read_inline_and_from_stdin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inline = '{"did": {"eventType": "view"}}'
        monkeypatch.setattr("sys.stdin", io.StringIO(inline))
        assert read_rule("-") == read_rule(inline)

    @pytest.mark.parametrize(
        "text",
        ["purchase", "all(view)", "not view", "any(a) or `x: y`", "", "a/b", "x" * 5000, 'cohort id "c"'],
    )
    def test_a_text_is_left_to_the_server(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert read_source(text) == text
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        assert read_source("-") == text

    @pytest.mark.parametrize("name", ["lapsed", "lapsed.rule", "lapsed.txt"])
    def test_a_file_holds_any_form(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        for text in ("view\n  and not purchase\n", YAML, f"# a comment\n---\n{YAML}", '{"all": {}}'):
            path.write_text(text)
            read = read_source(str(path))
            assert read == text if text.startswith("view") else isinstance(read, rule_pb2.Rule)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("nowhere.yaml", "no such file"),
            ('{"did": ', "not JSON: .*line 1"),
            ('{"did": {"eventTyp": "x"}}', 'no field named "eventTyp" at "Rule.did"$'),
            ('{"did": {"count": {"op": "MANY"}}}', "MANY"),
        ],
    )
    def test_a_mistake_is_one_line(self, text: str, says: str) -> None:
        with pytest.raises(Failed, match=says) as caught:
            read_rule(text)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("text", "says"), [("a: [", "line"), ("- x", "an object"), ("", "an object")])
    def test_a_bad_file_is_named(self, tmp_path: Path, text: str, says: str) -> None:
        path = tmp_path / "rule.yaml"
        path.write_text(text)
        with pytest.raises(Failed, match=says) as caught:
            read_rule(str(path))
        assert str(caught.value).startswith(str(path))


class TestWords:
    def test_a_tree_reads_like_the_text_form(self, tmp_path: Path) -> None:
        path = tmp_path / "rule.yaml"
        path.write_text(YAML.replace("12:30, 2026-01-01, true, null_ish", "x"))
        assert drawn(read_rule(str(path)), "7", "8", "9", "10") == [
            "all of  7",
            '├── purchase where (brand = "103" and price > 5 and country in ("NO", "yes", "x")) '
            "at least 3 times from 2026-01-01 to 2026-01-31  8",
            "└── not  9",
            "    └── profile where city is not set  10",
        ]

    @pytest.mark.parametrize(
        ("rule", "words"),
        [
            ({"all": {}}, "everyone"),
            ({"any": {}}, "nobody"),
            ({"profile": {}}, "profile"),
            ({"cohort": {"cohortId": "c-1"}}, 'cohort id "c-1"'),
            ({"did": {"eventType": "v", "count": {"op": "EXACTLY", "value": 1}}}, "v exactly 1 time"),
            (
                {"did": {"eventType": "v", "count": {"op": "BETWEEN", "value": 2, "upper": 4}}},
                "v between 2 and 4 times",
            ),
            ({"did": {"eventType": "v", "when": {"last": {"amount": 1, "unit": "DAY"}}}}, "v in last 1 day"),
            ({"did": {"eventType": "v", "when": {"between": {"from": "2026-01-01"}}}}, "v since 2026-01-01"),
            ({"did": {"eventType": "v", "when": {"between": {"to": "2026-01-01"}}}}, "v until 2026-01-01"),
            ({"did": {"eventType": "v", "when": {"daysAgo": {"from": 9}}}}, "v between 9 and 0 days ago"),
            (
                {"did": {"eventType": "v", "where": {"not": {"condition": {"any": {"conditions": [
                    {"test": {"attribute": "a", "op": "BETWEEN", "values": [1, 2.5]}},
                    {"test": {"attribute": "b", "op": "EQUALS", "values": [True]}},
                ]}}}}}},
                "v where (not (a between 1 and 2.5 or b = true))",
            ),
            ({}, "{}"),
        ],
    )  # fmt: skip
    def test_every_part_has_words(self, rule: dict[str, object], words: str) -> None:
        assert rule_words(json_format.ParseDict(rule, rule_pb2.Rule())) == words

    def test_preorder_is_that_of_node_sizes(self) -> None:
        leaf = {"did": {"eventType": "v"}}
        rule = read_rule(
            json.dumps({"any": {"rules": [{"all": {"rules": [leaf]}}, {"not": {"rule": leaf}}]}})
        )
        assert [rule_words(node) for node in preorder(rule)] == ["any of", "all of", "v", "not", "v"]
