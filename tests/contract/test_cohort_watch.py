"""Who enters and leaves a cohort, as it happens? WatchCohort over real gRPC: changes, time, positions, ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc
from libs.rpc.errors import Failure
from services.cohort import watch
from tests.contract.harness import NOW, Client, Json, StepClock, client, did, event

MINUTE, DAY = 60_000, 86_400_000


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[Client, StepClock]]:
    with client(tmp_path) as connected:
        yield connected


@pytest.fixture
def api(serving: tuple[Client, StepClock]) -> Client:
    return serving[0]


def save(api: Client, rule: Json | None = None, name: str = "Viewers", **fields: Any) -> str:
    request = {"cohort": {"name": name, "rule": rule or did(), **fields}}
    cohort_id: str = api.call("CreateCohort", request)["cohort"]["cohortId"]
    return cohort_id


def last(amount: int, unit: str) -> Json:
    return did(when={"last": {"amount": amount, "unit": unit}})


class Watch:
    """One stream, read message by message."""

    def __init__(self, api: Client, cohort_id: str, position: str = "") -> None:
        stub: Any = cohort_pb2_grpc.CohortServiceStub(api.channel)  # type: ignore[no-untyped-call]
        request = cohort_pb2.WatchCohortRequest(cohort_id=cohort_id, position=position)
        self.call = stub.WatchCohort(request, timeout=20)
        self.first = None if position else next(self.call)
        if self.first is not None:
            assert (list(self.first.entered), list(self.first.left)) == ([], [])

    def next(self) -> Any:
        """The next message."""
        return next(self.call)

    def change(self) -> tuple[set[str], set[str]]:
        """Who entered and left by the next message."""
        message = next(self.call)
        return set(message.entered), set(message.left)

    def failure(self) -> Failure:
        """How the stream ends."""
        with pytest.raises(grpc.RpcError) as ended:
            next(self.call)
        return Failure.of(ended.value)


@contextmanager
def watching(api: Client, cohort_id: str, position: str = "") -> Iterator[Watch]:
    watched = Watch(api, cohort_id, position)
    try:
        yield watched
    finally:
        watched.call.cancel()


def position_of(api: Client, cohort_id: str) -> str:
    with watching(api, cohort_id) as stream:
        assert stream.first is not None
        return str(stream.first.position)


def test_entries_and_exits_come_as_they_happen(api: Client) -> None:
    api.send(event("old"))
    cohort_id = save(api, {"all": {"rules": [did(), {"not": {"rule": did("cart")}}]}})
    with watching(api, cohort_id) as stream:
        assert stream.first is not None
        assert stream.first.revision
        assert stream.first.as_of.ToMilliseconds() == NOW
        revision = api.send(event("a"))["revision"]
        message = stream.next()
        assert (list(message.entered), list(message.left), message.revision) == (["a"], [], revision)
        api.send(event("nobody", "click"))
        api.send(event("old", "cart"), event("b"))
        assert stream.change() == ({"b"}, {"old"})


def test_time_alone_brings_entries_and_exits(serving: tuple[Client, StepClock]) -> None:
    api, clock = serving
    api.send(event("a"), event("soon", eventTime="2026-01-01T00:01:00Z"))
    minutes, days = save(api, last(2, "MINUTE"), "minutes"), save(api, last(1, "DAY"), "days")
    with watching(api, minutes) as by_minutes, watching(api, days) as by_days:
        clock.now = NOW + MINUTE
        assert by_minutes.change() == by_days.change() == ({"soon"}, set())
        clock.now = NOW + 2 * MINUTE
        assert by_minutes.change() == (set(), {"a"})
        clock.now = NOW + 3 * MINUTE
        assert by_minutes.change() == (set(), {"soon"})
        clock.now = NOW + DAY
        assert by_days.change() == (set(), {"a", "soon"})


def test_what_is_saved_changes_members_too(api: Client) -> None:
    api.send(event("a"), event("b", "cart"))
    cohort_id = save(api)
    with watching(api, cohort_id) as stream:
        api.call(
            "UpdateCohort", {"cohort": {"cohortId": cohort_id, "rule": did("cart")}, "updateMask": "rule"}
        )
        assert stream.change() == ({"b"}, {"a"})
        api.call("DeleteCohort", {"cohortId": cohort_id})
        failed = stream.failure()
        assert (failed.code, failed.reason) == (grpc.StatusCode.NOT_FOUND, "COHORT_NOT_FOUND")


def test_a_list_is_watched_too(api: Client) -> None:
    panel = {"name": "Panel", "static": True, "customerIds": ["a", "b"]}
    cohort_id = api.call("CreateCohort", {"cohort": panel})["cohort"]["cohortId"]
    with watching(api, cohort_id) as stream:
        api.send(event("a"), event("c"))
        assert stream.change() == ({"a"}, set())


def test_a_watch_goes_on_behind_its_position(api: Client) -> None:
    cohort_id = save(api)
    with watching(api, cohort_id) as stream:
        assert stream.first is not None
        start = stream.first.position
        api.send(event("a"))
        middle = stream.next().position
        api.send(event("b"))
        end = stream.next().position
    api.send(event("c"), event("d"))
    for position, expected in ((start, [{"a"}, {"b"}, {"c", "d"}]), (middle, [{"b"}, {"c", "d"}])):
        with watching(api, cohort_id, position) as stream:
            assert [stream.change()[0] for _ in expected] == expected
    with watching(api, cohort_id, end) as one, watching(api, cohort_id, end) as other:
        assert one.change() == other.change() == ({"c", "d"}, set())


def test_a_large_change_comes_in_pieces_and_is_resumed_inside(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PIECE", 2)
    api.send(*(event(f"out{n}") for n in range(3)))
    cohort_id = save(api, {"not": {"rule": did("cart")}})
    start = position_of(api, cohort_id)
    api.send(*(event(f"out{n}", "cart") for n in range(3)), *(event(f"in{n}") for n in range(3)))
    seen, positions = [], [start]
    with watching(api, cohort_id, start) as stream:
        for _ in range(3):
            message = stream.next()
            seen.append((list(message.entered), list(message.left)))
            positions.append(message.position)
    assert seen == [(["in0", "in1"], []), (["in2"], ["out0"]), ([], ["out1", "out2"])]
    for place, position in enumerate(positions[:3]):
        with watching(api, cohort_id, position) as stream:
            message = stream.next()
            assert (list(message.entered), list(message.left)) == seen[place]


def test_a_position_no_longer_held_is_out_of_range(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_CHANGES", 1)
    cohort_id, other = save(api), save(api, did("cart"), "Other")
    with watching(api, cohort_id) as stream:
        assert stream.first is not None
        start = stream.first.position
        for name in ("a", "b"):
            api.send(event(name))
            middle = stream.next().position
    failed = Watch(api, cohort_id, start).failure()
    assert (failed.code, failed.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_NOT_HELD")
    for cohort, position in ((other, middle), (cohort_id, "x"), (cohort_id, "é"), (cohort_id, "AAAA")):
        failed = Watch(api, cohort, position).failure()
        assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "POSITION_FOREIGN")
        assert [at for at, _ in failed.violations] == ["position"]


def test_positions_of_another_server_are_out_of_range(tmp_path: Path) -> None:
    with client(tmp_path) as (api, _):
        cohort_id = save(api)
        position = position_of(api, cohort_id)
    with client(tmp_path) as (api, _):
        assert Watch(api, cohort_id, position).failure().code == grpc.StatusCode.OUT_OF_RANGE


def test_an_unknown_cohort_is_not_watched(api: Client) -> None:
    for cohort_id in ("", "nothing"):
        assert Watch(api, cohort_id, "x").failure().code == grpc.StatusCode.NOT_FOUND


def test_a_server_that_stops_ends_its_watches(tmp_path: Path) -> None:
    with client(tmp_path) as (api, _):
        stream = Watch(api, save(api))
        api.close = lambda: None  # type: ignore[method-assign]
    failed = stream.failure()
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    api.channel.close()


def test_a_client_that_does_not_read_is_let_go_when_it_hangs_up(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[watch.Feed] = []
    create = watch.Feed.__init__

    def noted(feed: watch.Feed, *arguments: Any) -> None:
        create(feed, *arguments)
        made.append(feed)

    monkeypatch.setattr(watch.Feed, "__init__", noted)
    names = [f"{n:0200}" for n in range(10_000)]  # 2 MB, far beyond what the transport takes unread
    api.call("SendEventColumns", {"customerIds": names, "eventTypes": ["view"]})
    cohort_id = save(api, did("cart"))
    with watching(api, cohort_id):
        [feed] = made
        change = {"cohort": {"cohortId": cohort_id, "rule": did()}, "updateMask": "rule"}
        api.call("UpdateCohort", change)
        wait_until(lambda: feed.end.change == 1)
        assert feed.watchers == 1
    wait_until(lambda: feed.watchers == 0)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
