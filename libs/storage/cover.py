"""How does a record lie on disk that may have to be kept from who reads the disk? Bare, or sealed for its place.

A table or a file is covered as a whole. Whoever reads and writes records puts them through a cover and need not know
which it is.
"""

from typing import Protocol

from libs.storage.vault import OVERHEAD, Vault


class Cover(Protocol):
    """What records are put under."""

    @property
    def seals(self) -> bool:
        """Whether records cannot be read without a key."""

    @property
    def overhead(self) -> int:
        """How many bytes a record is longer for it."""

    def seal(self, data: bytes, key: bytes) -> bytes:
        """Return data as it is to be stored under a key."""

    def open(self, record: bytes, key: bytes) -> bytes:
        """Return what was stored under a key. Raises `libs.storage.checked.DamagedRecordError`."""


class _Bare:
    """Leaves records as they are."""

    seals, overhead = False, 0

    def seal(self, data: bytes, key: bytes) -> bytes:
        return data

    def open(self, record: bytes, key: bytes) -> bytes:
        return record


BARE: Cover = _Bare()


class Sealed:
    """Seals records by a vault, each for its key in what `name` names: a table, a file."""

    seals, overhead = True, OVERHEAD

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault = vault
        self._place = name.encode() + b"\0"

    def seal(self, data: bytes, key: bytes) -> bytes:
        """Seal data for a key."""
        return self._vault.seal(data, self._place + key)

    def open(self, record: bytes, key: bytes) -> bytes:
        """Open what was sealed for a key. Raises `DamagedRecordError`."""
        return self._vault.open(record, self._place + key)


def covering(vault: Vault | None, name: str) -> Cover:
    """Return what covers the records of the table or file of a name, where there is a vault or none."""
    return Sealed(vault, name) if vault else BARE
