"""A receipt means on disk: group commit, request ids, failures among neighbours, and a reopened log."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from libs import failpoints
from libs.errors import Invalid, Overloaded, Refused, Unavailable
from libs.events import commit, writer
from libs.events.batch import Upsert
from libs.events.commit import Committer, Receipt, Refusal, Submission
from libs.events.log import EventLog, Position
from tests.unit.events.support import DAY_MS, StepClock, customers, submission, written

TIMEOUT = 10


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


class Gate:
    """Holds the commits of a log back until it is opened, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[list[Submission]] = []
        self.fail: Any = None
        self.reached, self.opened = threading.Semaphore(0), threading.Event()
        original = Committer.commit

        def guarded(committer: Committer, group: list[Submission], now: int) -> Any:
            self.reached.release()
            assert self.opened.wait(TIMEOUT)
            self.groups.append(group)
            if self.fail:
                self.fail(group)
            return original(committer, group, now)

        monkeypatch.setattr(Committer, "commit", guarded)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def test_a_receipt_counts_what_became_of_the_request(tmp_path: Path, clock: StepClock) -> None:
    with written(tmp_path, clock) as (log, submit):
        refused = [Refusal(0, "customer_id", "MISSING_CUSTOMER_ID", "empty")]
        request = Submission(batch=submission(("a", "1"), ("a", "1"), ("b", "")).batch, rejected=refused)
        assert submit.submit(request).result(TIMEOUT) == Receipt(1, 2, 1, refused)
        upsert = Submission(upserts=[Upsert("c", {"city": "Pune"})])
        assert submit.submit(upsert).result(TIMEOUT) == Receipt(2, 1)
        assert log.end() == Position(2, 2)


def test_a_request_that_changes_nothing_makes_no_revision(tmp_path: Path, clock: StepClock) -> None:
    with written(tmp_path, clock) as (log, submit):
        assert submit.submit(submission(("a", "1"))).result(TIMEOUT).revision == 1
        assert submit.submit(submission(("a", "1"))).result(TIMEOUT) == Receipt(1, 0, 1)
        assert submit.submit(submission()).result(TIMEOUT) == Receipt(1, 0)
        assert submit.submit(Submission()).result(TIMEOUT) == Receipt(1, 0)
        assert log.end() == Position(1, 1)


def test_requests_that_wait_together_share_a_commit_in_order(
    tmp_path: Path, clock: StepClock, gate: Gate
) -> None:
    with written(tmp_path, clock) as (log, submit):
        first = submit.submit(submission(("a", "0")))
        assert gate.reached.acquire(timeout=TIMEOUT)
        waiting = [submit.submit(submission(("a", str(number % 60)))) for number in range(1, 101)]
        gate.opened.set()
        assert first.result(TIMEOUT).revision == 1
        receipts = [each.result(TIMEOUT) for each in waiting]
        assert [len(group) for group in gate.groups] == [1, 100]
        assert {receipt.revision for receipt in receipts} == {2}
        assert [receipt.accepted for receipt in receipts] == [1] * 59 + [0] * 41
        assert log.end() == Position(2, 60)


def test_a_commit_takes_no_more_than_its_share(
    tmp_path: Path, clock: StepClock, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_COMMIT_ITEMS", 4)
    with written(tmp_path, clock) as (_, submit):
        first = submit.submit(submission(("a", "")))
        assert gate.reached.acquire(timeout=TIMEOUT)
        waiting = [submit.submit(submission(("a", ""), ("a", ""))) for _ in range(5)]
        gate.opened.set()
        for each in (first, *waiting):
            each.result(TIMEOUT)
    assert [len(group) for group in gate.groups] == [1, 2, 2, 1]


def test_past_the_bound_senders_are_told_to_wait(
    tmp_path: Path, clock: StepClock, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING_ITEMS", 3)
    with written(tmp_path, clock) as (_, submit):
        large = submit.submit(submission(*[("a", "")] * 5))
        assert gate.reached.acquire(timeout=TIMEOUT)
        with pytest.raises(Overloaded, match="send again later"):
            submit.submit(submission(("b", "")))
        gate.opened.set()
        assert large.result(TIMEOUT).accepted == 5


def test_past_the_bound_of_bytes_senders_are_told_to_wait_whatever_they_send(
    tmp_path: Path, clock: StepClock, gate: Gate
) -> None:
    with written(tmp_path, clock, most_waiting=100) as (_, submit):
        large = submit.submit(Submission(batch=submission(("a", "")).batch, size=500))
        assert gate.reached.acquire(timeout=TIMEOUT)
        with pytest.raises(Overloaded, match="send again later"):
            submit.submit(Submission(batch=submission(("b", "")).batch, size=1))
        gate.opened.set()
        assert large.result(TIMEOUT).accepted == 1
        while submit.waiting:
            pass
        small = [Submission(batch=submission((name, "")).batch, size=100) for name in "cd"]
        for each in small:
            assert submit.submit(each).result(TIMEOUT).accepted == 1
            while submit.waiting:
                pass


def test_a_project_has_so_many_names_and_what_brings_more_is_refused_whole(
    tmp_path: Path, clock: StepClock
) -> None:
    def upsert(*attributes: str) -> Submission:
        return Submission(upserts=[Upsert("a", dict.fromkeys(attributes, 1.0))])

    with written(tmp_path, clock, most_names=6) as (log, submit):
        assert submit.submit(submission(("a", ""))).result(TIMEOUT).accepted == 1
        assert submit.submit(upsert("x")).result(TIMEOUT).accepted == 1
        known, end = len(log.names), log.end()
        assert known < 6
        with pytest.raises(Refused, match="may have 6 in all"):
            submit.submit(upsert("x", *map(str, range(7 - known))))
        assert (len(log.names), log.end()) == (known, end)
        assert submit.submit(upsert("x", *map(str, range(6 - known)))).result(TIMEOUT).accepted == 1
        assert submit.submit(upsert("x")).result(TIMEOUT).accepted == 1, "what is known is still taken"


def test_a_repeated_request_gets_the_first_receipt_and_writes_nothing(
    tmp_path: Path, clock: StepClock
) -> None:
    with written(tmp_path, clock) as (log, submit):
        request = ("r1", b"f" * 32)
        first = submit.submit(submission(("a", ""), request=request)).result(TIMEOUT)
        submit.submit(submission(("b", ""))).result(TIMEOUT)
        assert submit.submit(submission(("a", ""), request=request)).result(TIMEOUT) == first
        with pytest.raises(Invalid, match="another request") as refused:
            submit.submit(submission(("c", ""), request=("r1", b"g" * 32))).result(TIMEOUT)
        assert refused.value.reason == "REQUEST_ID_REUSED"
        assert customers(log) == ["a", "b"]
    with written(tmp_path, clock) as (log, submit):
        assert submit.submit(submission(("a", ""), request=request)).result(TIMEOUT) == first
        clock.now += DAY_MS
        assert submit.submit(submission(("a", ""), request=request)).result(TIMEOUT).revision == 3


def test_a_request_sent_twice_at_once_is_served_once(tmp_path: Path, clock: StepClock, gate: Gate) -> None:
    with written(tmp_path, clock) as (log, submit):
        blocking = submit.submit(submission(("x", "")))
        assert gate.reached.acquire(timeout=TIMEOUT)
        twice = [submit.submit(submission(("a", ""), request=("r", b"f" * 32))) for _ in range(3)]
        gate.opened.set()
        receipts = [each.result(TIMEOUT) for each in (blocking, *twice)][1:]
        assert receipts == [receipts[0]] * 3
        assert customers(log) == ["x", "a"]


def test_old_request_ids_are_dropped(tmp_path: Path, clock: StepClock) -> None:
    with written(tmp_path, clock) as (log, submit):
        for number in range(5):
            submit.submit(submission(("a", ""), request=(f"r{number}", b"f" * 32))).result(TIMEOUT)
        clock.now += DAY_MS
        submit.submit(submission(("a", ""), request=("new", b"f" * 32))).result(TIMEOUT)
        with log.environment.read() as txn:
            assert txn.stat(db=log.environment["requests"])["entries"] == 1
            assert txn.stat(db=log.environment["request_times"])["entries"] == 1


def test_a_request_that_fails_does_not_fail_its_neighbours(
    tmp_path: Path, clock: StepClock, gate: Gate
) -> None:
    def fail(group: list[Submission]) -> None:
        if any(each.batch and "bad" in each.batch.customer_ids.distinct for each in group):
            raise OverflowError("cannot be written")

    gate.fail = fail
    with written(tmp_path, clock) as (log, submit):
        blocking = submit.submit(submission(("x", "")))
        assert gate.reached.acquire(timeout=TIMEOUT)
        before, bad, behind = (submit.submit(submission((name, name))) for name in ("a", "bad", "b"))
        gate.opened.set()
        assert blocking.result(TIMEOUT).accepted == 1
        assert (before.result(TIMEOUT).accepted, behind.result(TIMEOUT).accepted) == (1, 1)
        with pytest.raises(OverflowError):
            bad.result(TIMEOUT)
        assert customers(log) == ["x", "a", "b"]


def test_a_commit_that_fails_half_way_leaves_nothing_and_the_next_is_whole(
    tmp_path: Path, clock: StepClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with written(tmp_path, clock) as (log, submit):
        submit.submit(submission(("a", "1"))).result(TIMEOUT)
        with monkeypatch.context() as broken:
            broken.setattr(EventLog, "put", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                submit.submit(submission(("b", "2"), request=("r", b"f" * 32))).result(TIMEOUT)
        assert log.end() == Position(1, 1)
        receipt = submit.submit(submission(("c", "3"), ("b", "2"), request=("r", b"g" * 32)))
        assert receipt.result(TIMEOUT) == Receipt(2, 2)
    with written(tmp_path, clock) as (log, submit):
        assert customers(log) == ["a", "c", "b"]
        assert submit.submit(submission(("c", "3"), ("b", "2"))).result(TIMEOUT).duplicates == 2


def test_a_cancelled_request_that_waits_is_not_written(tmp_path: Path, clock: StepClock, gate: Gate) -> None:
    with written(tmp_path, clock) as (log, submit):
        blocking = submit.submit(submission(("x", "")))
        assert gate.reached.acquire(timeout=TIMEOUT)
        given_up, other = submit.submit(submission(("a", ""))), submit.submit(submission(("b", "")))
        assert given_up.cancel()
        gate.opened.set()
        blocking.result(TIMEOUT)
        other.result(TIMEOUT)
        assert customers(log) == ["x", "b"]


def test_close_commits_what_waits_and_then_takes_nothing(
    tmp_path: Path, clock: StepClock, gate: Gate
) -> None:
    log = EventLog(tmp_path)
    submit = writer.Writer(log, clock)
    first = submit.submit(submission(("a", "")))
    assert gate.reached.acquire(timeout=TIMEOUT)
    waiting = [submit.submit(submission(("b", ""))) for _ in range(3)]
    gate.opened.set()
    submit.close()
    assert all(each.done() for each in (first, *waiting))
    with pytest.raises(Unavailable, match="shutting down"):
        submit.submit(submission(("c", "")))
    log.close()


def test_many_threads_lose_nothing_and_share_commits(tmp_path: Path, clock: StepClock) -> None:
    with written(tmp_path, clock) as (log, submit):
        futures: list[Any] = []

        def send(sender: int) -> None:
            futures.extend(
                submit.submit(submission((f"c{sender}", f"{number}"), ("all", f"{number}")))
                for number in range(20)
            )

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        receipts = [each.result(TIMEOUT) for each in futures]
        assert sum(receipt.accepted for receipt in receipts) == 8 * 20 + 20
        assert sum(receipt.duplicates for receipt in receipts) == 7 * 20
        assert log.end().rows == 180
        assert log.end().revision == max(receipt.revision for receipt in receipts) <= 160
        assert sorted(set(customers(log))) == ["all", *(f"c{sender}" for sender in range(8))]


def test_everything_is_there_after_a_restart(tmp_path: Path, clock: StepClock) -> None:
    with written(tmp_path, clock) as (log, submit):
        submit.submit(submission(("a", "1"), ("b", "2"))).result(TIMEOUT)
        submit.submit(Submission(upserts=[Upsert("b", {"city": "Pune", "age": 3.0, "vip": True})])).result(
            TIMEOUT
        )
        submit.submit(Submission(upserts=[Upsert("b", {"city": None, "age": 4.0}), Upsert("z", {})])).result(
            TIMEOUT
        )
        token, log_id = log.token(3), log.log_id
    with written(tmp_path, clock) as (log, submit):
        assert (log.end(), log.log_id, log.token(3)) == (Position(3, 2), log_id, token)
        assert customers(log) == ["a", "b"]
        [changes] = log.changes(Position())
        found = dict(
            zip(log.customers.strings(changes.profiles.customers), changes.profiles.records, strict=True)
        )
        assert set(found) == {"b", "z"}
        assert found["b"].strings == {}
        assert list(found["b"].numbers.values()) == [4.0]
        assert list(found["b"].bools.values()) == [True]
        [event] = log.events(np.array([0]))
        assert (event.event_type, event.event_id, event.data) == (
            "view",
            "1",
            {"brand": "acme", "price": 0.5},
        )
        assert submit.submit(submission(("b", "2"), ("b", "3"))).result(TIMEOUT) == Receipt(4, 1, 1)


def test_duplicates_are_known_after_a_restart_for_the_window_and_no_longer(
    tmp_path: Path, clock: StepClock
) -> None:
    window = 1000
    with written(tmp_path, clock, dedupe_window=window) as (_, submit):
        submit.submit(submission(("a", "1"))).result(TIMEOUT)
        clock.now += 500
        submit.submit(submission(("a", "2"), ("a", ""))).result(TIMEOUT)
    clock.now += 499
    with written(tmp_path, clock, dedupe_window=window) as (_, submit):
        assert submit.submit(submission(("a", "1"), ("a", "2"))).result(TIMEOUT).duplicates == 2
    clock.now += 1
    with written(tmp_path, clock, dedupe_window=window) as (_, submit):
        assert submit.submit(submission(("a", "1"), ("a", "2"))).result(TIMEOUT).duplicates == 1


def test_a_full_log_is_overload_and_writes_nothing(
    tmp_path: Path, clock: StepClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "MAX_ROWS", 2)
    with written(tmp_path, clock) as (log, submit):
        submit.submit(submission(("a", ""), ("b", ""))).result(TIMEOUT)
        with pytest.raises(Overloaded, match="holds its 2 events"):
            submit.submit(submission(("c", ""))).result(TIMEOUT)
        assert log.end() == Position(1, 2)


@pytest.mark.parametrize("step", ["committed", "answer"])
def test_what_fails_behind_a_commit_costs_nothing_that_was_committed(tmp_path: Path, step: str) -> None:
    clock = StepClock()
    with written(tmp_path, clock) as (log, writer):
        writer.submit(submission(("a", "1"))).result()
        failpoints.arm(f"{step}=error")
        try:
            assert writer.submit(submission(("a", "2"), ("b", ""))).result().accepted == 2
        finally:
            failpoints.arm("")
        again = writer.submit(submission(("a", "1"), ("a", "2"), ("c", "3"))).result()
        assert (again.accepted, again.duplicates) == (1, 2)
        assert customers(log) == ["a", "a", "b", "c"]
