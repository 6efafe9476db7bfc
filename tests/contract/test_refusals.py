"""What is too much is answered RESOURCE_EXHAUSTED, and when to come back: each limit, small, of a real server."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event as Flag
from typing import Any

import grpc
import pytest
from h2.events import PingAckReceived

from libs.engine import Engine
from libs.events.commit import Submission
from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, event_pb2, ingest_pb2, ingest_pb2_grpc
from libs.rpc.errors import Failure
from libs.rpc.limits import Limits
from tests.contract.harness import DEADLINE, Client, client, did
from tests.faults.raw_http import Raw, framed

PATIENT = 3_600_000
"""ms: nobody is hurried, so that what is held stays held."""


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    over = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < over
        time.sleep(0.005)


class Served:
    """A server whose writing of the log stands still until it is let go."""

    def __init__(self, api: Client, engine: Engine, stack: ExitStack) -> None:
        self.api, self.engine = api, engine
        self.ingest: Any = ingest_pb2_grpc.IngestServiceStub(api.channel)  # type: ignore[no-untyped-call]
        self.cohort: Any = cohort_pb2_grpc.CohortServiceStub(api.channel)  # type: ignore[no-untyped-call]
        self._stack = stack
        self.appended: list[Any] = []
        self._append = engine.append
        engine.append = self._appending  # type: ignore[method-assign]

    def _appending(self, submission: Submission) -> Any:
        self.appended.append(self._append(submission))
        return self.appended[-1]

    def stop_writing(self) -> Flag:
        """Stop it, until the flag that is returned is set."""
        go, begun = Flag(), Flag()
        self._stack.callback(go.set)
        self._append(Submission(task=lambda: (begun.set(), go.wait(DEADLINE * 3))[0]))
        assert begun.wait(DEADLINE)
        return go

    def send(self, name: str, size: int = 10, timeout: float = DEADLINE * 2) -> Any:
        """Send an event of about so many bytes; a future."""
        event = event_pb2.Event(customer_id=name, event_type="view", data={"a": "x" * size})
        return self.ingest.SendEvents.future(ingest_pb2.SendEventsRequest(events=[event]), timeout=timeout)


@contextmanager
def serving(folder: Path, **limits: int) -> Iterator[Served]:
    engines: list[Engine] = []
    with ExitStack() as stack:
        given = Limits(patience_ms=PATIENT, **limits)
        api, _ = stack.enter_context(client(folder, fill=engines.append, limits=given))
        stopping = stack.enter_context(ExitStack())
        yield Served(api, engines[0], stopping)


def refused(answer: Callable[[], Any], reason: str) -> None:
    """Expect a call to be refused with advice when to try again."""
    with pytest.raises(grpc.RpcError) as error:
        answer()
    failure = Failure.of(error.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
    assert failure.retry_after
    assert failure.retry_after > 0


def test_calls_past_those_that_may_wait(tmp_path: Path) -> None:
    with serving(tmp_path, working=1, waiting=1) as server:
        go = server.stop_writing()
        inside = server.send("a")
        wait_until(lambda: len(server.appended) == 1)
        calls = [server.send("b"), server.send("c")]
        wait_until(lambda: any(call.done() for call in calls))
        [late] = [call for call in calls if call.done()]
        refused(late.result, "TOO_MANY_CALLS")
        go.set()
        assert inside.result().accepted == 1
        assert sum(call.result().accepted for call in calls if call is not late) == 1


def test_bytes_past_those_that_may_wait_to_be_written(tmp_path: Path) -> None:
    with serving(tmp_path, writing_mib=1) as server:
        go = server.stop_writing()
        first = server.send("a", 700_000)
        wait_until(lambda: len(server.appended) == 1)
        refused(server.send("b", 700_000).result, "TOO_MANY_WAITING")
        go.set()
        assert first.result().accepted == 1
        assert server.api.run(did()) == {"a"}


def test_a_call_whose_deadline_passes_before_it_is_begun_to_be_written_is_not_written(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        go = server.stop_writing()
        late, other = server.send("late", timeout=3.0), server.send("other")
        assert late.exception().code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: len(server.appended) == 2 and any(each.cancelled() for each in server.appended))
        go.set()
        assert other.result().accepted == 1
        assert server.api.run(did()) == {"other"}


def test_streams_past_those_that_may_be_open_such_as_watches(tmp_path: Path) -> None:
    with serving(tmp_path, streams=1) as server:
        request = {"cohort": {"name": "Viewers", "rule": did()}}
        cohort_id = server.api.call("CreateCohort", request)["cohort"]["cohortId"]
        watch = cohort_pb2.WatchCohortRequest(cohort_id=cohort_id)
        first = server.cohort.WatchCohort(watch, timeout=DEADLINE * 2)
        next(first)
        refused(server.cohort.WatchCohort(watch, timeout=DEADLINE).__next__, "TOO_MANY_CALLS")
        refused(
            server.cohort.StreamMembers(cohort_pb2.StreamMembersRequest(cohort_id=cohort_id)).__next__,
            "TOO_MANY_CALLS",
        )
        first.cancel()


def test_streams_of_events_past_those_that_may_be_open(tmp_path: Path) -> None:
    def requests(over: Flag) -> Iterator[Any]:
        events = [event_pb2.Event(customer_id="a", event_type="view")]
        yield ingest_pb2.StreamEventsRequest(send=ingest_pb2.SendEventsRequest(events=events))
        over.wait(DEADLINE * 2)

    over = Flag()
    with serving(tmp_path, streams_in=1) as server:
        first = server.ingest.StreamEvents(requests(over), timeout=DEADLINE * 2)
        assert next(first).result.accepted == 1
        refused(server.ingest.StreamEvents(requests(over), timeout=DEADLINE).__next__, "TOO_MANY_CALLS")
        over.set()
        assert list(first) == []


def test_requests_of_open_streams_past_half_of_the_memory_for_requests(tmp_path: Path) -> None:
    with serving(tmp_path, request_mib=1) as server:
        large = cohort_pb2.WatchCohortRequest(cohort_id="x" * 400_000)
        refused(server.cohort.WatchCohort(large, timeout=DEADLINE).__next__, "TOO_MUCH_HELD")
        assert server.send("a", 1_000_000).result().accepted == 1  # a call may have all of it


def test_requests_wait_while_others_have_the_memory_for_requests(tmp_path: Path) -> None:
    with serving(tmp_path, request_mib=1) as server:
        go = server.stop_writing()
        first = server.send("a", 900_000)
        wait_until(lambda: len(server.appended) == 1)
        second = server.send("b", 900_000)
        with pytest.raises(grpc.FutureTimeoutError):
            second.result(0.05)
        assert len(server.appended) == 1
        go.set()
        assert [first.result().accepted, second.result().accepted] == [1, 1]


def test_a_request_of_too_many_parts_is_refused_and_others_are_served(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        empty_events = b"\x0a\x00" * (5 << 20)
        failure = server.api.failure("SendEvents", empty_events)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_TOO_LARGE")
        assert server.send("a").result().accepted == 1


def sent_ahead(raw: Raw, most: int) -> int:
    """Begin a call and send what the server lets in of its message, up to `most`; return how many bytes that is."""
    stream, sent = raw.call("IngestService/SendEvents", framed(bytes(most))[:5], whole=False), 5
    closed = 0
    while closed < 3 and sent < most:
        window = min(raw.http.local_flow_control_window(stream), raw.http.max_outbound_frame_size)
        if window:
            raw.http.send_data(stream, bytes(window))
            sent, closed = sent + window, 0
        else:
            closed += 1
            raw.http.ping(b"tell me.")
        raw.flush()
        while not window and not any(isinstance(each, PingAckReceived) for each in raw.receive()):
            pass
    return sent


def test_a_call_that_waits_is_let_in_no_further_than_its_window(tmp_path: Path) -> None:
    with serving(tmp_path, working=1) as server:
        inside, waits = Raw(server.api.target), Raw(server.api.target)
        inside.call("IngestService/SendEvents", whole=False)
        inside.flush()
        assert sent_ahead(inside, 4 << 20) < 256 << 10
        assert sent_ahead(waits, 4 << 20) < 256 << 10
        inside.close()
        waits.close()


def test_a_connection_past_its_age_ends_and_calls_and_watches_go_on_upon_the_next(tmp_path: Path) -> None:
    with serving(tmp_path, connection_age_s=1, connection_grace_s=4) as server:
        saved = {"cohort": {"name": "Viewers", "rule": did()}}
        cohort_id = server.api.call("CreateCohort", saved)["cohort"]["cohortId"]
        request = cohort_pb2.WatchCohortRequest(cohort_id=cohort_id)
        watch = server.cohort.WatchCohort(request, timeout=DEADLINE * 6)
        position = next(watch).position
        with pytest.raises(grpc.RpcError) as ended:
            next(watch)
        assert Failure.of(ended.value).code is grpc.StatusCode.UNAVAILABLE
        assert server.send("a").result().accepted == 1
        request.position = position
        again = server.cohort.WatchCohort(request, timeout=DEADLINE * 6)
        assert list(next(again).entered) == ["a"]
