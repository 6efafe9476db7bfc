"""When is a log another one? When it was brought back from a backup: what was told of it since may not be so now.

With a new id, revisions, page tokens and numbers of customers from before are refused rather than confused.
"""

import os
from pathlib import Path

from libs.events.log import IDENTITY, open_environment
from libs.storage.checked import pack


def renew_identity(folder: Path) -> None:
    """Give the log in a folder a new id; its seed stays, as what is hashed with it does. Raises `StorageError`."""
    environment = open_environment(folder)
    try:
        with environment.write() as txn:
            log_id = os.urandom(8)
            txn.put(b"log_id", log_id, db=environment.meta)
            txn.put(IDENTITY, pack(log_id + txn.get(b"seed", db=environment.meta)), db=environment.meta)
    finally:
        environment.close()
