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
        self._header = ("authorization", f"Bearer {api_key}")

    def _call(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        metadata = (*(details.metadata or ()), self._header)
        return continuation(details._replace(metadata=metadata), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_stream = _call  # type: ignore[assignment]


def connect(target: str, api_key: str | None = None) -> grpc.Channel:
    """Open a channel to HOST:PORT for use from threads."""
    channel = grpc.insecure_channel(target, options=MESSAGE_OPTIONS)
    return grpc.intercept_channel(channel, _Authorize(api_key)) if api_key else channel


def credentials(api_key: str | None) -> tuple[tuple[str, str], ...]:
    """Return the metadata that carries the key, for asyncio stubs: `stub.Method(request, metadata=…)`."""
    return (("authorization", f"Bearer {api_key}"),) if api_key else ()


def connect_async(target: str) -> grpc.aio.Channel:
    """Open a channel to HOST:PORT for use in the running event loop. Pass `credentials` to each call."""
    return grpc.aio.insecure_channel(target, options=MESSAGE_OPTIONS)
