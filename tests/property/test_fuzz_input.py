"""Hostile input is refused by a fault or taken, in every way it can come in: the short form of `make fuzz-input`."""

import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import MODULES

ROOT = Path(__file__).parents[2]
DEADLINE = 300


def test_whatever_comes_in_is_taken_or_refused() -> None:
    command = [sys.executable, "-m", "tests.fuzz.short"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
    assert len(ended.stdout.splitlines()) == len(MODULES)
