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
IDLE_STEP, IDLE_SHARE, IDLE_SECONDS = 0.5, 0.1, 60
"""A server is idle when it used less than a tenth of a core for half a second; waited for a minute at most."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Served:
    """A server that listens, and the seconds it took to."""

    target: str
    ready_seconds: float
    process_id: int

    def wait_until_idle(self) -> float:
        """Return when it has stopped working (it seals what it has replayed), and the seconds until then."""
        started = time.perf_counter()
        before = self._cpu_ticks()
        while time.perf_counter() - started < IDLE_SECONDS:
            time.sleep(IDLE_STEP)
            now = self._cpu_ticks()
            if now - before <= IDLE_SHARE * IDLE_STEP * TICKS_PER_SECOND:
                break
            before = now
        return time.perf_counter() - started

    def _cpu_ticks(self) -> int:
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


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
                ready = time.perf_counter() - started
                yield Served(line.removeprefix("listening on ").strip(), ready, process.pid)
                break
        else:
            raise RuntimeError(f"the server ended with {process.wait()} before it listened")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
        process.stdout.close()
