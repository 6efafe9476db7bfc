"""How is a profile kept? One record a customer, merged at each upsert.

On disk: customer number (4 bytes, big-endian) → checked msgpack of three maps from attribute number, one a kind:
dictionary number, float64, bool; sealed where the log's profiles are. An empty record is a profile too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.events.batch import Scalar, Upsert
from libs.events.dictionary import Dictionary
from libs.storage.checked import DamagedRecordError, pack, unpack
from libs.storage.cover import Cover

SCANNED = 4
"""Records of which at least 1 / this is wanted are read by one scan: half the price of asking for each."""
LIST_32 = b"\xdd"
"""How msgpack begins a list whose length has 4 bytes."""


class Profile(msgspec.Struct, array_like=True, gc=False):
    """The attributes of one customer, kinds apart, by numbers of the dictionaries.

    Not known to the garbage collector, as it holds no cycles: a million take a third of the time to decode.
    """

    strings: dict[int, int] = {}
    numbers: dict[int, float] = {}
    bools: dict[int, bool] = {}


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles of some customers, ascending, (n,) uint32: one of `records` each."""

    customers: NDArray[np.uint32]
    records: list[Profile]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Profile]).decode


def read(txn: Any, table: Any, customers: NDArray[np.uint32], cover: Cover) -> Profiles:
    """Read the profiles of some customers, ascending, (n,) uint32: of those that have one.

    `cover` is what they lie under. Raises `DamagedRecordError`.
    """
    if not len(customers):
        return Profiles(customers, [])
    first, last = int(customers[0]), int(customers[-1])
    if len(customers) * SCANNED > last - first:
        found, records = _scan(txn, table, customers)
    else:
        keys = _keys(customers)
        got = [txn.get(key, db=table) for key in keys]
        found = np.fromiter((record is not None for record in got), np.bool_, len(got))
        found, records = customers[found], [record for record in got if record is not None]
    try:
        keys = _keys(found)
        bare = list(map(unpack, records, keys))
        if cover.seals:
            bare = list(map(cover.open, bare, keys))
        return Profiles(found, _decode(b"".join((LIST_32, len(bare).to_bytes(4, "big"), *bare))))
    except (DamagedRecordError, msgspec.DecodeError) as error:
        raise DamagedRecordError(f"the profile of a customer numbered {first} to {last}") from error


def write(txn: Any, table: Any, profiles: Profiles, cover: Cover) -> None:
    """Keep the profiles of customers, under a cover."""
    for key, record in zip(_keys(profiles.customers), profiles.records, strict=True):
        txn.put(key, pack(cover.seal(_encode(record), key), key), db=table)


def upsert(
    txn: Any,
    table: Any,
    upserts: Sequence[Upsert],
    customers: Dictionary,
    names: Dictionary,
    values: Dictionary,
    cover: Cover,
) -> NDArray[np.uint32]:
    """Merge customer data into the profiles on disk. Return the customers concerned, ascending, (n,) uint32.

    New strings get numbers, in the order in which they come.
    """
    owners = customers.add_all([each.customer_id for each in upserts])
    changed = distinct(owners)
    named, numbered = number([each.data for each in upserts], names, values)
    before = read(txn, table, changed, cover)
    profiles = {customer: Profile() for customer in changed.tolist()}
    profiles.update(zip(before.customers.tolist(), before.records, strict=True))
    for owner, each in zip(owners.tolist(), upserts, strict=True):
        merge(profiles[owner], each.data, named, numbered)
    write(txn, table, Profiles(changed, list(profiles.values())), cover)
    return changed


def number(
    data: Sequence[Mapping[str, Scalar | None]], names: Dictionary, values: Dictionary
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the numbers of the attributes and of the strings of customer data, each looked up once."""
    attributes = list(dict.fromkeys(name for each in data for name in each))
    strings = list(dict.fromkeys(v for each in data for v in each.values() if isinstance(v, str)))
    return (
        dict(zip(attributes, names.add_all(attributes).tolist(), strict=True)),
        dict(zip(strings, values.add_all(strings).tolist(), strict=True)),
    )


def merge(
    profile: Profile, data: Mapping[str, Scalar | None], names: Mapping[str, int], values: Mapping[str, int]
) -> None:
    """Set the attributes of `data` in a profile, given their numbers; those set to None go."""
    strings, numbers, bools = profile.strings, profile.numbers, profile.bools
    for attribute, value in data.items():
        name = names[attribute]
        if strings:
            strings.pop(name, None)
        if numbers:
            numbers.pop(name, None)
        if bools:
            bools.pop(name, None)
        if isinstance(value, str):
            strings[name] = values[value]
        elif isinstance(value, bool):
            bools[name] = value
        elif value is not None:
            numbers[name] = value


def distinct(customers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return customers once each, ascending; 25 times as fast as `np.unique`."""
    ordered = np.sort(customers)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def _scan(txn: Any, table: Any, customers: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], list[bytes]]:
    """Read the records of customers by reading all from the first to the last."""
    keys, records = [], []
    last = int(customers[-1]).to_bytes(4, "big")
    with txn.cursor(db=table) as cursor:
        if cursor.set_range(int(customers[0]).to_bytes(4, "big")):
            for key, record in cursor:
                if key > last:
                    break
                keys.append(key)
                records.append(record)
    found = np.frombuffer(b"".join(keys), ">u4").astype(np.uint32)
    wanted = np.isin(found, customers, assume_unique=True)
    return found[wanted], list(compress(records, wanted.tolist()))


def _keys(customers: NDArray[np.uint32]) -> list[bytes]:
    joined = customers.astype(">u4").tobytes()
    return [joined[start : start + 4] for start in range(0, len(joined), 4)]
