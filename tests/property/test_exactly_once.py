"""Any order, repetition and splitting of the same events, over retries and restarts, gives the same answers.

Events of one customer have different times here: of two with the same time, `firstTime` takes the one that arrived
first, so their order is part of what was sent.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracle, strategies
from tests.contract.harness import Client, Json, StepClock, client
from tests.oracle import Event
from tests.property.test_services_against_oracle import as_json, iso, referring, save, upsert
from tests.strategies import Scene

HOUR = 3_600_000
MOST_EXTRA = 12


def different_times(events: Sequence[Event]) -> list[Event]:
    """Keep one of the events of a customer at each time."""
    return list({(event.customer_id, event.time): event for event in events}.values())


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How events, by their places, reach a server: requests, in this order and as often; restarts between them."""

    requests: list[list[int]]
    order: list[int]
    restarts: set[int]


@st.composite
def deliveries(draw: Any, count: int) -> Delivery:
    """Send every event at least once: some again in other requests, requests again, in any order."""
    extra = draw(st.lists(st.integers(0, max(count - 1, 0)), max_size=MOST_EXTRA)) if count else []
    places = draw(st.permutations([*range(count), *extra]))
    cuts = sorted(draw(st.sets(st.integers(1, max(len(places) - 1, 1)), max_size=4)))
    requests = [places[a:b] for a, b in zip([0, *cuts], [*cuts, len(places)], strict=True) if a < b]
    repeats = draw(st.lists(st.sampled_from(range(len(requests))), max_size=3)) if requests else []
    order = draw(st.permutations([*range(len(requests)), *repeats]))
    restarts = draw(st.sets(st.integers(0, max(len(order) - 1, 0)), max_size=2))
    return Delivery(requests, order, restarts)


def ids(events: Sequence[Json], places: Sequence[int]) -> list[Json]:
    return [{**event, "eventId": f"id-{place}"} for event, place in zip(events, places, strict=True)]


def deliver(folder: Path, world: oracle.World, delivery: Delivery) -> None:
    """Send as a delivery says; a repeated request gets its first answer, and each event is accepted once."""
    clock, answers = StepClock(), dict[int, Json]()
    pending = list(enumerate(delivery.order))
    while pending:
        with client(folder, zone=world.zone.key, clock=clock) as (api, _):
            while pending:
                step, number = pending.pop(0)
                places = delivery.requests[number]
                events = ids(as_json([world.events[place] for place in places]), places)
                answer = api.call("SendEvents", {"events": events, "requestId": f"request-{number}"})
                assert answers.setdefault(number, answer) == answer
                clock.now += HOUR
                if step in delivery.restarts:
                    break
    assert sum(answer.get("accepted", 0) for answer in answers.values()) == len(world.events)


def answered(api: Client, scene: Scene) -> None:
    world = scene.world
    upsert(api, world.profiles)
    saved = save(api, world.cohorts)
    for rule in scene.rules:
        found = api.run(referring(rule, saved), asOf=iso(scene.as_of))
        assert found == oracle.matching(rule, world, scene.as_of), rule
    assert int(api.call("GetCatalog").get("events", 0)) == len(world.events)


@settings(max_examples=25, deadline=None)
@given(strategies.scenes, st.data())
def test_any_order_and_repetition_of_the_same_events_gives_the_same_answers(
    scene: Scene, data: st.DataObject
) -> None:
    world = dataclasses.replace(scene.world, events=different_times(scene.world.events))
    scene = dataclasses.replace(scene, world=world)
    delivery = data.draw(deliveries(len(world.events)))
    with tempfile.TemporaryDirectory() as name:
        folder, clock = Path(name), StepClock()
        deliver(folder, world, delivery)
        with client(folder, zone=world.zone.key, clock=clock) as (api, _):
            answered(api, scene)
