"""How do rows become requests? Columns of events, or customers; rows that cannot be sent are told apart."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from itertools import compress
from typing import Any

from libs.cli.importing.kinds import LOOSE_NUMBER, TRUTH, Kind
from libs.cli.importing.mapping import Columns
from libs.cli.importing.table import Chunk, Reject
from libs.cli.importing.times import NoTime, to_milliseconds
from libs.gen.cohort.v1 import event_pb2, ingest_pb2
from libs.rpc import MAX_MESSAGE_BYTES

LARGEST_REQUEST = MAX_MESSAGE_BYTES // 4
"""Bytes of a request: a few are under way at once."""
FILLERS: dict[str, Any] = {"strings": "", "numbers": 0.0, "bools": False}
"""What stands in a column where the row has no value."""


@dataclass(slots=True)
class Batch:
    """A request, the row that each of its items is of, and the rows that were left out of it."""

    request: Any
    rows: Sequence[int]
    rejects: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns chunks of one file into requests."""

    columns: Columns
    kinds: dict[str, Kind]
    digest: str
    """Names the file in the ids of events that have none."""
    zone: tzinfo
    forced: frozenset[str] = frozenset()
    """Columns whose kind was said with --number: their cells may be something else."""

    def events(self, chunk: Chunk) -> Batch:
        """Return a SendEventColumnsRequest of a chunk."""
        roles = self.columns.roles
        bad: dict[int, Reject] = {}
        request = ingest_pb2.SendEventColumnsRequest()
        times: list[int] = []
        if "event_time" in roles:
            times = self._times(chunk, roles["event_time"], bad)
        values = self._values(chunk, bad)
        keep = [place not in bad for place in range(len(chunk.rows))] if bad else None
        rows = _kept(chunk.rows, keep)
        request.customer_ids.extend(_texts(_kept(chunk.columns[roles["customer_id"]], keep)))
        if self.columns.event_type is not None:
            request.event_types.append(self.columns.event_type)
        else:
            request.event_types.extend(_texts(_kept(chunk.columns[roles["event_type"]], keep)))
        request.event_times_ms.extend(_kept(times, keep))
        request.event_ids.extend(self._event_ids(chunk, keep, rows))
        for attribute, cells in values.items():
            add_column(request, attribute, _kept(cells, keep))
        return Batch(request, rows, [*chunk.rejects, *bad.values()])

    def customers(self, chunk: Chunk) -> Batch:
        """Return an UpsertCustomersRequest of a chunk. An absent value leaves the profile as it is."""
        bad: dict[int, Reject] = {}
        values = self._values(chunk, bad)
        ids = _texts(chunk.columns[self.columns.roles["customer_id"]])
        request = ingest_pb2.UpsertCustomersRequest()
        rows = []
        for place, (row, customer_id) in enumerate(zip(chunk.rows, ids, strict=True)):
            if place in bad:
                continue
            rows.append(row)
            customer = request.customers.add(customer_id=customer_id)
            customer.data.SetInParent()
            for attribute, cells in values.items():
                set_value(customer, attribute, cells[place])
        return Batch(request, rows, [*chunk.rejects, *bad.values()])

    def _event_ids(self, chunk: Chunk, keep: list[bool] | None, rows: Sequence[int]) -> list[str]:
        column = self.columns.roles.get("event_id")
        if column is None:
            return [f"{self.digest}:{row}" for row in rows]
        given = _texts(_kept(chunk.columns[column], keep))
        return [one or f"{self.digest}:{row}" for one, row in zip(given, rows, strict=True)]

    def _times(self, chunk: Chunk, column: str, bad: dict[int, Reject]) -> list[int]:
        times: list[int] = []
        known: dict[Any, int] = {}  # the same instants come again and again, and reading one takes 2 µs
        for place, cell in enumerate(chunk.columns[column]):
            try:
                time = known.get(cell)
                if time is None:
                    time = known[cell] = to_milliseconds(cell, self.zone)
                times.append(time)
            except NoTime as error:
                times.append(0)
                reason, message = ("NO_TIME", "has no time") if cell is None else ("BAD_TIME", str(error))
                bad[place] = Reject(chunk.rows[place], "event_time", reason, message)
        return times

    def _values(self, chunk: Chunk, bad: dict[int, Reject]) -> dict[str, list[Any]]:
        values = {}
        for column, attribute in self.columns.attributes.items():
            cells = chunk.columns[column]
            if column in self.forced:
                numbers = [number_of(cell) for cell in cells]
                for place, (cell, number) in enumerate(zip(cells, numbers, strict=True)):
                    if cell is not None and number is None:
                        reject = Reject(
                            chunk.rows[place], f"data.{attribute}", "NOT_A_NUMBER", "is not a number"
                        )
                        bad.setdefault(place, reject)
                values[attribute] = numbers
            else:
                values[attribute] = typed(cells, self.kinds.get(column))
        return values


def fitting(make: Callable[[Chunk], Batch], chunks: Iterable[Chunk]) -> Iterator[Batch]:
    """Yield what `make` makes of chunks, those that would be too large a message halved."""
    for chunk in chunks:
        batch = make(chunk)
        if batch.request.ByteSize() > LARGEST_REQUEST and len(chunk.rows) > 1:
            yield from fitting(make, chunk.halves())
        else:
            yield batch


def typed(cells: Sequence[Any], kind: Kind | None) -> list[Any]:
    """Return cells as values of one kind, or of their own where there is none. The cells are known to fit."""
    if kind is Kind.NUMBER:
        return [None if cell is None else float(cell) for cell in cells]
    if kind is Kind.BOOL:
        return [TRUTH[cell.lower()] if isinstance(cell, str) else cell for cell in cells]
    if kind is Kind.STRING:
        return [cell if cell is None or type(cell) is str else text_of(cell) for cell in cells]
    return list(cells)


def number_of(cell: Any) -> float | None:
    """Return the number that a cell holds, None where it holds none."""
    if isinstance(cell, str):
        number = float(cell) if LOOSE_NUMBER.fullmatch(cell) else math.nan
    elif isinstance(cell, bool) or cell is None:
        return None
    else:
        try:
            number = float(cell)
        except (TypeError, ValueError, OverflowError):
            return None
    return number if math.isfinite(number) else None


def text_of(value: Any) -> str:
    """Write a value as the string it is meant to be: 7 for 7.0, true for True, ISO for dates and times."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)


def _texts(cells: Sequence[Any]) -> list[str]:
    return [cell if type(cell) is str else "" if cell is None else text_of(cell) for cell in cells]


def _kept(cells: Sequence[Any], keep: list[bool] | None) -> Sequence[Any]:
    return cells if keep is None else list(compress(cells, keep))


def add_column(request: Any, attribute: str, values: Sequence[Any]) -> None:
    """Add an attribute to a SendEventColumnsRequest: a column for each kind that its values have."""
    types = set(map(type, values))
    absent = type(None) in types
    types.discard(type(None))
    lists = {
        "strings": types & {str},
        "numbers": types & {int, float},
        "bools": types & {bool},
    }
    used = {name: kinds for name, kinds in lists.items() if kinds}
    for name, kinds in used.items():
        column = request.columns.add(attribute=attribute)
        if not absent and len(used) == 1:
            getattr(column, name).extend(values)
            continue
        present = [type(value) in kinds for value in values]
        filler = FILLERS[name]
        getattr(column, name).extend(
            [value if there else filler for value, there in zip(values, present, strict=True)]
        )
        column.present.extend(present)


def set_value(customer: event_pb2.Customer, attribute: str, value: Any) -> None:
    """Set an attribute of a customer's profile, unless the value is absent."""
    if value is None:
        return
    target = customer.data.fields[attribute]
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    else:
        target.string_value = text_of(value)
