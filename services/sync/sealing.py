"""How are the secrets of destinations kept? Their settings as a whole are sealed, each bound to its destination.

An access token, a signing secret, and the URL of a webhook, which may be a secret itself, so never reach the disk as
they are. A store of an older version is sealed when it is opened, and its file written anew. Neighbours:
`libs.storage.vault`, `services.sync.store`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from libs.storage import vault
from libs.storage.environment import Environment, scan
from libs.storage.master_key import MasterKey, Masters
from libs.storage.vault import Vault
from services.sync.model import Destination, DestinationId, Settings

SEALED_VERSION = 2
"""The format since which settings are sealed."""
REWRITE_DUE = b"rewrite_due"
"""Set in the transaction after which bytes of what it replaced are still in the file."""
TABLE = "destinations"


class Kept(msgspec.Struct, frozen=True):
    """A destination as it is kept: `settings` are sealed."""

    destination_id: DestinationId
    name: str
    settings: bytes
    create_time: int
    update_time: int


def encode(destination: Destination, by: Vault) -> bytes:
    """Write a destination, sealed."""
    settings = msgspec.msgpack.encode(destination.settings)
    kept = Kept(
        destination.destination_id,
        destination.name,
        by.seal(settings, destination.destination_id.encode()),
        destination.create_time,
        destination.update_time,
    )
    return msgspec.msgpack.encode(kept)


def decode(record: bytes, by: Vault) -> Destination:
    """Read a destination. Raises `libs.storage.environment.Damaged` where its settings do not open."""
    kept = msgspec.msgpack.decode(record, type=Kept)
    settings = by.open(kept.settings, kept.destination_id.encode())
    return Destination(
        kept.destination_id,
        kept.name,
        msgspec.msgpack.decode(settings, type=Settings),
        kept.create_time,
        kept.update_time,
    )


def unlock(environment: Environment, masters: Masters) -> Vault:
    """Return the vault of a store, sealing one that is not sealed yet.

    Raises `libs.storage.master_key.KeyFault`; nothing is changed then.
    """
    with environment.read() as txn:
        sealed_by = vault.sealed_by(environment, txn)
    if sealed_by is None:
        master = masters.ensure()
        with environment.write() as txn:
            opened = _seal_all(environment, txn, master)
    else:
        with environment.read() as txn:
            opened = vault.open_vault(environment, txn, masters.present())
    finish(environment)
    return opened


def rotate(environment: Environment, known: Iterable[MasterKey], new: MasterKey) -> bool:
    """Seal a store by another master key, with another data key; False where it is sealed by that one already.

    `known` are the keys at hand. Raises `KeyFault` where none of them is the one of now; nothing is changed then.
    """
    with environment.write() as txn:
        sealed_by = vault.sealed_by(environment, txn)
        if sealed_by == new.key_id:
            return False
        if sealed_by is None:
            _seal_all(environment, txn, new)
        else:
            old = {key.key_id: key for key in known}
            before = vault.open_vault(environment, txn, old.get(sealed_by) or next(iter(old.values()), None))
            after = vault.make_vault(environment, txn, new)
            for key, record in list(scan(txn, environment[TABLE])):
                txn.put(key, encode(decode(record, before), after), db=environment[TABLE])
            txn.put(REWRITE_DUE, b"1", db=environment.meta)
    finish(environment)
    return True


def finish(environment: Environment) -> None:
    """Write the file anew where a transaction has left something behind in it."""
    with environment.read() as txn:
        due = txn.get(REWRITE_DUE, db=environment.meta)
    if due:
        environment.rewrite()
        with environment.write() as txn:
            txn.delete(REWRITE_DUE, db=environment.meta)


def _seal_all(environment: Environment, txn: Any, master: MasterKey) -> Vault:
    """Seal a store that an older version wrote, or a new one."""
    made = vault.make_vault(environment, txn, master)
    for key, record in list(scan(txn, environment[TABLE])):
        destination = msgspec.msgpack.decode(record, type=Destination)
        txn.put(key, encode(destination, made), db=environment[TABLE])
        txn.put(REWRITE_DUE, b"1", db=environment.meta)
    environment.set_format(txn)
    return made
