"""How does a client speak HTTP/2 as badly as it likes? One connection, call by call, frame by frame."""

import socket
from contextlib import suppress
from functools import partial

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes

HUNG_SECONDS = 20
"""How long a server may say nothing to an attack that waits for it."""


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
        """Begin a call, of one of our services where no package is named; return its stream."""
        stream: int = self.http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/{method}" if "." in method else f"/cohort.v1.{method}"),
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

    def answer(self) -> bool:
        """Wait for the end of a call, and say whether it was refused."""
        refused = False
        while True:
            for event in self.receive():
                if isinstance(event, StreamReset):
                    return refused
                if isinstance(event, ResponseReceived | TrailersReceived):
                    found = dict(event.headers)
                    refused |= found.get(b"grpc-status", b"0") != b"0"
                if isinstance(event, StreamEnded):
                    return refused

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self.socket.close()


def framed(message: bytes, compressed: bool = False) -> bytes:
    """Return a message as gRPC frames it."""
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message
