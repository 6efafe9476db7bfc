"""Random scenes sent over gRPC in every form, asked about in JSON form, give what the naive evaluator gives."""

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracle, strategies
from tests.contract.harness import Client, Json, client
from tests.oracle import EPOCH, Event
from tests.strategies import Scene

FORMS = st.lists(
    st.sampled_from(["SendEvents", "SendEventsJson", "SendEventColumns"]), min_size=1, max_size=3
)


def iso(time: int) -> str:
    return (EPOCH + timedelta(milliseconds=time)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(events: Sequence[Event]) -> list[Json]:
    return [
        {
            "customerId": e.customer_id,
            "eventType": e.event_type,
            "eventTime": iso(e.time),
            "data": dict(e.data),
        }
        for e in events
    ]


def columns(events: Sequence[Event]) -> list[Json]:
    """Lay attributes out by column, one for each kind."""
    found = []
    empty = {"string": ("strings", ""), "number": ("numbers", 0.0), "bool": ("bools", False)}
    for attribute in sorted({name for each in events for name in each.data}):
        for kind, (field, filler) in empty.items():
            has = [attribute in e.data and oracle.kind_of(e.data[attribute]) == kind for e in events]
            if any(has):
                values = [
                    e.data[attribute] if there else filler for e, there in zip(events, has, strict=True)
                ]
                found.append({"attribute": attribute, field: values, "present": [] if all(has) else has})
    return found


def request(form: str, events: Sequence[Event]) -> Json:
    if form == "SendEvents":
        return {"events": as_json(events)}
    if form == "SendEventsJson":
        lines = "\n".join(map(json.dumps, as_json(events)))
        return {"jsonLines": base64.b64encode(lines.encode()).decode()}
    return {
        "customerIds": [e.customer_id for e in events],
        "eventTypes": [e.event_type for e in events],
        "eventTimesMs": [str(e.time) for e in events],
        "columns": columns(events),
    }


def send(api: Client, forms: Sequence[str], events: Sequence[Event]) -> None:
    """Send events in as many batches as there are forms."""
    for place, form in enumerate(forms):
        mine = events[place :: len(forms)]
        if mine:
            assert api.call(form, request(form, mine))["accepted"] == len(mine)


def upsert(api: Client, profiles: Mapping[str, Mapping[str, Any]]) -> None:
    customers = [{"customerId": name, "data": dict(data)} for name, data in profiles.items()]
    if customers:
        assert api.call("UpsertCustomers", {"customers": customers})["accepted"] == len(customers)


def save(api: Client, cohorts: Mapping[str, Json]) -> dict[str, str]:
    """Save cohorts, each of which may refer to those before it; return the id that each was given."""
    ids: dict[str, str] = {}
    for name in (each for each in strategies.COHORTS if each in cohorts):
        cohort = {"name": name, "rule": referring(cohorts[name], ids)}
        ids[name] = api.call("CreateCohort", {"cohort": cohort})["cohort"]["cohortId"]
    return ids


def referring(rule: Any, ids: Mapping[str, str]) -> Any:
    """Return a rule, or any part of one, with the ids of cohorts in the place of their names."""
    if isinstance(rule, list):
        return [referring(each, ids) for each in rule]
    if not isinstance(rule, dict):
        return rule
    if "cohortId" in rule:
        return {"cohortId": ids[rule["cohortId"]]}
    return {field: referring(each, ids) for field, each in rule.items()}


@settings(max_examples=25, deadline=None)
@given(strategies.scenes, FORMS)
def test_the_services_answer_what_the_oracle_answers(scene: Scene, forms: list[str]) -> None:
    world = scene.world
    with tempfile.TemporaryDirectory() as folder, client(Path(folder), zone=world.zone.key) as (api, _):
        upsert(api, world.profiles)
        send(api, forms, world.events)
        ids = save(api, world.cohorts)
        for rule in scene.rules:
            found = api.run(referring(rule, ids), asOf=iso(scene.as_of))
            assert found == oracle.matching(rule, world, scene.as_of), rule
