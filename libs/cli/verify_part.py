"""What does one part of a data directory hold that was not written so? `python -m libs.cli.verify_part KIND FOLDER`.

A process of its own for each part: LMDB trusts its pages, and a damaged one may end the process that reads it. It
prints a line of JSON for each step: bytes read, or a finding.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import msgspec

from libs.storage.environment import Absent
from libs.storage.verify import Finding, Step, whole

CHECKS = {
    "projects": "libs.storage.directory_verify",
    "log": "libs.events.verify",
    "index": "libs.cli.verify_index",
    "cohort": "services.cohort.verify",
    "sync": "services.sync.verify",
}
"""The modules with the checks; the one that is wanted is imported, as each process would pay for all."""


def main(kind: str, folder: str) -> None:
    """Check a part."""
    path = Path(folder)
    for step in steps(kind, path):
        line = {"read": step} if isinstance(step, int) else {"finding": asdict(step)}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        sys.stdout.flush()


def steps(kind: str, folder: Path) -> Iterator[Step]:
    """Check a part. An environment with a file and nothing in it is one whose first pages are damaged."""
    try:
        yield from whole(lambda: import_module(CHECKS[kind]).check(folder), folder)
    except Absent as error:
        yield Finding(str(folder / "data.mdb"), f"{error}, though there is a file")


if __name__ == "__main__":
    main(*sys.argv[1:])
