"""Is a flipped byte found, or of no consequence? `python -m tests.faults.flips DATA_DIR TIMES [SEED [pages]]`.

Flips one byte of a file at a time and runs the check of its part in a process of its own, as `cohort verify` does.
Prints for each file how often the damage was found, ended the process that reads (which `cohort verify` reports),
changed nothing that is stored, or was MISSED: the stored records are others, and nothing was said.
"""

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import structlog
import xxhash

from libs.cli.parts import parts_of
from libs.cli.verify_part import steps
from libs.storage.verify import Finding, Given

FOUND, UNCHANGED, MISSED = 10, 11, 12
NAMES = {FOUND: "found", UNCHANGED: "unchanged", MISSED: "MISSED"}
SECONDS = 20
"""What goes round in circles in a damaged page is ended by an alarm, and found by that."""
BESIDE = ("lock.mdb", "writer.lock", "master.key")
"""Files without content."""


def digest(folder: Path) -> str:
    """Hash every record of an environment."""
    digest = xxhash.xxh3_128()
    options: dict[str, Any] = {"readonly": True, "lock": False, "max_dbs": 64, "map_size": 1 << 40}
    with lmdb.open(os.fspath(folder), **options) as environment:
        with environment.begin() as txn:
            names = list(txn.cursor().iternext(values=False))
        for name in names:
            table = environment.open_db(name, create=False)
            with environment.begin(db=table) as txn:
                for key, value in txn.cursor():
                    digest.update(b"%d %d " % (len(key), len(value)) + key + value)
    return digest.hexdigest()


def targets(data_dir: Path, *, pages_alone: bool) -> Iterator[tuple[str, Path, Path]]:
    """Yield kind of check, folder and file of everything that is checked; with `pages_alone` of LMDB's files."""
    for part in parts_of(data_dir):
        yield part.kind, part.folder, part.data
        for path in sorted(part.folder.rglob("*")):
            if (
                not pages_alone
                and path.is_file()
                and path != part.data
                and path.name not in BESIDE
                and part.kind == "log"
            ):
                yield ("index" if path.parent.name == "index" else "log"), part.folder, path


def outcome(data_dir: Path, kind: str, folder: Path, path: Path, before: str) -> int:
    """Check a part in a forked process; return what it says, or minus the signal that ended it."""
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        checked = folder / "index" if kind == "index" else folder
        try:
            found = any(isinstance(step, Finding) for step in steps(kind, checked, Given(data_dir)))
            same = path.name != "data.mdb" or found or digest(folder) == before
        except Exception:
            found, same = True, False
        os._exit(FOUND if found else UNCHANGED if same and path.name == "data.mdb" else MISSED)
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def flip(data_dir: Path, times: int, seed: int = 1, *, pages_alone: bool = False) -> dict[Path, Counter[str]]:
    """Flip bytes, so many of each file, one at a time; return what became of them."""
    chance, counts = random.Random(seed), dict[Path, Counter[str]]()
    for kind, folder, path in targets(data_dir, pages_alone=pages_alone):
        before = digest(folder)
        counts[path] = Counter()
        for _ in range(times):
            with path.open("r+b", buffering=0) as file:
                place = chance.randrange(os.fstat(file.fileno()).st_size)
                old = os.pread(file.fileno(), 1, place)
                os.pwrite(file.fileno(), bytes((old[0] ^ chance.randint(1, 255),)), place)
                result = outcome(data_dir, kind, folder, path, before)
                os.pwrite(file.fileno(), old, place)
            counts[path][NAMES.get(result, "ended")] += 1
            if result == MISSED:
                print(f"missed: byte {place} of {path}, page {place // 4096}", flush=True)
    return counts


def main(data_dir: str, times: str, seed: str = "1", pages: str = "") -> int:
    """Flip bytes and print what became of them; 1 where one was missed."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    counts = flip(Path(data_dir), int(times), int(seed), pages_alone=bool(pages))
    for path, each in counts.items():
        print(path.relative_to(data_dir), dict(each))
    return any(each["MISSED"] for each in counts.values())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
