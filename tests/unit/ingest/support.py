"""What do tests of ingest look at? A batch as rows again, and what one-by-one checks would refuse."""

from collections.abc import Sequence
from typing import Any

from libs.events.batch import Batch
from services.ingest.validate import Refused, check_event

Row = tuple[str, str, int, str, dict[str, Any]]
"""customer_id, event_type, time, event_id, data."""


def rows(batch: Batch) -> list[Row]:
    """Return a batch as rows, numbers and strings told apart by their types."""
    data: list[dict[str, Any]] = [{} for _ in range(batch.rows)]
    for column in batch.columns:
        places = range(batch.rows) if column.rows is None else column.rows.tolist()
        assert column.rows is None or list(places) == sorted(set(places))
        for place, value in zip(places, column.values.tolist(), strict=True):
            assert column.attribute not in data[place]
            data[place][column.attribute] = value
    ids = batch.event_ids or [""] * batch.rows
    customers, types = batch.customer_ids.tolist(), batch.event_types.tolist()
    return list(zip(customers, types, batch.times.tolist(), ids, data, strict=True))


def checked(events: Sequence[Row]) -> tuple[list[Row], list[tuple[int, str, str]]]:
    """Check events one by one: those kept, and (index, field, reason) of the others."""
    kept, refused = [], []
    for index, (customer, event_type, time, event_id, data) in enumerate(events):
        try:
            check_event(customer, event_type, time, event_id, data)
        except Refused as error:
            refused.append((index, error.field, error.reason))
        else:
            values = {name: value for name, value in data.items() if value is not None}
            kept.append((customer, event_type, time, event_id, values))
    return kept, refused
