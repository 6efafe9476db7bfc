"""How is one target fuzzed? `python -m tests.fuzz.one TARGET RUNS FOLDER`: by libFuzzer, guided by coverage.

In a process of its own: it ends with the runs, at the first finding (an exception that no client would be told, a
crash, a hang of 20 s, more than 2 GiB), or when it is killed. What it counted is in FOLDER/TARGET.json; a finding is
in FOLDER too, and is repeated by giving its file as RUNS.

`… TARGET RUNS FOLDER replay` runs what was found interesting again, without libFuzzer, and counts how memory grows:
following coverage takes memory of its own.
"""

import json
import sys
from collections import Counter
from itertools import cycle, islice
from pathlib import Path

import atheris

from libs.cli.errors import Failed
from libs.errors import Fault
from tests.fuzz import targets
from tests.fuzz.targets import GUIDED_BY, Run

KEPT_EVERY = 1_000
HANG_SECONDS = 20
MOST_MIB = 2_048
LONGEST = 4_096


def resident() -> int:
    """Return the bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


class Counted:
    """A target with what came of it."""

    def __init__(self, run: Run, runs: int, file: Path) -> None:
        self._run, self._file, self._total = run, file, runs
        self._done = 0
        self._errors: Counter[str] = Counter()

    def __call__(self, data: bytes) -> None:
        """Run it once."""
        try:
            self._run(data)
        except Fault as fault:
            self._errors[fault.reason] += 1
        except Failed:
            self._errors["FAILED"] += 1
        self._done += 1
        if self._done % KEPT_EVERY == 0 or self._done == self._total:
            found = {"executions": self._done, "errors": dict(self._errors)}
            self._file.write_text(json.dumps(found), encoding="utf-8")


def fuzz(name: str, runs: int, folder: Path) -> None:
    """Fuzz a target. Does not return."""
    with atheris.instrument_imports(include=list(GUIDED_BY.get(name, ("libs", "services", "lark")))):
        target = targets.make(name)
    corpus = folder / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        *(sys.argv[0], str(corpus), f"-runs={runs}", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MOST_MIB}"),
        *(f"-max_len={LONGEST}", f"-artifact_prefix={folder / name}-", "-print_final_stats=1"),
    ]
    atheris.Setup(arguments, Counted(target.run, runs, folder / f"{name}.json"))
    atheris.Fuzz()


def replay(name: str, runs: int, folder: Path) -> None:
    """Run the corpus of a target again and again, so many times in all; keep how memory grew behind a third."""
    counted = Counted(targets.make(name).run, runs, folder / f"{name}-replay.json")
    corpus = [file.read_bytes() for file in sorted((folder / "corpus" / name).iterdir())]
    settled = 0
    for place, data in enumerate(islice(cycle(corpus), runs)):
        if place == runs // 3:
            settled = resident()
        counted(data)
    (folder / f"{name}-growth").write_text(str(resident() - settled), encoding="ascii")


def main() -> None:
    """Fuzz a target, repeat a finding, or replay."""
    name, runs, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if not runs.isdecimal():
        targets.make(name).run(Path(runs).read_bytes())
    elif sys.argv[4:] == ["replay"]:
        replay(name, int(runs), folder)
    else:
        fuzz(name, int(runs), folder)


if __name__ == "__main__":
    main()
