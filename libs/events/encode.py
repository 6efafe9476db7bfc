"""How do sent events become columns of a block? Strings become numbers, several batches become one.

Pure but for the dictionaries, which grow. Neighbours: `libs.events.writer` calls this once a commit.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Batch, Column, Kind, Strings
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
    ids = chain.from_iterable(batch.event_ids or [""] * batch.rows for batch in batches)
    return Batch(
        _strings([batch.customer_ids for batch in batches]),
        _strings([batch.event_types for batch in batches]),
        np.concatenate([batch.times for batch in batches]),
        list(ids) if with_ids else None,
        [_joined(*key, parts, first) for key, parts in pieces.items()],
    )


def _joined(attribute: str, kind: Kind, parts: list[tuple[NDArray[np.uint32], Any]], total: int) -> Column:
    rows = np.concatenate([rows for rows, _ in parts])
    arrays = [values for _, values in parts]
    values = _strings(arrays) if kind is Kind.STRING else np.concatenate(arrays)
    return Column(attribute, kind, values, None if len(rows) == total else rows)


def _strings(parts: Sequence[Strings]) -> Strings:
    """Lay strings behind one another; those that stand in several parts are several in the whole."""
    codes = []
    distinct: list[str] = []
    for part in parts:
        codes.append(part.codes + np.uint32(len(distinct)))
        distinct += part.distinct
    return Strings(np.concatenate(codes), distinct)


def encode_strings(strings: Strings, dictionary: Dictionary) -> NDArray[np.uint32]:
    """Return the number of each row's string, (rows,) uint32; strings that no row has get none."""
    used = np.zeros(len(strings.distinct), np.bool_)
    used[strings.codes] = True
    numbers = np.zeros(len(used), np.uint32)
    wanted = strings.distinct if used.all() else list(compress(strings.distinct, used.tolist()))
    numbers[used] = dictionary.add_all(wanted)
    return numbers[strings.codes]


def encode_column(column: Column, names: Dictionary, values: Dictionary) -> BlockColumn:
    """Turn a column's strings into numbers of the dictionaries."""
    attribute = names.add(column.attribute)
    if isinstance(column.values, Strings):
        return BlockColumn(attribute, column.kind, encode_strings(column.values, values), column.rows)
    return BlockColumn(attribute, column.kind, column.values, column.rows)


def take(batch: Batch, kept: NDArray[np.bool_]) -> Batch:
    """Return the rows of a batch where `kept`, (rows,) bool, is true."""
    moved = np.cumsum(kept, dtype=np.uint32) - np.uint32(1)
    columns = []
    for column in batch.columns:
        mine = kept if column.rows is None else kept[column.rows]
        values: Any = column.values.take(mine) if isinstance(column.values, Strings) else column.values[mine]
        rows = None if column.rows is None else moved[column.rows[mine]]
        if rows is None or len(rows):
            columns.append(Column(column.attribute, column.kind, values, rows))
    ids = batch.event_ids
    return Batch(
        batch.customer_ids.take(kept),
        batch.event_types.take(kept),
        batch.times[kept],
        None if ids is None else list(compress(ids, kept.tolist())),
        columns,
    )
