"""How is what profiles say kept from who reads the disk? Sealed, from the moment it is asked for.

Sealed are, in the log, the records of profiles, the strings of values, which events and profiles share, and what is
kept of request ids; and the files that a start reads of profiles and values. Not sealed are ids of customers and
events, names of event types and attributes, and numbers and times of events. A log that has a data key is sealed,
whatever later starts ask for. One that held something before is sealed in one transaction, and what lies in its file
from before is overwritten behind it. Neighbours: `libs.storage.vault` seals; `libs.events.log` asks.
"""

from collections.abc import Iterable
from typing import Any

import structlog

from libs import failpoints
from libs.storage import requests, vault
from libs.storage.checked import pack, unpack
from libs.storage.cover import covering
from libs.storage.environment import Environment, records_in_turn
from libs.storage.master_key import MasterKey, Masters
from libs.storage.trees import WipeError
from libs.storage.vault import Vault

PROFILES, VALUES = "profiles", "values"
"""The tables that are sealed, and what is sealed of each by name."""
INDEX_OF_VALUES, TABLE_OF_PROFILES = "dictionaries/values", "index/profiles"
"""The files that are sealed, below the log's folder."""

log = structlog.get_logger()


def seal(environment: Environment, masters: Masters) -> None:
    """Seal a log that is not, for whoever may write it. Raises `KeyFault`, `Overloaded`: nothing was changed then.

    Another process may read the log meanwhile: it finds the data key, and goes on under that.
    """
    with environment.read() as txn:
        if vault.sealed_by(environment, txn) is not None:
            return
    master = masters.ensure()
    _drop_files(environment)
    with environment.write() as txn:
        made = vault.make_vault(environment, txn, master)
        held = _recover(environment, txn, None, made)
        environment.set_format(txn)
        if held:
            environment.mark_erased(txn)
    if held:
        log.info("profiles sealed", records=held, master_key=master.key_id)
        overwrite(environment)


def rotate(environment: Environment, known: Iterable[MasterKey], new: MasterKey) -> bool:
    """Seal a log by another master key, with another data key; False where there is nothing to do.

    `known` are the keys at hand. Raises `KeyFault` where none of them is the one of now; nothing is changed then.
    """
    with environment.write() as txn:
        sealed_by = vault.sealed_by(environment, txn)
        if sealed_by in (None, new.key_id):
            return False
        before = vault.open_vault(environment, txn, vault.pick(known, sealed_by))
        after = vault.make_vault(environment, txn, new)
        _recover(environment, txn, before, after)
        environment.mark_erased(txn)
    _drop_files(environment)
    overwrite(environment)
    return True


def overwrite(environment: Environment) -> None:
    """Overwrite what lies in the file from before; a compaction does so later where somebody reads just now."""
    try:
        environment.wipe()
    except WipeError as error:
        log.warning(
            "what was there before it was sealed is overwritten by the next compaction", why=str(error)
        )


def _recover(environment: Environment, txn: Any, before: Vault | None, after: Vault) -> int:
    """Put every record that is to be sealed under another vault; return how many."""
    count = 0
    for name, checked_with_key in ((PROFILES, True), (VALUES, False)):
        table, bare, sealed = environment[name], covering(before, name), covering(after, name)
        for key, record in records_in_turn(txn, table):
            checked = key if checked_with_key else b""
            data = sealed.seal(bare.open(unpack(record, checked), key), key)
            txn.put(key, pack(data, checked), db=table)
            count += 1
    requests.recover(environment, txn, before, after)
    failpoints.hit("encrypt")
    return count


def _drop_files(environment: Environment) -> None:
    """Delete the files that are to be sealed: they are derived from the log again."""
    for name in (INDEX_OF_VALUES, TABLE_OF_PROFILES):
        (environment.folder / name).unlink(missing_ok=True)
