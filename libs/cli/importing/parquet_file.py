"""How is a Parquet file read? Its own types decide: numbers, booleans, strings; dates become text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from libs.cli.errors import Failed
from libs.cli.importing.kinds import EXACT, Kind
from libs.cli.importing.table import Chunk


class ParquetFile:
    """A `Source` of a Parquet file; needs pyarrow."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise Failed("reading Parquet needs pyarrow: pip install 'cohort[files]'") from None
        with _readable(path):
            self._file = pyarrow.parquet.ParquetFile(path)
            schema = self._file.schema_arrow
            self.columns: list[str] = list(schema.names)
            self.total: int = self._file.metadata.num_rows
        self._path = path
        self.kinds: dict[str, Kind] = {field.name: self._kind(field) for field in schema}

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Read the rows, `size` at a time. A NaN is an absent value."""
        first = 1
        pieces = self._file.iter_batches(batch_size=size)
        while True:
            with _readable(self._path):
                batch = next(pieces, None)
                if batch is None:
                    return
                columns: dict[str, Sequence[Any]] = {
                    name: _values(batch.column(place)) for place, name in enumerate(batch.schema.names)
                }
            yield Chunk(range(first, first + batch.num_rows), columns)
            first += batch.num_rows

    def _kind(self, field: Any) -> Kind:
        import pyarrow.types as types

        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        if types.is_boolean(kind):
            return Kind.BOOL
        if types.is_floating(kind) or types.is_decimal(kind):
            return Kind.NUMBER
        if types.is_integer(kind):
            return Kind.NUMBER if kind.bit_width < 64 or self._is_exact(field.name) else Kind.STRING
        if types.is_nested(kind):
            raise Failed(
                f"{self._path}: the column {field.name!r} holds {field.type}; "
                "values are strings, numbers and booleans: flatten or drop it"
            )
        return Kind.STRING

    def _is_exact(self, column: str) -> bool:
        """Say whether all integers of a column are exact as doubles."""
        import pyarrow.compute

        with _readable(self._path):
            for batch in self._file.iter_batches(columns=[column]):
                ends = pyarrow.compute.min_max(batch.column(0).cast("int64", safe=False)).as_py()
                if ends["min"] is not None and not (ends["min"] >= -EXACT and ends["max"] <= EXACT):
                    return False
        return True


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise Failed where a file, or a piece of it, is damaged: names and texts that are not UTF-8 included."""
    import pyarrow

    try:
        yield
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        raise Failed(f"{path}: not a Parquet file, or damaged: {error}") from error


def _values(column: Any) -> list[Any]:
    """Return a column's values as Python objects, NaN as None. Times to the microsecond: finer is floored."""
    import pyarrow
    import pyarrow.types as types

    kind = column.type
    if types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pyarrow.timestamp("us", kind.tz), safe=False)
    values: list[Any] = column.to_pylist()
    if types.is_floating(kind):
        return [None if value != value else value for value in values]
    if types.is_binary(kind) or types.is_large_binary(kind):
        return [None if value is None else value.decode("utf-8", "replace") for value in values]
    return values
