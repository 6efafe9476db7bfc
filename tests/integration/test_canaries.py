"""No customer, value or secret is in a log, metric, trace, status or stored error, whatever goes well or wrong.

Canaries are planted wherever a client may write something, over every RPC; then all that a process says of itself is
searched. Personal ones may be answered to whoever may read them; secret ones to nobody.
"""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from libs.gen.cohort.v1 import destination_pb2, destination_pb2_grpc
from tests.contract.harness import Client, did, event
from tests.integration.processes import Process, started

PERSONAL = "canary-person-5b1f"
SECRET = "canary-secret-93ce"
ADDRESS = "canary-address-c07d"
"""Stands in addresses, which are shown to who manages destinations, and nowhere else."""
OPERATOR = f"operator-{SECRET}-000000000000000000000000"
DEEPEST = 6
METRICS = "cohort_rpc_seconds"


class Echo(BaseHTTPRequestHandler):
    """A destination that fails and repeats what it was sent, secrets included."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        said = body + str(self.headers).encode() + self.path.encode()
        self.send_response(400, said.decode("latin-1").replace("\r\n", " ")[:200])
        self.send_header("x-said", f"{PERSONAL} {SECRET} {ADDRESS}")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


class Saying(destination_pb2_grpc.DestinationServiceServicer):
    """A plug-in that fails and says in its error, with details, what nobody should."""

    def Describe(self, request: Any, context: Any) -> destination_pb2.DescribeResponse:  # noqa: N802
        return destination_pb2.DescribeResponse(name=PERSONAL, modes=["MIRROR"])

    def OpenAudience(self, request: Any, context: Any) -> None:  # noqa: N802
        reason = error_details_pb2.ErrorInfo(reason=SECRET, metadata={PERSONAL: SECRET})
        said = status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message=f"{PERSONAL} {SECRET}")
        said.details.add().Pack(reason)
        context.set_trailing_metadata(
            (("x-said", SECRET), ("grpc-status-details-bin", said.SerializeToString()))
        )
        context.abort(grpc.StatusCode.INTERNAL, said.message)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Stands for a collector of traces: keeps all that it is sent, and the metadata it came with."""

    def __init__(self) -> None:
        self.received: list[str] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.received.append(f"{context.invocation_metadata()} {request}")
        return trace_service_pb2.ExportTraceServiceResponse()


@contextlib.contextmanager
def beside() -> Iterator[tuple[int, Collector]]:
    """Serve a plug-in and a collector of traces on one port, and give both."""
    collector, server = Collector(), grpc.server(futures.ThreadPoolExecutor(4))
    destination_pb2_grpc.add_DestinationServiceServicer_to_server(Saying(), server)  # type: ignore[no-untyped-call]
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, collector
    server.stop(None).wait(30)


def filled(message: Descriptor, depth: int = 0) -> dict[str, Any]:
    """Return a message, in JSON form, with a canary in every string."""
    found: dict[str, Any] = {}
    for field in message.fields:
        if (
            field.containing_oneof
            and field.containing_oneof.fields[depth % len(field.containing_oneof.fields)] != field
        ):
            continue
        value = _value(field, depth)
        if value is not None:
            found[field.json_name] = [value] if field.is_repeated else value
    return found


def _value(field: FieldDescriptor, depth: int) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return "Y2FuYXJ5"
        secret = any(word in field.name for word in ("secret", "access_token"))
        return SECRET if secret else PERSONAL
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        name = field.message_type.full_name
        if (
            name.startswith("google.protobuf")
            or field.message_type.GetOptions().map_entry
            or depth >= DEEPEST
        ):
            return {PERSONAL: PERSONAL} if name == "google.protobuf.Struct" else None
        return filled(field.message_type, depth + 1)
    return None


class Driver:
    """Calls a server and keeps whatever it answers."""

    def __init__(self, target: str, bearer: str) -> None:
        self.client = Client(target)
        self._metadata = [
            ("authorization", f"Bearer {bearer}"),
            ("x-request-id", f"a b {PERSONAL}"),
            ("user-agent", f"{PERSONAL}/1 {SECRET}"),
            ("x-forwarded-for", PERSONAL),
            ("tracestate", f"canary={SECRET}"),
            ("baggage", f"canary={SECRET}"),
        ]
        self.answers: list[str] = []

    def call(self, method: str, request: Any, metadata: Any = None) -> Any:
        """Return the answer, {} where it fails."""
        try:
            answer = self.client.call(method, request, metadata=metadata or self._metadata)
        except grpc.RpcError as error:
            trailing = error.trailing_metadata()  # type: ignore[attr-defined]
            self.answers.append(f"{error.details()} {trailing}")  # type: ignore[attr-defined]
            return {}
        self.answers.append(json.dumps(answer))
        return answer

    def everything(self) -> None:
        """Call every RPC with canaries in all places, and with bytes that are no request."""
        for name, method in sorted(self.client.services.methods.items()):
            if name == "WatchCohort":
                continue  # it ends only with its client
            for request in (filled(method.input_type), PERSONAL.encode()):
                self.call(name, request)


def destinations(port: int, plugin: int) -> list[dict[str, Any]]:
    """Return destinations that hold secrets: each fails in a way of its own."""
    signing = "whsec_" + "Y2FuYXJ5LXNlY3JldC05M2NlLWNhbmFyeS1zZWNyZXQ="
    return [
        {
            "name": "one",
            "webhook": {"url": f"http://127.0.0.1:{port}/x?token={ADDRESS}", "signingSecret": signing},
        },
        {"name": "two", "webhook": {"url": f"http://user:{ADDRESS}@127.0.0.1:{port}/"}},
        {"name": "three", "webhook": {"url": f"http://127.0.0.1:1/?{ADDRESS}", "signingSecret": SECRET}},
        {
            "name": "four",
            "facebookAds": {
                "adAccountId": "act_1",
                "accessToken": SECRET,
                "audienceId": "1",
                "matchKeys": ["EXTERN_ID"],
                "graphUrl": f"http://127.0.0.1:{port}",
            },
        },
        {"name": "five", "grpc": {"target": f"127.0.0.1:{port}"}},
        {"name": f"six {PERSONAL}", "file": {"path": f"/nonexistent/{ADDRESS}/out.csv", "format": "CSV"}},
        {"name": "seven", "grpc": {"target": f"127.0.0.1:{plugin}"}},
        {
            "name": "eight",
            "file": {"path": f"local:///proc/{ADDRESS}/x.csv?sig={ADDRESS}", "format": "JSONL"},
        },
    ]


def drive(driver: Driver, port: int, plugin: int) -> list[str]:
    """Send, ask, save and sync, well and badly; return the runs as they are kept."""
    profile = {"email": f"{PERSONAL}@example.com", "city": PERSONAL}
    driver.call(
        "SendEvents", {"events": [event(PERSONAL, PERSONAL, data={PERSONAL: PERSONAL}), event("", "x")]}
    )
    driver.call("SendEventsJson", {"jsonLines": "e30="})
    driver.call("UpsertCustomers", {"customers": [{"customerId": PERSONAL, "data": profile}]})
    driver.call("UpsertCustomers", {"customers": [{"customerId": PERSONAL, "data": {"dob": PERSONAL}}]})
    rule = did(PERSONAL, where={"test": {"attribute": PERSONAL, "op": "EQUALS", "values": [PERSONAL]}})
    bad = did(PERSONAL, where={"test": {"attribute": PERSONAL, "op": "MATCHES", "values": [f"({PERSONAL}"]}})
    for each in (rule, bad):
        driver.call("RunRule", {"rule": each, "profileFields": [PERSONAL]})
    driver.call("RunRule", {"text": f"{PERSONAL} where"})
    cohort = driver.call("CreateCohort", {"cohort": {"name": PERSONAL, "rule": rule}})["cohort"]["cohortId"]
    driver.call("ExplainMembership", {"cohortId": cohort, "customerId": PERSONAL})
    driver.call("ListMembers", {"cohortId": cohort})
    runs: list[str] = []
    for destination in destinations(port, plugin):
        made = driver.call("CreateDestination", {"destination": destination})
        if not made:
            continue
        destination_id = made["destination"]["destinationId"]
        driver.call("TestDestination", {"destinationId": destination_id})
        sync = {"cohortId": cohort, "destinationId": destination_id, "schedule": {"hourly": {}}}
        sync_id = driver.call("CreateSync", {"sync": sync})["sync"]["syncId"]
        driver.call("PreviewSync", {"syncId": sync_id})
        run_id = driver.call("RunSync", {"syncId": sync_id})["run"]["runId"]
        runs.append(json.dumps(ended(driver, sync_id, run_id)))
        driver.call("GetDestination", {"destinationId": destination_id})
    driver.call("ListDestinations", {})
    return runs


def ended(driver: Driver, sync_id: str, run_id: str) -> Any:
    """Return a run once it is over; one that has tried and tries again is cancelled."""
    while True:
        run = driver.call("GetSyncRun", {"runId": run_id})["run"]
        if run.get("state") != "RUNNING":
            return run
        if int(run.get("attempts", 0)) > 1:
            driver.call("CancelSyncRun", {"runId": run_id})


def shown(port: str) -> str:
    """Return the metrics of a process."""
    with urllib.request.urlopen(f"http://{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def no_canary(text: str, where: str) -> None:
    for canary in (PERSONAL, SECRET, ADDRESS, "Y2FuYXJ5LXNlY3JldC05M2Nl"):
        place = text.find(canary)
        assert place < 0, f"{where}: …{text[max(0, place - 300) : place + 100]}…"


def test_no_canary_gets_where_it_does_not_belong(tmp_path: Path, echo: int) -> None:
    port = free_port()
    arguments = ("serve", "--data-dir", str(tmp_path / "data"), "--listen", "127.0.0.1:0")
    more = ("--log-level", "debug", "--log-calls", "info", "--metrics", str(port))
    hosts = ("--destination-host", f"127.0.0.1:{echo}", "--destination-host", "127.0.0.1:1")
    with beside() as (plugin, collector), started() as start:
        hosts = (*hosts, "--destination-host", f"127.0.0.1:{plugin}")
        process: Process = start(
            *arguments,
            *more,
            *hosts,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{plugin}",
            COHORT_API_KEY=OPERATOR,
            COHORT_FAILPOINTS="profile=error@2*1;cohort=error@3*1",
        )
        with Drained(process) as drained:
            driver = Driver(process.target, OPERATOR)
            runs = drive(driver, echo, plugin)
            driver.everything()
            for wrong in (SECRET, f"Bearer {SECRET}", f"Basic {SECRET}"):
                driver.call("RunRule", {}, [("authorization", wrong), ("cohort-project", PERSONAL)])
            status = json.dumps(driver.call("GetStatus", {}))
            metrics = shown(f"127.0.0.1:{port}")
            driver.client.close()
        said = drained.text
    assert said.count('"event": "call"') > 60
    assert '"code": "INVALID_ARGUMENT"' in said
    assert METRICS in metrics
    assert any('"FAILED"' in run for run in runs)
    traces = "\n".join(collector.received)
    assert "CohortService/RunRule" in traces
    assert traces.count('name: "sync run"') == len(runs)
    assert said.count('"event": "run ended"') == len(runs)
    assert any("the plug-in at" in run for run in runs)
    assert any("in its folder" in run for run in runs)
    no_canary(traces, "traces")
    no_canary(said, "logs")
    no_canary(metrics, "metrics")
    no_canary(status, "status")
    for run in runs:
        no_canary(run, "a run")
    secrets = "\n".join(answer for answer in driver.answers if "apiKey" not in answer)
    assert SECRET not in secrets


class Drained:
    """Reads what a process writes while it lives, so that it never waits for its reader; ends it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._parts: list[str] = []

    def __enter__(self) -> "Drained":
        self._process.listening()
        err = self._process._process.stderr
        assert err is not None
        self._thread = Thread(target=lambda: self._parts.extend(err), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._process._process.terminate()
        self._thread.join(30)
        assert self._process._process.stdout is not None
        with contextlib.suppress(ValueError):
            self._parts.append(self._process._process.stdout.read())
        self._process._process.wait(30)

    @property
    def text(self) -> str:
        """All that it wrote."""
        return "".join(self._parts)
