"""What Prometheus is shown: every call with how it ended, what was taken in, bytes by part, and no more."""

import asyncio
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from libs.errors import Missing
from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc
from libs.metrics import Exposition, new_registry
from libs.rpc.access import Keys
from libs.rpc.client import connect
from libs.rpc.metrics import Calls
from tests.contract.harness import COHORT
from tests.fakes.services import serving


class Behaving(cohort_pb2_grpc.CohortServiceServicer):
    """Answers one call, fails others, and hangs where it is told to."""

    def __init__(self) -> None:
        self.hanging = threading.Event()

    async def GetCohort(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.cohort_id == "hang":
            self.hanging.set()
            await asyncio.Event().wait()
        if request.cohort_id:
            raise Missing("COHORT_NOT_FOUND", "there is none", "cohort", request.cohort_id)
        return cohort_pb2.GetCohortResponse()

    async def ListCohorts(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise ZeroDivisionError

    async def StreamMembers(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield cohort_pb2.StreamMembersResponse()
        if request.cohort_id:
            raise Missing("COHORT_NOT_FOUND", "there is none", "cohort", request.cohort_id)


@pytest.fixture
def calls() -> Calls:
    return Calls(CollectorRegistry())


@pytest.fixture
def behaving() -> Behaving:
    return Behaving()


@pytest.fixture
def channel(calls: Calls, behaving: Behaving) -> Iterator[grpc.Channel]:
    with serving([(COHORT, behaving)], Keys(operator_secret="key"), calls) as target:
        channel = connect(target, "key")
        yield channel
        channel.close()


def ended(calls: Calls) -> dict[tuple[str, str], int]:
    """Return how many calls ended, by method and code."""
    [metric] = calls._seconds.collect()
    return {
        (sample.labels["method"], sample.labels["code"]): int(sample.value)
        for sample in metric.samples
        if sample.name.endswith("_count") and sample.value
    }


def under_way(calls: Calls) -> float:
    [metric] = calls._under_way.collect()
    return sum(sample.value for sample in metric.samples)


def wait_until_ended(calls: Calls, expected: dict[tuple[str, str], int]) -> None:
    """An end is noted behind the answer, so a client may be ahead of it."""
    for _ in range(1000):
        if ended(calls) == expected:
            break
        threading.Event().wait(0.01)
    assert ended(calls) == expected
    assert under_way(calls) == 0


def code(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    name: str = caught.value.code().name
    return name


def test_every_call_is_counted_by_how_it_ended(channel: grpc.Channel, calls: Calls) -> None:
    stub: Any = cohort_pb2_grpc.CohortServiceStub(channel)  # type: ignore[no-untyped-call]
    for _ in range(3):
        stub.GetCohort(cohort_pb2.GetCohortRequest())
    assert code(lambda: stub.GetCohort(cohort_pb2.GetCohortRequest(cohort_id="x"))) == "NOT_FOUND"
    assert code(lambda: stub.ListCohorts(cohort_pb2.ListCohortsRequest())) == "INTERNAL"
    assert code(lambda: stub.DeleteCohort(cohort_pb2.DeleteCohortRequest())) == "UNIMPLEMENTED"
    assert len(list(stub.StreamMembers(cohort_pb2.StreamMembersRequest()))) == 1
    assert (
        code(lambda: list(stub.StreamMembers(cohort_pb2.StreamMembersRequest(cohort_id="x")))) == "NOT_FOUND"
    )
    raw = channel.unary_unary("/cohort.v1.CohortService/GetCohort")
    assert code(lambda: raw(b"\xff\xff")) == "INVALID_ARGUMENT"
    wait_until_ended(
        calls,
        {
            ("GetCohort", "OK"): 3,
            ("GetCohort", "NOT_FOUND"): 1,
            ("GetCohort", "INVALID_ARGUMENT"): 1,
            ("ListCohorts", "INTERNAL"): 1,
            ("DeleteCohort", "UNIMPLEMENTED"): 1,
            ("StreamMembers", "OK"): 1,
            ("StreamMembers", "NOT_FOUND"): 1,
        },
    )


def test_a_call_with_a_wrong_key_is_counted(calls: Calls, behaving: Behaving) -> None:
    with serving([(COHORT, behaving)], Keys(operator_secret="key"), calls) as target:
        channel = connect(target, "other")
        assert (
            code(lambda: channel.unary_unary("/cohort.v1.CohortService/GetCohort")(b"")) == "UNAUTHENTICATED"
        )
        wait_until_ended(calls, {("GetCohort", "UNAUTHENTICATED"): 1})
        channel.close()


def test_a_call_whose_client_goes_away_is_under_way_and_then_cancelled(
    channel: grpc.Channel, calls: Calls, behaving: Behaving
) -> None:
    stub: Any = cohort_pb2_grpc.CohortServiceStub(channel)  # type: ignore[no-untyped-call]
    call = stub.GetCohort.future(cohort_pb2.GetCohortRequest(cohort_id="hang"))
    assert behaving.hanging.wait(10)
    assert under_way(calls) == 1
    call.cancel()
    wait_until_ended(calls, {("GetCohort", "CANCELLED"): 1})


def test_summaries_bound_the_times_of_most_calls(channel: grpc.Channel, calls: Calls) -> None:
    assert calls.summaries() == []
    stub: Any = cohort_pb2_grpc.CohortServiceStub(channel)  # type: ignore[no-untyped-call]
    for _ in range(20):
        stub.GetCohort(cohort_pb2.GetCohortRequest())
    code(lambda: stub.GetCohort(cohort_pb2.GetCohortRequest(cohort_id="x")))
    wait_until_ended(calls, {("GetCohort", "OK"): 20, ("GetCohort", "NOT_FOUND"): 1})
    [summary] = calls.summaries()
    assert (summary.service, summary.method, summary.calls, summary.failed) == (
        "CohortService",
        "GetCohort",
        21,
        1,
    )
    assert summary.median is not None
    assert summary.p99 is not None
    assert 0 < summary.median <= summary.p99


def test_the_port_shows_the_process_and_closes() -> None:
    exposition = Exposition(new_registry(), "127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{exposition.port}/metrics", timeout=10) as answer:
            shown = answer.read().decode()
    finally:
        exposition.close()
    assert "process_resident_memory_bytes" in shown
    assert 'cohort_build_info{version="' in shown
    with pytest.raises(OSError, match=r"refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{exposition.port}/metrics", timeout=10)


def test_a_port_that_is_taken_is_named() -> None:
    exposition = Exposition(new_registry(), "127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match=f"metrics cannot be served on 127.0.0.1:{exposition.port}"):
            Exposition(new_registry(), "127.0.0.1", exposition.port)
    finally:
        exposition.close()
