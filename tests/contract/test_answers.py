"""What does CohortService say about a set beyond who is in it? Histories, comparisons, explanations."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from services.cohort.history import MAX_DAYS
from tests.contract.harness import Client, Json, StepClock, client, did, event, test_of

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Client, StepClock]]:
    with client(tmp_path) as connected:
        yield connected


@pytest.fixture
def api(serving: tuple[Client, StepClock]) -> Client:
    return serving[0]


def save(api: Client, rule: Json, name: str = "Viewers") -> str:
    saved: str = api.call("CreateCohort", {"cohort": {"name": name, "rule": rule}})["cohort"]["cohortId"]
    return saved


def last(amount: int, unit: str = "DAY") -> Json:
    return {"last": {"amount": amount, "unit": unit}}


# Histories


def sizes(api: Client, first: str, to: str, **of: object) -> list[tuple[str, int]]:
    answer = api.call("GetSizeHistory", {**of, "from": first, "to": to})
    assert answer["revision"]
    return [(point["date"], point.get("size", 0)) for point in answer["points"]]


def test_a_history_has_each_day_as_of_its_end(api: Client) -> None:
    api.send(
        event("a", eventTime="2025-12-01T00:00:00Z"),
        event("b", eventTime="2025-12-02T23:59:59.999Z"),
        event("c", eventTime="2025-12-03T00:00:00Z"),
    )
    rule = did(when=last(2))
    wanted = [("2025-11-30", 0), ("2025-12-01", 1), ("2025-12-02", 2), ("2025-12-03", 2)]
    wanted += [("2025-12-04", 1), ("2025-12-05", 0)]
    assert sizes(api, "2025-11-30", "2025-12-05", rule=rule) == wanted
    assert sizes(api, "2025-11-30", "2025-12-05", cohortId=save(api, rule)) == wanted


def test_a_day_of_a_history_ends_in_the_time_zone_of_the_project(tmp_path: Path) -> None:
    with client(tmp_path, zone="Europe/Berlin") as (api, _):
        api.send(
            event("a", eventTime="2025-10-26T22:59:59.999Z"), event("b", eventTime="2025-10-26T23:00:00Z")
        )
        assert sizes(api, "2025-10-25", "2025-10-27", rule=did()) == [
            ("2025-10-25", 0),
            ("2025-10-26", 1),  # a day of 25 hours: the clocks went back
            ("2025-10-27", 2),
        ]


def test_a_history_is_what_runs_as_of_the_ends_of_days_answer(api: Client) -> None:
    first = date(2025, 10, 4)
    days = [first + timedelta(days=n) for n in range(90)]
    api.send(
        *(event(f"c{n % 17}", eventTime=f"{day}T{n % 24:02}:30:00Z") for n, day in enumerate(days)),
        *(event(f"c{n % 5}", "buy", eventTime=f"{day}T12:00:00Z") for n, day in enumerate(days)),
    )
    rule = {"all": {"rules": [did(when=last(20)), {"not": {"rule": did("buy", when=last(36, "HOUR"))}}]}}
    found = sizes(api, days[0].isoformat(), days[-1].isoformat(), rule=rule)
    assert found == [(day.isoformat(), len(api.run(rule, asOf=f"{day}T23:59:59.999Z"))) for day in days]
    assert len({size for _, size in found}) > 3


@pytest.mark.parametrize(
    ("first", "to", "field"),
    [
        ("", "2026-01-01", "from"),
        ("2026-01-01", "", "to"),
        ("2026-1-1", "2026-01-02", "from"),
        ("2026-01-01", "2026-02-30", "to"),
        ("2026-01-02", "2026-01-01", "from"),
        ("2020-01-01", "2026-01-01", "from"),
        ("2026-01-01T00:00:00Z", "2026-01-02", "from"),
    ],
)
def test_bad_dates_of_a_history_are_refused_by_field(api: Client, first: str, to: str, field: str) -> None:
    failed = api.failure("GetSizeHistory", {"rule": did(), "from": first, "to": to})
    assert (failed.code, failed.reason) == (INVALID, "INVALID_DATES")
    assert [at for at, _ in failed.violations] == [field]


def test_the_longest_history_is_answered_and_the_first_and_last_days_there_are(api: Client) -> None:
    api.send(event())
    first = date(2026, 1, 1) - timedelta(days=MAX_DAYS - 1)
    assert len(sizes(api, first.isoformat(), "2026-01-01", rule=did())) == MAX_DAYS
    assert sizes(api, "0001-01-01", "0001-01-01", rule=did()) == [("0001-01-01", 0)]
    assert sizes(api, "9999-12-31", "9999-12-31", rule=did()) == [("9999-12-31", 1)]


def test_a_history_of_nothing_or_of_what_is_not_there_is_refused(api: Client) -> None:
    days = {"from": "2026-01-01", "to": "2026-01-02"}
    for of, code, reason, field in (
        ({}, INVALID, "INVALID_RULE", "rule"),
        ({"rule": did("")}, INVALID, "INVALID_RULE", "rule.did.eventType"),
        ({"cohortId": "nowhere"}, MISSING, "COHORT_NOT_FOUND", "cohortId"),
        ({"rule": {"cohort": {"cohortId": "nowhere"}}}, MISSING, "COHORT_NOT_FOUND", "rule.cohort.cohortId"),
    ):
        failed = api.failure("GetSizeHistory", {**of, **days})
        assert (failed.code, failed.reason) == (code, reason)
        assert [at for at, _ in failed.violations] == [field]


# Comparisons


def overlaps(api: Client, *comparands: Json, **fields: object) -> dict[tuple[int, ...], tuple[int, int]]:
    """Return size and exclusive size by indexes, in the order answered."""
    answer = api.call("CompareCohorts", {"comparands": list(comparands), **fields})
    assert answer["revision"]
    assert answer["asOf"]
    return {
        tuple(each["indexes"]): (each.get("size", 0), each.get("exclusiveSize", 0))
        for each in answer["intersections"]
    }


def test_a_comparison_has_the_size_of_every_intersection(api: Client) -> None:
    api.send(
        *(event(name, kind) for kind, names in (("x", "abcd"), ("y", "cde"), ("z", "dz")) for name in names)
    )
    x, y, z = ({"rule": did(kind)} for kind in "xyz")
    found = overlaps(api, x, {"cohortId": save(api, did("y"))}, z)
    assert list(found.items()) == [
        ((0,), (4, 2)),
        ((1,), (3, 1)),
        ((2,), (2, 1)),
        ((0, 1), (2, 1)),
        ((0, 2), (1, 0)),
        ((1, 2), (1, 0)),
        ((0, 1, 2), (1, 1)),
    ]
    assert overlaps(api, y, y) == {(0,): (3, 0), (1,): (3, 0), (0, 1): (3, 3)}
    nobody: Json = {"rule": {"any": {}}}
    assert overlaps(api, nobody, nobody) == {(0,): (0, 0), (1,): (0, 0), (0, 1): (0, 0)}


def test_ten_sets_are_compared_as_runs_of_their_intersections_answer(api: Client) -> None:
    chosen = random.Random(7)
    members = [{f"c{number}" for number in range(60) if chosen.random() < 0.6} for _ in range(10)]
    api.send(*(event(name, f"t{place}") for place, names in enumerate(members) for name in sorted(names)))
    found = overlaps(api, *({"rule": did(f"t{place}")} for place in range(10)))
    assert len(found) == 2**10 - 1
    for indexes, (size, exclusive) in found.items():
        inside = set.intersection(*(members[place] for place in indexes))
        others = set().union(*(members[place] for place in range(10) if place not in indexes))
        assert (size, exclusive) == (len(inside), len(inside - others))


def test_a_comparison_is_as_of_an_instant(api: Client) -> None:
    api.send(event("a", eventTime="2025-12-01T00:00:00Z"), event("b", eventTime="2025-12-02T00:00:00Z"))
    pair = [{"rule": did()}, {"rule": did(when=last(1))}]
    assert overlaps(api, *pair, asOf="2025-12-02T12:00:00Z") == {(0,): (2, 1), (1,): (1, 0), (0, 1): (1, 1)}
    assert overlaps(api, *pair, asOf="2025-11-01T00:00:00Z") == {(0,): (0, 0), (1,): (0, 0), (0, 1): (0, 0)}


@pytest.mark.parametrize("sets", [0, 1, 11])
def test_two_to_ten_sets_are_compared(api: Client, sets: int) -> None:
    failed = api.failure("CompareCohorts", {"comparands": [{"rule": did()}] * sets})
    assert (failed.code, failed.reason) == (INVALID, "INVALID_COMPARANDS")
    assert [at for at, _ in failed.violations] == ["comparands"]


def test_a_bad_comparand_is_refused_by_its_place(api: Client) -> None:
    for bad, code, field in (
        ({}, INVALID, "comparands[1].rule"),
        ({"rule": {"all": {"rules": [{}]}}}, INVALID, "comparands[1].rule.all.rules[0]"),
        ({"cohortId": "nowhere"}, MISSING, "comparands[1].cohortId"),
        ({"rule": {"cohort": {"cohortId": "nowhere"}}}, MISSING, "comparands[1].rule.cohort.cohortId"),
    ):
        failed = api.failure("CompareCohorts", {"comparands": [{"rule": did()}, bad]})
        assert failed.code == code
        assert [at for at, _ in failed.violations] == [field]


# Explanations


def explained(api: Client, rule: Json, customer: str = "a", **fields: object) -> Json:
    answer: Json = api.call("ExplainMembership", {"rule": rule, "customerId": customer, **fields})
    assert answer["revision"]
    assert answer["asOf"]
    return answer


def verdicts(node: Json) -> dict[str, bool]:
    below = [verdicts(each) for each in node.get("children", [])]
    return {node["path"]: node.get("holds", False), **{k: v for each in below for k, v in each.items()}}


def test_an_explanation_has_the_verdict_text_events_and_values_of_every_node(api: Client) -> None:
    api.send(
        event("a", "buy", eventTime="2025-12-20T10:00:00Z", eventId="e1", data={"price": 5, "brand": "x"}),
        event("a", "buy", eventTime="2025-12-22T10:00:00Z", eventId="e2", data={"price": 50}),
        event("a", "buy", eventTime="2025-12-21T10:00:00Z", eventId="e3", data={"price": 60}),
        event("b", "buy", eventTime="2025-12-21T10:00:00Z", data={"price": 60}),
    )
    api.call("UpsertCustomers", {"customers": [{"customerId": "a", "data": {"city": "Pune", "zip": "1"}}]})
    rule = {
        "all": {
            "rules": [
                did("buy", where=test_of("price", "AT_LEAST", 10), when=last(30)),
                {"not": {"rule": did()}},
                {"any": {"rules": [{"profile": {"where": test_of("city", "EQUALS", "Goa")}}, {"any": {}}]}},
            ]
        }
    }
    answer = explained(api, rule)
    root = answer["root"]
    assert verdicts(root) == {
        "rule": False,
        "rule.all.rules[0]": True,
        "rule.all.rules[1]": True,
        "rule.all.rules[1].not.rule": False,
        "rule.all.rules[2]": False,
        "rule.all.rules[2].any.rules[0]": False,
        "rule.all.rules[2].any.rules[1]": False,
    }
    bought, absent, either = root["children"]
    assert bought["text"] == "buy where price >= 10 in last 30 days"
    assert absent["text"] == "not view"
    assert root["text"] == f"{bought['text']} and {absent['text']} and ({either['text']})"
    assert bought["eventCount"] == "2"
    assert [each["eventId"] for each in bought["events"]] == ["e2", "e3"]
    assert bought["events"][0] == {
        "customerId": "a",
        "eventType": "buy",
        "eventTime": "2025-12-22T10:00:00Z",
        "eventId": "e2",
        "data": {"price": 50},
    }
    assert either["children"][0]["profile"] == {"city": "Pune"}
    cohort = api.call("ExplainMembership", {"cohortId": save(api, rule), "customerId": "a"})
    assert {**cohort, "revision": 0} == {**answer, "revision": 0}


def test_of_many_events_the_newest_hundred_are_shown_and_all_counted(api: Client) -> None:
    api.send(
        *(
            event("a", eventTime=f"2025-12-01T00:{n // 60:02}:{n % 60:02}Z", eventId=f"{n}")
            for n in range(130)
        )
    )
    root = explained(api, did(count={"op": "AT_MOST", "value": 5}))["root"]
    assert (root.get("holds", False), root["eventCount"]) == (False, "130")
    assert [each["eventId"] for each in root["events"]] == [f"{n}" for n in range(129, 29, -1)]


def test_a_customer_never_seen_satisfies_nothing(api: Client) -> None:
    api.send(event("a", eventTime="2025-12-31T00:00:00Z"))
    rule = {"any": {"rules": [{"all": {}}, {"not": {"rule": did()}}, {"profile": {}}, did(when=last(3))]}}
    for customer, fields in (("z", {}), ("a", {"asOf": "2025-12-01T00:00:00Z"})):
        answer = explained(api, rule, customer, **fields)
        assert not any(verdicts(answer["root"]).values())
        assert "changesAt" not in answer
    assert explained(api, rule)["root"]["holds"]


CHANGES: list[tuple[Json, str | None]] = [
    (did(when=last(7)), "2026-01-06T00:00:00Z"),
    (did(when=last(1, "WEEK")), "2026-01-06T00:00:00Z"),
    (did(when=last(1, "MONTH")), "2026-01-29T00:00:00Z"),
    (did(when=last(48, "HOUR")), "2026-01-01T12:30:00Z"),
    (did(when=last(36 * 60, "MINUTE")), "2026-01-01T00:30:00Z"),
    (did(when=last(1)), None),
    ({"not": {"rule": did(when=last(3))}}, "2026-01-02T00:00:00Z"),
    (did(when=last(7), count={"op": "AT_LEAST", "value": 2}), "2026-01-04T00:00:00Z"),
    (did(when=last(7), count={"op": "EXACTLY", "value": 2}), "2026-01-02T00:00:00Z"),
    (did(when=last(7), count={"op": "AT_MOST", "value": 9}), None),
    (did(when=last(7), count={"op": "LESS_THAN", "value": 0}), None),
    (did(), None),
    (did(when={"between": {"from": "2025-12-01", "to": "2026-02-01"}}), None),
    (
        {"all": {"rules": [did(when=last(7)), did(when=last(48, "HOUR"))]}},
        "2026-01-01T12:30:00Z",
    ),
    (
        {"any": {"rules": [did(when=last(7)), did(when=last(48, "HOUR"))]}},
        "2026-01-06T00:00:00Z",
    ),
    (
        {"any": {"rules": [did(when=last(7)), {"not": {"rule": did(when=last(7))}}]}},
        None,
    ),
]


@pytest.mark.parametrize(("rule", "instant"), CHANGES)
def test_the_instant_at_which_time_alone_turns_the_verdict(
    api: Client, rule: Json, instant: str | None
) -> None:
    days = ("2025-12-26T08:00:00Z", "2025-12-28T23:00:00Z", "2025-12-30T12:30:00Z")
    api.send(*(event("a", eventTime=day) for day in days), event("b", eventTime="2025-12-31T23:00:00Z"))
    answer = explained(api, rule)
    assert answer.get("changesAt") == instant
    if instant:  # nothing happens after as_of, so a Run as of then says the same
        held = answer["root"].get("holds", False)
        at = datetime.fromisoformat(instant)
        before = (at - timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")
        assert ("a" in api.run(rule, asOf=before)) == held
        assert ("a" in api.run(rule, asOf=instant)) != held


def test_what_happens_after_as_of_does_not_change_the_verdict(api: Client) -> None:
    api.send(event("a", eventTime="2025-12-01T12:00:00Z"), event("a", eventTime="2025-12-03T12:00:00Z"))
    answer = explained(api, did(when=last(3)), asOf="2025-12-02T00:00:00Z")
    assert (answer["root"]["eventCount"], answer["changesAt"]) == ("1", "2025-12-04T00:00:00Z")


def test_a_verdict_changes_at_midnight_in_the_time_zone_of_the_project(tmp_path: Path) -> None:
    with client(tmp_path, zone="America/New_York") as (api, _):
        api.send(event("a", eventTime="2025-12-31T04:59:00Z"), event("b", eventTime="2025-12-31T05:01:00Z"))
        assert explained(api, did(when=last(3)))["changesAt"] == "2026-01-02T05:00:00Z"
        assert explained(api, did(when=last(3)), "b")["changesAt"] == "2026-01-03T05:00:00Z"


def test_an_explanation_of_nothing_or_of_what_is_not_there_is_refused(api: Client) -> None:
    for request, code, field in (
        ({"rule": did()}, INVALID, "customerId"),
        ({"customerId": "a"}, INVALID, "rule"),
        ({"customerId": "a", "rule": did("")}, INVALID, "rule.did.eventType"),
        ({"customerId": "a", "cohortId": "nowhere"}, MISSING, "cohortId"),
    ):
        failed = api.failure("ExplainMembership", request)
        assert failed.code == code
        assert [at for at, _ in failed.violations] == [field]
