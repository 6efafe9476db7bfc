"""How do tests get at the demo's data, all of it? Put into a log by column, as if the demo ran on one fixed day.

The demo itself sends it over gRPC, which takes most of its time; what is stored is the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from libs.cli.demo.dataset import Events, Journey, Numbers, Texts, load
from libs.cli.output import plain
from libs.engine import Engine
from libs.events.batch import Batch, Column, Kind, Strings, Upsert
from libs.events.commit import Submission
from libs.index.index import Index
from tests.contract.harness import Client, StepClock, client

TODAY = date(2026, 7, 1)
"""The day on which the demo is said to run: its last event is of the day before."""
NOON = 1_782_907_200_000
"""2026-07-01T12:00:00Z, ms."""


@contextmanager
def demo_client(folder: Path) -> Iterator[Client]:
    """Serve the demo's data, and connect; the clock stands at noon of the day.

    Nothing is sealed: that takes longer than to answer some hundred questions from tails.
    """
    journey = load(TODAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Index, "_freeze", lambda _: None)
        with client(folder, clock=StepClock(NOON), fill=lambda engine: fill(engine, journey)) as (api, _):
            yield api


def fill(engine: Engine, journey: Journey) -> None:
    """Put the demo's data into an engine."""
    upserts = [
        Upsert(each.customer_id, plain(each.data))
        for batch in journey.customer_batches()
        for each in batch.request.customers
    ]
    engine.append(Submission(upserts=upserts)).result()
    for events in journey.events:
        engine.append(Submission(batch=as_batch(events))).result()


def as_batch(events: Events) -> Batch:
    """Return events by column as the log takes them. Without event ids: nothing comes twice."""
    rows = len(events)
    return Batch(
        _strings(events.customers.values, events.customers.codes),
        Strings(np.zeros(rows, np.uint32), [events.event_type]),
        events.times_ms,
        columns=[_column(name, values) for name, values in events.attributes.items()],
    )


def _column(name: str, sent: Texts | Numbers) -> Column:
    if isinstance(sent, Numbers):
        numbers = sent.values.astype(np.float64)
        there = numbers != 0 if sent.skip_zero else np.ones(len(numbers), np.bool_)
        return Column(name, Kind.NUMBER, numbers[there], _places(there))
    there = np.array([value is not None for value in sent.values])[sent.codes]
    return Column(name, Kind.STRING, _strings(sent.values, sent.codes[there]), _places(there))


def _strings(values: Any, codes: Any) -> Strings:
    return Strings(codes.astype(np.uint32), ["" if value is None else value for value in values])


def _places(there: Any) -> Any:
    return None if there.all() else np.flatnonzero(there).astype(np.uint32)
