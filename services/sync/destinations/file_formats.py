"""How do members look in a file? Writers of CSV, JSON lines and Parquet from a spool.

Columns of CSV and Parquet are every attribute that any member has, in order of their names, so the rows are
spooled first, as JSON lines; memory stays flat, whatever the size of the cohort. In Parquet a column has the
kind of its values; where kinds mix, values are written as the text they have in CSV.
"""

import csv
import io
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from services.sync.destinations.base import DeliveryError
from services.sync.members import Member, Profile
from services.sync.model import FileFormat

ID_COLUMN = "customerId"
ROW_GROUP = 50_000
"""Rows of a Parquet file that are in memory together: some tens of megabytes with wide profiles."""

Kinds = dict[str, set[type]]
"""The kinds of values each attribute has."""


class Row(msgspec.Struct, frozen=True):
    """A line of a JSON lines file, and of the spool."""

    customerId: str  # noqa: N815 - the name on the wire
    data: dict[str, str | float | int | bool]


def spool(stream: BinaryIO, group: Iterable[Member], kinds: Kinds) -> None:
    """Write members to the spool, one a line, and note the kinds of their attributes."""
    for member in group:
        for name, value in member.profile.items():
            kinds.setdefault(name, set()).add(type(value))
        stream.write(msgspec.json.encode(Row(member.entry.customer_id, dict(member.profile))) + b"\n")


def write(stream: BinaryIO, file_format: FileFormat, spooled: Iterable[bytes], kinds: Kinds) -> None:
    """Write a whole file from the spool. Raises `DeliveryError` where a library is missing."""
    _WRITERS[file_format](stream, spooled, kinds)


def check(file_format: FileFormat) -> None:
    """Raise `DeliveryError` where what writes this format is not installed."""
    if file_format is FileFormat.PARQUET:
        _pyarrow()


def leave_out(
    source: BinaryIO, stream: BinaryIO, file_format: FileFormat, customer_ids: Container[str]
) -> None:
    """Write a file from one of the same format, without some customers.

    Raises `DeliveryError` where the file is not what we write.
    """
    try:
        _FILTERS[file_format](source, stream, customer_ids)
    except (
        ValueError,
        KeyError,
        IndexError,
        csv.Error,
    ) as error:  # msgspec's, pyarrow's and Unicode's are ValueErrors
        raise DeliveryError("the file is not as it was written: nobody can be taken out of it") from error


def _filter_lines(source: BinaryIO, stream: BinaryIO, customer_ids: Container[str]) -> None:
    decoder = msgspec.json.Decoder(Row)
    stream.writelines(line for line in source if decoder.decode(line).customerId not in customer_ids)


def _filter_csv(source: BinaryIO, stream: BinaryIO, customer_ids: Container[str]) -> None:
    read = io.TextIOWrapper(source, encoding="utf-8", newline="")
    written = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    rows = csv.reader(read)
    writer = csv.writer(written)
    header = next(rows, [])
    if header[0] != ID_COLUMN:
        raise ValueError("another header")
    writer.writerow(header)
    writer.writerows(row for row in rows if row[0] not in customer_ids)
    written.flush()
    written.detach()
    read.detach()


def _filter_parquet(source: BinaryIO, stream: BinaryIO, customer_ids: Container[str]) -> None:
    arrow, parquet = _pyarrow()
    file = parquet.ParquetFile(source)
    with parquet.ParquetWriter(stream, file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            kept = [each not in customer_ids for each in table.column(ID_COLUMN).to_pylist()]
            writer.write_table(table.filter(arrow.array(kept, arrow.bool_())))


def _write_lines(stream: BinaryIO, spooled: Iterable[bytes], kinds: Kinds) -> None:
    stream.writelines(spooled)


def _write_csv(stream: BinaryIO, spooled: Iterable[bytes], kinds: Kinds) -> None:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    writer = csv.writer(text)
    names = sorted(kinds)
    writer.writerow([ID_COLUMN, *map(column_name, names)])
    for row in _rows(spooled):
        writer.writerow([row.customerId, *_cells(row.data, names)])
    text.flush()
    text.detach()


def _write_parquet(stream: BinaryIO, spooled: Iterable[bytes], kinds: Kinds) -> None:
    arrow, parquet = _pyarrow()
    names = sorted(kinds)
    types = {name: _arrow_type(arrow, kinds[name]) for name in names}
    fields = [(ID_COLUMN, arrow.string()), *((column_name(name), types[name]) for name in names)]
    schema = arrow.schema(fields)
    rows = _rows(spooled)
    with parquet.ParquetWriter(stream, schema) as writer:
        while group := list(islice(rows, ROW_GROUP)):
            columns = [
                arrow.array([row.customerId for row in group], arrow.string()),
                *(
                    arrow.array(_values(group, name, types[name] == arrow.string()), types[name])
                    for name in names
                ),
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # 0.1 s and 60 MB, for those who want Parquet
        import pyarrow.parquet
    except ImportError:
        raise DeliveryError(
            "Parquet needs pyarrow, which is not installed here: install cohort[files]"
        ) from None
    return pyarrow, pyarrow.parquet


def _arrow_type(arrow: Any, kinds: set[type]) -> Any:
    if kinds == {bool}:
        return arrow.bool_()
    if kinds == {int}:
        return arrow.int64()
    return arrow.float64() if kinds <= {int, float} else arrow.string()


def _values(group: Sequence[Row], name: str, as_text: bool) -> list[Any]:
    values = [row.data.get(name) for row in group]
    return [None if value is None else cell(value) for value in values] if as_text else values


_WRITERS: Mapping[FileFormat, Callable[[BinaryIO, Iterable[bytes], Kinds], None]] = {
    FileFormat.CSV: _write_csv,
    FileFormat.JSON_LINES: _write_lines,
    FileFormat.PARQUET: _write_parquet,
}


_FILTERS: Mapping[FileFormat, Callable[[BinaryIO, BinaryIO, Container[str]], None]] = {
    FileFormat.CSV: _filter_csv,
    FileFormat.JSON_LINES: _filter_lines,
    FileFormat.PARQUET: _filter_parquet,
}


def _rows(spooled: Iterable[bytes]) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(Row)
    return (decoder.decode(line) for line in spooled)


def column_name(attribute: str) -> str:
    """Return the column of an attribute; one that has the name of the id's column is told apart."""
    return f"data.{attribute}" if attribute == ID_COLUMN else attribute


def cell(value: str | float | int | bool) -> str:
    """Return a value as text, true and false for bools."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cells(profile: Profile, names: Sequence[str]) -> Iterator[str]:
    """Yield the cells of a row: empty where the attribute is missing."""
    for name in names:
        value = profile.get(name)
        yield "" if value is None else cell(value)
