"""What is lost or doubled when a server is killed at every step of what it writes? `make faults`: a table.

Each line is a fault: a server under the load of several clients is killed at that step (or fails there, or runs
out of room), its data directory is compared with what the clients were told, and it is started again, as often
as asked for. Everything in the table but the times tried and the recovery must be 0. Half-way servers are told to
encrypt profiles, so that what was there is sealed, and the rest happens to a log that is.

    python -m tests.faults.matrix [--times 20] [--only STEP,…] [--kinds kill,error,full,any] [--seed 1]
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from libs import failpoints
from tests.faults import load
from tests.faults.check import Verdict, check, check_cohorts
from tests.faults.load import Client
from tests.faults.server import Server

CLIENTS = 3
RUN_SECONDS = 6.0
"""How long a server may take to reach the step at which it dies; then it is killed where it is."""
POLL_SECONDS = 0.05
OFTEN = ("dictionary", "profile", "block", "request", "commit", "committed", "answer")
"""Steps of every commit."""
ELSEWHERE = ("delivered", "delivered.committed", "wipe.renewed")
"""Steps of the sync service: `tests/faults/test_sync_kill.py` and `make faults-sync` have them, and
`tests/unit/storage/test_renew.py` has what becomes of its tables where a wipe is cut off."""
ENCRYPT = "--encrypt-profiles"
STARTING = "encrypt"
"""A step of the start: an error there is said, and the server does not start (`tests/unit/test_sealed_log.py`)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen at a step: kill, error or full; `any` kills at whatever moment."""

    kind: str
    step: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.step or 'moment'}"

    def armed(self, chance: random.Random) -> str:
        """Return what to put into the environment. Each merging process counts from one, and merges once."""
        if self.kind == "any":
            return ""
        first = chance.randint(1, 40 if self.step in OFTEN else 4)
        if self.step.startswith(("merge", "compact", "wipe", "erasure")):
            first = chance.randint(1, 2)
        if self.step in ("merge.process", STARTING):
            first = 1
        times = "" if self.kind == "kill" else f"*{chance.randint(1, 6)}"
        return f"{self.step}={self.kind}@{first}{times}"


@dataclass(slots=True)
class Line:
    """A line of the table."""

    fault: Fault
    tried: int = 0
    reached: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)

    def note(self, verdict: Verdict) -> None:
        """Add what a check has found."""
        self.lost += verdict.lost
        self.doubled += verdict.doubled
        self.wrong += verdict.wrong

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.wrong)


def faults(kinds: Sequence[str], only: Sequence[str] = ()) -> list[Fault]:
    """Return the lines of the table."""
    steps = [step for step in failpoints.POINTS if step not in ELSEWHERE and (not only or step in only)]
    made = [Fault(kind, step) for kind in kinds if kind != "any" for step in steps]
    made = [fault for fault in made if fault.step != STARTING or fault.kind == "kill"]
    return [*([Fault("any")] if "any" in kinds else []), *made]


def try_fault(fault: Fault, times: int, folder: Path, chance: random.Random) -> Line:
    """Kill a server again and again on one data directory, and compare each time. Raises where it cannot serve."""
    line, clients = Line(fault), [Client(str(number)) for number in range(CLIENTS)]
    data, copy = folder / "data", folder / "copy"
    if fault.step == STARTING:  # so that there is something to be sealed
        run(Fault("any"), data, clients, chance, Line(fault))
    while line.tried < times and line.clean:
        line.tried += 1
        encrypt = fault.step == STARTING or line.tried > times // 2
        line.reached += run(fault, data, clients, chance, line, *[ENCRYPT] * encrypt)
        # A merge in a process of its own outlives the server, and its unfinished file goes while we copy.
        shutil.copytree(data / "events" / "default", copy, ignore=shutil.ignore_patterns("*.tmp"))
        line.note(check(copy, clients, data))
        shutil.rmtree(copy)
        shutil.copytree(data / "cohort", copy)
        line.wrong += check_cohorts(copy, clients)
        shutil.rmtree(copy)
    if line.clean:
        repeat(data, clients, line)
    return line


def run(
    fault: Fault, data: Path, clients: Sequence[Client], chance: random.Random, line: Line, *options: str
) -> bool:
    """Serve under load until the server has died; say whether the fault was met."""
    with Server(data, fault.armed(chance), *options) as server:
        if not server.served:
            return True
        line.recovery.append(server.started)
        done = threading.Event()
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            tasks = [pool.submit(load.write, server.target, client, done) for client in clients]
            tasks.append(pool.submit(load.read, server.target, done))
            met = watch(fault, server, clients, chance)
            server.kill()
            done.set()
            for task in tasks:
                task.result()
    return met


def watch(fault: Fault, server: Server, clients: Sequence[Client], chance: random.Random) -> bool:
    """Wait until a server has died, or some time behind the moment at which a fault was met; say whether it was."""
    before = sum(client.refused for client in clients)
    met = fault.kind == "any"
    until = time.monotonic() + (chance.random() if met else RUN_SECONDS)
    while time.monotonic() < until:
        if server.died(POLL_SECONDS):
            return True
        if not met and (sum(client.refused for client in clients) > before or server.complains()):
            met = True
            until = time.monotonic() + chance.random()
    return met


def repeat(data: Path, clients: Sequence[Client], line: Line) -> None:
    """Send all that has ids again, which adds nothing; end in order; and compare what an orderly end has written."""
    with Server(data, "", ENCRYPT) as server:
        line.recovery.append(server.started)
        load.repeat(server.target, clients)
        if code := server.terminate():
            line.wrong.append(f"an orderly end gave {code}")
    line.note(check(data / "events" / "default", clients, data))


def table(lines: Sequence[Line]) -> str:
    """Draw the table."""
    width = max(len(str(line.fault)) for line in lines)
    rows = [f"{'fault':{width}}  tried  met  lost  doubled  wrong  recovery s: median, most"]
    for line in lines:
        times = line.recovery or [0.0]
        rows.append(
            f"{line.fault!s:{width}}  {line.tried:5}  {line.reached:3}  {line.lost:4}  {line.doubled:7}  "
            f"{len(line.wrong):5}  {statistics.median(times):18.2f}, {max(times):.2f}"
        )
    return "\n".join(rows)


def main() -> int:
    """Run the matrix; return 1 where anything was lost, doubled or wrong, or a fault was never met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="steps, separated by commas")
    parser.add_argument("--kinds", default="any,kill,full,error")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lines = []
    for fault in faults(options.kinds.split(","), list(filter(None, options.only.split(",")))):
        with tempfile.TemporaryDirectory(prefix="cohort-faults-") as folder:
            line = try_fault(fault, options.times, Path(folder), random.Random(f"{options.seed} {fault}"))
        lines.append(line)
        print(f"{line.fault}: {line.reached} of {line.tried}", *line.wrong[:5], sep="\n  ", file=sys.stderr)
    print(table(lines))
    return any(not line.clean or not line.reached for line in lines)


if __name__ == "__main__":
    sys.exit(main())
