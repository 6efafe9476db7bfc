"""How do sent events become columns of a block? Strings become numbers, several batches become one.

Pure but for the dictionaries, which grow. Neighbours: `libs.events.writer` calls this once a commit.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Batch, Column, Kind
from libs.events.block import BlockColumn
from libs.events.dictionary import Dictionary


def join(batches: Sequence[Batch]) -> Batch:
    """Lay batches behind one another."""
    if len(batches) == 1:
        return batches[0]
    with_ids = any(batch.event_ids is not None for batch in batches)
    pieces: dict[tuple[str, Kind], list[tuple[NDArray[np.uint32], Any]]] = defaultdict(list)
    first = 0
    for batch in batches:
        for column in batch.columns:
            rows = np.arange(batch.rows, dtype=np.uint32) if column.rows is None else column.rows
            pieces[column.attribute, column.kind].append((rows + np.uint32(first), column.values))
        first += batch.rows
    return Batch(
        [customer for batch in batches for customer in batch.customer_ids],
        [event_type for batch in batches for event_type in batch.event_types],
        np.concatenate([batch.times for batch in batches]),
        [i for batch in batches for i in (batch.event_ids or [""] * batch.rows)] if with_ids else None,
        [_joined(*key, parts, first) for key, parts in pieces.items()],
    )


def _joined(attribute: str, kind: Kind, parts: list[tuple[NDArray[np.uint32], Any]], total: int) -> Column:
    rows = np.concatenate([rows for rows, _ in parts])
    if kind is Kind.STRING:
        values: Any = [value for _, strings in parts for value in strings]
    else:
        values = np.concatenate([array for _, array in parts])
    return Column(attribute, kind, values, None if len(rows) == total else rows)


def encode_column(column: Column, names: Dictionary, values: Dictionary) -> BlockColumn:
    """Turn a column's strings into numbers of the dictionaries."""
    attribute = names.add(column.attribute)
    if column.kind is Kind.STRING:
        assert isinstance(column.values, list)
        return BlockColumn(attribute, column.kind, values.add_all(column.values), column.rows)
    return BlockColumn(attribute, column.kind, np.asarray(column.values), column.rows)


def take(batch: Batch, kept: NDArray[np.bool_]) -> Batch:
    """Return the rows of a batch where `kept`, (rows,) bool, is true."""
    places = np.flatnonzero(kept).tolist()
    moved = np.cumsum(kept, dtype=np.uint32) - 1
    columns = []
    for column in batch.columns:
        rows = np.arange(batch.rows, dtype=np.uint32) if column.rows is None else column.rows
        mine = kept[rows]
        if isinstance(column.values, list):
            values: Any = [column.values[i] for i in np.flatnonzero(mine).tolist()]
        else:
            values = column.values[mine]
        dense = column.rows is None
        columns.append(Column(column.attribute, column.kind, values, None if dense else moved[rows[mine]]))
    ids = batch.event_ids
    return Batch(
        [batch.customer_ids[i] for i in places],
        [batch.event_types[i] for i in places],
        batch.times[kept],
        None if ids is None else [ids[i] for i in places],
        columns,
    )
