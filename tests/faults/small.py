"""A server whose tails, runs and files are small: `python -m tests.faults.small serve …`.

So a kill within a second of work meets sealing, merging in a process and every file kept for a start.
"""

from libs.cli.main import main
from libs.engine import Engine
from libs.events import dedupe, string_index
from libs.index import profile_store, sealer

SEAL_ROWS = 400


def make_small() -> None:
    """Do every few commits what a server does every few thousand."""
    dedupe.KEPT_ROWS, dedupe.BUFFER_IDS, dedupe.MANY = 150, 64, 40
    string_index.LEAST = 60
    profile_store.CHANGED, profile_store.REVISIONS = 8, 16
    sealer.PROCESS_ROWS, sealer.RETRY_SECONDS = 3 * SEAL_ROWS, 0.2
    defaults = Engine.__init__.__kwdefaults__
    assert defaults is not None
    defaults["seal_rows"] = SEAL_ROWS


if __name__ == "__main__":
    make_small()
    main()
