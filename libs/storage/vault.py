"""How is something kept that a copy of the disk must not tell? Sealed with AES-256-GCM, by an envelope of keys.

Each environment has a data key of its own, kept in it, sealed by the master key (`libs.storage.master_key`). So the
master key can change without a server that knows it, and is asked for once, at the start: a wrong one is an error
there and then. What is sealed is bound to the place it stands at: moved to another record it does not open.

Sealed is: version (1 byte), salt (16 random bytes), nonce (12 random bytes), AES-GCM of the plaintext with its tag
(16 bytes). The key of AES-GCM is derived from the data key and the salt, by HKDF-SHA256: a vault takes a new salt for
each `SEALED_BY_ONE` records, as nonces drawn at random may repeat among the 2^32 of one key that NIST SP 800-38D
(8.3) allows. Version 1 has no salt and is sealed by the data key itself; it is read, and written no more.
"""

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from libs.storage.checked import DamagedRecordError
from libs.storage.environment import Environment
from libs.storage.master_key import KeyFault, MasterKey

VERSION, UNSALTED = b"\x02", b"\x01"
SALT_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD = len(VERSION) + SALT_BYTES + NONCE_BYTES + TAG_BYTES
"""Bytes that sealing adds."""
SEALED_BY_ONE = 1 << 24
"""Records sealed under one salt: that two of them get the same nonce has a chance of 2^-49."""
SALTS_AT_HAND = 1 << 10
"""Derived keys that are kept, as deriving one takes longer than opening a record."""
DATA_KEY = b"data_key"
"""Where in an environment's table of single values its data key is."""
DIGEST_BYTES = 16


class _Wrapped(msgspec.Struct):
    """A data key as it is kept: who sealed it, and it, sealed."""

    master_key_id: str
    sealed: bytes


class Vault:
    """Seals and opens by one data key. `scope` is bound into everything, so that environments are apart."""

    def __init__(self, secret: bytes, scope: bytes) -> None:
        self._secret = secret
        self._scope = scope
        self._unsalted = AESGCM(secret)
        self._cipher = lru_cache(SALTS_AT_HAND)(self._derived)
        self._left = 0
        self._salt = b""
        self._digest_key = self._subkey(b"digests")

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Seal bytes for one place, such as a record's id."""
        if self._left <= 0:
            self._salt, self._left = os.urandom(SALT_BYTES), SEALED_BY_ONE
        self._left -= 1
        salt, nonce = self._salt, os.urandom(NONCE_BYTES)
        return VERSION + salt + nonce + self._cipher(salt).encrypt(nonce, plain, self._bound(place))

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Return what was sealed for this place. Raises `DamagedRecordError` where it was not, or was changed."""
        version, start = sealed[:1], 1
        cipher = self._unsalted
        if version == VERSION:
            start += SALT_BYTES
        nonce, rest = sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :]
        if version not in (VERSION, UNSALTED) or len(rest) < TAG_BYTES:
            raise DamagedRecordError("a sealed record (in a form this version does not know)")
        if version == VERSION:
            cipher = self._cipher(sealed[1:start])
        try:
            return cipher.decrypt(nonce, rest, self._bound(place))
        except InvalidTag:
            raise DamagedRecordError("a sealed record (changed, moved, or sealed by another key)") from None

    def digest(self, data: bytes) -> bytes:
        """Return what can be compared with digests of this vault alone, (16,) bytes: BLAKE2b with a key."""
        return hashlib.blake2b(data, digest_size=DIGEST_BYTES, key=self._digest_key).digest()

    def _derived(self, salt: bytes) -> AESGCM:
        return AESGCM(self._subkey(b"seal", salt))

    def _subkey(self, purpose: bytes, salt: bytes | None = None) -> bytes:
        return HKDF(SHA256(), 32, salt, self._bound(purpose)).derive(self._secret)

    def _bound(self, place: bytes) -> bytes:
        return self._scope + b"\0" + place


def sealed_by(environment: Environment, txn: Any) -> str | None:
    """Return the id of the master key that an environment's data key is sealed by, None where it has none."""
    wrapped = _wrapped(environment, txn)
    return wrapped.master_key_id if wrapped else None


def data_key(environment: Environment, txn: Any) -> bytes | None:
    """Return an environment's data key as it is kept, which is another one for each vault; None where it has none."""
    found: bytes | None = txn.get(DATA_KEY, db=environment.meta)
    return found


def open_vault(environment: Environment, txn: Any, master: MasterKey | None) -> Vault:
    """Open the vault of an environment that has one. Raises `KeyFault` where `master` is not its key."""
    wrapped = _wrapped(environment, txn)
    assert wrapped is not None  # the caller has asked `sealed_by`
    check(environment, wrapped.master_key_id, master)
    assert master is not None
    try:
        secret = _master_vault(environment, master).open(wrapped.sealed, DATA_KEY)
    except DamagedRecordError:
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


def pick(known: Iterable[MasterKey], key_id: str) -> MasterKey | None:
    """Return the key of an id among those at hand; another one, for `check` to name, where it is not."""
    by_id = {key.key_id: key for key in known}
    return by_id.get(key_id) or next(iter(by_id.values()), None)


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
    found = data_key(environment, txn)
    return msgspec.msgpack.decode(found, type=_Wrapped) if found else None


def _master_vault(environment: Environment, master: MasterKey) -> Vault:
    return Vault(master.secret, b"data key of " + environment.kind.encode())
