"""How are events read that come by column? Checked a column at a time, with no Python step a row."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.errors import Invalid
from libs.events.batch import Batch, Column, Kind, Strings
from libs.events.commit import Refusal
from libs.events.encode import take
from libs.gen.cohort.v1 import ingest_pb2
from services.ingest import validate
from services.ingest.table import long_strings, long_values, wrong_strings
from services.ingest.validate import Refused


def collect_columns(request: ingest_pb2.SendEventColumnsRequest, arrival: int) -> tuple[Batch, list[Refusal]]:
    """Check a columnar batch. Raises `Invalid` where its lists do not fit one another."""
    customers = Strings.of(request.customer_ids)
    rows = len(customers)
    types = Strings.of(request.event_types)
    if len(types) == 1:
        types = Strings(np.zeros(rows, np.uint32), types.distinct)
    ids = request.event_ids[:] or None
    times = np.array(request.event_times_ms, np.int64) if request.event_times_ms else np.full(rows, arrival)
    _check_length("event_types", len(types), rows)
    _check_length("event_times_ms", len(times), rows)
    _check_length("event_ids", rows if ids is None else len(ids), rows)
    bad: dict[int, Refusal] = {}
    _check_strings(customers, validate.check_customer_id, bad)
    _check_strings(types, validate.check_event_type, bad)
    _check_ids(ids or (), bad)
    _check_times(times, bad)
    columns = [
        column
        for place, sent in enumerate(request.columns)
        if (column := _column(sent, f"columns[{place}]", rows, bad)) is not None
    ]
    _check_repeats(columns, rows, bad)
    _check_counts(columns, rows, bad)
    batch = Batch(customers, types, times, ids, columns)
    if bad:
        kept = np.ones(rows, np.bool_)
        kept[list(bad)] = False
        batch = take(batch, kept)
    return batch, [bad[row] for row in sorted(bad)]


def _check_length(field: str, length: int, rows: int) -> None:
    if length != rows:
        raise Invalid(
            "COLUMN_LENGTH", f"{field} has {length} entries, but there are {rows} customer_ids", field
        )


def _check_strings(strings: Strings, check: Callable[[str], None], bad: dict[int, Refusal]) -> None:
    """Check each different string once, and look for its rows only where it is bad."""
    where, wrong = wrong_strings(strings, check)
    for row in np.flatnonzero(where).tolist():
        bad.setdefault(row, wrong[int(strings.codes[row])].at(row))


def _check_ids(ids: Sequence[str], bad: dict[int, Refusal]) -> None:
    """Check the event ids that may be too long."""
    for row in np.flatnonzero(long_strings(ids)).tolist():
        try:
            validate.check_event_id(ids[row])
        except Refused as refused:
            bad.setdefault(row, refused.at(row))


def _check_times(times: NDArray[np.int64], bad: dict[int, Refusal]) -> None:
    outside = (times < validate.FIRST_TIME_MS) | (times >= validate.END_TIME_MS)
    for row in np.flatnonzero(outside).tolist():
        bad.setdefault(
            row,
            Refusal(row, "event_time", "TIME_OUT_OF_RANGE", "event_time is outside the years 1970 to 2100"),
        )


def _column(sent: ingest_pb2.Column, field: str, rows: int, bad: dict[int, Refusal]) -> Column | None:
    """Read one column; None where no row has a value."""
    try:
        validate.check_attribute(sent.attribute)
    except Refused as refused:
        raise Invalid(refused.reason, refused.message, f"{field}.attribute") from None
    filled: list[tuple[Kind, Any]] = [
        (kind, values)
        for kind, values in (
            (Kind.STRING, sent.strings),
            (Kind.NUMBER, sent.numbers),
            (Kind.BOOL, sent.bools),
        )
        if values
    ]
    if len(filled) != 1 and rows:
        raise Invalid(
            "COLUMN_LENGTH", f"{field} ({sent.attribute}) needs exactly one of strings, numbers, bools", field
        )
    if not rows:
        _check_length(field, sum(len(values) for _, values in filled), rows)
        return None
    kind, values = filled[0]
    _check_length(field, len(values), rows)
    present = np.array(sent.present, np.bool_) if sent.present else np.ones(rows, np.bool_)
    _check_length(f"{field}.present", len(present), rows)
    where = np.flatnonzero(present).astype(np.uint32)
    everywhere = len(where) == rows
    if kind is Kind.STRING:
        strings = Strings.of(values)
        long = long_values(strings)
        for row in np.flatnonzero(long & present).tolist() if long is not None else ():
            bad.setdefault(row, validate.too_long(sent.attribute).at(row))
        return Column(
            sent.attribute,
            kind,
            strings if everywhere else strings.take(present),
            None if everywhere else where,
        )
    array: Any = np.array(values, np.float64 if kind is Kind.NUMBER else np.bool_)[present]
    if kind is Kind.NUMBER:
        for row in where[~np.isfinite(array)].tolist():
            bad.setdefault(
                row, Refusal(row, f"data.{sent.attribute}", "NOT_FINITE", "a number must be finite")
            )
    return Column(sent.attribute, kind, array, None if everywhere else where)


def _check_repeats(columns: Sequence[Column], rows: int, bad: dict[int, Refusal]) -> None:
    """Refuse rows that have one attribute in two columns."""
    by_attribute: dict[str, list[Column]] = {}
    for column in columns:
        by_attribute.setdefault(column.attribute, []).append(column)
    for attribute, same in by_attribute.items():
        if len(same) == 1:
            continue
        if len({column.kind for column in same}) < len(same):
            raise Invalid(
                "REPEATED_COLUMN", f"{attribute} has two columns of the same kind; make them one", "columns"
            )
        seen = np.zeros(rows, np.uint8)
        for column in same:
            seen[slice(None) if column.rows is None else column.rows] += 1
        for row in np.flatnonzero(seen > 1).tolist():
            bad.setdefault(
                row,
                Refusal(row, f"data.{attribute}", "REPEATED_ATTRIBUTE", "the row has this attribute twice"),
            )


def _check_counts(columns: Sequence[Column], rows: int, bad: dict[int, Refusal]) -> None:
    """Refuse rows with too many attributes."""
    if len(columns) <= validate.MAX_OWN_ATTRIBUTES:
        return
    counts = np.zeros(rows, np.uint32)
    for column in columns:
        counts[slice(None) if column.rows is None else column.rows] += 1
    for row in np.flatnonzero(counts > validate.MAX_OWN_ATTRIBUTES).tolist():
        bad.setdefault(row, validate.too_many_attributes().at(row))
