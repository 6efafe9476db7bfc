"""Do the files beside the log tell the truth after a kill? A real writer, killed while it keeps them."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from libs.clock import system_clock
from libs.events import dedupe
from libs.events.log import EventLog
from libs.events.run_files import RunFiles
from libs.events.writer import Writer
from tests.faults import log_process
from tests.faults.log_process import ROWS, make_batch
from tests.unit.events.support import customers

KILLS = 12


def run_and_kill(folder: Path, known: int, chance: random.Random) -> int:
    """Run a writer and kill it some time after it sends what is new; return how many batches are known."""
    command = [sys.executable, "-m", "tests.faults.log_process", str(folder)]
    after, answered = known + chance.randrange(40), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        killer = threading.Timer(chance.random() * 0.05, process.kill)
        for line in process.stdout:
            if not line.endswith("\n"):  # the kill cut it short
                break
            number, duplicates = map(int, line.split())
            assert number == answered
            if number < known:
                assert duplicates == ROWS, (
                    f"batch {number} of {known} was lost, or a duplicate slipped through"
                )
            elif number > known:  # the one after the last answered may have been committed
                assert duplicates == 0, f"batch {number} is new"
            answered += 1
            if answered == after + 1:
                killer.start()
    killer.join()
    return answered


def test_a_killed_writer_finds_every_duplicate_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(20261123)
    known, covered = 0, []
    for _ in range(KILLS):
        known = run_and_kill(tmp_path, known, chance)
        log = EventLog(tmp_path)
        files = RunFiles(tmp_path / "dedupe", log.log_id, log.end())
        covered.append(files.covered.rows)
        named = {entry.number for entry in files.entries}
        assert {int(path.name[4:]) for path in (tmp_path / "dedupe").glob("run-*")} == named
        assert not list(tmp_path.rglob("*.tmp"))
        log.close()
    assert covered == sorted(covered)
    assert covered[-1] > known * ROWS / 2, "the files are kept up to date"

    for module, name in ((dedupe, "KEPT_ROWS"), (dedupe, "BUFFER_IDS")):
        monkeypatch.setattr(module, name, getattr(log_process, name))
    log = EventLog(tmp_path)
    writer = Writer(log, system_clock)
    sent = [writer.submit(make_batch(number)) for number in range(known + 1)]
    assert all(each.result().duplicates == ROWS for each in sent[:-1])
    owners = customers(log)
    assert len(owners) == (known + 1) * ROWS
    assert len(set(owners)) == len(log.customers), "a customer has two numbers"
    assert sorted(owners) == sorted(
        c for n in range(known + 1) for c in make_batch(n).batch.customer_ids.tolist()
    )  # type: ignore[union-attr]
    writer.close()
    log.close()
