"""Events and customers in every form they are sent in: read and laid out, not written."""

import json

import numpy as np
from google.protobuf import json_format

from libs.events.batch import Batch
from libs.gen.cohort.v1 import ingest_pb2
from services.ingest.columns import collect_columns
from services.ingest.lines import collect_lines
from services.ingest.rows import collect_events
from services.ingest.structs import scalars
from services.ingest.validate import Refused, check_upsert
from tests.fuzz.targets import Target
from tests.fuzz.targets.messages import built, seed
from tests.fuzz.targets.worlds import NOW
from tests.fuzz.targets.worlds import events as some_events


def checked(collected: tuple[Batch, list[object]], sent: int) -> None:
    """Assert that every event is kept or refused, and every column fits its rows."""
    batch, refused = collected
    assert batch.rows + len(refused) == sent, (batch.rows, len(refused), sent)
    for column in batch.columns:
        rows = batch.rows if column.rows is None else len(column.rows)
        assert len(column.values) == rows
        if column.rows is not None and len(column.rows):
            assert column.rows[-1] < batch.rows
            assert (np.diff(column.rows.astype(np.int64)) > 0).all()


def events() -> Target:
    """SendEvents and StreamEvents."""

    def run(data: bytes) -> None:
        request = built(data, ingest_pb2.SendEventsRequest)
        checked(collect_events(request, NOW), len(request.events))

    sent = json_format.ParseDict({"events": some_events(4)}, ingest_pb2.SendEventsRequest())
    return Target(run, [seed(sent), b"\0\x01\0\x04\x05\x01\x01\x02\x03\x04"])


def columns() -> Target:
    """SendEventColumns."""

    def run(data: bytes) -> None:
        request = built(data, ingest_pb2.SendEventColumnsRequest)
        checked(collect_columns(request, NOW), len(request.customer_ids))

    sent = ingest_pb2.SendEventColumnsRequest(
        customer_ids=["a", "b"],
        event_types=["view"],
        event_times_ms=[NOW, NOW],
        event_ids=["1", "2"],
        columns=[
            {"attribute": "brand", "strings": ["x", "y"]},
            {"attribute": "price", "numbers": [1.5, 0], "present": [True, False]},
            {"attribute": "vip", "bools": [True, False]},
        ],
    )
    return Target(run, [seed(sent)])


def json_lines() -> Target:
    """SendEventsJson."""

    def run(data: bytes) -> None:
        lines = [line for line in data.split(b"\n") if line and not line.isspace()]
        checked(collect_lines(data, NOW), len(lines))

    lines = [json.dumps(event).encode() for event in some_events(5)]
    return Target(
        run,
        [
            b"\n".join(lines),
            b"\r\n".join(lines),
            b'{"customerId":"a","eventType":"b","data":{"x":NaN,"y":[1],"z":{"a":null},"\\ud800":1}}',
        ],
    )


def customers() -> Target:
    """UpsertCustomers."""

    def run(data: bytes) -> None:
        for customer in built(data, ingest_pb2.UpsertCustomersRequest).customers:
            try:
                check_upsert(customer.customer_id, scalars(customer.data))
            except Refused:
                continue

    sent = ingest_pb2.UpsertCustomersRequest(
        customers=[
            {"customer_id": "a", "data": {"city": "Pune", "dob": "1990-01-31", "gender": "MALE", "x": None}}
        ]
    )
    return Target(run, [seed(sent)])
