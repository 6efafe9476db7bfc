"""Which call caused which? Spans of calls and runs, without a word of what was sent."""

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs import tracing
from libs.tracing import TracingFault, wanted
from tests.contract.harness import did, event
from tests.contract.sync.harness import SyncHarness
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.webhook import WebhookReceiver
from tests.integration.processes import connected, serve, started


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.trace_to(SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_calls_that_a_run_causes_are_below_it(
    spans: InMemorySpanExporter, tmp_path: Path, receiver: WebhookReceiver
) -> None:
    cohorts = FakeCohortService()
    await cohorts.start()
    sync = SyncHarness(tmp_path, cohorts)
    await sync.start()
    cohort_id = cohorts.add_cohort("C", ["canary-ann"])
    made = await sync.sync(cohort_id, await sync.webhook(receiver, "canary-name"))
    run = await sync.run(made["syncId"])
    failure = await sync.failure("GetSync", {"syncId": "canary-sync"})
    await sync.stop()
    await cohorts.stop()
    assert (run["state"], failure.code) == ("SUCCEEDED", grpc.StatusCode.NOT_FOUND)
    [of_run] = named(spans, "sync run")
    assert of_run.attributes == {
        "cohort.sync_id": made["syncId"],
        "cohort.run_id": run["runId"],
        "cohort.state": "SUCCEEDED",
        "cohort.adds": 1,
        "cohort.removes": 0,
    }
    [asked] = named(spans, "CohortService/GetMemberSet")
    assert asked.parent is not None
    assert of_run.context is not None
    assert asked.parent.span_id == of_run.context.span_id
    assert asked.context is not None
    assert asked.context.trace_id == of_run.context.trace_id
    [failed] = [
        span for span in named(spans, "SyncService/GetSync") if span.status.status_code.name == "ERROR"
    ]
    assert failed.attributes is not None
    assert failed.attributes["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    for span in spans.get_finished_spans():
        assert "canary" not in span.to_json()
        assert not span.events  # an error's message is not recorded


def test_a_call_is_below_the_span_its_caller_names(spans: InMemorySpanExporter) -> None:
    class Context:
        def invocation_metadata(self) -> Any:
            return (("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"), ("authorization", "Bearer canary"))

        def code(self) -> int:
            return 0

    context: Any = Context()
    with tracing.call_span("S", "M", context):
        assert tracing.carried()[0][1].startswith(f"00-{'ab' * 16}-")
    [span] = named(spans, "S/M")
    assert span.parent is not None
    assert span.context is not None
    assert (f"{span.context.trace_id:x}", f"{span.parent.span_id:x}") == ("ab" * 16, "cd" * 8)
    assert "canary" not in span.to_json()


def test_without_tracing_nothing_is_carried() -> None:
    assert not tracing.on()
    assert tracing.carried() == ()


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4317"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
    ],
)
def test_the_environment_says_whether_and_where_to(environment: dict[str, str], exporter: str) -> None:
    assert wanted(environment) == exporter


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    ],
)
def test_what_cannot_be_done_is_an_error_at_the_start(environment: dict[str, str]) -> None:
    with pytest.raises(TracingFault, match=r"OTEL_"):
        tracing.start(environment)
    assert not tracing.on()


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Stands for a collector of traces."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.services: set[str] = set()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        for resource in request.resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            self.names |= {span.name for scope in resource.scope_spans for span in scope.spans}
        return trace_service_pb2.ExportTraceServiceResponse()


def test_a_server_sends_its_spans_where_the_environment_says(tmp_path: Path) -> None:
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with started() as start:
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        process = start(*serve(tmp_path / "data"), **told).listening()
        with connected(process) as client:
            client.send(event("ann"))
            client.run(did())
        code, _, errors = process.terminate()
    server.stop(None)
    assert (code, "Traceback" in errors) == (0, False), errors
    assert {"IngestService/SendEvents", "CohortService/RunRule"} <= collector.names
    assert collector.services == {"cohort"}
