"""How do tests run real servers? `python -m libs.cli.main … serve`, waited for by the line it prints."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.harness import Client

ROOT = Path(__file__).parents[2]
DEADLINE = 20


class Process:
    """One server process; `target` is set when it listens."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != "COHORT_API_KEY"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "libs.cli.main", *arguments],
            cwd=ROOT,
            env={**inherited, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.target = ""
        self.pid = self._process.pid

    def listening(self) -> "Process":
        """Wait until it listens."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            raise AssertionError(f"it printed {line!r}; {self.ended()}")
        self.target = line.split()[-1]
        return self

    def waiting(self) -> "Process":
        """Wait until it logs that it waits for another."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "waiting" in line:
                return self
        raise AssertionError("it never waited")

    def ended(self) -> tuple[int, str, str]:
        """Wait until it ends; return its exit code, output and errors."""
        out, err = self._process.communicate(timeout=DEADLINE)
        return self._process.returncode, out, err

    def terminate(self) -> tuple[int, str, str]:
        """Send SIGTERM and wait for the end."""
        self._process.terminate()
        return self.ended()

    def kill(self) -> None:
        """Kill it, whatever it does, and wait until it is gone."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def started() -> Iterator[Any]:
    """Give a way to start processes that are all gone in the end, whatever happens."""
    running: list[Process] = []

    def start(*arguments: str, **environment: str) -> Process:
        running.append(Process(*arguments, **environment))
        return running[-1]

    try:
        yield start
    finally:
        for process in running:
            process.kill()


def serve(data_dir: Path, *arguments: str) -> list[str]:
    """Return the command line of an embedded server on a free port."""
    return ["serve", "--data-dir", str(data_dir), "--listen", "127.0.0.1:0", "--insecure", *arguments]


def serve_one(service: str, data_dir: Path, *arguments: str) -> list[str]:
    """Return the command line of one service on a free port."""
    return [service, *serve(data_dir, *arguments)]


@contextmanager
def connected(process: Process) -> Iterator[Client]:
    """Call a process in JSON form."""
    client = Client(process.target)
    try:
        yield client
    finally:
        client.close()
