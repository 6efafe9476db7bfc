"""How does a program call a service? Channels with the API key on every call, for threads and for asyncio.

A channel is insecure for now: TLS comes with the issue on trust. `libs.rpc.errors.Failure` reads errors.
"""

from collections.abc import Callable
from typing import Any

import grpc

from libs.rpc import MESSAGE_OPTIONS


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


def connect(target: str, api_key: str | None = None) -> grpc.Channel:
    """Open a channel to HOST:PORT for use from threads."""
    channel = grpc.insecure_channel(target, options=MESSAGE_OPTIONS)
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


def connect_async(target: str) -> grpc.aio.Channel:
    """Open a channel to HOST:PORT for use in the running event loop. Metadata goes with each call."""
    return grpc.aio.insecure_channel(target, options=MESSAGE_OPTIONS)
