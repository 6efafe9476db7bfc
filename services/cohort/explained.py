"""How does an explanation look on the wire? Nodes with their texts, events and values of the profile."""

from collections.abc import Callable, Iterator

import numpy as np

from libs.engine import Engine
from libs.events.batch import Scalar
from libs.events.log import LoggedEvent
from libs.gen.cohort.v1 import cohort_pb2, event_pb2
from libs.index.snapshot import Snapshot
from libs.rpc.values import struct
from services.cohort.advice import attributes
from services.cohort.explain import Node
from services.cohort.rule import Profile
from services.cohort.text.format import format_rule
from services.cohort.text.tokens import MAX_TEXT

MAX_EVENTS = 100
"""Events shown of one node."""


class Writer:
    """Writes explanations about one customer, whose number is None where the customer was never seen."""

    def __init__(
        self,
        engine: Engine,
        snapshot: Snapshot,
        customer_id: str,
        customer: int | None,
        name_of: Callable[[str], str | None],
    ) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._customer_id = customer_id
        self._customer = customer
        self._name_of = name_of
        self._text_left = MAX_TEXT
        self._events: dict[int, LoggedEvent] = {}
        self._profile: dict[str, Scalar] | None = None

    def write(self, root: Node, into: cohort_pb2.ExplainedNode) -> None:
        """Write a node and all below it. Each event is read from the log once, whichever nodes it satisfies."""
        rows = sorted({row for node in _preorder(root) for row in node.rows[:MAX_EVENTS]})
        self._events = dict(zip(rows, self._engine.events(np.array(rows, np.int64)), strict=True))
        self._write(root, into)

    def _write(self, node: Node, into: cohort_pb2.ExplainedNode) -> None:
        into.path, into.holds, into.event_count = node.path, node.holds, len(node.rows)
        if self._text_left:
            text = format_rule(node.rule, self._name_of)
            if len(text) <= self._text_left:
                into.text = text
            self._text_left = max(self._text_left - len(text), 0)
        for row in node.rows[:MAX_EVENTS]:
            self._write_event(self._events[row], into.events.add())
        if isinstance(node.rule, Profile):
            known = self._values()
            tested = {name: known[name] for name in attributes(node.rule.where) if name in known}
            into.profile.CopyFrom(struct(tested))
        for each in node.children:
            self._write(each, into.children.add())

    def _write_event(self, event: LoggedEvent, into: event_pb2.Event) -> None:
        into.customer_id, into.event_type, into.event_id = self._customer_id, event.event_type, event.event_id
        into.event_time.FromMilliseconds(event.time)
        into.data.CopyFrom(struct(event.data))

    def _values(self) -> dict[str, Scalar]:
        """Return the customer's profile, read once."""
        if self._profile is None:
            numbers = np.array([] if self._customer is None else [self._customer], np.uint32)
            self._profile = next(iter(self._engine.profiles(self._snapshot, numbers)), {})
        return self._profile


def _preorder(node: Node) -> Iterator[Node]:
    yield node
    for each in node.children:
        yield from _preorder(each)
