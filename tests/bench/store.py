"""What does it take to keep the events? Loads them through the log's writer, and measures disk, memory, restart."""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from libs.clock import system_clock
from libs.engine import Engine
from libs.events.commit import Submission
from libs.events.log import EventLog
from libs.index.calendar import Calendar
from libs.index.index import SEAL_ROWS
from libs.storage.directory import Directory, ensure_default
from services.cohort.plan import make_plan
from tests.bench.world import AS_OF, World, batches, customer_numbers, upserts
from tests.world import read

BATCH_ROWS = 100_000
UPSERTS = 10_000
UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Loaded:
    """What loading took: seconds in the writer, in bringing the index up to date, and until all is sealed."""

    events: int
    sent: int
    append_seconds: float
    apply_seconds: float
    settle_seconds: float
    profile_seconds: float
    disk_bytes: int
    memory: dict[str, int]


class Cohort:
    """An engine that answers rules given as JSON, as a Run does: without a result cache, at new instants."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def ids(self, rule: dict[str, Any]) -> NDArray[np.int64]:
        """Return the customers of a rule, ascending."""
        snapshot = self.engine.snapshot()
        plan = make_plan(read(rule, self.engine.calendar), AS_OF, self.engine.calendar)
        found = self.engine.evaluate(plan, snapshot, AS_OF)
        return customer_numbers(self.engine.customer_ids(np.array(found, np.uint32)))

    def runner(self, rule: dict[str, Any]) -> Callable[[int], int]:
        """Return a call that counts a rule's customers, `n` ms later: what RunRule reports as `elapsed`."""
        engine, calendar = self.engine, self.engine.calendar
        checked = read(rule, calendar)

        def run(later: int) -> int:
            snapshot = engine.snapshot()
            return len(engine.evaluate(make_plan(checked, AS_OF + later, calendar), snapshot, AS_OF + later))

        return run


def open_engine(data_dir: Path, seal_rows: int = SEAL_ROWS) -> Engine:
    """Open the engine that `cohort serve --data-dir` would open."""
    directory = Directory(data_dir, writable=True)
    project = ensure_default(directory, "UTC", system_clock())
    directory.close()
    log = EventLog(data_dir / "events" / project.project_id)
    return Engine(log, Calendar(UTC), system_clock, writable=True, seal_rows=seal_rows)


def load(
    world: World,
    data_dir: Path,
    progress: Callable[[int], None],
    seal_rows: int = SEAL_ROWS,
    batch_rows: int = BATCH_ROWS,
) -> tuple[Engine, Loaded]:
    """Send everything, a batch at a time, each durable before the next; catch up after each, as Runs would."""
    before = memory()
    engine = open_engine(data_dir, seal_rows)
    append = apply = 0.0
    for sent in batches(world, batch_rows):
        started = time.perf_counter()
        engine.append(Submission(batch=sent)).result()
        appended = time.perf_counter()
        engine.snapshot()
        append += appended - started
        apply += time.perf_counter() - appended
        progress(sent.rows)
    started = time.perf_counter()
    engine.settle()
    settled = time.perf_counter()
    for first in range(0, len(world.profiled), UPSERTS):
        changed = upserts(world, world.profiled[first : first + UPSERTS])
        engine.append(Submission(upserts=changed)).result()
    engine.snapshot()
    upserted = time.perf_counter()
    after = memory()
    used = {kind: after[kind] - before[kind] for kind in after}
    return engine, Loaded(
        world.rows,
        len(world.arrivals),
        append,
        apply,
        settled - started,
        upserted - settled,
        disk_bytes(data_dir),
        used,
    )


def disk_bytes(folder: Path) -> int:
    """Return what a folder's files take on disk: LMDB's are sparse."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def memory() -> dict[str, int]:
    """Return the bytes of this process that are its own (`anon`), and those of mapped files (`file`)."""
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "anon": int(fields["RssAnon"].split()[0]) * 1024,
        "file": int(fields["RssFile"].split()[0]) * 1024,
    }


def restart(data_dir: Path) -> dict[str, float]:
    """Open the data in a new process: seconds until ready and until all is sealed, bytes resident then."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.store", str(data_dir)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure_restart(data_dir: Path) -> dict[str, float]:
    before = memory()
    started = time.perf_counter()
    engine = open_engine(data_dir)
    opened = time.perf_counter()
    engine.snapshot()
    ready = time.perf_counter()
    engine.settle()
    engine.snapshot()
    settled = time.perf_counter()
    after = memory()
    engine.close()
    return {
        "opened": opened - started,
        "ready": ready - started,
        "settled": settled - started,
        **{kind: after[kind] - before[kind] for kind in after},
    }


if __name__ == "__main__":
    print(json.dumps(_measure_restart(Path(sys.argv[1]))))
