"""How is something kept that a copy of the disk must not tell? Sealed with AES-256-GCM, by an envelope of keys.

Each environment has a data key of its own, kept in it, sealed by the master key (`libs.storage.master_key`). So the
master key can change without a server that knows it, and is asked for once, at the start: a wrong one is an error
there and then. What is sealed is bound to the place it stands at: moved to another record it does not open.

Sealed is: version (1 byte), nonce (12 random bytes), AES-GCM of the plaintext with its tag (16 bytes).
"""

import os
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.storage.environment import Damaged, Environment
from libs.storage.master_key import KeyFault, MasterKey

VERSION = b"\x01"
NONCE_BYTES = 12
OVERHEAD = len(VERSION) + NONCE_BYTES + 16
"""Bytes that sealing adds."""
DATA_KEY = b"data_key"
"""Where in an environment's table of single values its data key is."""


class _Wrapped(msgspec.Struct):
    """A data key as it is kept: who sealed it, and it, sealed."""

    master_key_id: str
    sealed: bytes


class Vault:
    """Seals and opens by one data key. `scope` is bound into everything, so that environments are apart."""

    def __init__(self, secret: bytes, scope: bytes) -> None:
        self._cipher = AESGCM(secret)
        self._scope = scope

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Seal bytes for one place, such as a record's id."""
        nonce = os.urandom(NONCE_BYTES)
        return VERSION + nonce + self._cipher.encrypt(nonce, plain, self._bound(place))

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Return what was sealed for this place. Raises `Damaged` where it was not, or was changed."""
        start = len(VERSION)
        nonce, rest = sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :]
        if sealed[:start] != VERSION or len(sealed) < OVERHEAD:
            raise Damaged("a sealed record is not in the form this version writes")
        try:
            return self._cipher.decrypt(nonce, rest, self._bound(place))
        except InvalidTag:
            raise Damaged("a sealed record was changed, moved, or sealed by another key") from None

    def _bound(self, place: bytes) -> bytes:
        return self._scope + b"\0" + place


def sealed_by(environment: Environment, txn: Any) -> str | None:
    """Return the id of the master key that an environment's data key is sealed by, None where it has none."""
    wrapped = _wrapped(environment, txn)
    return wrapped.master_key_id if wrapped else None


def open_vault(environment: Environment, txn: Any, master: MasterKey | None) -> Vault:
    """Open the vault of an environment that has one. Raises `KeyFault` where `master` is not its key."""
    wrapped = _wrapped(environment, txn)
    assert wrapped is not None  # the caller has asked `sealed_by`
    check(environment, wrapped.master_key_id, master)
    assert master is not None
    try:
        secret = _master_vault(environment, master).open(wrapped.sealed, DATA_KEY)
    except Damaged:
        raise KeyFault(
            f"the data key of {environment.folder} cannot be opened with master key {master.key_id}: it is damaged; "
            f"restore it from a backup"
        ) from None
    return Vault(secret, environment.kind.encode())


def make_vault(environment: Environment, txn: Any, master: MasterKey) -> Vault:
    """Give an environment a new data key, in place of one it may have had."""
    secret = AESGCM.generate_key(bit_length=256)
    sealed = _master_vault(environment, master).seal(secret, DATA_KEY)
    txn.put(DATA_KEY, msgspec.msgpack.encode(_Wrapped(master.key_id, sealed)), db=environment.meta)
    return Vault(secret, environment.kind.encode())


def check(environment: Environment, key_id: str, master: MasterKey | None) -> None:
    """Raise `KeyFault`, which says what to do, unless this is the master key of this id."""
    if master is None:
        raise KeyFault(
            f"{environment.folder} is sealed by master key {key_id} and no master key is given: set "
            f"COHORT_MASTER_KEY_FILE or --master-key-file; nothing was changed"
        )
    if master.key_id != key_id:
        raise KeyFault(
            f"{environment.folder} is sealed by master key {key_id}, and the one given ({master.source}) is "
            f"{master.key_id}: give the right one, or change keys with `cohort secrets rotate`; nothing was changed"
        )


def _wrapped(environment: Environment, txn: Any) -> _Wrapped | None:
    found = txn.get(DATA_KEY, db=environment.meta)
    return msgspec.msgpack.decode(found, type=_Wrapped) if found else None


def _master_vault(environment: Environment, master: MasterKey) -> Vault:
    return Vault(master.secret, b"data key of " + environment.kind.encode())
