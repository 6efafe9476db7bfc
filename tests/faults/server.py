"""How does a fault test run a server? A small one, perhaps armed, waited for by the line it prints."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from libs.failpoints import VARIABLE

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
"""On a machine that does much else."""


class Server:
    """An embedded server over a data directory; `target` is where it listens, `started` the seconds that took.

    `options` are further ones of `cohort serve`.
    """

    def __init__(
        self, data: Path, armed: str = "", *options: str, module: str = "tests.faults.small"
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if name != "COHORT_API_KEY"}
        began = time.monotonic()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process; not on the disk under test
        command = [sys.executable, "-m", module, "serve", "--data-dir", str(data)]
        self._process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--insecure", *options],
            cwd=ROOT,
            env={**inherited, "PYTHONPATH": str(ROOT), VARIABLE: armed},
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.started = time.monotonic() - began
        self.target = line.removeprefix("listening on ").strip()
        if not line.startswith("listening on "):
            code = self._process.wait()
            assert code == -signal.SIGKILL, f"it ended with {code}: {self.errors()}"

    @property
    def served(self) -> bool:
        """Whether it came to listen; an armed one may die before."""
        return bool(self.target)

    def died(self, seconds: float) -> bool:
        """Wait until it is gone, at most so long; say whether it is. It must have been killed."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        assert self._process.returncode == -signal.SIGKILL, self.errors()
        return True

    def kill(self) -> None:
        """Kill it where it still runs, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """Have it end in order; return its exit code."""
        self._process.terminate()
        return self._process.wait(START_SECONDS)

    def complains(self) -> bool:
        """Say whether it has logged an error: of the merging process, or of a step that failed."""
        return '"level": "error"' in self.errors()

    def errors(self) -> str:
        """Return what it has logged."""
        return os.pread(self._errors.fileno(), 1 << 24, 0).decode()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()
