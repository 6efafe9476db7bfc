"""What does CohortService answer? Rules run, cohorts saved, members asked for; over real gRPC, in JSON form."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from pyroaring import BitMap

from libs.gen.cohort.v1 import cohort_pb2, rule_pb2
from libs.rpc import pages
from libs.storage import requests
from services.cohort import handlers
from tests.contract.harness import NOW, Client, Json, StepClock, client, did, event, test_of

EVERYONE: Json = {"all": {}}
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED
INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Client, StepClock]]:
    with client(tmp_path) as connected:
        yield connected


@pytest.fixture
def api(serving: tuple[Client, StepClock]) -> Client:
    return serving[0]


def save(api: Client, name: str = "Viewers", rule: Json | None = None, **fields: Any) -> Json:
    cohort: Json = api.call("CreateCohort", {"cohort": {"name": name, "rule": rule or did(), **fields}})[
        "cohort"
    ]
    return cohort


# Reflection, malformed messages, keys


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_services_are_found_by_reflection_and_called_in_json(tmp_path: Path, version: str) -> None:
    with client(tmp_path, version=version) as (api, _):
        assert {"cohort.v1.IngestService", "cohort.v1.CohortService", "grpc.health.v1.Health"} <= set(
            api.services.services
        )
        api.send(event("a"))
        assert api.run(did()) == {"a"}


def test_a_malformed_message_is_refused_and_the_connection_goes_on(api: Client) -> None:
    for method in ("RunRule", "StreamMembers"):
        for data in (b"\x0a\x7f\x0a", b"\x12\x01\xff"):
            failed = api.failure(method, data)
            assert (failed.code, failed.reason) == (INVALID, "MALFORMED_MESSAGE")
    assert api.run(EVERYONE) == set()


def test_a_key_is_asked_for_by_all_but_health_and_reflection(tmp_path: Path) -> None:
    with client(tmp_path, api_key="sésame") as (api, _):
        assert "cohort.v1.CohortService" in api.services.services
        health = api.channel.unary_unary("/grpc.health.v1.Health/Check")
        assert health(b"", timeout=5) == b"\x08\x01"
        wrong = [
            None,
            *([("authorization", each)] for each in ("", "Bearer", "Bearer x", "sesame", "bearer sesame")),
        ]
        for metadata in wrong:
            for method in ("RunRule", "SendEvents", "StreamMembers", "ParseRule", "WatchCohort"):
                failed = api.failure(method, metadata=metadata)
                assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
                assert "sésame" not in failed.message
    with client(tmp_path, api_key="sesame") as (api, _):
        assert api.call("RunRule", {"rule": EVERYONE}, metadata=[("authorization", "Bearer sesame")])


# Bad rules


def where(condition: Json) -> Json:
    return did(where=condition)


def value_of(*values: Any, op: str = "EQUALS", **fields: Any) -> Json:
    return where(test_of("x", op, *values, **fields))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (test_of("x", "CONTAINS", "traß"), {"a"}),
        (test_of("x", "CONTAINS", "STRASSE", ignoreCase=True), {"a", "b"}),
        (test_of("x", "NOT_CONTAINS", "S"), {"a", "c", "d", "e"}),
        (test_of("x", "STARTS_WITH", "s", "2"), {"a", "c", "d"}),
        (test_of("x", "ENDS_WITH", "e", ignoreCase=True), {"a", "b"}),
        (test_of("x", "MATCHES", r"^\d{4}-"), {"c", "d"}),
        (test_of("x", "MATCHES", "SE$", ignoreCase=True), {"b"}),
        (test_of("x", "EQUALS", "Strasse", ignoreCase=True), {"a", "b"}),
        (test_of("x", "NOT_IN", "Strasse", 7, ignoreCase=True), {"c", "d"}),
        (test_of("x", "AT_LEAST", "2026-01-01"), {"c"}),
        (test_of("x", "LESS_THAN", "2026-01-01"), {"d"}),
        (test_of("x", "BETWEEN", "2025-12-31", "2026-01-01T00:00:00Z"), {"c", "d"}),
    ],
)
def test_strings_and_dates_of_events_and_profiles_are_tested(
    api: Client, condition: Json, expected: set[str]
) -> None:
    values = {
        "a": "straße",
        "b": "STRASSE",
        "c": "2026-01-01",
        "d": "2025-12-31T23:59:59.999Z",
        "e": 7.0,
    }
    api.send(*(event(name, data={"x": value}) for name, value in values.items()))
    profiles = [{"customerId": name, "data": {"x": value}} for name, value in values.items()]
    assert api.run(where(condition)) == expected
    api.call("UpsertCustomers", {"customers": profiles})
    assert api.run({"profile": {"where": condition}}) == expected
    api.send(event("f", data={"x": "straße"}))  # a string that was read, and one that was not
    api.send(event("g", data={"x": "2025-12-31"}))
    assert {"f", "g"} >= api.run(where(condition)) - expected


def test_days_ago_are_calendar_days(api: Client) -> None:
    times = {
        "4 ago": "2025-12-28T23:59:59.999Z",
        "3 ago": "2025-12-29T00:00:00Z",
        "2 ago": "2025-12-30T23:59:59.999Z",
        "1 ago": "2025-12-31T00:00:00Z",
        "0 ago": "2026-01-01T00:00:00Z",
    }
    api.send(*(event(name, eventTime=time) for name, time in times.items()))
    assert api.run(did(when={"daysAgo": {"from": 3, "to": 2}})) == {"3 ago", "2 ago"}
    assert api.run(did(when={"daysAgo": {"from": 1}})) == {"1 ago", "0 ago"}


def test_a_cohort_referred_to_is_evaluated_as_it_is_now(api: Client) -> None:
    api.send(event("a", "view"), event("b", "view"), event("b", "cart"))
    viewers = save(api, rule=did("view"))["cohortId"]
    not_carted = {"all": {"rules": [{"cohort": {"cohortId": viewers}}, {"not": {"rule": did("cart")}}]}}
    saved = save(api, "Left", not_carted)
    left = saved["cohortId"]
    assert saved["size"] == 1
    reference = {"cohort": {"cohortId": left}}
    again = {"any": {"rules": [reference, {"all": {"rules": [reference, reference]}}]}}
    answer = api.call("RunRule", {"rule": again, "withNodeSizes": True, "explainPlan": True})
    assert answer["customerIds"] == ["a"]
    assert answer["nodeSizes"] == [1] * 5
    assert [node["access"] for node in answer["plan"]].count("cohort") == 3
    checked = api.call("CheckMembership", {"customerId": "a", "cohortIds": [viewers, left]})
    assert [each["member"] for each in checked["results"]] == [True, True]
    api.call("UpdateCohort", {"cohort": {"cohortId": viewers, "rule": did("cart")}, "updateMask": "rule"})
    assert api.run(reference) == set()


def test_cohorts_that_refer_to_one_another_many_times_over_are_each_evaluated_once(api: Client) -> None:
    api.send(event("a", "view"))
    rule = did("view")
    for level in range(30):
        reference = {"cohort": {"cohortId": save(api, f"level {level}", rule)["cohortId"]}}
        rule = {"all": {"rules": [reference, did("view"), {"any": {"rules": [reference, reference]}}]}}
    assert api.run(rule) == {"a"}


def test_a_reference_to_none_is_not_found_and_one_that_leads_back_is_refused(api: Client) -> None:
    saved = save(api)["cohortId"]
    rule = {"all": {"rules": [did(), {"cohort": {"cohortId": saved}}]}}
    nowhere = {"not": {"rule": {"cohort": {"cohortId": "nowhere"}}}}
    update = {"cohort": {"cohortId": saved, "rule": nowhere}, "updateMask": "rule"}
    for method, request, root in (
        ("RunRule", {"rule": nowhere}, "rule"),
        ("CreateCohort", {"cohort": {"name": "n", "rule": nowhere}}, "cohort.rule"),
        ("UpdateCohort", update, "cohort.rule"),
    ):
        failed = api.failure(method, request)
        assert (failed.code, failed.reason, failed.resource) == (MISSING, "COHORT_NOT_FOUND", "nowhere")
        assert [at for at, _ in failed.violations] == [f"{root}.not.rule.cohort.cohortId"]
    failed = api.failure("UpdateCohort", {"cohort": {"cohortId": saved, "rule": rule}, "updateMask": "rule"})
    [(at, _)] = failed.violations
    assert (failed.code, at) == (INVALID, "cohort.rule.all.rules[1].cohort.cohortId")


COUNT, WHERE, WHEN = "rule.did.count", "rule.did.where", "rule.did.when"
AGGREGATE, SEQUENCE = "rule.did.aggregate", "rule.sequence"
SUM_OF_X: Json = {"function": "SUM", "attribute": "x", "op": "AT_LEAST", "value": 1}


def steps(*behind: Json, **fields: Any) -> Json:
    return {"sequence": {"steps": [{"eventType": "a"}, *behind], **fields}}


BAD_RULES: list[tuple[Json, str]] = [
    ({}, "rule"),
    ({"all": {"rules": [EVERYONE, {}]}}, "rule.all.rules[1]"),
    ({"any": {"rules": [{"not": {}}]}}, "rule.any.rules[0].not.rule"),
    ({"not": {"rule": {"any": {"rules": [{}]}}}}, "rule.not.rule.any.rules[0]"),
    (did(""), "rule.did.eventType"),
    (did("é" * 129), "rule.did.eventType"),
    (did(where={}), WHERE),
    ({"profile": {"where": {}}}, "rule.profile.where"),
    (where({"not": {}}), f"{WHERE}.not.condition"),
    (where({"all": {"conditions": [test_of("x", "IS_SET"), {}]}}), f"{WHERE}.all.conditions[1]"),
    (where({"any": {"conditions": [{"test": {"attribute": "x"}}]}}), f"{WHERE}.any.conditions[0].test.op"),
    (where(test_of("", "IS_SET")), f"{WHERE}.test.attribute"),
    (where(test_of("x" * 257, "IS_SET")), f"{WHERE}.test.attribute"),
    *(
        (value_of(op=op), f"{WHERE}.test.values")
        for op in ("EQUALS", "NOT_EQUALS", "IN", "NOT_IN", "AT_LEAST", "BETWEEN")
    ),
    *(
        (value_of(1, 2, op=op), f"{WHERE}.test.values")
        for op in ("EQUALS", "NOT_EQUALS", "LESS_THAN", "IS_SET", "IS_NOT_SET")
    ),
    *(
        (value_of(*values, op="BETWEEN"), f"{WHERE}.test.values")
        for values in ([1], [1, 2, 3], [2, 1], [1, "2026-01-01"], [True, 1])
    ),
    *(
        (value_of(value, op="GREATER_THAN"), f"{WHERE}.test.values")
        for value in ("1", True, "2026-1-1", "2026-01-01t00:00:00Z")
    ),
    *((value_of("a", value, op="IN"), f"{WHERE}.test.values[1]") for value in (None, [], {})),
    (did(count={}), f"{COUNT}.op"),
    (did(count={"value": 1}), f"{COUNT}.op"),
    (did(count={"op": "AT_LEAST"}), f"{COUNT}.value"),
    (did(count={"op": "AT_LEAST", "value": -1}), f"{COUNT}.value"),
    (did(count={"op": "AT_LEAST", "value": 1, "upper": 2}), f"{COUNT}.upper"),
    (did(count={"op": "BETWEEN", "value": 1}), f"{COUNT}.upper"),
    (did(count={"op": "BETWEEN", "value": 2, "upper": 1}), f"{COUNT}.upper"),
    (did(when={}), WHEN),
    (did(when={"last": {}}), f"{WHEN}.last.unit"),
    (did(when={"last": {"amount": 0, "unit": "DAY"}}), f"{WHEN}.last.amount"),
    (did(when={"last": {"unit": "DAY"}}), f"{WHEN}.last.amount"),
    *(
        (did(when={"last": {"amount": n, "unit": unit}}), f"{WHEN}.last.amount")
        for n, unit in (
            (36_501, "DAY"),
            (5215, "WEEK"),
            (1217, "MONTH"),
            (876_001, "HOUR"),
            (52_560_001, "MINUTE"),
        )
    ),
    (did(when={"between": {}}), f"{WHEN}.between"),
    (did(when={"between": {"from": "2026-02-30"}}), f"{WHEN}.between.from"),
    (did(when={"between": {"to": ""}}), f"{WHEN}.between.to"),
    (did(when={"between": {"to": "2026-01-01T00:00:00"}}), f"{WHEN}.between.to"),
    (did(when={"between": {"from": "2026-01-02", "to": "2026-01-01"}}), f"{WHEN}.between.from"),
    (
        did(when={"between": {"from": "2026-01-01T00:00:00.001Z", "to": "2026-01-01T00:00:00Z"}}),
        f"{WHEN}.between.from",
    ),
    (did(when={"between": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01"}}), f"{WHEN}.between.from"),
    *(
        (did(when={"daysAgo": ends}), f"{WHEN}.daysAgo.{end}")
        for ends, end in (
            ({}, "from"),
            ({"to": 1}, "from"),
            ({"from": -1}, "from"),
            ({"from": 36_501}, "from"),
            ({"from": 3, "to": 4}, "to"),
            ({"from": 3, "to": -1}, "to"),
        )
    ),
    *(
        (value_of(*values, op=op), f"{WHERE}.test.values")
        for op, values in (
            ("MATCHES", ["a", "b"]),
            ("CONTAINS", []),
            ("STARTS_WITH", []),
            ("BETWEEN", ["2026-01-02", "2026-01-01"]),
            ("BETWEEN", ["2026-01-01T00:00:00.001Z", "2026-01-01"]),
            ("BETWEEN", ["2026-01-01", 1]),
            ("AT_MOST", ["2026-02-30"]),
            ("AT_MOST", ["2026-01-01T00:00:00"]),
        )
    ),
    *(
        (value_of("a", value, op=op), f"{WHERE}.test.values[1]")
        for op in ("CONTAINS", "NOT_CONTAINS", "STARTS_WITH", "ENDS_WITH")
        for value in (1, True, None, ["a"])
    ),
    *(
        (value_of(pattern, op="MATCHES", ignoreCase=folded), f"{WHERE}.test.values[0]")
        for pattern in ("a(", "(?=a)", r"\1", "a{1001}", "((a{100}){100}){100}", 1)
        for folded in (False, True)
    ),
    *(
        (did(aggregate={**SUM_OF_X, **fields}), f"{AGGREGATE}.{field}")
        for fields, field in (
            ({"function": "FUNCTION_UNSPECIFIED"}, "function"),
            ({"attribute": ""}, "attribute"),
            ({"attribute": "é" * 129}, "attribute"),
            ({"function": "ACTIVE_DAYS"}, "attribute"),
            ({"op": "OP_UNSPECIFIED"}, "op"),
            ({"value": None}, "value"),
            ({"value": "NaN"}, "value"),
            ({"value": "-Infinity"}, "value"),
            ({"upper": 2}, "upper"),
            ({"op": "BETWEEN"}, "upper"),
            ({"op": "BETWEEN", "upper": 0.5}, "upper"),
            ({"op": "BETWEEN", "upper": "Infinity"}, "upper"),
        )
    ),
    ({"cohort": {}}, "rule.cohort.cohortId"),
    ({"sequence": {}}, f"{SEQUENCE}.steps"),
    (steps(), f"{SEQUENCE}.steps"),
    (steps(*[{"eventType": "a"}] * 8), f"{SEQUENCE}.steps"),
    (steps({}), f"{SEQUENCE}.steps[1].eventType"),
    (steps({"eventType": "b", "where": {}}), f"{SEQUENCE}.steps[1].where"),
    (steps({"eventType": "b"}, within={"amount": 1}), f"{SEQUENCE}.within.unit"),
    (steps({"eventType": "b"}, within={"unit": "HOUR"}), f"{SEQUENCE}.within.amount"),
    (steps({"eventType": "b"}, when={}), f"{SEQUENCE}.when"),
]


def test_a_malformed_rule_is_refused_by_the_path_of_its_field(api: Client) -> None:
    for rule, path in BAD_RULES:
        failed = api.failure("RunRule", {"rule": rule})
        assert (failed.code, failed.reason) == (INVALID, "INVALID_RULE"), rule
        assert [at for at, _ in failed.violations] == [path], rule
        assert failed.message.startswith(f"{path}: ")
    for request in ({}, {"cohort": {"name": "n"}}):
        failed = api.failure("CreateCohort" if request else "RunRule", request)
        assert [at for at, _ in failed.violations] == ["cohort.rule" if request else "rule"]


def test_what_stands_at_the_border_of_a_limit_is_legal(api: Client) -> None:
    api.send(event("a"))
    legal = [
        did("y" * 256),
        did(count={"op": "LESS_THAN", "value": 0}),
        did(count={"op": "MORE_THAN", "value": 2**31 - 1}),
        did(when={"last": {"amount": 36_500, "unit": "DAY"}}),
        did(when={"last": {"amount": 1216, "unit": "MONTH"}}),
        did(when={"between": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}}),
        did(when={"between": {"from": "0001-01-01", "to": "9999-12-31"}}),
        value_of(5, op="EQUALS", ignoreCase=True),
        value_of(1, 1, op="BETWEEN"),
    ]
    assert [len(api.run(rule)) for rule in legal] == [0, 0, 0, 1, 1, 0, 1, 0, 0]


def test_a_number_that_is_not_finite_is_refused_in_a_rule(api: Client) -> None:
    test = rule_pb2.Test(attribute="x", op="EQUALS", values=[struct_pb2.Value(number_value=float("nan"))])
    rule = rule_pb2.Rule(profile=rule_pb2.ProfileRule(where=rule_pb2.Condition(test=test)))
    failed = api.failure("RunRule", cohort_pb2.RunRuleRequest(rule=rule).SerializeToString())
    assert [at for at, _ in failed.violations] == ["rule.profile.where.test.values[0]"]


def test_a_rule_has_at_most_500_nodes_and_32_levels(api: Client) -> None:
    assert api.run({"all": {"rules": [EVERYONE] * 499}}) == set()
    assert api.run({"all": {"rules": [where(test_of("x", "IS_SET"))] * 249 + [EVERYONE]}}) == set()
    for rules in ([EVERYONE] * 500, [where(test_of("x", "IS_SET"))] * 250):
        failed = api.failure("RunRule", {"rule": {"all": {"rules": rules}}})
        assert (failed.code, failed.reason) == (INVALID, "RULE_TOO_LARGE")

    def nested(levels: int, inner: Json) -> Json:
        return inner if levels == 0 else {"not": {"rule": nested(levels - 1, inner)}}

    assert api.run(nested(31, EVERYONE)) == set()
    assert api.run(nested(30, where(test_of("x", "IS_SET")))) == set()
    for rule in (nested(32, EVERYONE), nested(31, where(test_of("x", "IS_SET")))):
        assert api.failure("RunRule", {"rule": rule}).reason == "RULE_TOO_LARGE"


def test_a_test_takes_ten_thousand_values_and_no_more(api: Client) -> None:
    assert api.run(value_of(*range(10_000), op="IN")) == set()
    failed = api.failure("RunRule", {"rule": value_of(*range(10_001), op="IN")})
    assert [at for at, _ in failed.violations] == ["rule.did.where.test.values"]


# Running


def test_a_run_pages_through_one_snapshot_while_events_arrive(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    api.send(*(event(f"c{n}") for n in range(5)))
    request = {"rule": did(when={"last": {"amount": 1, "unit": "DAY"}}), "pageSize": 2, "withNodeSizes": True}
    first = page = api.call("RunRule", request)
    seen = list(page["customerIds"])
    while "nextPageToken" in page:
        clock.now += 300_000
        api.send(event(f"new{len(seen)}"), event("c0"))
        page = api.call("RunRule", {**request, "pageToken": page["nextPageToken"]})
        seen += page["customerIds"]
        for name in ("size", "revision", "asOf", "nodeSizes", "elapsed"):
            assert page[name] == first[name]
    assert seen == [f"c{n}" for n in range(5)]
    assert first["asOf"] == "2026-01-01T00:00:00Z"
    assert api.call("RunRule", {"rule": did(), "countOnly": True})["size"] == 7


def test_page_tokens_are_tied_to_their_request_and_expire(
    serving: tuple[Client, StepClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, clock = serving
    api.send(*(event(f"c{n}") for n in range(4)))
    request = {"rule": did(), "pageSize": 2}
    token = api.call("RunRule", request)["nextPageToken"]

    def reason(**fields: Any) -> str:
        failed = api.failure("RunRule", {**request, "pageToken": token, **fields})
        assert failed.code == INVALID
        assert [at for at, _ in failed.violations] == ["pageToken"]
        return failed.reason

    for other in (
        {"rule": EVERYONE},
        {"countOnly": True},
        {"profileFields": ["x"]},
        {"asOf": "2026-01-01T00:00:00Z"},
    ):
        assert reason(**other) == "PAGE_TOKEN_FOREIGN"
    for text in ("x", "é", "AAAA", token[:-4]):
        assert reason(pageToken=text) == "PAGE_TOKEN_FOREIGN"
    assert reason(pageToken=base64.urlsafe_b64encode(bytes(32)).decode()) == "PAGE_TOKEN_FOREIGN"
    assert api.call("RunRule", {**request, "pageToken": token, "pageSize": 9_999_999})["customerIds"] == [
        "c2",
        "c3",
    ]
    clock.now += pages.LIFETIME_MS + 1
    assert reason() == "PAGE_TOKEN_EXPIRED"
    token = api.call("RunRule", request)["nextPageToken"]
    monkeypatch.setattr(pages, "MAX_RESULTS", 1)
    api.call("RunRule", {"rule": EVERYONE, "pageSize": 1})
    assert reason() == "PAGE_TOKEN_EXPIRED"
    assert api.failure("RunRule", {**request, "pageSize": -1}).reason == "INVALID_PAGE_SIZE"


def test_a_page_has_a_thousand_by_default_and_at_most_ten_thousand(api: Client) -> None:
    api.call("SendEventColumns", {"customerIds": [f"c{n}" for n in range(10_001)], "eventTypes": ["view"]})
    assert len(api.call("RunRule", {"rule": did()})["customerIds"]) == 1000
    page = api.call("RunRule", {"rule": did(), "pageSize": 20_000})
    assert len(page["customerIds"]) == 10_000
    last = api.call("RunRule", {"rule": did(), "pageToken": page["nextPageToken"]})
    assert (last["customerIds"], "nextPageToken" in last) == (["c10000"], False)


def test_as_of_hides_what_comes_after_it_to_the_millisecond(api: Client) -> None:
    api.send(
        event("a", eventTime="2025-06-01T12:00:00.0019Z"), event("b", eventTime="2025-06-01T12:00:00.002Z")
    )
    api.call("UpsertCustomers", {"customers": [{"customerId": "p", "data": {"city": "Pune"}}]})
    for instant, expected in (
        ("2025-06-01T12:00:00.000999Z", set()),
        ("2025-06-01T12:00:00.001Z", {"a"}),
        ("2025-06-01T12:00:00.001999999Z", {"a"}),
        ("2025-06-01T12:00:00.002Z", {"a", "b"}),
        ("0001-01-01T00:00:00Z", set()),
        ("9999-12-31T23:59:59.999999999Z", {"a", "b"}),
    ):
        assert api.run(did(), asOf=instant) == expected
        assert api.run(EVERYONE, asOf=instant) == expected | {"p"}
        assert api.run(did(count={"op": "EXACTLY", "value": 0}), asOf=instant) == {"p"}
    answer = api.call("RunRule", {"rule": did(), "asOf": "2025-06-01T12:00:00.0029Z"})
    assert answer["asOf"] == "2025-06-01T12:00:00.002Z"
    last_day = did(when={"last": {"amount": 1, "unit": "DAY"}})
    for instant in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert api.run(last_day, asOf=instant) == set()


def test_events_of_the_future_count_when_it_has_come(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    api.send(event("a", eventTime="2026-01-01T00:00:00.001Z"))
    assert api.run(EVERYONE) == set()
    clock.now = NOW + 1
    assert api.run(did()) == {"a"}


def test_min_revision_is_reached_refused_or_foreign(api: Client) -> None:
    revision = api.send(event("a"))["revision"]
    assert api.run(did(), minRevision=revision) == {"a"}
    log, _, number = revision.partition("-")
    failed = api.failure("RunRule", {"rule": did(), "minRevision": f"{log}-{int(number) + 1}"})
    assert (failed.code, failed.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_NOT_REACHED")
    for token in ("1", "x-1", f"{log}-", "0" * 16 + "-1"):
        failed = api.failure("RunRule", {"rule": did(), "minRevision": token})
        assert (failed.code, failed.reason, failed.violations[0][0]) == (
            INVALID,
            "REVISION_FOREIGN",
            "minRevision",
        )
    saved = save(api)["cohortId"]
    for method, fields in (
        ("ListMembers", {"cohortId": saved}),
        ("GetMemberSet", {"cohortId": saved}),
        ("CheckMembership", {"customerId": "a", "cohortIds": [saved]}),
        ("LookupCohorts", {"customerId": "a"}),
        ("BatchCheckMembership", {}),
        ("StreamMembers", {"cohortId": saved}),
    ):
        assert api.failure(method, {**fields, "minRevision": "x-1"}).reason == "REVISION_FOREIGN"


def test_every_revision_is_seen_by_the_next_run(api: Client) -> None:
    for number in range(20):
        revision = api.send(event(f"c{number}"))["revision"]
        answer = api.call("RunRule", {"rule": did(), "countOnly": True})
        assert (answer["size"], answer["revision"], "customerIds" in answer) == (number + 1, revision, False)


def test_node_sizes_come_in_pre_order_each_as_if_alone(api: Client) -> None:
    api.send(event("a"), event("b"), event("b", "cart"))
    rule = {"all": {"rules": [did(), {"not": {"rule": did("cart")}}, {"any": {}}, {"profile": {}}]}}
    answer = api.call("RunRule", {"rule": rule, "withNodeSizes": True})
    assert answer["nodeSizes"] == [0, 2, 1, 1, 0, 2]
    assert "nodeSizes" not in api.call("RunRule", {"rule": rule})


def test_a_plan_says_how_each_node_was_reached_and_what_it_gave(api: Client) -> None:
    api.send(event("a"), event("b"), event("b", "cart"))
    rule = {"all": {"rules": [did(), {"not": {"rule": did("cart")}}, {"any": {}}, {"profile": {}}]}}
    answer = api.call("RunRule", {"rule": {"any": {"rules": [rule, did()]}}, "explainPlan": True})
    plan = answer["plan"]
    first = "rule.any.rules[0].all.rules"
    assert [node["path"] for node in plan] == [
        "rule",
        "rule.any.rules[0]",
        f"{first}[0]",
        f"{first}[1]",
        f"{first}[1].not.rule",
        f"{first}[2]",
        f"{first}[3]",
        "rule.any.rules[1]",
    ]
    assert [node.get("size", 0) for node in plan] == [2, 0, 0, 0, 0, 0, 0, 2]
    by_path = {node["path"]: node["access"] for node in plan}
    assert by_path["rule"] == "combined"
    assert by_path[f"{first}[0]"] == "not needed"  # nobody was left: the cheapest came first
    assert by_path["rule.any.rules[1]"] == "tail"
    assert all(float(node["elapsed"].rstrip("s")) >= 0 for node in plan if node["access"] != "not needed")
    assert "plan" not in api.call("RunRule", {"rule": rule})


def test_profile_fields_come_beside_the_ids(api: Client) -> None:
    api.send(event("a"), event("b"))
    api.call(
        "UpsertCustomers",
        {"customers": [{"customerId": "a", "data": {"city": "Pune", "age": 3, "vip": False}}]},
    )
    answer = api.call("RunRule", {"rule": did(), "profileFields": ["age", "vip", "unknown"], "pageSize": 1})
    assert answer["members"] == [{"customerId": "a", "data": {"age": 3, "vip": False}}]
    api.call("UpsertCustomers", {"customers": [{"customerId": "b", "data": {"age": 4}}]})
    again = {"rule": did(), "profileFields": ["age", "vip", "unknown"], "pageToken": answer["nextPageToken"]}
    [member] = api.call("RunRule", again)["members"]
    assert (member["customerId"], member.get("data", {})) == ("b", {})


def test_names_never_seen_are_warned_of_unless_predefined(api: Client) -> None:
    rule = {
        "all": {
            "rules": [
                did("tpyo"),
                did("signup"),
                did("tpyo"),
                value_of(1),
                where(test_of("brand", "IS_SET")),
                {"profile": {"where": test_of("ctiy", "IS_SET")}},
                {"profile": {"where": test_of("city", "IS_SET")}},
            ]
        }
    }
    warned = api.call("RunRule", {"rule": rule})["warnings"]
    assert [name in each for name, each in zip(("'tpyo'", "'x'", "'ctiy'"), warned, strict=True)] == [
        True
    ] * 3
    api.send(event("a", "tpyo"), event("a", data={"x": 1}))
    api.call("UpsertCustomers", {"customers": [{"customerId": "a", "data": {"ctiy": "x"}}]})
    assert "warnings" not in api.call("RunRule", {"rule": rule})


# Saved cohorts


def test_a_cohort_is_saved_shown_listed_changed_and_deleted(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    api.send(event("a"), event("b", "cart"))
    made = save(api, description="they view")
    assert (made["name"], made["description"], made["size"], made["rule"]) == (
        "Viewers",
        "they view",
        1,
        did(),
    )
    assert made["createTime"] == made["updateTime"] == "2026-01-01T00:00:00Z"
    assert api.call("GetCohort", {"cohortId": made["cohortId"]})["cohort"] == made
    clock.now += 1000
    change = {"cohortId": made["cohortId"], "name": "Carters", "description": "no", "rule": did("cart")}
    changed = api.call("UpdateCohort", {"cohort": {**change, "etag": made["etag"]}, "updateMask": "name"})[
        "cohort"
    ]
    assert (changed["name"], changed["description"], changed["rule"]) == ("Carters", "they view", did())
    assert (changed["updateTime"], changed["createTime"]) == ("2026-01-01T00:00:01Z", made["createTime"])
    assert changed["etag"] != made["etag"]
    changed = api.call("UpdateCohort", {"cohort": change, "updateMask": "rule,description"})["cohort"]
    assert (changed["description"], changed["rule"], changed["size"]) == ("no", did("cart"), 1)
    assert [
        each["customerId"] for each in api.call("ListMembers", {"cohortId": made["cohortId"]})["members"]
    ] == ["b"]
    [listed] = api.call("ListCohorts")["cohorts"]
    assert (listed["name"], "size" in listed) == ("Carters", False)
    save(api)  # the old name is free again
    assert api.call("DeleteCohort", {"cohortId": made["cohortId"], "etag": changed["etag"]}) == {}
    for method in ("GetCohort", "DeleteCohort", "ListMembers", "StreamMembers", "GetMemberSet"):
        failed = api.failure(method, {"cohortId": made["cohortId"]})
        assert (failed.code, failed.reason, failed.resource) == (
            MISSING,
            "COHORT_NOT_FOUND",
            made["cohortId"],
        )
    save(api, "Carters")


def test_names_are_unique(api: Client) -> None:
    first, second = save(api, "One"), save(api, "one")
    for failed in (
        api.failure("CreateCohort", {"cohort": {"name": "One", "rule": did()}}),
        api.failure(
            "UpdateCohort", {"cohort": {"cohortId": second["cohortId"], "name": "One"}, "updateMask": "name"}
        ),
    ):
        assert (failed.code, failed.reason) == (grpc.StatusCode.ALREADY_EXISTS, "COHORT_NAME_TAKEN")
        assert failed.resource == first["cohortId"]
    same = {"cohort": {"cohortId": first["cohortId"], "name": "One"}, "updateMask": "name"}
    assert api.call("UpdateCohort", same)["cohort"]["name"] == "One"


def test_a_wrong_etag_changes_nothing(api: Client) -> None:
    made = save(api)
    for method, request in (
        (
            "UpdateCohort",
            {"cohort": {"cohortId": made["cohortId"], "name": "x", "etag": "old"}, "updateMask": "name"},
        ),
        ("DeleteCohort", {"cohortId": made["cohortId"], "etag": "old"}),
    ):
        failed = api.failure(method, request)
        assert (failed.code, failed.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert api.call("GetCohort", {"cohortId": made["cohortId"]})["cohort"] == made


@pytest.mark.parametrize("cohort_id", ["", "nothing", "x" * 600, "é" * 300])
def test_an_unknown_cohort_is_not_found(api: Client, cohort_id: str) -> None:
    for method in ("GetCohort", "DeleteCohort", "ListMembers", "GetMemberSet"):
        failed = api.failure(method, {"cohortId": cohort_id})
        assert (failed.code, failed.reason) == (MISSING, "COHORT_NOT_FOUND"), method
    failed = api.failure(
        "UpdateCohort", {"cohort": {"cohortId": cohort_id, "name": "n"}, "updateMask": "name"}
    )
    assert failed.reason == "COHORT_NOT_FOUND"


def test_bad_names_descriptions_and_masks_are_refused(api: Client) -> None:
    made = save(api)
    for fields, reason in (
        ({"name": ""}, "INVALID_COHORT_NAME"),
        ({"name": " "}, "INVALID_COHORT_NAME"),
        ({"name": "é" * 129}, "INVALID_COHORT_NAME"),
        ({"name": "two\nlines"}, "INVALID_COHORT_NAME"),
        ({"name": "a\0b"}, "INVALID_COHORT_NAME"),
        ({"name": "n", "description": "x" * 4097}, "INVALID_DESCRIPTION"),
    ):
        assert api.failure("CreateCohort", {"cohort": {"rule": did(), **fields}}).reason == reason
        update = {"cohort": {"cohortId": made["cohortId"], **fields}, "updateMask": "name,description"}
        assert api.failure("UpdateCohort", update).reason == reason
    for mask in ("", "size", "name,etag"):
        failed = api.failure(
            "UpdateCohort", {"cohort": {"cohortId": made["cohortId"], "name": "n"}, "updateMask": mask}
        )
        assert failed.reason == "INVALID_UPDATE_MASK"
    assert api.call("GetCohort", {"cohortId": made["cohortId"]})["cohort"] == made
    save(api, "é" * 128, description="x" * 4096)


def test_a_repeated_request_id_changes_cohorts_once(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    create = {"cohort": {"name": "One", "rule": did()}, "requestId": "r1"}
    made = api.call("CreateCohort", create)
    assert api.call("CreateCohort", create) == made
    update = {
        "cohort": {"cohortId": made["cohort"]["cohortId"], "name": "Two"},
        "updateMask": "name",
        "requestId": "r2",
    }
    changed = api.call("UpdateCohort", update)
    delete = {"cohortId": made["cohort"]["cohortId"], "requestId": "r3"}
    assert api.call("DeleteCohort", delete) == api.call("DeleteCohort", delete) == {}
    assert api.call("UpdateCohort", update) == changed
    assert api.call("CreateCohort", create) == made
    assert api.call("ListCohorts") == {}
    for method, request in (
        ("CreateCohort", {**create, "cohort": {"name": "Z", "rule": did()}}),
        ("DeleteCohort", {**delete, "requestId": "r1"}),
        ("UpdateCohort", {**update, "updateMask": "description"}),
    ):
        failed = api.failure(method, request)
        assert (failed.code, failed.reason) == (INVALID, "REQUEST_ID_REUSED")
    failed_first = {"cohort": {"name": "", "rule": did()}, "requestId": "r4"}
    assert api.failure("CreateCohort", failed_first).code == INVALID
    assert api.call("CreateCohort", {**create, "requestId": "r4"})["cohort"]["name"] == "One"
    clock.now += requests.LIFETIME_MS
    assert api.call("CreateCohort", {"cohort": {"name": "Z", "rule": did()}, "requestId": "r1"})


def test_cohorts_are_listed_by_name_and_survive_a_restart(tmp_path: Path) -> None:
    with client(tmp_path) as (api, _):
        for name in ("b", "a", "C", "é", "d"):
            save(api, name)
        page = api.call("ListCohorts", {"pageSize": 2})
        save(api, "aa")
        names = [each["name"] for each in page["cohorts"]]
        while "nextPageToken" in page:
            page = api.call("ListCohorts", {"pageSize": 2, "pageToken": page["nextPageToken"]})
            names += [each["name"] for each in page["cohorts"]]
        assert names == ["C", "a", "b", "d", "é"]
        listed = api.call("ListCohorts")
    with client(tmp_path) as (api, _):
        assert api.call("ListCohorts") == listed
        assert (
            api.failure("CreateCohort", {"cohort": {"name": "aa", "rule": did()}}).reason
            == "COHORT_NAME_TAKEN"
        )


# Members


def test_members_are_listed_with_profiles_on_one_snapshot(api: Client) -> None:
    api.send(*(event(f"c{n}") for n in range(3)))
    api.call("UpsertCustomers", {"customers": [{"customerId": "c1", "data": {"city": "Pune", "age": 3}}]})
    cohort_id = save(api)["cohortId"]
    everything = api.call("ListMembers", {"cohortId": cohort_id})
    assert [(each["customerId"], each.get("data", {})) for each in everything["members"]] == [
        ("c0", {}),
        ("c1", {"city": "Pune", "age": 3}),
        ("c2", {}),
    ]
    first = api.call("ListMembers", {"cohortId": cohort_id, "pageSize": 1, "profileFields": ["age"]})
    api.send(event("c3"))
    api.call("UpsertCustomers", {"customers": [{"customerId": "c1", "data": {"age": 4}}]})
    request = {"cohortId": cohort_id, "profileFields": ["age"], "pageToken": first["nextPageToken"]}
    rest = api.call("ListMembers", request)
    assert [each.get("data", {}) for each in rest["members"]] == [{"age": 3}, {}]
    assert (rest["size"], rest["revision"], rest["asOf"]) == (3, first["revision"], first["asOf"])
    assert api.failure("ListMembers", {**request, "profileFields": []}).reason == "PAGE_TOKEN_FOREIGN"
    assert api.call("ListMembers", {"cohortId": cohort_id})["size"] == 4
    assert "size" not in api.call("ListMembers", {"cohortId": cohort_id, "asOf": "2025-01-01T00:00:00Z"})


def test_a_stream_of_members_resumes_behind_its_cursor(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers.members, "STREAM_PAGE", 2)
    cohort_id = save(api)["cohortId"]
    [empty] = api.call("StreamMembers", {"cohortId": cohort_id})
    assert "members" not in empty
    api.send(*(event(f"c{n}") for n in range(5)))
    messages = api.call("StreamMembers", {"cohortId": cohort_id})
    ids = [[each["customerId"] for each in one["members"]] for one in messages]
    assert ids == [["c0", "c1"], ["c2", "c3"], ["c4"]]
    api.send(event("c5"))
    for place, message in enumerate(messages):
        rest = api.call("StreamMembers", {"cohortId": cohort_id, "cursor": message["cursor"]})
        assert [[each["customerId"] for each in one.get("members", [])] for one in rest] == (
            ids[place + 1 :] or [[]]
        )
        assert {(one["size"], one["revision"]) for one in rest} == {(5, messages[0]["revision"])}
    other = save(api, "Other")["cohortId"]
    with pytest.raises(grpc.RpcError) as refused:
        api.call("StreamMembers", {"cohortId": other, "cursor": messages[0]["cursor"]})
    assert refused.value.code() == INVALID  # type: ignore[attr-defined]


def test_a_member_set_says_whose_profiles_may_have_changed_behind_a_revision(api: Client) -> None:
    def numbers(answer: Json, name: str) -> BitMap:
        return BitMap.deserialize(base64.b64decode(answer[name]["shards"][0]["roaring"]))

    def upsert(*names: str) -> None:
        customers = [{"customerId": name, "data": {"city": "Pune"}} for name in names]
        api.call("UpsertCustomers", {"customers": customers})

    api.send(*(event(f"c{n}") for n in range(4)))
    upsert("c0")
    request = {"cohortId": save(api)["cohortId"]}
    first = api.call("GetMemberSet", request)
    assert "changed" not in first
    since = {**request, "profilesSince": first["revision"]}
    assert numbers(api.call("GetMemberSet", since), "changed") == BitMap()
    upsert("c1", "c3")
    upsert("stranger")
    api.send(event("c2"))
    second = api.call("GetMemberSet", since)
    assert numbers(second, "changed") == numbers(second, "members")[1:4:2]
    assert second["changed"]["epoch"] == second["members"]["epoch"]
    later = {**request, "profilesSince": second["revision"]}
    assert numbers(api.call("GetMemberSet", later), "changed") == BitMap()
    for unknown in ("another-5", "no revision", f"{second['revision']}999"):
        answer = api.call("GetMemberSet", {**request, "profilesSince": unknown})
        assert numbers(answer, "changed") == numbers(answer, "members")


def test_a_member_set_is_a_bitmap_that_is_resolved_to_customers(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers.members, "STREAM_PAGE", 2)
    api.send(event("x", "cart"), *(event(f"c{n}") for n in range(3)))
    api.call("UpsertCustomers", {"customers": [{"customerId": "c1", "data": {"city": "Pune", "age": 3}}]})
    answer = api.call("GetMemberSet", {"cohortId": save(api)["cohortId"]})
    assert (answer["size"], answer["cohortName"]) == (3, "Viewers")
    members = answer["members"]
    assert len(BitMap.deserialize(base64.b64decode(members["shards"][0]["roaring"]))) == 3

    def resolve(**fields: Any) -> list[Json]:
        return [
            each
            for one in api.call("ResolveMembers", {"members": members, **fields})
            for each in one["members"]
        ]

    assert [each["customerId"] for each in resolve()] == ["c0", "c1", "c2"]
    assert resolve()[1].get("data", {}) == {}
    assert resolve(profileFields=["age"])[1]["data"] == {"age": 3}
    assert resolve(allProfileFields=True)[1]["data"] == {"city": "Pune", "age": 3}

    def refused(**fields: Any) -> tuple[Any, str]:
        failed = api.failure("ResolveMembers", {"members": {**members, **fields}})
        return failed.code, failed.message

    assert refused(epoch="other")[0] == grpc.StatusCode.FAILED_PRECONDITION
    for shard in (
        {"shard": "1"},
        {"shard": "0", "roaring": base64.b64encode(b"no bitmap").decode()},
        {"shard": "0", "roaring": base64.b64encode(BitMap([99]).serialize()).decode()},
    ):
        assert refused(shards=[shard])[0] == INVALID


def test_membership_is_checked_one_by_one_in_batches_and_looked_up(api: Client) -> None:
    api.send(event("a"), event("b", "cart"), event("b", eventTime="2026-01-02T00:00:00Z"))
    views, carts = save(api, "views")["cohortId"], save(api, "carts", did("cart"))["cohortId"]

    def check(customer: str, **fields: Any) -> list[bool]:
        answer = api.call(
            "CheckMembership", {"customerId": customer, "cohortIds": [carts, views, carts], **fields}
        )
        assert [each["cohortId"] for each in answer["results"]] == [carts, views, carts]
        return [each.get("member", False) for each in answer["results"]]

    assert (check("a"), check("b"), check("never seen")) == (
        [False, True, False],
        [True, False, True],
        [False] * 3,
    )
    assert check("b", asOf="2026-01-02T00:00:00Z") == [True] * 3
    failed = api.failure("CheckMembership", {"customerId": "a", "cohortIds": [views, "nope"]})
    assert (failed.code, failed.violations, failed.resource) == (MISSING, failed.violations, "nope")
    assert api.failure("CheckMembership", {"cohortIds": [views]}).reason == "MISSING_CUSTOMER_ID"
    assert api.failure("CheckMembership", {"customerId": "a"}).reason == "MISSING_COHORT_IDS"
    assert (
        api.failure("CheckMembership", {"customerId": "a", "cohortIds": [views] * 1001}).reason
        == "BATCH_TOO_LARGE"
    )
    pairs = [("a", views), ("a", "nope"), ("b", views), ("", views), ("zzz", carts), ("b", carts)]
    asked = {"pairs": [{"customerId": customer, "cohortId": cohort} for customer, cohort in pairs]}
    results = api.call("BatchCheckMembership", asked)["results"]
    assert [each.get("member") for each in results] == [True, None, False, None, False, True]
    assert [each["error"]["reason"] for each in results if "error" in each] == [
        "COHORT_NOT_FOUND",
        "MISSING_CUSTOMER_ID",
    ]
    assert [each["error"]["code"] for each in results if "error" in each] == [5, 3]
    assert (
        api.failure("BatchCheckMembership", {"pairs": asked["pairs"][:1] * 10_001}).reason
        == "BATCH_TOO_LARGE"
    )

    def lookup(customer: str, **fields: Any) -> list[str]:
        found = api.call("LookupCohorts", {"customerId": customer, **fields}).get("cohorts", [])
        assert not any("rule" in each or "size" in each for each in found)
        return [each["name"] for each in found]

    assert (lookup("a"), lookup("b"), lookup("zzz")) == (["views"], ["carts"], [])
    assert lookup("b", asOf="2026-01-02T00:00:00Z") == ["carts", "views"]
    assert api.failure("LookupCohorts").reason == "MISSING_CUSTOMER_ID"


# Figures, first times, orders


def bought(customer: str, *prices: Any, **fields: Any) -> list[Json]:
    return [event(customer, "purchase", data={"price": price}, **fields) for price in prices]


def test_a_figure_is_compared_over_the_events_that_have_a_number(api: Client) -> None:
    api.send(*bought("a", 0.1, 0.2, "7", True), *bought("b", 2, 4), *bought("c", "3"), event("d", "purchase"))

    def figure(function: str, op: str, value: float, **fields: Any) -> set[str]:
        aggregate = {"function": function, "attribute": "price", "op": op, "value": value, **fields}
        return api.run(did("purchase", aggregate=aggregate))

    assert figure("SUM", "EXACTLY", 0.1 + 0.2) == {"a"}
    assert figure("SUM", "LESS_THAN", 100) == {"a", "b"}  # no number: no sum, not 0
    assert figure("AVERAGE", "BETWEEN", 2, upper=3) == {"b"}
    assert figure("MINIMUM", "AT_MOST", 0.1) == {"a"}
    assert figure("MAXIMUM", "MORE_THAN", 3) == {"b"}
    assert figure("DISTINCT", "EXACTLY", 4) == {"a"}
    assert figure("DISTINCT", "AT_LEAST", 1) == {"a", "b", "c"}
    assert figure("DISTINCT", "AT_MOST", 0) == set()


def test_a_count_beside_a_figure_counts_every_event(api: Client) -> None:
    api.send(*bought("a", 5, "x"), *bought("b", 5), event("c"))
    large = {"function": "SUM", "attribute": "price", "op": "AT_LEAST", "value": 5}
    assert api.run(did("purchase", aggregate=large, count={"op": "EXACTLY", "value": 2})) == {"a"}
    assert api.run(did("purchase", aggregate=large, count={"op": "AT_MOST", "value": 1})) == {"b"}
    assert api.run(did("purchase", aggregate=large, count={"op": "EXACTLY", "value": 0})) == set()


def test_active_days_are_calendar_days(api: Client) -> None:
    api.send(
        event("a", eventTime="2025-01-01T00:00:00Z"),
        event("a", eventTime="2025-01-01T23:59:59.999Z"),
        event("b", eventTime="2025-01-01T23:59:59.999Z"),
        event("b", eventTime="2025-01-02T00:00:00Z"),
    )
    assert api.run(did(aggregate={"function": "ACTIVE_DAYS", "op": "AT_LEAST", "value": 2})) == {"b"}


def test_a_first_time_is_the_first_of_all_that_satisfy_and_lies_in_the_window(api: Client) -> None:
    dear = test_of("price", "AT_LEAST", 10)
    api.send(
        *bought("a", 20, eventTime="2025-01-05T00:00:00Z"),
        *bought("a", 5, eventTime="2025-01-01T00:00:00Z"),  # not dear: the first dear one is later
        *bought("b", 10, 30, eventTime="2025-01-05T00:00:00Z"),  # at one instant: the first to arrive
        *bought("c", 10, eventTime="2025-01-05T00:00:00Z"),
    )
    api.send(*bought("c", 10, eventTime="2025-01-01T00:00:00Z"))  # arrives late, and is the first
    when = {"between": {"from": "2025-01-02", "to": "2025-01-31"}}
    asked: Json = {"where": dear, "when": when, "firstTime": True}
    assert api.run(did("purchase", **asked)) == {"a", "b"}
    assert api.run(did("purchase", when=when, firstTime=True)) == {"b"}
    assert api.run(did("purchase", **asked, count={"op": "EXACTLY", "value": 0})) == {"c"}
    spent = {"function": "SUM", "attribute": "price", "op": "AT_MOST", "value": 15}
    assert api.run(did("purchase", **asked, aggregate=spent)) == {"b"}


def test_the_steps_of_a_sequence_are_strictly_in_order_and_in_time(api: Client) -> None:
    api.send(
        event("a", "view", eventTime="2025-01-01T10:00:00Z"),
        event("a", "cart", eventTime="2025-01-02T10:00:00Z"),
        event("b", "view", eventTime="2025-01-01T10:00:00Z"),
        event("b", "cart", eventTime="2025-01-01T10:00:00Z"),  # at the same instant: not behind
        event("c", "view", eventTime="2025-01-01T10:00:00Z"),
        event("c", "cart", eventTime="2025-01-02T10:00:00.001Z"),
        event("d", "cart", eventTime="2025-01-01T10:00:00Z"),
        event("d", "view", eventTime="2025-01-01T11:00:00Z"),
    )
    two: Json = {"steps": [{"eventType": "view"}, {"eventType": "cart"}]}
    assert api.run({"sequence": two}) == {"a", "c"}
    assert api.run({"sequence": {**two, "within": {"amount": 1, "unit": "DAY"}}}) == {"a"}
    assert api.run({"sequence": {**two, "when": {"between": {"from": "2025-01-02"}}}}) == set()
    twice = {"steps": [{"eventType": "view"}, {"eventType": "view"}]}
    assert api.run({"sequence": twice}) == set()
    answer = api.call("RunRule", {"rule": {"sequence": two}, "explainPlan": True, "withNodeSizes": True})
    assert (answer["nodeSizes"], [node["access"] for node in answer["plan"]]) == (
        [2],
        ["rows by customer, tail"],
    )
