"""How long do calls take, and how do they end? One histogram over all RPCs, and how many are under way.

Guarantees: nothing of a request or an answer is kept but the method and the status code, so no label can hold
personal data or a secret, and the number of series is bounded. A call costs about 5 µs (`tests/bench/calls.py`).
Neighbours: `libs.rpc.server` wraps every handler with it; `libs.metrics` shows it; GetStatus sums it up.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from prometheus_client import CollectorRegistry, Gauge, Histogram

from libs import tracing
from libs.rpc.errors import Context, number

BUCKETS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper ends in seconds: from what a membership check takes to what a bulk load may."""
CODES = {number(code): code.name for code in grpc.StatusCode}

Handler = Callable[[object, Context], Awaitable[None]]
"""What serves a call: it reads and writes by way of the context."""


@dataclass(frozen=True, slots=True)
class CallSummary:
    """The calls of one method since the process began: how many, how many not OK, and times in seconds.

    `median` and `p99` are upper ends of buckets: at least so many calls took no longer. None without calls, and
    where the last bucket is no bound.
    """

    service: str
    method: str
    calls: int
    failed: int
    median: float | None
    p99: float | None


class Calls:
    """The calls of one process, in `registry`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        labels = ("service", "method")
        self._seconds = Histogram(
            "cohort_rpc_seconds",
            "Time from a call's arrival to the end of its answer, waiting for a turn included, by how it ended.",
            (*labels, "code"),
            buckets=BUCKETS,
            registry=registry,
        )
        self._under_way = Gauge(
            "cohort_rpcs_under_way", "Calls that have begun and not ended.", labels, registry=registry
        )
        self._methods: set[tuple[str, str]] = set()

    def measure(self, method: MethodDescriptor, call: Handler) -> Handler:
        """Return the handler of a method, measured."""
        names = (method.containing_service.name, method.name)
        self._methods.add(names)
        self._seconds.labels(*names, "OK")  # shown from the start, at zero
        if tracing.on():
            call = _traced(call, names)
        return _measured(call, _Ended(self._seconds, names), self._under_way.labels(*names))

    def summaries(self) -> list[CallSummary]:
        """Return what there is to say of every method that was called, by service and method."""
        counts: dict[tuple[str, str], Counter[float]] = {names: Counter() for names in self._methods}
        calls: Counter[tuple[str, str]] = Counter()
        failed: Counter[tuple[str, str]] = Counter()
        for metric in self._seconds.collect():
            for sample in metric.samples:
                names = (sample.labels["service"], sample.labels["method"])
                if sample.name.endswith("_bucket"):
                    counts[names][float(sample.labels["le"])] += int(sample.value)
                elif sample.name.endswith("_count"):
                    calls[names] += int(sample.value)
                    failed[names] += int(sample.value) if sample.labels["code"] != "OK" else 0
        return [
            CallSummary(*names, calls[names], failed[names], *(_bound(counts[names], q) for q in (0.5, 0.99)))
            for names in sorted(self._methods)
            if calls[names]
        ]


class _Ended:
    """Notes the ends of one method's calls; finding a series by its labels costs more than adding to it."""

    def __init__(self, seconds: Histogram, names: tuple[str, str]) -> None:
        self._seconds = seconds
        self._names = names
        self._by_code: dict[str, Any] = {}

    def __call__(self, code: str, seconds: float) -> None:
        series = self._by_code.get(code)
        if series is None:
            series = self._by_code[code] = self._seconds.labels(*self._names, code)
        series.observe(seconds)


def _traced(call: Handler, names: tuple[str, str]) -> Handler:
    async def traced(requests: object, context: Context) -> None:
        with tracing.call_span(*names, context):
            await call(requests, context)

    return traced


def _measured(call: Handler, ended: _Ended, under_way: Any) -> Handler:
    async def measured(requests: object, context: Context) -> None:
        began = perf_counter()
        under_way.inc()
        code = "UNKNOWN"
        try:
            await call(requests, context)
            code = _code(context)
        except BaseException as error:
            code = _code_of(error, context)
            raise
        finally:
            under_way.dec()
            ended(code, perf_counter() - began)

    return measured


def _code(context: Context) -> str:
    """Return the name of the status a call ends with: OK unless it was set."""
    found: Any = context.code()
    return CODES.get(found, "UNKNOWN") if isinstance(found, int) else found.name if found else "OK"


def _code_of(error: BaseException, context: Context) -> str:
    """Return the status of a call that ends with an error: its client gone or its time over is CANCELLED."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    code = _code(context)
    return "UNKNOWN" if code == "OK" else code


def _bound(cumulative: Counter[float], share: float) -> float | None:
    """Return the least upper end under which so large a share of the calls is."""
    total = cumulative[float("inf")]
    ends = [end for end in sorted(cumulative) if cumulative[end] >= share * total]
    return ends[0] if total and ends[0] != float("inf") else None
