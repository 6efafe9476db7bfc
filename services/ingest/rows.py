"""How are events read that come as messages? Their data as bytes, which `structs` lays out by column."""

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Batch
from libs.events.commit import Refusal
from libs.gen.cohort.v1 import ingest_pb2
from services.ingest.structs import Entries, raw_events
from services.ingest.table import Events, build

NANOS = 1_000_000_000
NANOS_PER_MS = 1_000_000
OUT_OF_RANGE_MS = -1
"""Stands for a time no timestamp can have, and is refused as out of range."""
MAX_SECONDS = 1 << 40
"""Past every time that is kept; more would not fit 64 bits in ms."""


def collect_events(request: ingest_pb2.SendEventsRequest, arrival: int) -> tuple[Batch, list[Refusal]]:
    """Check events given as messages; `arrival`, ms, is the time of those that have none."""
    customers, types, ids, data = [], [], [], []
    seconds, nanos = [], []
    arrived = divmod(arrival * NANOS_PER_MS, NANOS)
    for event in raw_events(request):
        customers.append(event.customer_id)
        types.append(event.event_type)
        ids.append(event.event_id)
        data.append(event.data.entries[:])
        if event.HasField("event_time"):
            time = event.event_time
            seconds.append(time.seconds)
            nanos.append(time.nanos)
        else:
            seconds.append(arrived[0])
            nanos.append(arrived[1])
    sent = Events(range(len(customers)), customers, types, ids, Entries(data))
    return build(sent, milliseconds(np.array(seconds, np.int64), np.array(nanos, np.int64)))


def milliseconds(seconds: NDArray[np.int64], nanos: NDArray[np.int64]) -> NDArray[np.int64]:
    """Floor timestamps to ms since 1970."""
    legal = (nanos >= 0) & (nanos < NANOS) & (seconds >= 0) & (seconds < MAX_SECONDS)
    return np.where(legal, seconds, 0) * 1000 + np.where(legal, nanos // NANOS_PER_MS, OUT_OF_RANGE_MS)
