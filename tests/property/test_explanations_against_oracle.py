"""An explanation says of every node, event and turn what the naive evaluator says, however events are split."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from pyroaring import BitMap

from libs.index.calendar import Calendar
from libs.index.evaluate import Evaluation
from libs.index.matches import matches
from libs.index.plan import Plan
from services.cohort.explain import Node, Subject, explain
from services.cohort.plan import make_plan
from services.cohort.rule import Rule
from services.cohort.run import Moment
from services.cohort.turns import changes_at
from tests import oracle, strategies
from tests.oracle import DAYS, SPANS, World
from tests.property.test_rules_against_oracle import SPLITS, Split, nodes
from tests.strategies import Scene
from tests.world import Indexed, indexed, read


class Asked:
    """What an explanation asks of an engine, of an index without a log."""

    def __init__(self, index: Indexed) -> None:
        self.calendar: Calendar = index.calendar

    def among(self, plan: Any, snapshot: Any, as_of: int, customers: BitMap) -> BitMap:
        evaluation = Evaluation(snapshot, as_of)
        known = customers & evaluation.universe
        return evaluation.run(plan, known) & known

    def matches(self, plan: Any, snapshot: Any, as_of: int, customer: int) -> Any:
        return matches(Evaluation(snapshot, as_of).question(plan), customer)


def preorder(node: Node) -> Iterator[Node]:
    yield node
    for each in node.children:
        yield from preorder(each)


def last_windows(rule: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the windows that move with time."""
    behaviours = [body for node in nodes(rule) for kind, body in node.items() if kind in ("did", "sequence")]
    whens = [body.get("when", {}) for body in behaviours]
    return [when["last"] for when in whens if "last" in when]


def instants(rule: dict[str, Any], world: World, customer: str, calendar: Calendar) -> set[int]:
    """Return more instants than those at which a verdict can turn: around every way out of every window."""
    found = set()
    for event in world.events:
        for window in last_windows(rule) if event.customer_id == customer else ():
            if window["unit"] in SPANS:
                out = [event.time + window["amount"] * int(SPANS[window["unit"]].total_seconds() * 1000)]
            else:
                day = calendar.day(event.time) + window["amount"] * DAYS[window["unit"]]
                out = [calendar.start(day + off) for off in (-1, 0, 1)]
            found |= {instant + off for instant in out for off in (-1, 0, 1)}
    return found


@settings(max_examples=100, deadline=None)
@given(strategies.scenes, SPLITS)
def test_an_explanation_agrees_with_the_oracle(scene: Scene, split: Split) -> None:
    index = indexed(scene.world, *split)
    asked: Any = Asked(index)
    as_of = scene.as_of
    until = replace(scene.world, events=[each for each in scene.world.events if each.time <= as_of])

    def plan(rule: Rule, moment: Moment, path: str) -> Plan:
        return make_plan(rule, moment.as_of, index.calendar, path)

    moment = Moment(index.snapshot(), as_of, "", {})
    for customer in sorted({each.customer_id for each in scene.world.events}):
        subject = Subject(asked, plan, moment, index.customers.find(customer))
        known = customer in until.universe(as_of)
        assert subject.known == known
        for rule in (each for each in scene.rules if '"cohort"' not in json.dumps(each)):
            root = explain(read(rule, index.calendar), subject)
            for node, part in zip(preorder(root), nodes(rule), strict=True):
                assert node.holds == (known and oracle.holds(part, until, as_of, customer)), part
                if "did" in part:
                    count = {"op": "EXACTLY", "value": len(node.rows)}
                    bare = {"did": {**part["did"], "count": count}}
                    bare["did"].pop("aggregate", None)
                    assert oracle.holds(bare, until, as_of, customer), bare
            if '"daysAgo"' in json.dumps(rule):  # when those turn is tried in tests/unit/cohort
                continue
            turns = sorted(each for each in instants(rule, until, customer, index.calendar) if each > as_of)
            wanted = (at for at in turns if known and oracle.holds(rule, until, at, customer) != root.holds)
            assert changes_at(root, subject, pytest.fail) == next(wanted, None), rule
