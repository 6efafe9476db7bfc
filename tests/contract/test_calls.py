"""What every call has: an id in its answer and its line of the log, and a place among the others."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc
from libs.logs import Level, configure
from libs.rpc.client import connect
from libs.rpc.errors import Failure
from tests.contract.harness import COHORT, DEADLINE, served
from tests.fakes.services import serving

RUN = "cohort.v1.CohortService.RunRule"


class Sink(io.StringIO):
    """A log that can be waited for: the line of a call is written behind its answer."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def calls(self, number: int, event: str = "call") -> list[dict[str, Any]]:
        """Return the lines about calls, once there are so many."""

        def found() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in self.getvalue().splitlines()]
            return [line for line in lines if line["event"] == event]

        with self._written:
            assert self._written.wait_for(lambda: len(found()) >= number, DEADLINE)
        return found()


@pytest.fixture
def lines() -> Iterator[Any]:
    """The lines of the log that are about calls, as many as are waited for."""
    sink, before = Sink(), structlog.get_config()
    configure(Level.DEBUG, sink, keep=False)
    yield sink.calls
    structlog.configure(**before)


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Any]:
    with served(tmp_path) as (target, _), connect(target) as channel:
        yield cohort_pb2_grpc.CohortServiceStub(channel)


EVERYONE = cohort_pb2.RunRuleRequest(count_only=True, rule={"all": {}})


def ids(metadata: Any) -> list[str]:
    return [value for key, value in metadata or () if key == "x-request-id"]


def test_a_call_is_named_by_its_client_or_else_by_the_server(stub: Any, lines: Any) -> None:
    named = stub.RunRule.with_call(EVERYONE, timeout=DEADLINE, metadata=[("x-request-id", "Page-7.a:b_c")])[1]
    assert ids(named.trailing_metadata()) == ["Page-7.a:b_c"]
    unnamed = stub.RunRule.with_call(EVERYONE, timeout=DEADLINE)[1]
    [made] = ids(unnamed.trailing_metadata())
    odd = stub.RunRule.with_call(EVERYONE, timeout=DEADLINE, metadata=[("x-request-id", "a b\"{'")])[1]
    assert len({made, *ids(odd.trailing_metadata())}) == 2
    first, second, third = lines(3)
    assert (first["rpc"], first["code"], first["request_id"]) == (RUN, "OK", "Page-7.a:b_c")
    assert first["ms"] > 0
    assert second["request_id"] == made
    assert "{" not in third["request_id"]


def test_a_failure_has_the_id_beside_its_details(stub: Any, lines: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.RunRule(cohort_pb2.RunRuleRequest(), timeout=DEADLINE, metadata=[("x-request-id", "mine")])
    assert Failure.of(refused.value).reason == "INVALID_RULE"
    assert ids(refused.value.trailing_metadata()) == ["mine"]  # type: ignore[attr-defined]
    [line] = lines(1)
    assert (line["code"], line["request_id"]) == ("INVALID_ARGUMENT", "mine")


def test_a_call_without_a_request_is_refused(stub: Any, tmp_path: Path) -> None:
    with served(tmp_path / "other") as (target, _), connect(target) as channel:
        empty = channel.stream_unary(f"/{RUN.rpartition('.')[0]}/RunRule")
        with pytest.raises(grpc.RpcError) as refused:
            empty(iter(()), timeout=DEADLINE)
    assert Failure.of(refused.value).reason == "MALFORMED_MESSAGE"


class Failing(cohort_pb2_grpc.CohortServiceServicer):
    """Fails with what it was sent, in every kind of call."""

    async def GetCohort(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise ValueError(request.cohort_id)

    async def StreamMembers(self, request: Any, context: Any) -> Any:  # noqa: N802
        yield cohort_pb2.StreamMembersResponse()
        try:
            raise KeyError(request.cohort_id)
        except KeyError as error:
            raise RuntimeError(f"no {request.cohort_id}") from error


def test_what_fails_inside_is_logged_by_where_and_tells_no_value(lines: Any) -> None:
    canary = "canary-41d7"
    with serving([(COHORT, Failing())]) as target, connect(target) as channel:
        stub: Any = cohort_pb2_grpc.CohortServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as unary:
            stub.GetCohort(cohort_pb2.GetCohortRequest(cohort_id=canary), timeout=DEADLINE)
        with pytest.raises(grpc.RpcError) as stream:
            list(stub.StreamMembers(cohort_pb2.StreamMembersRequest(cohort_id=canary), timeout=DEADLINE))
    for error in (unary.value, stream.value):
        assert Failure.of(error).reason == "INTERNAL"
        assert canary not in f"{error.details()}{error.trailing_metadata()}"  # type: ignore[attr-defined]
    first, second = lines(2, "call failed")
    assert (first["error"], second["error"]) == ("ValueError", "RuntimeError")
    assert first["request_id"] in ids(unary.value.trailing_metadata())  # type: ignore[attr-defined]
    assert any(__file__ in place for place in first["where"])
    assert [line["code"] for line in lines(2)] == ["INTERNAL", "INTERNAL"]
    assert canary not in json.dumps([first, second, *lines(2)])
