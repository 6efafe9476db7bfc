"""How is a profile kept? One record a customer, merged at each upsert.

On disk: customer number (4 bytes, big-endian) → msgpack of three maps from attribute number, one a kind:
dictionary number, float64, bool. An empty record is a profile too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from libs.events.batch import Scalar
from libs.events.dictionary import Dictionary
from libs.storage.environment import scan


class Profile(msgspec.Struct, array_like=True):
    """The attributes of one customer, kinds apart, by numbers of the dictionaries."""

    strings: dict[int, int] = {}
    numbers: dict[int, float] = {}
    bools: dict[int, bool] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Profile).decode


def read(txn: Any, table: Any, customer: int) -> Profile | None:
    """Read a customer's profile; None where there is none."""
    record = txn.get(customer.to_bytes(4, "big"), db=table)
    return None if record is None else _decode(record)


def read_all(txn: Any, table: Any) -> Iterator[tuple[int, Profile]]:
    """Read every profile there is, in order of customers."""
    for key, record in scan(txn, table):
        yield int.from_bytes(key, "big"), _decode(record)


def write(txn: Any, table: Any, customer: int, profile: Profile) -> None:
    """Keep a customer's profile."""
    txn.put(customer.to_bytes(4, "big"), _encode(profile), db=table)


def merge(profile: Profile, data: Mapping[str, Scalar | None], names: Dictionary, values: Dictionary) -> None:
    """Set the attributes of `data` in a profile; those set to None go. New strings get numbers."""
    for attribute, value in data.items():
        name = names.add(attribute)
        profile.strings.pop(name, None)
        profile.numbers.pop(name, None)
        profile.bools.pop(name, None)
        if isinstance(value, str):
            profile.strings[name] = values.add(value)
        elif isinstance(value, bool):
            profile.bools[name] = value
        elif value is not None:
            profile.numbers[name] = value
