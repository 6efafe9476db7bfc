"""What does a key cost a call? Times the check alone, in this process: `python -m tests.bench.access`."""

import tempfile
import timeit
from pathlib import Path

from libs.rpc.access import Keys, enter
from libs.storage.directory import Change, Directory, new_secret
from libs.storage.key_use import KeyUse
from services.ingest.keys import made

KEYS = 1_000
ROUNDS = 50_000
RPC = "cohort.v1.CohortService.CheckMembership"


def main() -> None:
    """Print microseconds a check, with a thousand keys."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Directory(Path(folder), writable=True)
        secret = ""

        def change(changes: Change) -> tuple[bytes, bytes]:
            nonlocal secret
            for number in range(KEYS):
                key, secret = made(f"key {number}", ["read"], project_id="default", now=0)
                changes.add_key(key)
            return b"", b""

        directory.mutate(None, 0, change)
        keys = Keys(directory, new_secret(), use=KeyUse(Path(folder), "bench"))
        metadata = (("user-agent", "grpc-python"), ("authorization", f"Bearer {secret}"))

        def check() -> None:
            who = keys.identify(metadata)
            who.check(RPC)
            enter(who)

        best = min(timeit.repeat(check, number=ROUNDS, repeat=5)) / ROUNDS
        print(f"{best * 1e6:.2f} µs a call, with {KEYS:,} keys")
        directory.close()


if __name__ == "__main__":
    main()
