"""Are projects wholly apart? Whatever one is sent, the other answers as before, and nothing of it shows.

Two new projects a case, on one real server. Each side's names carry a mark of its own; a step of one side may name
whatever the other has. After each step: the other's every answer is what it was, no answer holds a mark of the other
that the step itself did not send, and what is the other's is refused in the same words as what is nobody's.
"""

import itertools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.rpc.errors import Failure
from tests.contract.harness import Client, did
from tests.integration.processes import serve, started

Json = dict[str, Any]
CASES = int(os.environ.get("APART_CASES", "15"))
CUSTOMERS = [f"c{number}" for number in range(4)]
numbers = itertools.count()


@dataclass
class Side:
    """A project: its mark, its key, and the ids it was given, by field."""

    api: Client
    project: str
    mark: str
    key: list[tuple[str, str]]
    ids: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, request: Json | None = None) -> Json:
        answer = self.api.call(method, request, metadata=self.key)
        return answer if isinstance(answer, dict) else {"stream": answer}

    def outcome(self, method: str, request: Json) -> tuple[str, str]:
        """Return how a call ends, and everything that was said."""
        try:
            return "OK", json.dumps(self.call(method, request), sort_keys=True)
        except grpc.RpcError as error:
            failed = Failure.of(error)
            return f"{failed.code.name} {failed.reason}", repr(failed)

    def answers(self) -> Json:
        """Return everything the project shows of itself, but for instants of now."""
        shown = {
            method: self.call(method, request)
            for method, request in (
                ("GetCatalog", {}),
                ("RunRule", {"rule": {"not": {"rule": did("none")}}}),
                ("ListCohorts", {}),
                ("ListDestinations", {}),
                ("ListSyncs", {}),
                ("ListApiKeys", {}),
                ("ListErasures", {}),
                ("ListProjects", {}),
                ("GetProject", {}),
                ("GetStatus", {}),
            )
        }
        for customer in CUSTOMERS:
            shown[customer] = dict([self.outcome("GetCustomer", {"customerId": customer})])
        for volatile in ("asOf", "elapsed"):
            shown["RunRule"].pop(volatile, None)
        for key in shown["ListApiKeys"]["apiKeys"]:
            key.pop("lastUseTime", None)
        return {"GetStatus": shown.pop("GetStatus")["revision"], **shown}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with started() as start:
        api = Client(start(*serve(tmp_path_factory.mktemp("apart"))).listening().target)
        yield api
        api.close()


def side(api: Client, mark: str) -> Side:
    """Make a project with a key of all scopes, a cohort, a destination and a sync."""
    project = f"{mark}-{next(numbers)}"
    api.call("CreateProject", {"project": {"projectId": project}})
    scopes = ["ingest", "read", "manage", "admin"]
    made = api.call(
        "CreateApiKey", {"apiKey": {"name": f"{mark} key", "scopes": scopes, "projectId": project}}
    )
    one = Side(api, project, mark, [("authorization", f"Bearer {made['secret']}")])
    one.ids |= {"keyId": made["apiKey"]["keyId"], "projectId": project}
    cohort = {"name": f"{mark} cohort", "rule": did(), "description": mark}
    one.ids["cohortId"] = one.call("CreateCohort", {"cohort": cohort})["cohort"]["cohortId"]
    webhook = {"name": f"{mark} hook", "webhook": {"url": f"http://127.0.0.1:1/{mark}"}}
    made = one.call("CreateDestination", {"destination": webhook})["destination"]
    one.ids["destinationId"] = made["destinationId"]
    pair = {"cohortId": one.ids["cohortId"], "destinationId": one.ids["destinationId"]}
    sync = {**pair, "schedule": {"daily": {"time": "03:00"}}}
    one.ids["syncId"] = one.call("CreateSync", {"sync": sync})["sync"]["syncId"]
    event = {"customerId": f"{mark}-customer", "eventType": "view", "data": {mark: mark}}
    one.ids["minRevision"] = one.call("SendEvents", {"events": [event]})["revision"]
    one.ids["customerId"] = f"{mark}-customer"
    return one


# What a side may do. `mine` and `theirs` are ids by field; each gives a method and a request.


def own_steps(mine: dict[str, str], customer: str) -> list[tuple[str, Json]]:
    """Return calls that change a project, or ask it."""
    event = {"customerId": customer, "eventType": "view", "eventId": "e1", "data": {"n": 1}}
    return [
        ("SendEvents", {"events": [event], "requestId": "r1"}),
        ("SendEvents", {"events": [{**event, "eventType": "cart"}]}),
        ("UpsertCustomers", {"customers": [{"customerId": customer, "data": {"city": "Pune"}}]}),
        ("DeleteCustomers", {"customerIds": [customer]}),
        ("CreateCohort", {"cohort": {"name": "same", "rule": did()}, "requestId": "r2"}),
        ("CreateApiKey", {"apiKey": {"name": "more", "scopes": ["read"]}, "requestId": "r3"}),
        ("UpdateCohort", {"cohort": {"cohortId": mine["cohortId"], "name": "new"}, "updateMask": "name"}),
        ("PauseSync", {"syncId": mine["syncId"]}),
        ("RunRule", {"rule": did(), "minRevision": mine["minRevision"]}),
        ("CheckMembership", {"customerId": customer, "cohortIds": [mine["cohortId"]]}),
    ]


def foreign_steps(theirs: dict[str, str]) -> list[tuple[str, Json]]:
    """Return calls that name what is the other's, or nobody's."""
    cohort, sync = {"cohortId": theirs["cohortId"]}, {"syncId": theirs["syncId"]}
    destination, key = {"destinationId": theirs["destinationId"]}, {"name": "k", "scopes": ["read"]}
    member_of = {"cohort": {"cohortId": theirs["cohortId"]}}
    return [
        *((method, cohort) for method in ("GetCohort", "DeleteCohort", "ListMembers", "GetMemberSet")),
        *((method, cohort) for method in ("WatchCohort", "StreamMembers")),
        *((method, sync) for method in ("GetSync", "PauseSync", "ResumeSync", "DeleteSync", "RunSync")),
        *((method, sync) for method in ("PreviewSync", "ListSyncRuns")),
        *((method, destination) for method in ("GetDestination", "DeleteDestination", "TestDestination")),
        ("UpdateCohort", {"cohort": {**cohort, "name": "x"}, "updateMask": "name"}),
        ("CheckMembership", {"customerId": "c0", "cohortIds": [theirs["cohortId"]]}),
        ("BatchCheckMembership", {"pairs": [{"customerId": "c0", **cohort}]}),
        ("RunRule", {"rule": member_of}),
        ("CompareCohorts", {"comparands": [cohort, cohort]}),
        ("CreateCohort", {"cohort": {"name": "refers", "rule": member_of}}),
        ("CreateSync", {"sync": {**cohort, **destination, "schedule": {"hourly": {}}}}),
        ("GetCustomer", {"customerId": theirs["customerId"]}),
        ("ListCustomerEvents", {"customerId": theirs["customerId"]}),
        ("LookupCohorts", {"customerId": theirs["customerId"]}),
        ("RevokeApiKey", {"keyId": theirs["keyId"]}),
        ("ListApiKeys", {"projectId": theirs["projectId"]}),
        ("CreateApiKey", {"apiKey": {**key, "projectId": theirs["projectId"]}}),
        ("GetProject", {"projectId": theirs["projectId"]}),
        ("UpdateProject", {"project": {"projectId": theirs["projectId"]}, "updateMask": "limits"}),
        ("CreateProject", {"project": {"projectId": theirs["projectId"]}}),
    ]


NOBODYS = {
    "cohortId": "coh_" + "0" * 22,
    "destinationId": "dst_" + "0" * 22,
    "syncId": "syn_" + "0" * 22,
    "keyId": "key_" + "0" * 18,
    "customerId": "nobody",
    "projectId": "nobody",
}
OWN = len(own_steps(dict.fromkeys((*NOBODYS, "minRevision"), ""), ""))
FOREIGN = len(foreign_steps(NOBODYS))

steps = st.lists(
    st.tuples(
        st.booleans(),
        st.one_of(
            st.tuples(st.just("own"), st.integers(0, OWN - 1), st.sampled_from(CUSTOMERS)),
            st.tuples(st.just("foreign"), st.integers(0, FOREIGN - 1), st.just("")),
        ),
    ),
    min_size=1,
    max_size=6,
)


def without_ids(text: str, ids: dict[str, str]) -> str:
    """Return what was said with the ids that were sent replaced by their fields, and instants left out."""
    for name, value in ids.items():
        text = text.replace(value, f"<{name}>")
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d\.\d+s|coh_\w+", "…", text)


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=steps)
def test_no_call_of_one_project_changes_or_shows_anything_of_the_other(
    server: Client, steps: list[tuple[bool, tuple[str, int, str]]]
) -> None:
    sides = side(server, "left"), side(server, "right")
    before = {each.mark: each.answers() for each in sides}
    for of_right, (kind, place, customer) in steps:
        acting, other = sides[of_right], sides[not of_right]
        if kind == "own":
            method, request = own_steps(acting.ids, customer)[place]
            _, said = acting.outcome(method, request)
            assert other.mark not in said, (method, said)
        else:
            method, request = foreign_steps(other.ids)[place]
            outcome, said = acting.outcome(method, request)
            wanted, nothing = acting.outcome(method, foreign_steps(NOBODYS)[place][1])
            assert (outcome, without_ids(said, other.ids)) == (wanted, without_ids(nothing, NOBODYS)), method
            assert other.mark not in without_ids(said, other.ids)
        assert other.answers() == before[other.mark], method
        before[acting.mark] = acting.answers()
        assert other.mark not in json.dumps(before[acting.mark])


def test_every_call_that_names_what_is_the_others_is_refused_as_if_it_were_not_there(server: Client) -> None:
    left, right = side(server, "left"), side(server, "right")
    allowed = {"BatchCheckMembership", "LookupCohorts", "ListSyncRuns"}
    before = right.answers()
    for place, (method, request) in enumerate(foreign_steps(right.ids)):
        outcome, said = left.outcome(method, request)
        wanted, nothing = left.outcome(method, foreign_steps(NOBODYS)[place][1])
        assert (outcome, without_ids(said, right.ids)) == (wanted, without_ids(nothing, NOBODYS)), method
        assert outcome != "OK" or method in allowed, method
        assert right.answers() == before, method


def test_a_project_at_its_limits_is_refused_and_the_other_notices_nothing(server: Client) -> None:
    left, right = side(server, "left"), side(server, "right")
    before = right.answers()
    limits = {"eventsPerSecond": "1", "apiKeys": "1"}
    server.call(
        "UpdateProject", {"project": {"projectId": left.project, "limits": limits}, "updateMask": "limits"}
    )
    events = [{"customerId": f"c{number}", "eventType": "view"} for number in range(4_000)]
    left.call("SendEvents", {"events": events})  # a full bucket lets it in, and over an hour pays for it
    key = {"apiKey": {"name": "k", "scopes": ["read"]}}
    refused = {
        "SendEvents": {"events": events[:1]},
        "UpsertCustomers": {"customers": [{"customerId": "c0"}]},
        "CreateApiKey": key,
    }
    for method, request in refused.items():
        outcome, _ = left.outcome(method, request)
        assert outcome.startswith("RESOURCE_EXHAUSTED"), (method, outcome)
    assert left.call("RunRule", {"rule": did(), "countOnly": True})["size"] == 4001
    assert right.answers() == before
    for method, request in refused.items():
        assert right.outcome(method, request)[0] == "OK", method
    raised = {"project": {"projectId": left.project}, "updateMask": "limits"}
    assert left.outcome("UpdateProject", raised)[0] == "PERMISSION_DENIED OPERATOR_ONLY"


def test_a_token_of_one_project_means_nothing_in_the_other(server: Client) -> None:
    left, right = side(server, "left"), side(server, "right")
    for each in (left, right):
        each.call("CreateCohort", {"cohort": {"name": "second", "rule": did()}})
        webhook = {"url": "http://127.0.0.1:1/"}
        each.call("CreateDestination", {"destination": {"name": "second", "webhook": webhook}})
        each.call("CreateApiKey", {"apiKey": {"name": "second", "scopes": ["read"]}})
        events = [{"customerId": name, "eventType": "view"} for name in CUSTOMERS]
        each.call("SendEvents", {"events": events})
    for method, request in (
        ("ListCohorts", {}),
        ("ListDestinations", {}),
        ("ListApiKeys", {}),
        ("RunRule", {"rule": did()}),
        ("ListCustomerEvents", {"customerId": "c0"}),
    ):
        if method == "ListCustomerEvents":
            left.call("SendEvents", {"events": [{"customerId": "c0", "eventType": "cart"}]})
        token = left.call(method, {**request, "pageSize": 1})["nextPageToken"]
        outcome, _ = right.outcome(method, {**request, "pageSize": 1, "pageToken": token})
        assert outcome.startswith("INVALID_ARGUMENT PAGE_TOKEN"), method
    revision = left.call("GetCatalog")["revision"]
    outcome, _ = right.outcome("RunRule", {"rule": did(), "minRevision": revision})
    assert outcome.startswith("INVALID_ARGUMENT"), outcome
