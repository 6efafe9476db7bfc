"""Does a server stand while strangers flood it? `make flood`, or `python -m tests.faults.flood [SECONDS] [ATTACK…]`.

A real server in a process of its own is attacked in one way after another, for some seconds each, while an honest
client sends events and runs a rule on a connection of its own. Prints a table: what was tried, what was refused, and
with RetryInfo, what the honest client got and how long the longest of its rounds took, and the server's memory.
Exits 1 if the honest client was failed, memory grew past its bound, or the server did not answer behind it.
"""

import argparse
import multiprocessing
import os
import socket
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from rich.console import Console
from rich.table import Table

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, ingest_pb2, ingest_pb2_grpc
from libs.rpc import MESSAGE_OPTIONS
from libs.rpc.errors import Failure
from tests.integration.processes import Process, started

MOST_GROWTH = 1_536
"""MiB by which a server may grow: 16 messages of 30 MiB that are read and decoded at a time, twice over, and room."""
HONEST_SECONDS = 0.05
CUSTOMERS = 20_000
HUNG_SECONDS = 20
"""How long a server may say nothing to an attack that waits for it."""
PATIENCE = 60
"""Seconds more that the honest client's first answer may take."""
JOIN_SECONDS = 2
"""How long an attack may take to end its calls; what it does behind that ends with its process."""
EVERYBODY = {"all": {}}
RUN = cohort_pb2.RunRuleRequest(rule=EVERYBODY).SerializeToString()


@dataclass
class Tally:
    """What an attack came to; counted from several threads, so by little more than about."""

    tried: int = 0
    refused: int = 0
    advised: int = 0
    cut: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def failure(self, error: grpc.RpcError) -> None:
        """Count a refusal, and whether it says when to come back."""
        failure = Failure.of(error)
        if failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self.refused += 1
            self.advised += failure.retry_after is not None


class Honest(threading.Thread):
    """A client that goes about its work: an event and a Run that is to count it, again and again."""

    def __init__(self, target: str) -> None:
        super().__init__(daemon=True)
        self._channel = grpc.insecure_channel(target, options=MESSAGE_OPTIONS)
        self._ingest: Any = ingest_pb2_grpc.IngestServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._cohort: Any = cohort_pb2_grpc.CohortServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._over = threading.Event()
        self.answered, self.failed, self.wrong, self.slowest = 0, 0, 0, 0.0
        self.errors: set[str] = set()

    def run(self) -> None:
        """Work until told to stop."""
        number, sent = 0, set()
        while not self._over.wait(HONEST_SECONDS):
            number += 1
            began = time.monotonic()
            event = {"customer_id": f"honest-{number % 100}", "event_type": "visit", "event_id": str(number)}
            try:
                self._ingest.SendEvents(ingest_pb2.SendEventsRequest(events=[event]), timeout=60)
                sent.add(event["customer_id"])
                run = cohort_pb2.RunRuleRequest(rule=EVERYBODY, count_only=True)
                size = self._cohort.RunRule(run, timeout=60).size
            except grpc.RpcError as error:
                self.failed += 1
                self.errors.add(str(Failure.of(error).reason or Failure.of(error).code))
            else:
                self.answered += 1
                self.wrong += not CUSTOMERS + len(sent) <= size <= CUSTOMERS + 100
            self.slowest = max(self.slowest, time.monotonic() - began)

    def finish(self) -> None:
        """Stop, and hang up."""
        self._over.set()
        self.join()
        self._channel.close()


# Attacks by clients that speak gRPC


def channel(target: str) -> grpc.Channel:
    """Open a connection of its own."""
    return grpc.insecure_channel(target, options=[*MESSAGE_OPTIONS, ("grpc.use_local_subchannel_pool", 1)])


def many_runs(target: str, tally: Tally) -> None:
    """A connection with as many Runs under way as it may have, each of 10,000 members."""
    with channel(target) as connection:
        run: Any = cohort_pb2_grpc.CohortServiceStub(connection).RunRule  # type: ignore[no-untyped-call]
        request = cohort_pb2.RunRuleRequest(rule=EVERYBODY, page_size=10_000)
        while not tally.stop.is_set():
            calls = [run.future(request, timeout=60) for _ in range(150)]
            for call in calls:
                tally.tried += 1
                with suppress(grpc.FutureCancelledError):
                    error = call.exception()
                    if isinstance(error, grpc.RpcError):
                        tally.failure(error)


def large_messages(target: str, tally: Tally) -> None:
    """A connection that sends 30 MB of bad JSON lines at a time, four at once."""
    with channel(target) as connection:
        send: Any = ingest_pb2_grpc.IngestServiceStub(connection).SendEventsJson  # type: ignore[no-untyped-call]
        request = ingest_pb2.SendEventsJsonRequest(json_lines=(b"x" * 30_000 + b"\n") * 1_000)
        while not tally.stop.is_set():
            for call in [send.future(request, timeout=60) for _ in range(4)]:
                tally.tried += 1
                error = call.exception()
                if isinstance(error, grpc.RpcError):
                    tally.failure(error)


# Attacks below gRPC


class Raw:
    """A connection that speaks HTTP/2 as badly as it likes."""

    def __init__(self, target: str, window: int | None = None) -> None:
        host, _, port = target.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=HUNG_SECONDS)
        self.http = H2Connection(H2Configuration(client_side=True))
        self.http.encoder.encode = partial(self.http.encoder.encode, huffman=False)  # too slow for a megabyte
        self.http.initiate_connection()
        if window is not None:
            self.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.flush()

    def flush(self) -> None:
        """Send what is to be sent."""
        self.socket.sendall(self.http.data_to_send())

    def call(self, method: str, message: bytes = b"", *, whole: bool = True, **more: str) -> int:
        """Begin a call; return its stream."""
        stream: int = self.http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/cohort.v1.{method}"),
            (":authority", "x"),
        ]
        headers += [("content-type", "application/grpc"), ("te", "trailers")]
        headers += [(name.replace("_", "-"), value) for name, value in more.items()]
        self.http.send_headers(stream, headers)
        if message or whole:
            self.http.send_data(stream, message, end_stream=whole)
        return stream

    def receive(self) -> list[Event]:
        """Take what the server says. Raises OSError where it has hung up, or says nothing."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("the server hung up")
        return self.http.receive_data(data)

    def answer(self, tally: "Tally") -> None:
        """Wait for the end of a call, and count a refusal."""
        while True:
            for event in self.receive():
                if isinstance(event, StreamReset):
                    return
                if isinstance(event, ResponseReceived | TrailersReceived):
                    found = dict(event.headers)
                    tally.refused += found.get(b"grpc-status", b"0") != b"0"
                if isinstance(event, StreamEnded):
                    return

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self.socket.close()


def framed(message: bytes, compressed: bool = False) -> bytes:
    """Return a message as gRPC frames it."""
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


def reset(target: str, tally: Tally) -> None:
    """Rapid reset: calls that are begun and reset at once, a hundred a write, answers not read."""
    request = framed(RUN)
    while not tally.stop.is_set():
        with suppress(OSError, ProtocolError):
            raw = Raw(target)
            try:
                while not tally.stop.is_set():
                    for _ in range(100):
                        raw.http.reset_stream(raw.call("CohortService/RunRule", request))
                        tally.tried += 1
                    raw.flush()
            finally:
                raw.close()
                tally.cut += 1


def streams(target: str, tally: Tally) -> None:
    """Thousands of calls on a connection that has been told to have a hundred."""
    while not tally.stop.is_set():
        with suppress(OSError, ProtocolError):
            raw = Raw(target)
            try:
                for _ in range(5_000):
                    raw.call("CohortService/RunRule", whole=False)
                    tally.tried += 1
                    raw.flush()
                tally.stop.wait(0.2)
            finally:
                raw.close()
                tally.cut += 1


def held(target: str, tally: Tally, begin: Callable[[Raw], None], window: int | None = None) -> None:
    """Open connections with calls that never end, and hold on to them; again when they are cut."""
    while not tally.stop.is_set():
        raw = None
        with suppress(OSError, ProtocolError):
            raw = Raw(target, window)
            for _ in range(80):
                begin(raw)
                tally.tried += 1
            raw.flush()
            raw.socket.settimeout(0.2)
            while not tally.stop.is_set():
                with suppress(TimeoutError):
                    if not raw.socket.recv(65536):
                        tally.cut += 1
                        break
        if raw:
            raw.close()


def slow_senders(target: str, tally: Tally) -> None:
    """Requests of which the last byte never comes."""
    held(target, tally, lambda raw: void(raw.call("CohortService/RunRule", b"\0\0\0\xff\xff", whole=False)))


def slow_readers(target: str, tally: Tally) -> None:
    """Streams of all members, and Runs of 10,000, not a byte of which is taken."""
    stream = framed(cohort_pb2.RunRuleRequest(rule=EVERYBODY, page_size=10_000).SerializeToString())
    held(target, tally, lambda raw: void(raw.call("CohortService/RunRule", stream)), window=0)


def void(_: object) -> None:
    """Return nothing."""


def pings(target: str, tally: Tally) -> None:
    """Pings and settings, as fast as they go."""
    while not tally.stop.is_set():
        with suppress(OSError, ProtocolError):
            raw = Raw(target)
            try:
                while not tally.stop.is_set():
                    for _ in range(200):
                        raw.http.ping(b"12345678")
                        raw.http.update_settings({SettingCodes.HEADER_TABLE_SIZE: 4096})
                        tally.tried += 2
                    raw.flush()
            finally:
                raw.close()
                tally.cut += 1


def headers(target: str, tally: Tally) -> None:
    """Calls with a megabyte of metadata: by turns of clients that heed the server's settings, and that never do."""
    padding = "x" * (1 << 20)
    heeding = False
    while not tally.stop.is_set():
        heeding = not heeding
        with suppress(OSError, ProtocolError):
            raw = Raw(target)
            try:
                if heeding:
                    raw.receive()  # acknowledged by the next that is sent
                for _ in range(8):
                    raw.call("CohortService/RunRule", framed(RUN), x_padding=padding)
                    tally.tried += 1
                    raw.flush()
                    if heeding:
                        raw.answer(tally)
            finally:
                raw.close()
                tally.cut += 1


CRC_OF_A_GIGABYTE = 0x5B64C2B0
"""zlib.crc32 of a gigabyte of zeros."""


def bombs(target: str, tally: Tally) -> None:
    """Messages of 1 MB that are 1 GB unpacked."""
    packed = framed(bomb(), compressed=True)
    while not tally.stop.is_set():
        with suppress(OSError, ProtocolError):
            raw = Raw(target)
            try:
                explode(raw, packed, tally)
            finally:
                raw.close()
                tally.cut += 1


def explode(raw: Raw, packed: bytes, tally: Tally) -> None:
    """Send a bomb, and wait for what becomes of it."""
    stream = raw.call("IngestService/SendEventsJson", whole=False, grpc_encoding="gzip")
    tally.tried += 1
    for at in range(0, len(packed), 16_384):
        piece = packed[at : at + 16_384]
        while raw.http.local_flow_control_window(stream) < len(piece):
            raw.flush()
            raw.receive()
        raw.http.send_data(stream, piece, end_stream=at + len(piece) == len(packed))
    raw.flush()
    raw.answer(tally)


def bomb() -> bytes:
    """Pack a gigabyte of zeros: a megabyte's blocks over and over, for to pack it all takes seconds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    blocks = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + blocks * (1 << 10) + packer.flush() + struct.pack("<II", CRC_OF_A_GIGABYTE, 1 << 30)


def idle(target: str, tally: Tally) -> None:
    """Connections that say nothing, as many as there can be."""
    host, _, port = target.rpartition(":")
    opened = []
    with suppress(OSError):
        for _ in range(800):
            opened.append(socket.create_connection((host, int(port)), timeout=2))
            tally.tried += 1
    tally.stop.wait()
    for each in opened:
        each.close()


ATTACKS: dict[str, tuple[Callable[[str, Tally], None], int]] = {
    "runs": (many_runs, 16),
    "large messages": (large_messages, 8),
    "rapid reset": (reset, 4),
    "many streams": (streams, 4),
    "slow senders": (slow_senders, 4),
    "slow readers": (slow_readers, 4),
    "pings, settings": (pings, 4),
    "large metadata": (headers, 2),
    "compression bombs": (bombs, 2),
    "idle connections": (idle, 1),
}
"""Each with how many threads do it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attack. Memory is in MiB."""

    name: str
    tally: Tally
    honest: Honest
    before: int
    most: int
    after: int
    alive: bool

    @property
    def stood(self) -> bool:
        """Whether the server did as promised."""
        growth = self.most - self.before
        served = self.honest.answered > 0 and not self.honest.failed and not self.honest.wrong
        return self.alive and served and growth <= MOST_GROWTH


def resident(pid: int) -> int:
    """Return the MiB of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096 >> 20


def attack(names: list[str], process: Process, seconds: float, threads: int = 0) -> list[Outcome]:
    """Attack a server for so long in these ways at once, each from so many threads, or from its own number of them.

    The time runs from when all have begun, and until the honest client has an answer, if that is longer.
    """
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
        Outcome(name, tally, honest, before, most, after, answers_still)
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
def victim(*options: str) -> Iterator[Process]:
    """Start a server that may be attacked."""
    with tempfile.TemporaryDirectory(prefix="cohort-flood-") as folder, started() as start:
        data = ("--data-dir", folder, "--listen", "127.0.0.1:0", "--insecure")
        process: Process = start("serve", *data, "--log-level", "error", *options).listening()
        fill(process.target)
        yield process


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
    with victim() as process:
        names = chosen.attacks or list(ATTACKS)
        outcomes = [one for name in names for one in attack([name], process, chosen.seconds)]
    Console(width=150).print(table(outcomes))
    if not all(one.stood for one in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
