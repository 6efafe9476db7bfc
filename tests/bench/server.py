"""How is a real server measured? `cohort serve` in a process of its own, on a port it chooses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A server that listens, and the seconds it took to."""

    target: str
    ready_seconds: float


@contextmanager
def serving(data_dir: Path) -> Iterator[Served]:
    """Run a server on a data directory; it is stopped as an operator would, by SIGTERM."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "libs.cli.main", "serve", "--insecure", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout
    try:
        for line in process.stdout:
            if line.startswith("listening on "):
                yield Served(line.removeprefix("listening on ").strip(), time.perf_counter() - started)
                break
        else:
            raise RuntimeError(f"the server ended with {process.wait()} before it listened")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
        process.stdout.close()
