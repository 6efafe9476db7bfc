"""How much may all clients of a server ask for at once? The numbers, and what of them gRPC enforces itself.

What is too much is answered RESOURCE_EXHAUSTED with how long to wait, before it takes memory. Neighbours: `door`
counts calls, `libs.events.writer` what waits to be written.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from libs.rpc import MESSAGE_OPTIONS

KIB = 1024
FOR_EVER_MS = 2**31 - 1
"""What gRPC takes for no limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on. Every number can be set: `cohort serve --limit NAME=NUMBER`."""

    connections: int = 2_000
    """Connections; a further one is closed."""
    calls_per_connection: int = 100
    """Calls a client may have under way on one connection; its own library holds back more."""
    calls: int = 8_000
    """Calls under way in all, health checks and reflection included: far past the limits below, a last resort."""
    working: int = 16
    """Calls of one service that are read, worked on and answered at a time."""
    waiting: int = 1_000
    """Calls of one service that wait for their turn, unread."""
    streams: int = 256
    """Streams of one service that are open at a time."""
    streams_in: int = 32
    """Streams of events that are open at a time; each may bring one message of 64 MiB before it is asked."""
    request_mib: int = 512
    """MiB that requests of all services take as they come, 64 each until it is known how much, and again decoded."""
    patience_ms: int = 1_000
    """How long a client may take to send or take a message, once another waits for its very place."""
    stalled_ms: int = 300_000
    """How long a client may take to send a request or take a message, though nobody waits."""
    writing_mib: int = 256
    """MiB of requests that wait to be written to the log."""
    connection_age_s: int = 0
    """Seconds after which a connection is ended, give or take a tenth, so that the next is made anew; 0 = never."""
    connection_idle_s: int = 300
    """Seconds without a call after which a connection is ended; clients connect again by themselves."""
    connection_grace_s: int = 30
    """Seconds more for the calls on such a connection."""
    log_map_mib: int = 1 << 20
    """MiB of address space, not memory or disk, that each project's event log may come to."""
    names: int = 10_000
    """Event types and attributes of one project; more are refused."""


DEFAULT_LIMITS = Limits()


class UnknownLimitError(ValueError):
    """There is no limit of this name, or it cannot be that."""


def read_limits(settings: Iterable[str]) -> Limits:
    """Read NAME=NUMBER each. Raises `UnknownLimitError`."""
    known = {each.name: each.default for each in fields(Limits)}
    found: dict[str, int] = {}
    for setting in settings:
        name, _, number = setting.partition("=")
        if name not in known:
            raise UnknownLimitError(f"there is no limit {name!r}; there are {', '.join(sorted(known))}")
        least = 0 if known[name] == 0 else 1
        if not number.isascii() or not number.isdecimal() or not least <= int(number) < 2**31:
            raise UnknownLimitError(f"{name} is a whole number from {least} on, as in {name}=100")
        found[name] = int(number)
    return replace(Limits(), **found)


def server_options(limits: Limits) -> list[tuple[str, int]]:
    """Return what gRPC itself is to hold to."""
    age = limits.connection_age_s
    return [
        *MESSAGE_OPTIONS,
        ("grpc.max_connection_age_ms", min(age * 1000, FOR_EVER_MS) if age else FOR_EVER_MS),
        ("grpc.max_connection_age_grace_ms", min(limits.connection_grace_s * 1000, FOR_EVER_MS)),
        ("grpc.so_reuseport", 0),  # a second server on a port must fail, not take half of the calls
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.max_concurrent_streams", limits.calls_per_connection),
        # gRPC counts calls that have ended and are not cleaned up yet as well, and by that refuses clients that heed
        # the number above: of 300 threads on one connection every sixth call. `make flood` stands without it.
        ("grpc.http.overload_protection", 0),
        # Calls that nobody has looked at yet: past the first number gRPC ends some, whoever's they are, past the
        # second all, by CANCELLED, which tells a client nothing. So only where `calls` would refuse them anyway.
        # One with 7 KB of metadata takes some 25 KiB: 410 MiB for all that there may be.
        ("grpc.server.max_pending_requests", limits.calls),
        ("grpc.server.max_pending_requests_hard_limit", 2 * limits.calls),
        # metadata is an API key, a request id and what the client's library adds
        ("grpc.max_metadata_size", 8 * KIB),
        ("grpc.absolute_max_metadata_size", 16 * KIB),
        # how much a client may send ahead of being read: 64 KiB a call. gRPC would find out what the line takes,
        # which came to 7 MiB a waiting call; a message that is being read is let in whole all the same
        ("grpc.http2.bdp_probe", 0),
        # who opens a connection and says nothing is let go, and so is who has vanished
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.http2.settings_timeout", 10_000),
        ("grpc.max_connection_idle_ms", min(limits.connection_idle_s * 1000, FOR_EVER_MS)),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # floods of pings: one in ten seconds is taken, calls under way or not, and two too many end the connection
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 2),
    ]
