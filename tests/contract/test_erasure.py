"""Is an erased customer in no answer, at once and for good?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.contract.harness import Client, client, did, event, test_of
from tests.contract.test_cohort_watch import watching

Json = dict[str, Any]
BOUGHT = did("purchase")
NEVER_BOUGHT = did("purchase", count={"op": "EXACTLY", "value": 0})
HAS_PROFILE = {"profile": {"where": test_of("city", "IS_SET")}}
EVERYONE = {"all": {"rules": []}}


def fill(api: Client) -> None:
    """Send what three customers did and what is known of them; zed has a profile alone."""
    api.send(
        *(event(who, "purchase", eventId=f"{who}-1", data={"brand": f"b-{who}"}) for who in ("ann", "bob")),
        *(event(who, "view", eventId=f"{who}-2") for who in ("ann", "bob", "cid")),
    )
    profiles = [{"customerId": who, "data": {"city": f"city-{who}"}} for who in ("ann", "bob", "zed")]
    api.call("UpsertCustomers", {"customers": profiles})


def save(api: Client, name: str, **fields: Any) -> str:
    made: Json = api.call("CreateCohort", {"cohort": {"name": name, **fields}})
    return str(made["cohort"]["cohortId"])


@pytest.fixture(params=["tails", "segments"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    """A server with customers whose events are in tails, or sealed behind a restart."""
    if request.param == "segments":
        with client(tmp_path) as (before, _):
            fill(before)
    with client(tmp_path) as (served, _):
        if request.param == "tails":
            fill(served)
        yield served


def check_gone(api: Client, who: str, others: set[str]) -> None:
    """See that a customer is in no answer, and everybody else still is."""
    assert api.run(EVERYONE) == others
    assert api.run({"not": {"rule": did("nothing")}}) == others
    assert api.run(BOUGHT) == others & {"bob"}
    assert api.run(NEVER_BOUGHT) == others - {"bob"}
    assert api.run(HAS_PROFILE) == others & {"bob", "zed"}
    twice = {
        "any": {"rules": [did("view", count={"op": "AT_LEAST", "value": 1}), did("view", firstTime=True)]}
    }
    assert api.run(twice) == others & {"bob", "cid"}
    sequence = {"sequence": {"steps": [{"eventType": "purchase"}, {"eventType": "view"}]}}
    assert who not in api.run(sequence)
    assert api.failure("GetCustomer", {"customerId": who}).reason == "CUSTOMER_NOT_FOUND"
    assert api.failure("ListCustomerEvents", {"customerId": who}).reason == "CUSTOMER_NOT_FOUND"
    catalog = api.call("GetCatalog")
    assert catalog["customers"] == str(len(others))
    customers = {each["eventType"]: each.get("customers", "0") for each in catalog["eventTypes"]}
    assert (customers["purchase"], customers["view"]) == ("1", "2")
    values = [
        v["value"]
        for each in catalog["profileAttributes"]
        for k in each.get("kinds", [])
        for v in k.get("topValues", [])
    ]
    assert f"city-{who}" not in values


def test_an_erased_customer_is_in_no_answer_at_once(api: Client) -> None:
    buyers = save(api, "buyers", rule=BOUGHT)
    answer = api.call("DeleteCustomers", {"customerIds": ["ann", "nobody", "ann"]})
    assert answer["deleted"] == 1
    check_gone(api, "ann", {"bob", "cid", "zed"})
    assert answer["revision"] == api.call("RunRule", {"rule": EVERYONE})["revision"]
    [checked] = api.call("CheckMembership", {"customerId": "ann", "cohortIds": [buyers]})["results"]
    assert not checked.get("member")
    assert not api.call("LookupCohorts", {"customerId": "ann"}).get("cohorts")
    explained = api.call("ExplainMembership", {"rule": BOUGHT, "customerId": "ann"})
    assert not explained["root"].get("holds")
    assert not explained["root"].get("events")
    sizes = api.call("RunRule", {"rule": {"any": {"rules": [BOUGHT, HAS_PROFILE]}}, "withNodeSizes": True})
    assert sizes["nodeSizes"] == [2, 1, 2]


def test_who_was_erased_is_gone_behind_every_restart(tmp_path: Path) -> None:
    with client(tmp_path) as (api, _):
        fill(api)
        api.call("DeleteCustomers", {"customerIds": ["ann"]})
    for _ in range(2):
        with client(tmp_path) as (api, _):
            check_gone(api, "ann", {"bob", "cid", "zed"})


def test_the_same_id_sent_again_is_a_new_customer(api: Client, tmp_path: Path) -> None:
    api.call("DeleteCustomers", {"customerIds": ["ann"]})
    sent = api.send(event("ann", "view", eventId="ann-2"))
    assert (sent["accepted"], sent.get("duplicates", 0)) == (1, 0), (
        "the erased customer's events are no longer known"
    )
    assert api.run(did("view")) == {"ann", "bob", "cid"}
    assert api.run(BOUGHT) == {"bob"}
    assert api.run(HAS_PROFILE) == {"bob", "zed"}
    shown = api.call("GetCustomer", {"customerId": "ann"})
    assert shown["events"] == "1"
    assert "data" not in shown["customer"]
    assert api.send(event("ann", "view", eventId="ann-2"))["duplicates"] == 1
    api.call("DeleteCustomers", {"customerIds": ["ann"]})
    assert api.run(did("view")) == {"bob", "cid"}
    api.call("UpsertCustomers", {"customers": [{"customerId": "ann", "data": {"city": "new"}}]})
    assert api.call("GetCustomer", {"customerId": "ann"})["customer"]["data"] == {"city": "new"}


def test_a_new_customer_of_an_erased_id_is_found_behind_a_restart(tmp_path: Path) -> None:
    with client(tmp_path) as (api, _):
        fill(api)
        api.call("DeleteCustomers", {"customerIds": ["ann"]})
        api.send(event("ann", "view", eventId="again"))
    with client(tmp_path) as (api, _):
        assert api.call("GetCustomer", {"customerId": "ann"})["events"] == "1"
        assert api.run(BOUGHT) == {"bob"}
        assert api.send(event("ann", "view", eventId="again"))["duplicates"] == 1


def test_a_chain_of_pages_leaves_out_who_is_erased_meanwhile(api: Client) -> None:
    viewers = save(api, "viewers", rule=did("view"))
    first = api.call("ListMembers", {"cohortId": viewers, "pageSize": 1})
    ran = api.call("RunRule", {"rule": did("view"), "pageSize": 1})
    streamed = api.call("StreamMembers", {"cohortId": viewers})
    known = api.call("GetMemberSet", {"cohortId": viewers})["members"]
    shown = api.call("ListCustomerEvents", {"customerId": "bob", "pageSize": 1})
    assert len(streamed[0]["members"]) == 3
    api.call("DeleteCustomers", {"customerIds": ["bob"]})
    rest = api.call("ListMembers", {"cohortId": viewers, "pageSize": 2, "pageToken": first["nextPageToken"]})
    assert {one["customerId"] for one in rest["members"]} == {"cid"}
    token = ran["nextPageToken"]
    assert api.call("RunRule", {"rule": did("view"), "pageSize": 2, "pageToken": token})["customerIds"] == [
        "cid"
    ]
    named = [
        one["customerId"]
        for answer in api.call("ResolveMembers", {"members": known})
        for one in answer["members"]
    ]
    assert named == ["ann", "cid"]
    chain = {"customerId": "bob", "pageSize": 1, "pageToken": shown["nextPageToken"]}
    assert api.failure("ListCustomerEvents", chain).reason == "CUSTOMER_NOT_FOUND"


def test_lists_of_static_cohorts_lose_the_id_for_good(api: Client, tmp_path: Path) -> None:
    listed = save(api, "listed", static=True, customerIds=["ann", "bob", "later"])
    assert api.call("GetCohort", {"cohortId": listed})["cohort"]["size"] == 2
    api.call("DeleteCustomers", {"customerIds": ["ann"]})
    assert api.call("GetCohort", {"cohortId": listed})["cohort"]["size"] == 1
    api.send(event("ann"), event("later"))
    assert api.run({"cohort": {"cohortId": listed}}) == {"bob", "later"}
    chosen = save(api, "chosen again", static=True, customerIds=["ann"])
    assert api.run({"cohort": {"cohortId": chosen}}) == {"ann"}


def test_a_list_follows_an_erasure_that_came_while_nobody_looked(tmp_path: Path) -> None:
    with client(tmp_path) as (api, _):
        fill(api)
        listed = save(api, "listed", static=True, customerIds=["ann", "bob"])
        api.call("DeleteCustomers", {"customerIds": ["ann"]})  # and no question behind it
    with client(tmp_path) as (api, _):
        api.send(event("ann"))
        chosen = save(api, "later", static=True, customerIds=["ann"])
        assert api.run({"cohort": {"cohortId": listed}}) == {"bob"}
    with client(tmp_path) as (api, _):
        assert api.run({"cohort": {"cohortId": listed}}) == {"bob"}
        assert api.run({"cohort": {"cohortId": chosen}}) == {"ann"}


def test_an_erasure_is_listed_until_it_is_confirmed_and_compacted(api: Client, tmp_path: Path) -> None:
    revision = api.call("DeleteCustomers", {"customerIds": ["cid", "ann"]})["revision"]
    api.call("DeleteCustomers", {"customerIds": ["zed"]})
    assert api.call("DeleteCustomers", {"customerIds": ["ann", "zed"]}).get("deleted", 0) == 0
    page = api.call("ListErasures", {"pageSize": 2})
    rest = api.call("ListErasures", {"pageSize": 2, "pageToken": page["nextPageToken"]})
    listed = [*page["erasures"], *rest["erasures"]]
    assert [one["customerId"] for one in listed] == ["ann", "cid", "zed"]
    assert [one["revision"] for one in listed[:2]] == [revision, revision]
    assert len({one["erasureId"] for one in listed}) == 3
    confirm = {"erasureId": listed[0]["erasureId"], "requestId": "r"}
    assert api.call("ConfirmErasure", confirm) == {}
    assert api.call("ConfirmErasure", confirm) == {}, "a repeat gets the first answer"
    again = api.failure("ConfirmErasure", {"erasureId": listed[0]["erasureId"]})
    assert (again.code, again.reason) == (grpc.StatusCode.NOT_FOUND, "ERASURE_NOT_FOUND")
    assert api.failure("ConfirmErasure", {"erasureId": "ers_x"}).reason == "ERASURE_NOT_FOUND"
    assert api.failure("ConfirmErasure").reason == "MISSING_ERASURE_ID"
    ann, *left = api.call("ListErasures")["erasures"]
    assert (ann["acknowledged"], ann["waitsFor"]) == (True, [{"reason": "COMPACTION"}])
    assert [(one["customerId"], one.get("acknowledged")) for one in left] == [("cid", None), ("zed", None)]
    api.call("Compact")
    assert [one["customerId"] for one in api.call("ListErasures")["erasures"]] == ["cid", "zed"]


def test_a_listed_erasure_says_what_it_waits_for(api: Client) -> None:
    api.call("DeleteCustomers", {"customerIds": ["ann", "bob"]})
    ann, bob = api.call("ListErasures")["erasures"]
    assert ann["waitsFor"] == bob["waitsFor"] == [{"reason": "NO_REPORT"}]
    assert "reportTime" not in ann
    wait = {"syncId": "s", "destinationId": "d", "destinationName": "crm", "reason": "UNREACHABLE"}
    unknown = {"erasureId": f"ers_{'0' * 24}", "waitsFor": [wait]}
    reports = [{"erasureId": bob["erasureId"], "waitsFor": [wait]}, unknown, {"erasureId": "ers_x"}]
    assert api.call("ReportErasures", {"reports": reports}) == {}
    ann, bob = api.call("ListErasures")["erasures"]
    assert (ann["waitsFor"], bob["waitsFor"]) == ([{"reason": "NO_REPORT"}], [wait])
    assert bob["reportTime"] >= bob["createTime"]


def test_reports_that_are_too_long_are_refused(api: Client) -> None:
    waits = [{"reason": "UNREACHABLE"}] * 21
    assert api.failure("ReportErasures", {"reports": [{"waitsFor": waits}]}).reason == "BATCH_TOO_LARGE"
    assert api.failure("ReportErasures", {"reports": [{}] * 10_001}).reason == "BATCH_TOO_LARGE"
    for wait in ({"reason": "R" * 65}, {"destinationName": "n" * 257}):
        assert api.failure("ReportErasures", {"reports": [{"waitsFor": [wait]}]}).reason == "TOO_LONG"


def test_the_list_says_whether_a_compaction_is_to_come(api: Client) -> None:
    asked = {"withCompaction": True}
    assert api.call("ListErasures", asked) == {}
    api.call("DeleteCustomers", {"customerIds": ["ann"]})
    [erasure] = api.call("ListErasures", asked)["erasures"]
    api.call("ConfirmErasure", {"erasureId": erasure["erasureId"]})
    assert api.call("ListErasures", asked)["awaitsCompaction"]
    api.call("Compact")
    assert api.call("ListErasures", asked) == {}


def test_a_repeated_request_erases_once(api: Client) -> None:
    request = {"customerIds": ["ann"], "requestId": "erase-1"}
    first = api.call("DeleteCustomers", request)
    api.send(event("ann"))
    assert api.call("DeleteCustomers", request) == first
    assert "ann" in api.run(EVERYONE), "the customer who came since stays"
    assert api.failure("DeleteCustomers", {**request, "customerIds": ["bob"]}).reason == "REQUEST_ID_REUSED"


def test_bad_erasures_are_refused(api: Client) -> None:
    assert api.failure("DeleteCustomers").reason == "MISSING_CUSTOMER_IDS"
    many = {"customerIds": [f"c{n}" for n in range(10_001)]}
    assert api.failure("DeleteCustomers", many).reason == "BATCH_TOO_LARGE"
    assert api.call("DeleteCustomers", {"customerIds": ["", "x" * 5000]}).get("deleted", 0) == 0


def left_of(folder: Path, *wanted: str) -> set[str]:
    """Return which of some strings are in any file of a folder."""
    data = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return {each for each in wanted if each.encode() in data}


def test_behind_a_confirmed_erasure_and_a_compaction_no_byte_is_left(api: Client, tmp_path: Path) -> None:
    listed = save(api, "listed", static=True, customerIds=["a-customer-of-lists", "bob", "customer-erased"])
    api.send(event("customer-erased", "view", eventId="an-event-id", data={"brand": "a-brand-alone"}))
    api.call(
        "UpsertCustomers", {"customers": [{"customerId": "customer-erased", "data": {"email": "old@erased"}}]}
    )
    api.call(
        "UpsertCustomers", {"customers": [{"customerId": "customer-erased", "data": {"email": "new@erased"}}]}
    )
    traces = ("an-event-id", "a-brand-alone", "old@erased", "new@erased")
    assert left_of(tmp_path, "customer-erased", *traces) == {"customer-erased", *traces}
    api.call("DeleteCustomers", {"customerIds": ["customer-erased"]})
    assert api.call("GetCohort", {"cohortId": listed})["cohort"]["size"] == 1
    first = api.call("Compact")
    assert (first["customers"], first["events"]) == ("1", "1")
    assert left_of(tmp_path, "customer-erased", *traces) == {"customer-erased"}, (
        "destinations know people by it"
    )
    [erasure] = api.call("ListErasures")["erasures"]
    api.call("ConfirmErasure", {"erasureId": erasure["erasureId"]})
    api.call("Compact")
    assert left_of(tmp_path, "customer-erased", *traces) == set()
    assert api.call("Compact") == {}
    assert left_of(tmp_path, "a-customer-of-lists", "city-ann") == {"a-customer-of-lists", "city-ann"}
    assert api.run(did("view")) == {"ann", "bob", "cid"}
    api.send(event("customer-erased", "view", data={"brand": "a-brand-alone"}))
    assert api.run(did("view", where=test_of("brand", "EQUALS", "a-brand-alone"))) == {"customer-erased"}


def test_who_watches_is_told_that_an_erased_customer_left(api: Client) -> None:
    with watching(api, save(api, "viewers", rule=did("view"))) as watch:
        api.call("DeleteCustomers", {"customerIds": ["ann"]})
        assert watch.change() == (set(), {"ann"})
