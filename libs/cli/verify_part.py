"""What does one part of a data directory hold that was not written so?

    python -m libs.cli.verify_part DATA_DIR KIND FOLDER

A process of its own for each part: LMDB trusts its pages, and a damaged one may end the process that reads it. It
prints a line of JSON for each step: bytes read, a finding, or a note. The master key, if any, is that of the
environment or the one kept in the data directory.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import msgspec

from libs.storage import master_key
from libs.storage.failures import Absent
from libs.storage.master_key import Masters
from libs.storage.verify import Finding, Given, Note, Step, whole

CHECKS = {
    "projects": "libs.storage.directory_verify",
    "log": "libs.events.verify",
    "index": "libs.cli.verify_index",
    "cohort": "services.cohort.verify",
    "sync": "services.sync.verify",
}
"""The modules with the checks; the one that is wanted is imported, as each process would pay for all."""


def main(data_dir: str, kind: str, folder: str) -> None:
    """Check a part."""
    home = Path(data_dir)
    try:
        master = Masters(home, master_key.given(os.environ, None)).present()
    except master_key.KeyFault:
        master = None  # said by `cohort verify` itself
    given = Given(home, master)
    for step in steps(kind, Path(folder), given):
        if isinstance(step, int):
            line: dict[str, object] = {"read": step}
        else:
            line = {"note": step.what} if isinstance(step, Note) else {"finding": asdict(step)}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        sys.stdout.flush()


def steps(kind: str, folder: Path, given: Given) -> Iterator[Step]:
    """Check a part. An environment with a file and nothing in it is one whose first pages are damaged."""
    check = import_module(CHECKS[kind]).check
    try:
        yield from whole(lambda: check(folder, given), folder)
    except Absent as error:
        yield Finding(str(folder / "data.mdb"), f"{error}, though there is a file")


if __name__ == "__main__":
    main(*sys.argv[1:])
