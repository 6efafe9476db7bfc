"""Which events are in a part of the index? Events of one type by column: what tail and segments share.

A part is immutable for whoever holds it. Columns are dense, one entry a row, with the missing values of
`libs.index.condition`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind
from libs.index.condition import MISSING

ColumnKey: TypeAlias = tuple[int, Kind]
"""An attribute's number and a kind."""
DTYPES: dict[Kind, Any] = {Kind.STRING: np.uint32, Kind.NUMBER: np.float64, Kind.BOOL: np.uint8}
EMPTY: dict[Kind, Any] = {Kind.STRING: MISSING, Kind.NUMBER: np.nan, Kind.BOOL: 0}


@dataclass(frozen=True, slots=True)
class Rows:
    """Events of one type, in any order.

    `customer` is (rows,) uint32, `time` (rows,) int64 ms, `arrival` (rows,) uint32 log rows, and each column
    (rows,) of the dtype of its kind.
    """

    customer: NDArray[np.uint32]
    time: NDArray[np.int64]
    arrival: NDArray[np.uint32]
    columns: Mapping[ColumnKey, NDArray[Any]]

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.customer)

    def take(self, places: Any) -> "Rows":
        """Return the rows at some places (an index array or a slice), in that order."""
        columns = {key: column[places] for key, column in self.columns.items()}
        return Rows(self.customer[places], self.time[places], self.arrival[places], columns)


def without(rows: Rows, customers: BitMap) -> Rows:
    """Return the events of all but some customers, in order; a column that none of them has any more is left out."""
    kept = ~np.isin(rows.customer, np.frombuffer(customers.to_array(), np.uint32))
    if kept.all():
        return rows
    left = rows.take(kept)
    held = {
        key: column
        for key, column in left.columns.items()
        if not (np.isnan(column) if key[1] is Kind.NUMBER else column == EMPTY[key[1]]).all()
    }
    return Rows(left.customer, left.time, left.arrival, held)


def concatenate(parts: list[Rows]) -> Rows:
    """Lay parts behind one another; a column that a part lacks is missing there."""
    if len(parts) == 1:
        return parts[0]
    keys = sorted({key for part in parts for key in part.columns})
    columns = {}
    for key in keys:
        pieces = [
            part.columns[key] if key in part.columns else np.full(len(part), EMPTY[key[1]], DTYPES[key[1]])
            for part in parts
        ]
        columns[key] = np.concatenate(pieces)
    return Rows(
        np.concatenate([part.customer for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.arrival for part in parts]),
        columns,
    )
