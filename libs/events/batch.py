"""What does a client send? Events by column, checked but not yet encoded.

Neighbours: services/ingest makes these from requests; `libs.events.writer` encodes them into blocks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Scalar = str | float | bool
"""A value of an attribute. Numbers are finite float64."""


class Kind(IntEnum):
    """The kinds of value. A test only ever matches values of its own kind."""

    STRING = 1
    NUMBER = 2
    BOOL = 3


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one attribute that are of one kind.

    `rows` are the rows that have one, ascending, (k,) uint32, or None for all rows; `values` has one for
    each: a list of str, (k,) float64 or (k,) bool.
    """

    attribute: str
    kind: Kind
    values: list[str] | NDArray[np.float64] | NDArray[np.bool_]
    rows: NDArray[np.uint32] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Events by column. `times` is (rows,) int64 ms; an event id may be "", `event_ids` None."""

    customer_ids: list[str]
    event_types: list[str]
    times: NDArray[np.int64]
    event_ids: list[str] | None = None
    columns: list[Column] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many events there are."""
        return len(self.customer_ids)


@dataclass(frozen=True, slots=True)
class Upsert:
    """Changes to one customer's profile: an attribute set to None goes, one not named stays."""

    customer_id: str
    data: Mapping[str, Scalar | None]
