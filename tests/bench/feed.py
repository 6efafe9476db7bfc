"""How does a steady stream of events arrive? A process of its own that sends at a rate until its stdin closes.

`python -m tests.bench.feed TARGET RATE SECONDS` prints "ready", then at the end what it sent, as JSON.
"""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from libs.gen.cohort.v1 import ingest_pb2
from libs.rpc.client import connect
from tests.bench import requests
from tests.bench.world import AS_OF, DAYS, batches, make_world

REQUESTS_PER_SECOND = 10
SEED = 5


def feed(target: str, rate: int, seconds: int) -> dict[str, float]:
    """Send `rate` events a second, from a line on stdin until it closes or the events run out."""
    year = make_world(rate * seconds, SEED)
    world = dataclasses.replace(year, time=AS_OF - (AS_OF - year.time) // DAYS)  # all on the last day
    payloads = [requests.columns(each) for each in batches(world, rate // REQUESTS_PER_SECOND)]
    print("ready", flush=True)
    sys.stdin.readline()
    over = threading.Event()
    threading.Thread(target=_wait_for_end, args=(over,), daemon=True).start()
    sent, slowest = 0, 0.0
    with connect(target) as channel:
        send = requests.sender(channel, "SendEventColumns", ingest_pb2.SendEventColumnsResponse)
        started = time.perf_counter()
        for number, payload in enumerate(payloads):
            over.wait(max(0.0, started + number / REQUESTS_PER_SECOND - time.perf_counter()))
            if over.is_set():
                break
            begun = time.perf_counter()
            answer = send(payload)
            slowest = max(slowest, time.perf_counter() - begun)
            sent += answer.accepted + answer.duplicates
        elapsed = time.perf_counter() - started
    return {"sent": sent, "seconds": elapsed, "per_second": sent / elapsed, "slowest_ms": slowest * 1e3}


def _wait_for_end(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


@contextmanager
def feeding(target: str, rate: int, seconds: int) -> Iterator[dict[str, float]]:
    """Feed while the body runs; what was sent is in the dict once it ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.feed", target, str(rate), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdin
    assert process.stdout
    report: dict[str, float] = {}
    try:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        yield report
        report.update(json.loads(process.communicate()[0]))
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    print(json.dumps(feed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
