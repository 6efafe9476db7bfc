"""Does a server stand while strangers flood it? `make flood`, or `python -m tests.faults.flood [SECONDS] [ATTACK…]`.

A real server in a process of its own is attacked in one way after another, for some seconds each, while an honest
client sends events and runs a rule on a connection of its own. Prints a table: what was tried, what was refused, and
with RetryInfo, what the honest client got and how long the longest of its rounds took, and the server's memory.
Exits 1 if the honest client was failed, memory grew past what the server's limits come to, or the server did not
answer behind it.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, ingest_pb2, ingest_pb2_grpc
from libs.rpc import MAX_MESSAGE_BYTES
from libs.rpc.limits import DEFAULT_LIMITS, Limits
from tests.faults.attacks import ATTACKS, Tally
from tests.faults.honest import CUSTOMERS, EVERYBODY, Honest, channel
from tests.integration.processes import Process, started

ROOM_MIB = 512
"""What a server needs beside the requests: results, calls that wait unread, bombs, and what malloc keeps for later.

The last is the most: with the limits of `test_flood`, requests come to 448 MiB, and the server grew by 606 to 631.
"""
MESSAGE_MIB = MAX_MESSAGE_BYTES >> 20
PATIENCE = 60
"""Seconds more that the honest client's first answer may take."""
JOIN_SECONDS = 2
"""How long an attack may take to end its calls; what it does behind that ends with its process."""


def most_growth(limits: Limits) -> int:
    """Return the MiB by which a server may grow: requests as they come, decoded, to be written, and of streams."""
    return 2 * limits.request_mib + limits.writing_mib + MESSAGE_MIB * limits.streams_in + ROOM_MIB


@dataclass(frozen=True, slots=True)
class Victim:
    """A server that may be attacked."""

    process: Process
    limits: Limits


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attack. Memory is in MiB; `bound` is what it may grow by."""

    name: str
    tally: Tally
    honest: Honest
    before: int
    most: int
    after: int
    alive: bool
    bound: int

    @property
    def stood(self) -> bool:
        """Whether the server did as promised."""
        growth = self.most - self.before
        served = self.honest.answered > 0 and not self.honest.failed and not self.honest.wrong
        return self.alive and served and growth <= self.bound


def resident(pid: int) -> int:
    """Return the MiB of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096 >> 20


def attack(names: list[str], attacked: Victim, seconds: float, threads: int = 0) -> list[Outcome]:
    """Attack a server for so long in these ways at once, each from so many threads, or from its own number of them.

    The time runs from when all have begun, and until the honest client has an answer, if that is longer.
    """
    process = attacked.process
    before = most = resident(process.pid)
    spawn = multiprocessing.get_context("spawn")  # so that the honest client has a process to itself
    ending, answers = spawn.Event(), spawn.SimpleQueue()
    given = (names, threads, process.target, ending, answers)
    attacker = spawn.Process(target=strike, args=given, daemon=True)
    attacker.start()
    answers.get()  # it has begun
    honest = Honest(process.target)
    honest.start()
    over = time.monotonic() + seconds
    while (now := time.monotonic()) < over or (not honest.answered and now < over + PATIENCE):
        time.sleep(0.02)
        most = max(most, resident(process.pid))
    ending.set()
    honest.finish()
    tallies = [Tally(*each) for each in answers.get()]
    attacker.join()
    after, answers_still = resident(process.pid), alive(process.target)
    return [
        Outcome(name, tally, honest, before, most, after, answers_still, most_growth(attacked.limits))
        for name, tally in zip(names, tallies, strict=True)
    ]


def strike(names: list[str], threads: int, target: str, ending: Any, answers: Any) -> None:
    """Attack until told to stop, and answer what it came to. In a process of its own."""
    tallies = {name: Tally() for name in names}
    striking = [
        threading.Thread(target=ATTACKS[name][0], args=(target, tally), daemon=True)
        for name, tally in tallies.items()
        for _ in range(threads or ATTACKS[name][1])
    ]
    for thread in striking:
        thread.start()
    while not all(tally.tried for tally in tallies.values()):
        time.sleep(0.01)
    answers.put("begun")
    ending.wait()
    for tally in tallies.values():
        tally.stop.set()
    over = time.monotonic() + JOIN_SECONDS
    for thread in striking:
        thread.join(max(0.0, over - time.monotonic()))
    answers.put([(each.tried, each.refused, each.advised, each.cut) for each in tallies.values()])
    os._exit(0)  # whatever its calls wait for


def peak(pid: int) -> int:
    """Return the most MiB of memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def alive(target: str) -> bool:
    """Say whether a server still answers a newcomer."""
    with channel(target) as connection:
        stub: Any = cohort_pb2_grpc.CohortServiceStub(connection)  # type: ignore[no-untyped-call]
        answer = stub.RunRule(
            cohort_pb2.RunRuleRequest(rule=EVERYBODY, count_only=True), timeout=60, wait_for_ready=True
        )
    return bool(answer.size >= CUSTOMERS)


def fill(target: str) -> None:
    """Send customers to ask for."""
    with channel(target) as connection:
        stub: Any = ingest_pb2_grpc.IngestServiceStub(connection)  # type: ignore[no-untyped-call]
        ids = [f"customer-{number}" for number in range(CUSTOMERS)]
        stub.SendEventColumns(ingest_pb2.SendEventColumnsRequest(customer_ids=ids, event_types=["visit"]))


@contextmanager
def victim(limits: Limits = DEFAULT_LIMITS) -> Iterator[Victim]:
    """Start a server that may be attacked."""
    with tempfile.TemporaryDirectory(prefix="cohort-flood-") as folder, started() as start:
        data = ("--data-dir", folder, "--listen", "127.0.0.1:0", "--insecure")
        settings = [
            part for name, number in asdict(limits).items() for part in ("--limit", f"{name}={number}")
        ]
        process: Process = start("serve", *data, "--log-level", "error", *settings).listening()
        fill(process.target)
        yield Victim(process, limits)


def table(outcomes: list[Outcome]) -> Table:
    """Write a table."""
    columns = (
        "attack",
        "tried",
        "refused",
        "with RetryInfo",
        "cut off",
        "honest: answered",
        "failed",
        "slowest, s",
    )
    written = Table(*columns, "MiB before", "most", "after", "stood")
    for one in outcomes:
        tally, honest = one.tally, one.honest
        numbers = (tally.tried, tally.refused, tally.advised, tally.cut, honest.answered, honest.failed)
        failed = ", ".join(sorted(honest.errors))
        written.add_row(
            one.name,
            *(f"{number:,}" for number in numbers),
            f"{honest.slowest:.2f}",
            *(f"{size:,}" for size in (one.before, one.most, one.after)),
            "yes" if one.stood else f"NO {failed}",
        )
    return written


def main() -> None:
    """Attack, and print what came of it."""
    parser = argparse.ArgumentParser(prog="make flood", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=10.0, help="for each attack")
    parser.add_argument("attacks", nargs="*", help=f"which: {', '.join(ATTACKS)}; all by default")
    chosen = parser.parse_args()
    with victim() as attacked:
        names = chosen.attacks or list(ATTACKS)
        outcomes = [one for name in names for one in attack([name], attacked, chosen.seconds)]
    console = Console(width=150)
    console.print(table(outcomes))
    console.print(f"the server's limits come to {most_growth(DEFAULT_LIMITS):,} MiB more than it had")
    if not all(one.stood for one in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
