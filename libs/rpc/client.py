"""How does a program call a service? Channels with the API key on every call, for threads and for asyncio.

Without `tls` a channel is not encrypted. Proxies of the environment are not used: a key and what is asked would pass
them. `libs.rpc.errors.Failure` reads errors.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

import grpc

from libs.rpc import MESSAGE_OPTIONS
from libs.rpc.tls import ClientTls

OPTIONS = (*MESSAGE_OPTIONS, ("grpc.enable_http_proxy", 0))


class _Authorize(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds `authorization: Bearer KEY` to every call of a channel."""

    def __init__(self, api_key: str) -> None:
        self._metadata = bearer(api_key)

    def _call(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        metadata = (*(details.metadata or ()), *self._metadata)
        return continuation(details._replace(metadata=metadata), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_stream = _call  # type: ignore[assignment]


def connect(target: str, api_key: str | None = None, tls: ClientTls | None = None) -> grpc.Channel:
    """Open a channel to HOST:PORT for use from threads."""
    if tls:
        channel = grpc.secure_channel(target, tls.credentials(), options=OPTIONS)
    else:
        channel = grpc.insecure_channel(target, options=OPTIONS)
    return grpc.intercept_channel(channel, _Authorize(api_key)) if api_key else channel


Metadata = tuple[tuple[str, str], ...]
Credentials = Callable[[], Metadata]
"""Returns what to send with a call, as keys may change: `stub.Method(request, metadata=credentials())`."""


def bearer(api_key: str | None) -> Metadata:
    """Return the metadata that carries a key."""
    return (("authorization", f"Bearer {api_key}"),) if api_key else ()


def nobody() -> Metadata:
    """Return the metadata of a caller without a key."""
    return ()


def connect_async(target: str, tls: ClientTls | None = None) -> grpc.aio.Channel:
    """Open a channel to HOST:PORT for use in the running event loop. Metadata goes with each call."""
    if tls:
        return grpc.aio.secure_channel(target, tls.credentials(), options=OPTIONS)
    return grpc.aio.insecure_channel(target, options=OPTIONS)


def connect_at(target: str, addresses: Sequence[str]) -> grpc.aio.Channel:
    """Open a channel to HOST:PORT at these addresses of HOST alone: the name is not looked up, only sent along.

    Of addresses of both families those of the first one's are used.
    """
    port = target.rpartition(":")[2]
    family = ip_address(addresses[0]).version
    same = [address for address in addresses if ip_address(address).version == family]
    places = ",".join(f"[{each}]:{port}" if family == 6 else f"{each}:{port}" for each in same)
    options = (*OPTIONS, ("grpc.default_authority", target))
    return grpc.aio.insecure_channel(f"ipv{family}:{places}", options=options)
