"""Where does the demo's server run? In a process of its own, on a free port, over a directory of its own."""

import os
import queue
import re
import subprocess  # nosec B404 # runs this program itself
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.cli.demo.surprise import Surprise
from libs.rpc.client import connect

READY = re.compile(r"listening on (\S+:\d+)")
START_SECONDS = 60.0
"""How long a start may take on a slow machine."""
STOP_SECONDS = 45.0
"""How long the server may take to end: more than the 10 s and 20 s it grants to a run and to calls."""
POLL_SECONDS = 0.05


@contextmanager
def running_server(directory: Path) -> Iterator[str]:
    """Run an embedded server over `directory`; yields HOST:PORT. Its log is `directory/server.log`."""
    command = [sys.executable, "-m", "libs.cli.main", "serve", "--insecure", "--listen", "127.0.0.1:0"]
    command += ["--data-dir", str(directory / "data")]
    log_path = directory / "server.log"
    with log_path.open("w") as log:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(  # nosec B603 # our own interpreter and words, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        try:
            target = _target(process, log_path)
            _until_serving(target, process, log_path)
            yield target
        finally:
            _stop(process)


def _target(process: "subprocess.Popen[str]", log_path: Path) -> str:
    """Return the address that the server prints. Its output is read on, so that it never blocks."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise Surprise(f"the server did not start within {START_SECONDS:.0f} s") from None
        if line is None:
            raise Surprise(f"the server ended before it listened:\n{_tail(log_path)}")
        found = READY.search(line)
        if found:
            return found[1]


def _until_serving(target: str, process: "subprocess.Popen[str]", log_path: Path) -> None:
    request = health_pb2.HealthCheckRequest()
    deadline = time.monotonic() + START_SECONDS
    with connect(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Surprise(f"the server ended while it started:\n{_tail(log_path)}")
            try:
                if stub.Check(request, timeout=5).status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.RpcError:
                pass
            time.sleep(POLL_SECONDS)
    raise Surprise(f"the server at {target} did not become healthy within {START_SECONDS:.0f} s")


def _tail(log_path: Path) -> str:
    return "\n".join(log_path.read_text(errors="replace").splitlines()[-20:])


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
