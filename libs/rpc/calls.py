"""What became of a call? Its request id, and the one line a log has of it.

A client may name a call by metadata `x-request-id`; one that is not well-formed, or absent, is made up. The id is
in every log line of the call and in the answer's trailing metadata. A line never holds what a request or an
answer holds: names of RPCs, codes, times and ids of ours alone.
"""

import asyncio
import re
import time
import uuid
from types import TracebackType
from typing import Any

import grpc
import structlog

from libs import interrupt
from libs.rpc.errors import Context

REQUEST_ID = "x-request-id"
WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,64}")
CODES = {code.value[0]: code.name for code in grpc.StatusCode}

log = structlog.get_logger()


def request_id(context: Context) -> str:
    """Return the id that the client gave the call if it is well-formed, a new one if not."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str) and WELL_FORMED.fullmatch(value):
            return value
    return uuid.uuid4().hex


class Call:
    """One call, from its metadata to its end: `async with Call(…)`; work it began is told to stop when it ends."""

    __slots__ = ("_context", "_level", "_rpc", "_started", "_stop")

    def __init__(self, rpc: str, context: Context, level: str) -> None:
        self._rpc, self._context, self._level = rpc, context, level
        self._started = time.perf_counter_ns()

    def __enter__(self) -> None:
        given = request_id(self._context)
        self._stop = interrupt.begin()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=given)
        self._context.set_trailing_metadata(((REQUEST_ID, given),))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.asked = True
        took = (time.perf_counter_ns() - self._started) / 1e6
        getattr(log, self._level)("call", rpc=self._rpc, code=self._code(error), ms=round(took, 3))

    def _code(self, error: BaseException | None) -> str:
        if isinstance(error, asyncio.CancelledError):
            left = self._context.time_remaining()
            return "DEADLINE_EXCEEDED" if left is not None and left <= 0 else "CANCELLED"
        code: Any = self._context.code()
        return CODES.get(code, "UNKNOWN") if isinstance(code, int) else "OK" if code is None else code.name
