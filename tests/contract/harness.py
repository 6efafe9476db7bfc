"""How do contract tests talk to ingest and cohort? In JSON form, by what reflection says of the services."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2

from libs.engine import Engine
from libs.events.log import EventLog
from libs.gen.cohort.v1 import admin_pb2, cohort_pb2, ingest_pb2
from libs.index.calendar import Calendar
from libs.rpc.access import Keys
from libs.rpc.client import connect
from libs.rpc.errors import Failure
from libs.rpc.limits import DEFAULT_LIMITS, Limits
from libs.rpc.tls import ClientTls
from libs.storage.directory import Directory, ensure_default
from libs.storage.key_use import KeyUse
from libs.storage.projects import DEFAULT
from services.cohort.servicer import CohortServicer
from services.cohort.store import CohortStore
from services.ingest.admin import AdminServicer
from services.ingest.servicer import IngestServicer
from tests.fakes.services import serving

Json = dict[str, Any]
NOW = 1_767_225_600_000
"""2026-01-01T00:00:00Z, in ms: where the clock of a harness starts."""
DEADLINE = 10
INGEST = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]
COHORT = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"]
ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]


class StepClock:
    """A clock that stands still until it is stepped; ms."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the present instant."""
        return self.now


class Reflected:
    """The services of a server, as its reflection describes them; no generated code is used."""

    def __init__(self, channel: grpc.Channel, version: str = "v1") -> None:
        self._ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        self._channel = channel
        self._pool = DescriptorPool()
        self._known: set[str] = set()
        self.services = sorted(
            each.name for each in self._one(list_services="").list_services_response.service
        )
        for name in self.services:
            self._learn(file_containing_symbol=name)
            self._pool.FindServiceByName(name)  # what is listed is described
        self.methods = {
            method.name: method
            for name in self.services
            if name.startswith("cohort.")
            for method in self._pool.FindServiceByName(name).methods
        }

    def _one(self, **fields: str) -> Any:
        [answer] = self._ask(iter([reflection_pb2.ServerReflectionRequest(**fields)]), timeout=DEADLINE)
        return answer

    def _learn(self, **fields: str) -> None:
        for data in self._one(**fields).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self._known:
                continue
            self._known.add(file.name)
            for name in file.dependency:
                if name not in self._known:
                    self._learn(file_by_filename=name)
            self._pool.Add(file)

    def invoke(self, method_name: str, *requests: Any, metadata: Any = None) -> Any:
        """Call a method with requests in JSON form, or as bytes; return an answer, or a list from a stream."""
        method = self.methods[method_name]
        make = getattr(
            self._channel,
            ("stream" if method.client_streaming else "unary")
            + "_"
            + ("stream" if method.server_streaming else "unary"),
        )
        call = make(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda request: self._encode(method, request),
            response_deserializer=lambda data: self._decode(method, data),
        )
        sent = iter(requests) if method.client_streaming else requests[0]
        answer = call(sent, timeout=DEADLINE, metadata=metadata)
        return list(answer) if method.server_streaming else answer

    def _encode(self, method: Any, request: Any) -> bytes:
        if isinstance(request, bytes):
            return request
        message = GetMessageClass(method.input_type)()
        json_format.ParseDict(request, message, descriptor_pool=self._pool)
        data: bytes = message.SerializeToString()
        return data

    def _decode(self, method: Any, data: bytes) -> Json:
        answer: Json = json_format.MessageToDict(
            GetMessageClass(method.output_type).FromString(data), descriptor_pool=self._pool
        )
        return answer


class Client:
    """Calls the services of a target in JSON form."""

    def __init__(self, target: str, version: str = "v1", tls: ClientTls | None = None) -> None:
        self.target = target
        self.channel = connect(target, tls=tls)
        self.services = Reflected(self.channel, version)

    def call(self, method: str, request: Any = None, **options: Any) -> Any:
        """Return the answer of a call; of a stream, the list of its messages."""
        return self.services.invoke(method, {} if request is None else request, **options)

    def failure(self, method: str, request: Any = None, **options: Any) -> Failure:
        """Return how a call fails."""
        try:
            answer = self.call(method, request, **options)
        except grpc.RpcError as error:
            return Failure.of(error)
        raise AssertionError(f"{method} answered {answer}")

    def run(self, rule: Json, **fields: Any) -> set[str]:
        """Return the customers that match a rule."""
        answer = self.call("RunRule", {"rule": rule, **fields})
        ids = answer.get("customerIds", [])
        assert answer.get("size", 0) == len(ids) == len(set(ids))
        return set(ids)

    def send(self, *events: Json) -> Json:
        """Send events."""
        answer: Json = self.call("SendEvents", {"events": list(events)})
        return answer

    def close(self) -> None:
        """Hang up."""
        self.channel.close()


@contextmanager
def served(
    folder: Path,
    *,
    zone: str = "UTC",
    api_key: str | None = None,
    clock: StepClock | None = None,
    fill: Callable[[Engine], None] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[tuple[str, StepClock]]:
    """Serve ingest, admin and cohort over a folder; yields (HOST:PORT, the clock). `fill` puts data in first."""
    clock = clock or StepClock()
    log, calendar = EventLog(folder / "log"), Calendar(ZoneInfo(zone))
    engine = Engine(log, calendar, clock, writable=True, writing_bytes=limits.writing_mib << 20)
    store = CohortStore(folder / "saved")
    if fill:
        fill(engine)
    directory = Directory(folder, writable=True)
    ensure_default(directory, zone, clock())
    use = KeyUse(folder, "test")
    keys = Keys(directory, api_key, insecure=api_key is None, use=use, clock=clock)
    services = [
        (INGEST, IngestServicer(engine, clock, lambda: directory.contents().projects[DEFAULT].quota)),
        (ADMIN, AdminServicer(engine, directory, use, clock, log_bytes=lambda _: engine.log_bytes())),
        (COHORT, CohortServicer(engine, store, clock)),
    ]
    try:
        with serving(services, keys, limits=limits) as target:
            yield target, clock
    finally:
        directory.close()
        store.close()
        engine.close()


@contextmanager
def client(folder: Path, *, version: str = "v1", **options: Any) -> Iterator[tuple[Client, StepClock]]:
    """Serve, and connect."""
    with served(folder, **options) as (target, clock):
        connected = Client(target, version)
        try:
            yield connected, clock
        finally:
            connected.close()


def event(customer: str = "a", event_type: str = "view", **fields: Any) -> Json:
    """Make an event in JSON form."""
    return {"customerId": customer, "eventType": event_type, **fields}


def did(event_type: str = "view", **fields: Any) -> Json:
    """Make a rule of one behaviour."""
    return {"did": {"eventType": event_type, **fields}}


def test_of(attribute: str, op: str, *values: Any, **fields: Any) -> Json:
    """Make a condition of one test."""
    return {"test": {"attribute": attribute, "op": op, "values": list(values), **fields}}


test_of.__test__ = False  # type: ignore[attr-defined]
