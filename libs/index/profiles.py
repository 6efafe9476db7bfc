"""What do customers' profiles say, by column? Attributes of profiles indexed by customer number.

Columns come in chunks of 65,536 customers, the span of a roaring container. A view shares the chunks; a chunk
that a view may hold is copied before it is written, so a view never changes and an update costs what it
touches.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind, Scalar
from libs.events.dictionary import Dictionary
from libs.events.profile import Profile, Profiles
from libs.index import roaring
from libs.index.condition import MISSING, TRUE, Bound, PlainColumns, mask
from libs.index.roaring import CONTAINER
from libs.index.rows import DTYPES, EMPTY, ColumnKey
from libs.index.tail import BOOLS

Chunks = tuple[NDArray[Any] | None, ...]
"""The chunks of a column, (65536,) each; None where nobody in a chunk has a value."""


Seen = dict[tuple[int, int], tuple[ReferenceType[NDArray[Any]], BitMap]]
"""The strings of chunks, by attribute and the chunk's number, each with the chunk they were read from."""
HOLDERS = "holders"
"""The array of a dump that is no column."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """All profiles at one revision. `holders` are the customers that have one."""

    columns: Mapping[ColumnKey, Chunks]
    holders: BitMap
    _seen: Seen = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """The bytes of all columns."""
        chunks = (chunk for column in self.columns.values() for chunk in column)
        return sum(chunk.nbytes for chunk in chunks if chunk is not None)

    def matching(self, condition: Bound, customers: int) -> BitMap:
        """Return which customers below a number satisfy a condition; all is missing without a profile."""
        found = np.zeros(customers, np.bool_)
        for number, first in enumerate(range(0, customers, CONTAINER)):
            rows = min(CONTAINER, customers - first)

            def column(attribute: int, kind: Kind, number: int = number, rows: int = rows) -> Any:
                chunks = self.columns.get((attribute, kind), ())
                chunk = chunks[number] if number < len(chunks) else None
                return None if chunk is None else chunk[:rows]

            found[first : first + rows] = mask(condition, PlainColumns(rows, column))
        return roaring.from_mask(found)

    def strings_seen(self, attribute: int) -> BitMap:
        """Return the dictionary numbers of an attribute's strings. Chunks read before are not read again."""
        found = []
        for number, chunk in enumerate(self.columns.get((attribute, Kind.STRING), ())):
            if chunk is None:
                continue
            held = self._seen.get((attribute, number))
            if held is None or held[0]() is not chunk:
                held = ref(chunk), roaring.from_values(chunk[chunk != MISSING])
                self._seen[attribute, number] = held
            found.append(held[1])
        return roaring.union(found)

    def values(self, key: ColumnKey, customers: NDArray[np.uint32]) -> NDArray[Any]:
        """Return one column for some customers, (n,) of the dtype of its kind, missing values included."""
        values = np.full(len(customers), EMPTY[key[1]], DTYPES[key[1]])
        chunks, numbers = self.columns.get(key, ()), customers // CONTAINER
        for number in set(numbers.tolist()):
            chunk = chunks[number] if number < len(chunks) else None
            if chunk is not None:
                mine = numbers == number
                values[mine] = chunk[customers[mine] % CONTAINER]
        return values

    def data(
        self, customers: NDArray[np.uint32], fields: Collection[str], names: Dictionary, strings: Dictionary
    ) -> list[dict[str, Scalar]]:
        """Return the profiles of some customers, (n,), in their order: all attributes, or those of `fields`."""
        found: list[dict[str, Scalar]] = [{} for _ in range(len(customers))]
        for key in self.columns:
            attribute, kind = names[key[0]], key[1]
            if fields and attribute not in fields:
                continue
            column = self.values(key, customers)
            for place in np.flatnonzero(_there(column, kind)).tolist():
                value = column[place].item()
                if kind is Kind.STRING:
                    found[place][attribute] = strings[value]
                else:
                    found[place][attribute] = value if kind is Kind.NUMBER else bool(value == TRUE)
        return found

    def present(self, key: ColumnKey) -> NDArray[Any]:
        """Return the values of one column that are there, (n,), in order of customers."""
        chunks = [chunk for chunk in self.columns.get(key, ()) if chunk is not None]
        if not chunks:
            return np.empty(0, DTYPES[key[1]])
        values: NDArray[Any] = np.concatenate(chunks)
        return np.asarray(values[_there(values, key[1])])


class ProfileTable:
    """The profiles as they change. For one thread at a time. `changes` counts the profiles it was given."""

    def __init__(self) -> None:
        self._columns: dict[ColumnKey, list[NDArray[Any] | None]] = {}
        self._owned: set[tuple[ColumnKey, int]] = set()
        self._holders = BitMap()
        self._view: ProfileView | None = None
        self._seen: Seen = {}
        self.changes = 0

    def __len__(self) -> int:
        """Return how many customers have a profile."""
        return len(self._holders)

    def update(self, profiles: Profiles) -> None:
        """Replace the profiles of some customers."""
        if not len(profiles.customers):
            return
        self._view = None
        self.changes += len(profiles.customers)
        self._holders = self._holders | roaring.from_sorted(profiles.customers)
        columns = _by_column(profiles.records)
        for key in [*self._columns, *(key for key in columns if key not in self._columns)]:
            values = np.full(len(profiles.customers), EMPTY[key[1]], DTYPES[key[1]])
            if key in columns:
                places, stored = columns[key]
                values[places] = stored
            self._write(key, profiles.customers, values)

    def remove(self, customers: NDArray[np.uint32]) -> None:
        """Take the profiles of some customers, ascending, away."""
        held = customers[np.isin(customers, roaring.to_array(self._holders), assume_unique=True)]
        if len(held):
            self.update(Profiles(held, [Profile() for _ in held]))
            self._holders = self._holders - roaring.from_sorted(held)

    def _write(self, key: ColumnKey, customers: NDArray[np.uint32], values: NDArray[Any]) -> None:
        """Write a column's values of some customers; a chunk is made where one of them has a value."""
        chunks = self._columns.setdefault(key, [])
        numbers = customers // CONTAINER
        chunks += [None] * (int(numbers[-1]) + 1 - len(chunks))
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, end in pairwise(starts):
            number = int(numbers[start])
            if chunks[number] is not None or _there(values[start:end], key[1]).any():
                chunk = self._writable(key, number, chunks)
                chunk[customers[start:end] % CONTAINER] = values[start:end]

    def _writable(self, key: ColumnKey, number: int, chunks: list[NDArray[Any] | None]) -> NDArray[Any]:
        chunk = chunks[number]
        if chunk is None:
            chunk = np.full(CONTAINER, EMPTY[key[1]], DTYPES[key[1]])
        elif (key, number) not in self._owned:
            chunk = chunk.copy()
        self._owned.add((key, number))
        chunks[number] = chunk
        return chunk

    def view(self) -> ProfileView:
        """Return the profiles there are now; later updates do not change it."""
        if self._view is None:
            columns = {key: tuple(chunks) for key, chunks in self._columns.items()}
            self._view = ProfileView(columns, self._holders, self._seen)
            self._owned.clear()
        return self._view

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]]) -> "ProfileTable":
        """Return the table of a view that was dumped. Its arrays may be read-only: they are copied when written.

        Raises KeyError or ValueError for arrays that are no dump.
        """
        table = cls()
        table._holders = BitMap.deserialize(arrays[HOLDERS].tobytes())
        for name in sorted(arrays.keys() - {HOLDERS}):
            attribute, kind, number = map(int, name.split())
            chunks = table._columns.setdefault((attribute, Kind(kind)), [])
            chunks += [None] * (number + 1 - len(chunks))
            chunks[number] = arrays[name]
        return table


def dump(view: ProfileView) -> dict[str, NDArray[Any]]:
    """Return what a file is to hold of all profiles: the arrays of a view, not copied."""
    arrays = {HOLDERS: np.frombuffer(view.holders.serialize(), np.uint8)}
    for (attribute, kind), chunks in view.columns.items():
        for number, chunk in enumerate(chunks):
            if chunk is not None:
                arrays[f"{attribute} {int(kind)} {number}"] = chunk
    return arrays


def _there(values: NDArray[Any], kind: Kind) -> NDArray[np.bool_]:
    """Say which values of a column are not missing."""
    return ~np.isnan(values) if kind is Kind.NUMBER else np.asarray(values != EMPTY[kind])


def _by_column(profiles: Sequence[Profile]) -> dict[ColumnKey, tuple[NDArray[np.int64], NDArray[Any]]]:
    """Return, for each attribute and kind, which profiles have it and the values that columns hold."""
    found: dict[ColumnKey, tuple[NDArray[np.int64], NDArray[Any]]] = {}
    by_kind: tuple[tuple[Kind, list[Mapping[int, Any]]], ...] = (
        (Kind.STRING, [profile.strings for profile in profiles]),
        (Kind.NUMBER, [profile.numbers for profile in profiles]),
        (Kind.BOOL, [profile.bools for profile in profiles]),
    )
    for kind, maps in by_kind:
        counts = np.fromiter(map(len, maps), np.int64, len(maps))
        total = int(counts.sum())
        if not total:
            continue
        attributes = np.fromiter(chain.from_iterable(maps), np.uint32, total)
        values = np.fromiter(chain.from_iterable(each.values() for each in maps), DTYPES[kind], total)
        if kind is Kind.BOOL:
            values = BOOLS[values]
        owners = np.repeat(np.arange(len(maps)), counts)
        order = np.argsort(attributes, kind="stable")
        edges = np.flatnonzero(np.diff(attributes[order])) + 1
        for mine in np.split(order, edges):
            found[int(attributes[mine[0]]), kind] = owners[mine], values[mine]
    return found
