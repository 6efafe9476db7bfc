"""How do events that came one by one become columns? Laid out by attribute, checked a column at a time.

Guarantees: an event is refused exactly where `validate.check_event` refuses it. The columns only tell which
events may be bad, and those alone are checked one by one: a good event costs no Python call of its own.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Batch, Column, Kind, Strings
from libs.events.commit import Refusal
from libs.events.encode import take
from services.ingest import validate
from services.ingest.times import NO_INSTANT
from services.ingest.validate import Refused

NO_INSTANT_MESSAGE = "event_time is an instant as in 2026-01-31T23:59:59.999Z"
KINDS: dict[type, Kind] = {str: Kind.STRING, float: Kind.NUMBER, bool: Kind.BOOL}


class Data(Protocol):
    """The values of many events: str, float, bool, None for an absent one, anything else for what is refused."""

    def row(self, row: int) -> dict[str, Any]:
        """Return the values of one event by attribute."""
        ...

    def columns(self, suspect: NDArray[np.bool_]) -> list[Column]:
        """Lay the values out by column; mark in `suspect`, (events,) bool, all that may have to be refused."""
        ...


@dataclass(frozen=True, slots=True)
class Events:
    """Events as they were sent, an entry each in every list; `indexes` are their places in the request."""

    indexes: Sequence[int]
    customer_ids: list[str]
    event_types: list[str]
    event_ids: list[str]
    data: Data


@dataclass(slots=True)
class Cells:
    """The values of one attribute: pieces of (rows, values), the rows ascending in each."""

    rows: list[NDArray[np.uint32]] = field(default_factory=list)
    values: list[Sequence[Any]] = field(default_factory=list)


def build(events: Events, times: NDArray[np.int64]) -> tuple[Batch, list[Refusal]]:
    """Lay events out by column and refuse the bad; `times` is (events,) int64 ms, or NO_INSTANT."""
    customers, types = Strings.of(events.customer_ids), Strings.of(events.event_types)
    suspect = wrong_strings(customers, validate.check_customer_id)[0]
    suspect |= wrong_strings(types, validate.check_event_type)[0]
    suspect |= long_strings(events.event_ids)
    suspect |= (times < validate.FIRST_TIME_MS) | (times >= validate.END_TIME_MS)
    columns = events.data.columns(suspect)
    ids = events.event_ids if any(events.event_ids) else None
    batch = Batch(customers, types, times, ids, columns)
    refused = _refusals(events, times, np.flatnonzero(suspect))
    if refused:
        kept = np.ones(batch.rows, np.bool_)
        kept[list(refused)] = False
        batch = take(batch, kept)
    return batch, list(refused.values())


def wrong_strings(
    strings: Strings, check: Callable[[str], None]
) -> tuple[NDArray[np.bool_], dict[int, Refused]]:
    """Check each different string once: the rows of bad ones, (rows,) bool, and what is wrong by their codes."""
    wrong: dict[int, Refused] = {}
    distinct = strings.distinct
    if not long_strings(distinct).any() and validate.SUSPECT_NAMES.isdisjoint(distinct):
        return np.zeros(len(strings), np.bool_), wrong
    for code, string in enumerate(distinct):
        try:
            check(string)
        except Refused as refused:
            wrong[code] = refused.with_traceback(None)  # its frames hold it, and the request, as garbage
    if not wrong:
        return np.zeros(len(strings), np.bool_), wrong
    bad = np.zeros(len(strings.distinct), np.bool_)
    bad[list(wrong)] = True
    return bad[strings.codes], wrong


def long_strings(strings: Sequence[str]) -> NDArray[np.bool_]:
    """Say which strings may have too many bytes, (len(strings),) bool."""
    most = validate.MAX_NAME_BYTES // 4  # a character has four bytes at most
    if max(map(len, strings), default=0) <= most:
        return np.zeros(len(strings), np.bool_)
    return np.fromiter(map(len, strings), np.int64, len(strings)) > most


def long_values(strings: Strings) -> NDArray[np.bool_] | None:
    """Say which rows have string values of too many bytes, (rows,) bool; None where none has."""
    distinct = strings.distinct
    if max(map(len, distinct), default=0) * 4 <= validate.MAX_VALUE_BYTES:
        return None
    bad = np.fromiter(map(validate.is_long, distinct), np.bool_, len(distinct))
    return bad[strings.codes] if bad.any() else None


@dataclass(frozen=True, slots=True)
class Dicts:
    """The values of many events: a dict each."""

    dicts: list[dict[str, Any]]

    def row(self, row: int) -> dict[str, Any]:
        """Return the values of one event by attribute."""
        return self.dicts[row]

    def columns(self, suspect: NDArray[np.bool_]) -> list[Column]:
        """Lay the values out by column; mark the rows that need a closer look."""
        columns: list[Column] = []
        suspect |= np.fromiter(map(len, self.dicts), np.int64, len(self.dicts)) > validate.MAX_OWN_ATTRIBUTES
        for attribute, cells in _by_attribute(self.dicts).items():
            columns += columns_of(attribute, cells, suspect)
        return columns


def _by_attribute(data: list[dict[str, Any]]) -> dict[str, Cells]:
    """Lay values out by attribute, events of the same attributes together."""
    shapes: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, names in enumerate(map(tuple, data)):
        shapes[names].append(row)
    found: defaultdict[str, Cells] = defaultdict(Cells)
    for names, rows in shapes.items():
        places = np.array(rows, np.uint32)
        alike = data if len(rows) == len(data) else [data[row] for row in rows]
        for name, values in zip(names, zip(*[each.values() for each in alike], strict=True), strict=True):
            cells = found[name]
            cells.rows.append(places)
            cells.values.append(values)
        validate.check_attributes(len(found))
    return found


def columns_of(attribute: str, cells: Cells, suspect: NDArray[np.bool_]) -> Iterator[Column]:
    """Yield a column for each kind of value; mark the rows that need a closer look."""
    rows = np.concatenate(cells.rows)
    values = cells.values[0] if len(cells.values) == 1 else list(chain.from_iterable(cells.values))
    order = None if len(cells.rows) == 1 else np.argsort(rows)
    try:
        validate.check_attribute(attribute)
    except Refused:
        suspect[rows] = True
    types = set(map(type, values))
    for each in types:
        mine, own, places = values, rows, order
        if len(types) > 1:
            same = [type(value) is each for value in values]
            mine, own = list(compress(values, same)), rows[same]
            places = np.argsort(own)
        kind = KINDS.get(each)
        if kind is not None:
            yield _column(attribute, kind, mine, own, places, suspect)
        elif each is not type(None):
            suspect[own] = True


def _column(
    attribute: str,
    kind: Kind,
    values: Sequence[Any],
    rows: NDArray[np.uint32],
    order: NDArray[np.int64] | None,
    suspect: NDArray[np.bool_],
) -> Column:
    """Make a column of values of one kind; `order` sorts its rows."""
    stored: Any
    if kind is Kind.STRING:
        stored = Strings.of(values)
        if (long := long_values(stored)) is not None:
            suspect[rows[long]] = True
    else:
        stored = np.array(values, np.float64 if kind is Kind.NUMBER else np.bool_)
    if kind is Kind.NUMBER:
        suspect[rows[~np.isfinite(stored)]] = True
    if order is not None:
        rows = rows[order]
        stored = stored.take(order) if isinstance(stored, Strings) else stored[order]
    return Column(attribute, kind, stored, None if len(rows) == len(suspect) else rows)


def _refusals(events: Events, times: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[int, Refusal]:
    """Check events one by one, first whether the time could be read; what is wrong with the bad ones, by row."""
    refused: dict[int, Refusal] = {}
    for row in rows.tolist():
        try:
            if times[row] == NO_INSTANT:
                raise Refused("event_time", "INVALID_TIME", NO_INSTANT_MESSAGE)
            validate.check_event(
                events.customer_ids[row],
                events.event_types[row],
                int(times[row]),
                events.event_ids[row],
                events.data.row(row),
            )
        except Refused as error:
            refused[row] = error.at(events.indexes[row])
    return refused
