"""What are static cohorts, and what would a change do? Lists, frozen rules, edit impact, references; over gRPC."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pyroaring import BitMap

from services.cohort import store
from tests.contract.harness import Client, Json, StepClock, client, did, event

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Client, StepClock]]:
    with client(tmp_path) as connected:
        yield connected


@pytest.fixture
def api(serving: tuple[Client, StepClock]) -> Client:
    return serving[0]


def save(api: Client, name: str, **fields: Any) -> Json:
    cohort: Json = api.call("CreateCohort", {"cohort": {"name": name, **fields}})["cohort"]
    return cohort


def listed(api: Client, *customers: str, name: str = "Panel") -> str:
    cohort_id: str = save(api, name, static=True, customerIds=customers)["cohortId"]
    return cohort_id


def members(api: Client, cohort_id: str, **fields: Any) -> set[str]:
    answer = api.call("ListMembers", {"cohortId": cohort_id, **fields})
    return {each["customerId"] for each in answer.get("members", [])}


def refer(cohort_id: str) -> Json:
    return {"cohort": {"cohortId": cohort_id}}


# Lists


def test_members_of_a_list_are_those_who_have_come(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    api.send(event("a"), event("b"), event("soon", eventTime="2026-01-01T00:01:00Z"))
    made = save(api, "Panel", static=True, customerIds=["a", "later", "soon", "a"])
    assert (made["static"], made["size"], "rule" in made, "customerIds" in made) == (True, 1, False, False)
    cohort_id = made["cohortId"]
    assert members(api, cohort_id) == {"a"}
    api.send(event("c"), event("later"))
    assert members(api, cohort_id) == {"a", "later"}
    assert api.call("GetCohort", {"cohortId": cohort_id})["cohort"]["size"] == 2
    clock.now += 60_000
    assert members(api, cohort_id) == {"a", "later", "soon"}
    assert members(api, cohort_id, asOf="2026-01-01T00:00:00Z") == {"a", "later"}
    assert members(api, cohort_id, asOf="2025-01-01T00:00:00Z") == set()


def test_a_list_is_asked_for_in_every_way(api: Client) -> None:
    api.send(event("a"), event("b"), event("c"))
    cohort_id = listed(api, "b", "c", "nobody")
    answer = api.call("GetMemberSet", {"cohortId": cohort_id})
    bitmap = base64.b64decode(answer["members"]["shards"][0]["roaring"])
    assert (answer["size"], len(BitMap.deserialize(bitmap))) == (2, 2)
    [message] = api.call("StreamMembers", {"cohortId": cohort_id})
    assert [each["customerId"] for each in message["members"]] == ["b", "c"]
    pairs = [{"customerId": each, "cohortId": cohort_id} for each in ("a", "b", "nobody")]
    results = api.call("BatchCheckMembership", {"pairs": pairs})["results"]
    assert [each.get("member") for each in results] == [False, True, False]
    for customer, found in (("a", False), ("b", True), ("nobody", False)):
        [checked] = api.call("CheckMembership", {"customerId": customer, "cohortIds": [cohort_id]})["results"]
        assert checked.get("member", False) is found
        assert ("cohorts" in api.call("LookupCohorts", {"customerId": customer})) is found


def test_rules_refer_to_a_list(api: Client) -> None:
    api.send(event("a"), event("b"), event("b", "cart"), event("c", "cart"))
    cohort_id = listed(api, "b", "c", "nobody")
    both = {"all": {"rules": [did(), refer(cohort_id)]}}
    assert api.run(refer(cohort_id)) == {"b", "c"}
    assert api.run(both) == {"b"}
    assert api.run({"not": {"rule": refer(cohort_id)}}) == {"a"}
    assert api.call("RunRule", {"rule": both, "withNodeSizes": True})["nodeSizes"] == [1, 2, 2]
    plan = api.call("RunRule", {"rule": both, "explainPlan": True})["plan"]
    assert {each["path"] for each in plan} == {"rule", "rule.all.rules[0]", "rule.all.rules[1]"}
    assert api.call("RunRule", {"text": 'view and cohort "Panel"'})["customerIds"] == ["b"]
    assert save(api, "Both", rule=both)["size"] == 1


def test_a_list_outlives_a_restart_and_goes_with_its_cohort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHUNK", 2)
    customers = [f"c{n}" for n in range(5)]
    with client(tmp_path) as (api, _):
        api.send(*(event(each) for each in customers))
        first, second = listed(api, *customers), listed(api, "c1", name="Other")
    with client(tmp_path) as (api, _):
        assert (members(api, first), members(api, second)) == (set(customers), {"c1"})
        api.call("DeleteCohort", {"cohortId": first})
        assert api.failure("ListMembers", {"cohortId": first}).code == MISSING
        assert members(api, second) == {"c1"}
    kept = store.CohortStore(tmp_path / "saved")
    assert (kept.listed(first), kept.listed(second)) == ([], ["c1"])
    kept.close()


def test_a_rule_is_frozen_to_who_matches_when_it_is_saved(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    api.send(event("a"), event("b"), event("x", "cart"))
    today = did(when={"last": {"amount": 1, "unit": "DAY"}})
    frozen = save(api, "Viewers of today", static=True, rule=today)
    assert (frozen["size"], frozen["static"], "rule" in frozen) == (2, True, False)
    clock.now += 5 * 86_400_000
    api.send(event("c"))
    assert members(api, frozen["cohortId"]) == {"a", "b"}
    failed = api.failure("CreateCohort", {"cohort": {"name": "n", "static": True, "rule": refer("nowhere")}})
    assert failed.code == MISSING


def test_a_bad_list_is_refused_by_the_path_of_its_field(api: Client) -> None:
    for fields, path in (
        ({"customerIds": ["a"], "rule": did()}, "cohort.customerIds"),
        ({"customerIds": ["a"], "rule": did(), "static": True}, "cohort.customerIds"),
        ({"customerIds": ["a", ""], "static": True}, "cohort.customerIds[1]"),
        ({"customerIds": ["a", "a", "é" * 129], "static": True}, "cohort.customerIds[2]"),
    ):
        failed = api.failure("CreateCohort", {"cohort": {"name": "n", **fields}})
        assert (failed.code, [at for at, _ in failed.violations]) == (INVALID, [path])
    cohort_id = listed(api, "a")
    update = {"cohort": {"cohortId": cohort_id, "rule": did()}, "updateMask": "rule"}
    for validate_only in (False, True):
        failed = api.failure("UpdateCohort", {**update, "validateOnly": validate_only})
        assert (failed.code, [at for at, _ in failed.violations]) == (INVALID, ["cohort.rule"])
    renamed = {"cohort": {"cohortId": cohort_id, "name": "New"}, "updateMask": "name"}
    assert api.call("UpdateCohort", renamed)["cohort"]["static"] is True


def test_a_list_may_be_empty(api: Client) -> None:
    cohort_id = save(api, "Nobody", static=True)["cohortId"]
    api.send(event("a"))
    assert members(api, cohort_id) == set()


# Edit impact


def test_a_previewed_update_says_who_would_enter_and_leave_and_changes_nothing(api: Client) -> None:
    api.send(event("a"), event("b"), event("b", "cart"), *(event(f"c{n}", "cart") for n in range(3)))
    made = save(api, "Viewers", rule=did())
    changed = {"cohortId": made["cohortId"], "name": "Carters", "rule": did("cart")}
    update = {"cohort": changed, "updateMask": "name,rule", "validateOnly": True}
    answer = api.call("UpdateCohort", update)
    assert (answer["entering"], answer["leaving"]) == (3, 1)
    expected = {**made, "name": "Carters", "rule": did("cart"), "size": 4}
    assert answer["cohort"] == expected
    assert api.call("GetCohort", {"cohortId": made["cohortId"]})["cohort"] == made
    unmoved = api.call("UpdateCohort", {**update, "updateMask": "name"})
    assert ("entering" in unmoved, "leaving" in unmoved, unmoved["cohort"]["size"]) == (False, False, 2)
    listed(api, "a", "c0", name="Carters")
    for fields, reason in (
        ({}, "COHORT_NAME_TAKEN"),
        ({"cohort": {**changed, "etag": "old"}}, "ETAG_MISMATCH"),
        ({"cohort": {**changed, "rule": refer(made["cohortId"])}}, "INVALID_RULE"),
        ({"cohort": {**changed, "cohortId": "nowhere"}}, "COHORT_NOT_FOUND"),
        ({"updateMask": "size"}, "INVALID_UPDATE_MASK"),
    ):
        assert api.failure("UpdateCohort", {**update, **fields}).reason == reason


# Deleting what is referred to


def test_a_cohort_that_rules_refer_to_is_not_deleted(api: Client) -> None:
    api.send(event("a"))
    cohort_id = listed(api, "a")
    first = save(api, "First", rule={"not": {"rule": refer(cohort_id)}})["cohortId"]
    second = save(api, "Second", rule={"all": {"rules": [did(), refer(cohort_id)]}})["cohortId"]
    failed = api.failure("DeleteCohort", {"cohortId": cohort_id})
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "COHORT_IN_USE")
    assert '"First", "Second"' in failed.message
    api.call("DeleteCohort", {"cohortId": first})
    assert '"First"' not in api.failure("DeleteCohort", {"cohortId": cohort_id}).message
    plain = {"cohort": {"cohortId": second, "rule": did()}, "updateMask": "rule"}
    api.call("UpdateCohort", plain)
    assert api.call("DeleteCohort", {"cohortId": cohort_id}) == {}
