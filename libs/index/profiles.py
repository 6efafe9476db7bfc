"""What do customers' profiles say, by column? Attributes of profiles indexed by customer number.

Columns come in chunks of 65,536 customers, the span of a roaring container. A view shares the chunks; a chunk
that a view may hold is copied before it is written, so a view never changes and an update costs what it
touches.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from libs.events.batch import Kind, Scalar
from libs.events.dictionary import Dictionary
from libs.events.profile import Profile
from libs.index import roaring
from libs.index.condition import TRUE, Bound, PlainColumns, mask
from libs.index.roaring import CONTAINER
from libs.index.rows import DTYPES, EMPTY, ColumnKey
from libs.index.tail import BOOLS

Chunks = tuple[NDArray[Any] | None, ...]
"""The chunks of a column, (65536,) each; None where nobody in a chunk has a value."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """All profiles at one revision. `holders` are the customers that have one."""

    columns: Mapping[ColumnKey, Chunks]
    holders: BitMap

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

    def values(self, key: ColumnKey, customers: NDArray[np.uint32]) -> NDArray[Any]:
        """Return one column for some customers, (n,) of the dtype of its kind, missing values included."""
        values = np.full(len(customers), EMPTY[key[1]], DTYPES[key[1]])
        numbers = customers // CONTAINER
        for number, chunk in enumerate(self.columns.get(key, ())):
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
            present = ~np.isnan(column) if kind is Kind.NUMBER else column != EMPTY[kind]
            for place in np.flatnonzero(present).tolist():
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
        if key[1] is Kind.NUMBER:
            return np.asarray(values[~np.isnan(values)])
        return np.asarray(values[values != EMPTY[key[1]]])


class ProfileTable:
    """The profiles as they change. For one thread at a time."""

    def __init__(self) -> None:
        self._columns: dict[ColumnKey, list[NDArray[Any] | None]] = {}
        self._owned: set[tuple[ColumnKey, int]] = set()
        self._holders = BitMap()
        self._view: ProfileView | None = None

    def update(self, profiles: Iterable[tuple[int, Profile]]) -> None:
        """Replace the profiles of some customers."""
        changes: dict[ColumnKey, tuple[list[int], list[Any]]] = {key: ([], []) for key in self._columns}
        touched = []
        for customer, profile in profiles:
            touched.append(customer)
            by_kind: tuple[tuple[Kind, Mapping[int, Any]], ...] = (
                (Kind.STRING, profile.strings),
                (Kind.NUMBER, profile.numbers),
                (Kind.BOOL, profile.bools),
            )
            for kind, attributes in by_kind:
                for attribute, value in attributes.items():
                    customers, stored = changes.setdefault((attribute, kind), ([], []))
                    customers.append(customer)
                    stored.append(value)
        if not touched:
            return
        self._view = None
        self._holders = self._holders | BitMap(touched)
        everyone = np.array(touched, np.uint32)
        for key, (customers, stored) in changes.items():
            values = np.full(len(everyone), EMPTY[key[1]], DTYPES[key[1]])
            places = np.searchsorted(everyone, np.array(customers, np.uint32))
            dense = np.array(stored, np.bool_ if key[1] is Kind.BOOL else DTYPES[key[1]])
            values[places] = BOOLS[dense.astype(np.uint8)] if key[1] is Kind.BOOL else dense
            self._write(key, everyone, values)

    def _write(self, key: ColumnKey, customers: NDArray[np.uint32], values: NDArray[Any]) -> None:
        chunks = self._columns.setdefault(key, [])
        numbers = customers // CONTAINER
        chunks += [None] * (int(numbers[-1]) + 1 - len(chunks))
        edges = np.flatnonzero(np.diff(numbers)) + 1
        for mine in np.split(np.arange(len(customers)), edges):
            number = int(numbers[mine[0]])
            chunk = self._writable(key, number, chunks)
            chunk[customers[mine] % CONTAINER] = values[mine]

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
            self._view = ProfileView(columns, self._holders)
            self._owned.clear()
        return self._view
