"""What was acknowledged is read: in gulps, by row, by another process's view, and by its revision."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from libs.errors import Corrupt, Invalid
from libs.events import block, log
from libs.events.batch import Batch, Column, Kind, Strings, Upsert
from libs.events.commit import Submission
from libs.events.log import DamagedLogError, EventLog, Position, join_key
from libs.events.writer import Writer
from libs.storage.environment import Environment
from libs.storage.failures import Absent, Locked, NewerFormat
from tests.unit.events.support import StepClock, submission, written

TIMEOUT = 10


def fill(submit: Writer, batches: int, rows: int = 2) -> None:
    for number in range(batches):
        events = [(f"c{number}", f"{number}.{row}") for row in range(rows)]
        submit.submit(submission(*events)).result(TIMEOUT)


def test_changes_come_in_gulps_and_from_any_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "GULP_ROWS", 5)
    with written(tmp_path, StepClock()) as (events, submit):
        fill(submit, 7)
        gulps = list(events.changes(Position()))
        assert [len(gulp.blocks) for gulp in gulps] == [3, 3, 1]
        assert [gulp.position for gulp in gulps] == [Position(3, 6), Position(6, 12), Position(7, 14)]
        for revision in range(8):
            since = Position(revision, 2 * revision)
            rest = [each.revision for gulp in events.changes(since) for each in gulp.blocks]
            assert rest == list(range(revision + 1, 8))


def test_profiles_between_events_are_changes_of_their_own(tmp_path: Path) -> None:
    with written(tmp_path, StepClock()) as (events, submit):
        fill(submit, 1)
        for city in ("Pune", "Goa"):
            submit.submit(Submission(upserts=[Upsert("p", {"city": city})])).result(TIMEOUT)
        fill(submit, 1)  # of the same ids: duplicates, no revision
        submit.submit(submission(("q", ""))).result(TIMEOUT)
        [changes] = events.changes(Position(2, 2))
        assert [each.revision for each in changes.blocks] == [3, 4]
        [customer], [profile] = changes.profiles.customers.tolist(), changes.profiles.records
        assert events.customers[customer] == "p"
        assert events.values.strings(profile.strings.values()) == ["Goa"]
        assert [event.event_id for event in events.events(np.array([2, 1, 0]))] == ["", "0.1", "0.0"]


def test_events_are_read_back_in_the_order_asked_with_every_kind(tmp_path: Path) -> None:
    columns = [
        Column("x", Kind.STRING, Strings.of(["", "é"]), np.array([0, 2], np.uint32)),
        Column("x", Kind.NUMBER, np.array([-0.5]), np.array([1], np.uint32)),
        Column("y", Kind.BOOL, np.array([True, False, True])),
    ]
    sent = Batch(
        Strings.of(["a", "b", "a"]), Strings.of(["view", "cart", "view"]), np.array([5, 6, 7]), None, columns
    )
    with written(tmp_path, StepClock()) as (events, submit):
        fill(submit, 2)
        submit.submit(Submission(batch=sent)).result(TIMEOUT)
        fill(submit, 3)
        rows = np.array([6, 4, 8, 5, 0, 4])
        found = events.events(rows)
        assert [each.data for each in found[:2]] == [{"x": "é", "y": True}, {"x": "", "y": True}]
        assert found[3].data == {"x": -0.5, "y": False}
        assert [each.event_type for each in found] == ["view", "view", "view", "cart", "view", "view"]
        assert [each.time for each in found] == [7, 5, 1000, 6, 0, 5]
        assert events.events(np.empty(0, np.int64)) == []
        with pytest.raises(IndexError, match="no row 9"):
            events.events(np.array([1, 9]))


def test_a_reader_sees_commits_of_the_writer_with_their_strings(tmp_path: Path) -> None:
    with written(tmp_path, StepClock()) as (events, submit):
        fill(submit, 1)
        # LMDB allows one environment a process and path: the reader of the test shares the writer's.
        fresh = EventLog.__new__(EventLog)
        fresh.environment = events.environment
        for name in ("customers", "names", "values"):
            setattr(fresh, name, type(events.customers)(events.environment[name]))
        fresh._readonly, fresh._data_key, fresh._vault = True, None, None
        fresh._checked = set()
        assert [each.revision for gulp in fresh.changes(Position()) for each in gulp.blocks] == [1]
        assert fresh.customers.strings([0]) == ["c0"]
        fill(submit, 2)
        [gulp] = fresh.changes(Position(1, 2))
        assert fresh.customers.strings(gulp.blocks[0].customers.tolist()) == ["c1", "c1"]


def test_strings_added_beside_a_reading_thread_are_still_written(tmp_path: Path) -> None:
    with written(tmp_path, StepClock()) as (events, submit):
        fill(submit, 1)
        events.customers.add("in the middle of a commit")
        list(events.changes(Position()))
        fill(submit, 2)
    with written(tmp_path, StepClock()) as (events, _):
        assert events.customers.find("in the middle of a commit") == 1
        assert events.customers.find("c1") == 2


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "-",
        "-1",
        "{id}",
        "{id}-",
        "{id}--1",
        "{id}-1.0",
        "{id}-٣",
        "{id}- 1",
        "0-1",
        "{id}-" + "9" * 19,
    ],
)
def test_a_foreign_revision_is_refused_with_its_field(tmp_path: Path, token: str) -> None:
    with written(tmp_path, StepClock()) as (events, _):
        with pytest.raises(Invalid) as refused:
            events.revision_of(token.format(id=events.log_id))
        assert (refused.value.reason, refused.value.field) == ("REVISION_FOREIGN", "min_revision")
        assert events.revision_of(events.token(12)) == 12


def test_two_logs_have_tokens_of_their_own(tmp_path: Path) -> None:
    with (
        written(tmp_path / "a", StepClock()) as (one, _),
        written(tmp_path / "b", StepClock()) as (two, _),
        pytest.raises(Invalid, match="another log"),
    ):
        one.revision_of(two.token(1))


def overwrite(folder: Path, place: int, value: int) -> None:
    """Change one byte of the first block of a closed log."""
    environment = log.open_environment(folder)
    with environment.write() as txn:
        key = join_key(0, 1)
        data = bytearray(txn.get(key, db=environment["blocks"]))
        data[place] = value
        txn.put(key, bytes(data), db=environment["blocks"])
    environment.close()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [(-1, 0xAB, "revision 1 .*checksum"), (2, block.FORMAT + 1, "format.*revision 1")],
)
def test_a_damaged_or_newer_block_is_named_when_it_is_read_and_at_a_start_that_needs_it(
    tmp_path: Path, place: int, value: int, said: str
) -> None:
    with written(tmp_path, StepClock()) as (_, submit):
        fill(submit, 2)
    overwrite(tmp_path, place, value)

    def reopened() -> EventLog:
        return EventLog(tmp_path)

    def asks_for_duplicates(events: EventLog) -> None:
        writer = Writer(events, StepClock())
        try:
            writer.submit(submission(("c0", "0.0"))).result(TIMEOUT)
        finally:
            writer.close()

    def reads_all(events: EventLog) -> None:
        list(events.changes(Position()))

    def reads_one(events: EventLog) -> None:
        events.events(np.array([0]))

    for read in (reads_all, reads_one, asks_for_duplicates):
        with (
            contextlib.closing(reopened()) as events,
            pytest.raises(DamagedLogError, match=f"{said}.*backup"),
        ):
            read(events)
    shutil.rmtree(tmp_path / "dedupe")
    with contextlib.closing(reopened()) as events, pytest.raises(DamagedLogError, match=f"{said}.*backup"):
        Writer(events, StepClock())


def test_a_log_in_which_damage_was_found_answers_and_takes_nothing_more(tmp_path: Path) -> None:
    with written(tmp_path, StepClock()) as (_, submit):
        fill(submit, 2)
    overwrite(tmp_path, -1, 0xAB)
    with contextlib.closing(EventLog(tmp_path)) as events:
        writer = Writer(events, StepClock())
        with pytest.raises(DamagedLogError):
            events.events(np.array([0]))
        with pytest.raises(Corrupt, match=r"revision 1 .*cohort restore"):
            events.end()
        with pytest.raises(Corrupt, match=r"revision 1 .*cohort restore"):
            writer.submit(submission(("c1", "new"))).result(TIMEOUT)
        writer.close()


def test_a_log_is_absent_until_somebody_writes_it_and_has_one_writer(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="no event log yet"):
        EventLog(tmp_path / "nowhere", readonly=True)
    assert not (tmp_path / "nowhere").exists()
    with written(tmp_path, StepClock()), pytest.raises(Locked, match="in use by another server"):
        EventLog(tmp_path)


def test_a_log_that_is_being_made_is_absent_still(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").touch()
    with pytest.raises(Absent, match="no event log yet"):
        EventLog(tmp_path, readonly=True)
    Environment(tmp_path, "event log", log.VERSION, log.TABLES).close()
    for _ in range(2):  # asked again, in the same process
        with pytest.raises(Absent, match="no event log yet"):
            EventLog(tmp_path, readonly=True)
    with written(tmp_path, StepClock()):
        pass
    EventLog(tmp_path, readonly=True).close()


def test_a_log_of_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as future:
        future.setattr(log, "VERSION", log.VERSION + 1)
        with written(tmp_path, StepClock()) as (_, submit):
            fill(submit, 1)
    for readonly in (False, True):
        with pytest.raises(NewerFormat, match=r"newer version of Cohort.*nothing was changed"):
            EventLog(tmp_path, readonly=readonly)
    with monkeypatch.context() as future:
        future.setattr(log, "VERSION", log.VERSION + 1)
        with written(tmp_path, StepClock()) as (events, _):
            assert events.end() == Position(1, 2)
