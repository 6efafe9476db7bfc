"""What of syncs is sealed, and how does that come about? Settings of destinations, and what comes of profiles.

An access token, a signing secret, and the URL of a webhook, which may be a secret itself, so never reach the disk
as they are, nor do the answers that show a URL, kept for the request ids they were given to; nor do pages under way,
which show profiles, or the keys that were made of profiles. All of it is bound to the record it stands in. A store of
an older version is sealed when it is opened, and its file written anew. Neighbours: `libs.storage.vault`,
`services.sync.store`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from libs.storage import requests, vault
from libs.storage.cover import covering
from libs.storage.environment import Environment, records_in_turn
from libs.storage.master_key import MasterKey, Masters
from libs.storage.vault import Vault
from services.sync import delivered, in_flight, plans, refusals
from services.sync.model import Destination, DestinationId, Settings

VERSION = 3
"""The format since which all that comes of profiles is sealed; settings of destinations are since 2."""
REWRITE_DUE = b"rewrite_due"
"""Set in the transaction after which bytes of what it replaced are still in the file."""
TABLE = "destinations"
SEALED_TABLES = (*in_flight.TABLES, plans.PLANS, plans.STAGED, refusals.ROWS)
"""The tables whose values are sealed whole."""
HOLDING = (TABLE, delivered.ROWS, requests.IDS, *SEALED_TABLES)
"""The tables in which something is sealed."""


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
    """Read a destination. Raises `libs.storage.checked.DamagedRecordError` where its settings do not open."""
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
    """Return the vault of a store; what an older version did not seal is sealed now.

    A store in which nothing is sealed yet opens by any key, as where a backup was brought back without its own.
    Raises `libs.storage.master_key.KeyFault`; nothing is changed then.
    """
    with environment.read() as txn:
        sealed_by = vault.sealed_by(environment, txn)
        is_bare = not any(txn.stat(environment[name])["entries"] for name in HOLDING)
    master = masters.present()
    if sealed_by is None or (is_bare and (master is None or master.key_id != sealed_by)):
        sealed_by, master = None, masters.ensure()
    if sealed_by is None or environment.found_version < VERSION:
        with environment.write() as txn:
            opened = _seal_all(environment, txn, sealed_by, master)
    else:
        with environment.read() as txn:
            opened = vault.open_vault(environment, txn, master)
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
        if sealed_by is None or environment.found_version < VERSION:
            at_hand = new if sealed_by is None else vault.pick(known, sealed_by)
            before = _seal_all(environment, txn, sealed_by, at_hand)
        else:
            before = vault.open_vault(environment, txn, vault.pick(known, sealed_by))
        if sealed_by is not None:
            after = vault.make_vault(environment, txn, new)
            _seal_destinations(environment, txn, before, after)
            _recover(environment, txn, before, after)
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


def _seal_all(environment: Environment, txn: Any, sealed_by: str | None, master: MasterKey | None) -> Vault:
    """Seal what a store holds that an older version wrote, or a new one: all, or what is not sealed yet."""
    if sealed_by is None:
        assert master is not None
        made = vault.make_vault(environment, txn, master)
        _seal_destinations(environment, txn, None, made)
    else:
        made = vault.open_vault(environment, txn, master)
    _recover(environment, txn, None, made)
    if environment.found_version < VERSION:
        txn.put(REWRITE_DUE, b"1", db=environment.meta)
    environment.set_format(txn)
    return made


def _seal_destinations(environment: Environment, txn: Any, before: Vault | None, after: Vault) -> None:
    for key, record in records_in_turn(txn, environment[TABLE]):
        bare = decode(record, before) if before else msgspec.msgpack.decode(record, type=Destination)
        txn.put(key, encode(bare, after), db=environment[TABLE])


def _recover(environment: Environment, txn: Any, before: Vault | None, after: Vault) -> None:
    """Put all that comes of profiles under another vault, and what is kept of requests."""
    delivered.recover(environment, txn, before, after)
    requests.recover(environment, txn, before, after)
    for name in SEALED_TABLES:
        bare, sealed = covering(before, name), covering(after, name)
        for key, record in records_in_turn(txn, environment[name]):
            txn.put(key, sealed.seal(bare.open(record, key), key), db=environment[name])
