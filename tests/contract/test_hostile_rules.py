"""What is answered to rules that mean harm? A refusal by path, soon, while others are served; over real gRPC.

Hostile texts are in `test_text`, all kinds of mistakes in `test_cohort`.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from libs.gen.cohort.v1 import cohort_pb2, rule_pb2
from libs.rpc.errors import Failure
from services.cohort.handlers import saved
from tests.contract.harness import Client, Json, client, did, event, test_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
VALUES = "rule.did.where.test.values"
LEAF = rule_pb2.Rule(did=rule_pb2.Did(event_type="view"))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client(tmp_path_factory.mktemp("served")) as (connected, _):
        connected.send(*(event(f"c{n}", data={"x": f"value {n}"}) for n in range(100)))
        yield connected


def request(rule: rule_pb2.Rule) -> bytes:
    return cohort_pb2.RunRuleRequest(rule=rule, count_only=True).SerializeToString()


def nested(levels: int) -> bytes:
    """A request of `not` so many levels deep, a leaf the last. Written by hand: protobuf would not write it."""
    rule = LEAF.SerializeToString()
    for _ in range(levels - 1):
        negation = field(1, rule)
        rule = field(3, negation)
    return field(1, rule)


def field(number: int, content: bytes) -> bytes:
    length, size = len(content), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def patterns(*patterns: str) -> Json:
    return {"any": {"rules": [did(where=test_of("x", "MATCHES", each)) for each in patterns]}}


def test_depth_is_limited_and_what_protobuf_cannot_read_is_malformed(api: Client) -> None:
    assert api.call("RunRule", nested(32))
    failed = api.failure("RunRule", nested(33))
    assert (failed.code, failed.reason) == (INVALID, "RULE_TOO_LARGE")
    assert [at for at, _ in failed.violations] == ["rule" + ".not.rule" * 32]
    for data in (nested(60), nested(2_000), b"\0" * (1 << 20), b"\x0a\x80", b"\x0a\x03\x22\x01\xff"):
        failed = api.failure("RunRule", data)
        assert (failed.code, failed.reason, failed.violations) == (INVALID, "MALFORMED_MESSAGE", ())


def many_values(count: int) -> rule_pb2.Rule:
    rule = rule_pb2.Rule(did=rule_pb2.Did(event_type="view"))
    test = rule.did.where.test
    test.attribute, test.op = "x", rule_pb2.Test.IN
    for number in range(count):
        test.values.add().number_value = number
    return rule


@pytest.mark.parametrize(
    ("rule", "reason", "path"),
    [
        (rule_pb2.Rule(all=rule_pb2.AllRule(rules=[LEAF] * 500)), "RULE_TOO_LARGE", "rule.all.rules[499]"),
        (
            rule_pb2.Rule(any=rule_pb2.AnyRule(rules=[rule_pb2.Rule()] * 200_000)),
            "INVALID_RULE",
            "rule.any.rules[0]",
        ),
        (
            rule_pb2.Rule(sequence=rule_pb2.Sequence(steps=[rule_pb2.Step(event_type="a")] * 200_000)),
            "INVALID_RULE",
            "rule.sequence.steps",
        ),
        (many_values(10_001), "INVALID_RULE", VALUES),
        (many_values(300_000), "INVALID_RULE", VALUES),
        (rule_pb2.Rule(did=rule_pb2.Did(event_type="x" * (1 << 20))), "INVALID_RULE", "rule.did.eventType"),
    ],
    ids=["500 rules", "200,000 rules", "200,000 steps", "10,001 values", "300,000 values", "a long name"],
)
def test_what_is_too_much_is_refused_by_path(
    api: Client, rule: rule_pb2.Rule, reason: str, path: str
) -> None:
    failed = api.failure("RunRule", request(rule))
    assert (failed.code, failed.reason) == (INVALID, reason)
    assert [at for at, _ in failed.violations] == [path]
    assert len(failed.message) < 300


def test_what_is_just_not_too_much_is_run(api: Client) -> None:
    assert (
        api.call("RunRule", request(rule_pb2.Rule(all=rule_pb2.AllRule(rules=[LEAF] * 499))))["size"] == 100
    )
    assert "size" not in api.call("RunRule", request(many_values(10_000)))


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 50_000 + ")" * 50_000,
        "(?:" * 20_000 + ")" * 20_000,
        "(a|b)" * 10_000,
        "(a*)*b",
        "(?:a?){1000}a{1000}",
        ".*" * 1000 + "b",
        r".{1,1000}\b.{1,1000}q",
        "(a{1000}){1000}",
        "((((a{10}){10}){10}){10}){10}",
        r"\pL{1000}",
        "x*" * 50_000,
        "a" * 1_000_000,
        "[[:alpha:]" * 10_000,
        r"\b" * 50_000,
    ],
    ids=lambda pattern: pattern[:30],
)
def test_a_hostile_pattern_is_refused_or_matched(api: Client, pattern: str) -> None:
    rule = did(where=test_of("x", "MATCHES", pattern))
    try:
        api.call("RunRule", {"rule": rule})
    except grpc.RpcError as error:
        failed = Failure.of(error)
        assert (failed.code, failed.reason) == (INVALID, "INVALID_RULE")
        assert [at for at, _ in failed.violations] == [f"{VALUES}[0]"]
        assert len(failed.message) < 400
    assert api.run(did(where=test_of("x", "MATCHES", "^value 7$"))) == {"c7"}


def test_patterns_are_limited_together(api: Client) -> None:
    large = [rf"\pL{{40}}{number}" for number in range(5)]
    failed = api.failure("RunRule", {"rule": patterns(*large)})
    assert (failed.code, failed.reason) == (INVALID, "RULE_TOO_LARGE")
    assert [at for at, _ in failed.violations] == ["rule.any.rules[4].did.where.test.values[0]"]
    assert api.call("RunRule", {"rule": patterns(*large[:4])})
    text = " or ".join(f'view where x matches "\\\\pL{{40}}{number}"' for number in range(5))
    failed = api.failure("RunRule", {"text": text})
    assert (failed.reason, [at for at, _ in failed.violations]) == ("RULE_TOO_LARGE", ["text"])


def test_a_rule_to_save_is_read_beside_the_loop(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    read = saved.read_fields

    def beside(*arguments: Any) -> Any:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return read(*arguments)

    monkeypatch.setattr(saved, "read_fields", beside)
    made = api.call("CreateCohort", {"cohort": {"name": "n", "rule": did()}})["cohort"]
    changed = {"cohortId": made["cohortId"], "rule": did("cart")}
    assert api.call("UpdateCohort", {"cohort": changed, "updateMask": "rule"})["cohort"]["rule"] == did(
        "cart"
    )
