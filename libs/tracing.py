"""Which call caused which? Spans by OpenTelemetry, where the extra `otel` is installed and the environment asks.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set or OTEL_TRACES_EXPORTER is `otlp` or `console`;
what else OpenTelemetry reads from the environment (service name, sampler, headers, batches) it reads itself. One span
a call and one a run of a sync, whose calls to the cohort service are its children. A span holds names of RPCs, ids of
ours and how it ended: never what a request holds, nor the message of an error.

Like OpenTelemetry's own, the tracer is the process's, set once at the start.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from libs.rpc.errors import Context

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
EXPORTERS = ("otlp", "console")
CARRIED = frozenset({"traceparent", "tracestate"})
"""The metadata in which a call says which span it is part of: W3C Trace Context."""

_tracer: "Tracer | None" = None
_provider: Any = None


class TracingFault(Exception):
    """Traces are asked for and cannot be made. The message is for who starts the server."""


def wanted(environment: Mapping[str, str]) -> str:
    """Return which exporter the environment asks for, "" for none. Raises `TracingFault` for one there is not."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    asked = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if asked == "none":
        return ""
    if not asked:
        return "otlp" if any(environment.get(name) for name in ENDPOINTS) else ""
    if asked not in EXPORTERS:
        raise TracingFault(f"OTEL_TRACES_EXPORTER is one of {', '.join(EXPORTERS)} or none, not {asked}")
    return asked


def start(environment: Mapping[str, str]) -> None:
    """Make spans from now on, where the environment asks for them. Raises `TracingFault`."""
    exporter = wanted(environment)
    if not exporter:
        return
    for name in PROTOCOLS:
        if environment.get(name, "grpc") != "grpc":
            raise TracingFault(f"{name} can be grpc alone here")
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import (
            BatchSpanProcessor,
            ConsoleSpanExporter,
            SimpleSpanProcessor,
        )
    except ImportError as error:
        raise TracingFault(
            f"traces need {error.name}, which is not installed here: install cohort[otel]"
        ) from None
    trace_to(
        BatchSpanProcessor(OTLPSpanExporter())
        if exporter == "otlp"
        else SimpleSpanProcessor(ConsoleSpanExporter())
    )


def trace_to(processor: "SpanProcessor") -> None:
    """Hand every span that ends to a processor."""
    global _tracer, _provider
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider

    named = Resource.create()  # what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say
    if str(named.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        named = named.merge(Resource({SERVICE_NAME: "cohort"}))
    _provider = TracerProvider(resource=named, shutdown_on_exit=False)
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("cohort")


def stop() -> None:
    """Send what waits, and make no more spans."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def on() -> bool:
    """Say whether spans are made."""
    return _tracer is not None


@contextmanager
def call_span(service: str, method: str, context: Context) -> Iterator[None]:
    """Make a span of a call that is served, below the caller's where it says so."""
    if _tracer is None:
        yield
        return
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode

    carrier = {key: value for key, value in context.invocation_metadata() or () if key in CARRIED}
    with _tracer.start_as_current_span(
        f"{service}/{method}",
        extract(carrier),
        SpanKind.SERVER,
        {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        code = 1
        try:
            yield
            code = _code(context)
        except BaseException as error:
            code = 1 if isinstance(error, asyncio.CancelledError) else _code(context) or 2
            raise
        finally:
            span.set_attribute("rpc.grpc.status_code", code)
            if code:
                span.set_status(Status(StatusCode.ERROR))


@contextmanager
def run_span(sync_id: str, run_id: str) -> Iterator[dict[str, str | int]]:
    """Make a span of a run of a sync; what is put into the dict that is yielded becomes its attributes."""
    ended: dict[str, str | int] = {}
    if _tracer is None:
        yield ended
        return
    with _tracer.start_as_current_span(
        "sync run",
        attributes={"cohort.sync_id": sync_id, "cohort.run_id": run_id},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield ended
        finally:
            span.set_attributes({f"cohort.{name}": value for name, value in ended.items()})


def carried() -> tuple[tuple[str, str], ...]:
    """Return the metadata that makes a call part of the span at hand; none without one."""
    if _tracer is None:
        return ()
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier)
    return tuple((key, value) for key, value in carrier.items() if key in CARRIED)


def _code(context: Context) -> int:
    """Return the number of the status a call ends with, 0 for OK."""
    found: Any = context.code()
    if found is None:
        return 0
    return found if isinstance(found, int) else int(found.value[0])
