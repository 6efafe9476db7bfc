"""What is uploaded for a customer? A row of normalised values, hashed, and its form that is kept.

The kept form is MessagePack: a bit mask of the columns, then a value for each: 32 bytes for a hash, text for
what is not hashed, nil for a missing one. It says all that a removal needs, so a row goes out as it came in
even where the destination's keys have been changed since. A value that is SHA-256 in hex already is taken as the
hash of a normalised value, once, in lower case, and is not hashed again.
"""

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache, partial

import msgspec

from services.sync.destinations.base import INVALID, UNMATCHED, Unmatchable
from services.sync.destinations.facebook.keys import MATCH_KEYS, MatchKey
from services.sync.destinations.facebook.normalise import NORMALISE, country_code
from services.sync.members import Member
from services.sync.model import FacebookSettings

LIMITED = 1 << 31
"""The bit of rows that go out under Limited Data Use."""
LIMITED_COLUMN = "DATA_PROCESSING_OPTIONS"
LIMITED_VALUE = ("LDU",)
SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
CACHED_VALUES = 1 << 16
"""How many hashes of a low-cardinality key (gender, country, …) are kept: some 10 MB when full."""
AT_HOME = frozenset({"PHONE", "ST", "ZIP"})
"""Keys that are written otherwise in different countries."""
CACHED_KEYS = frozenset({"GEN", "DOBY", "DOBM", "DOBD", "FN", "LN", "CT", "ST", "ZIP", "COUNTRY"})

Cell = bytes | str | None
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class Matcher:
    """Makes the rows of one destination."""

    def __init__(self, settings: FacebookSettings) -> None:
        keys = [key for key in MATCH_KEYS if key.name in settings.match_keys]
        attributes = {**{key.name: key.attribute for key in MATCH_KEYS}, **settings.match_attributes}
        self._country = attributes["COUNTRY"]
        self._default_country = settings.default_country.lower()
        self._mask = sum(1 << MATCH_KEYS.index(key) for key in keys)
        if settings.limited_data_use:
            self._mask |= LIMITED
        self._columns = [
            (attributes[key.name], _cell_maker(key), key.distinct, key.name in AT_HOME, key.name == "PHONE")
            for key in keys
        ]
        self._needs_home = any(key.name in AT_HOME for key in keys)
        wanted = [attributes[key.name] for key in keys if attributes[key.name]]
        self.attributes = tuple(dict.fromkeys([*wanted, *([self._country] if self._needs_home else [])]))

    def row(self, member: Member) -> bytes | Unmatchable:
        """Return a customer's row in its kept form, or why there is none."""
        profile, customer_id = member.profile, member.entry.customer_id
        home = _text(profile.get(self._country)) if self._needs_home else ""
        home = country_code(home) if home else ""
        cells: list[Cell] = []
        matchable = tried = False
        for attribute, make, distinct, at_home, is_phone in self._columns:
            value = _text(profile.get(attribute)) if attribute else customer_id
            cell = None
            if value:
                country = home if at_home else ""
                cell = make(value, country or self._default_country if is_phone else country)
                tried = tried or distinct
            cells.append(cell)
            matchable = matchable or (distinct and cell is not None)
        if not matchable:
            return Unmatchable(INVALID if tried else UNMATCHED)
        return _encoder.encode([self._mask, *cells])


def upload_form(row: bytes) -> tuple[tuple[str, ...], list[object]]:
    """Return the schema of a kept row, and its values as they are uploaded: hex, text, "" where missing."""
    mask, *cells = _decoder.decode(row)
    values: list[object] = [cell.hex() if isinstance(cell, bytes) else cell or "" for cell in cells]
    if mask & LIMITED:
        values.append(list(LIMITED_VALUE))
    return schema_of(mask), values


@lru_cache(maxsize=256)
def schema_of(mask: int) -> tuple[str, ...]:
    """Return the columns of a mask, in order."""
    names = tuple(key.name for bit, key in enumerate(MATCH_KEYS) if mask >> bit & 1)
    return (*names, LIMITED_COLUMN) if mask & LIMITED else names


def _cell_maker(key: MatchKey) -> Callable[[str, str], Cell]:
    make = partial(_hashed if key.hashed else _plain, key.name)
    return lru_cache(CACHED_VALUES)(make) if key.name in CACHED_KEYS else make


def _hashed(key: str, value: str, country: str) -> Cell:
    if len(value) == 64 and SHA256_HEX.fullmatch(value):
        return bytes.fromhex(value)
    normal = NORMALISE[key](value, country)
    return hashlib.sha256(normal.encode()).digest() if normal else None


def _plain(key: str, value: str, country: str) -> Cell:
    return NORMALISE[key](value, country) or None


def _text(value: str | float | int | bool | None) -> str:
    """Return a value as text; numbers only where they are whole, as no key is anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
