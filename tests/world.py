"""How does a test put a world into the engine? Events become blocks, blocks an index, split however it likes."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from google.protobuf import json_format
from pyroaring import BitMap

from libs.events import encode
from libs.events import profile as profiles
from libs.events.batch import Batch
from libs.events.block import Block
from libs.events.dictionary import Dictionary
from libs.events.log import Changes, Position
from libs.gen.cohort.v1 import rule_pb2
from libs.index.calendar import Calendar
from libs.index.evaluate import Evaluation, evaluate
from libs.index.index import Index
from libs.index.plan import Plan
from libs.index.planner import Path
from libs.index.snapshot import Snapshot
from services.cohort.links import Linker
from services.cohort.translate import read_rule
from services.ingest.table import Dicts, Events, build
from tests.oracle import Event, World


class Indexed:
    """An index over a world, without a log on disk."""

    def __init__(self, zone: ZoneInfo, seal_rows: int) -> None:
        self.customers, self.names, self.values = Dictionary(None), Dictionary(None), Dictionary(None)
        self.calendar = Calendar(zone)
        self.cohorts: dict[str, dict[str, Any]] = {}
        self.index = Index(self.calendar, self.names, self.values, self.customers, seal_rows=seal_rows)

    def append(self, events: Sequence[Event], changed: dict[str, dict[str, Any]] | None = None) -> None:
        """Commit events and profiles as one batch."""
        before = self.index.position
        block = Block(
            before.revision + 1,
            before.rows,
            0,
            *self._encoded(collect(events)),
            profiles=np.empty(0, np.uint32),
        )
        updates = {}
        for customer_id, data in (changed or {}).items():
            profile = profiles.Profile()
            profiles.merge(profile, data, *profiles.number([data], self.names, self.values))
            updates[self.customers.add(customer_id)] = profile
        owners = sorted(updates)
        read = profiles.Profiles(np.array(owners, np.uint32), [updates[owner] for owner in owners])
        after = Position(before.revision + 1, before.rows + len(events))
        self.index.apply(Changes(after, [block], read))

    def _encoded(self, batch: Batch) -> tuple[Any, ...]:
        columns = tuple(encode.encode_column(c, self.names, self.values) for c in batch.columns)
        customers = encode.encode_strings(batch.customer_ids, self.customers)
        types = encode.encode_strings(batch.event_types, self.names)
        return customers, types, batch.times, np.empty(0, np.uint32), b"", columns

    def plan(self, rule: dict[str, Any], as_of: int) -> Plan:
        """Plan a rule, given as JSON, with the cohorts it refers to."""

        def rule_of(cohort_id: str, _: str) -> Any:
            return read(self.cohorts[cohort_id], self.calendar)

        return Linker(rule_of, lambda *_: None, as_of, self.calendar).plan(read(rule, self.calendar))

    def snapshot(self) -> Snapshot:
        """Return what there is now."""
        return self.index.snapshot()

    def run(
        self,
        rule: dict[str, Any],
        as_of: int,
        snapshot: Snapshot | None = None,
        only: Path | None = None,
    ) -> set[str]:
        """Return the customers that satisfy a rule, given as JSON; `only` forces an access path."""
        plan = self.plan(rule, as_of)
        return self.names_of(evaluate(plan, snapshot or self.snapshot(), as_of, only))

    def among(self, rule: dict[str, Any], as_of: int, customers: BitMap) -> BitMap:
        """Return which of some customers, of the universe, satisfy a rule."""
        plan = self.plan(rule, as_of)
        return Evaluation(self.snapshot(), as_of).run(plan, customers) & customers

    def sizes(self, rule: dict[str, Any], as_of: int) -> list[int]:
        """Return the size of every node of a rule, in pre-order."""
        plan = self.plan(rule, as_of)
        return [len(found) for found in Evaluation(self.snapshot(), as_of).every_node(plan)]

    def names_of(self, bitmap: BitMap) -> set[str]:
        """Return the ids of customers."""
        return set(self.customers.strings(bitmap))


def collect(events: Sequence[Event]) -> Batch:
    """Check events as ingest does."""
    sent = Events(
        range(len(events)),
        [event.customer_id for event in events],
        [event.event_type for event in events],
        [""] * len(events),
        Dicts([dict(event.data) for event in events]),
    )
    batch, refused = build(sent, np.array([event.time for event in events], np.int64))
    assert not refused
    return batch


def indexed(world: World, seal_rows: int, batches: Sequence[int] = ()) -> Indexed:
    """Index a world, its events in batches of the sizes given, the rest in one; profiles come last."""
    built = Indexed(world.zone, seal_rows)
    built.cohorts = dict(world.cohorts)
    start = 0
    for size in batches:
        built.append(world.events[start : start + size])
        start += size
        built.index.settle()
    built.append(world.events[start:], {name: dict(data) for name, data in world.profiles.items()})
    built.index.settle()
    return built


def read(rule: dict[str, Any], calendar: Calendar) -> Any:
    """Read a rule from JSON."""
    return read_rule(json_format.ParseDict(rule, rule_pb2.Rule()), calendar)
