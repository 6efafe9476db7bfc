"""A start goes on from the segments on disk: it reads them, repairs them from the log, and answers the same."""

from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from libs.engine import Engine
from libs.events.batch import Batch, Column, Kind, Strings
from libs.events.commit import Submission
from libs.events.log import EventLog
from libs.index import index
from libs.index.calendar import Calendar
from libs.index.loading import rebuild
from libs.index.plan import EVER, Did
from libs.index.segment import Segment
from libs.index.snapshot import Snapshot
from libs.index.store import MANIFEST_NAME, Entry, SegmentStore
from libs.storage import arrays

NOW = 1_782_842_400_000
DAY = 86_400_000
ROWS = 40
Opening = Callable[..., Engine]


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    """Open engines on one log; at the end all are closed."""
    opened: list[Engine] = []

    def start(*, seal_rows: int = ROWS, reads: Engine | None = None) -> Engine:
        """Open the log; or the one of `reads`, as another process would read it (LMDB wants one a process)."""
        log = reads._log if reads else EventLog(tmp_path / "log")
        calendar, writable = Calendar(ZoneInfo("UTC")), reads is None
        engine = Engine(log, calendar, lambda: NOW, writable=writable, seal_rows=seal_rows)
        engine._closed = not writable
        opened.append(engine)
        return engine

    yield start
    for engine in opened:
        engine.close()


def batch(seed: int) -> Batch:
    """Return events of two types with a string and a number, some without."""
    random = np.random.default_rng(seed)
    customers = random.integers(0, 30, ROWS).tolist()
    types = Strings.of(random.choice(["view", "cart"], ROWS).tolist())
    rows = np.flatnonzero(random.random(ROWS) < 0.8).astype(np.uint32)
    columns = [
        Column("brand", Kind.STRING, Strings.of(random.choice(["a", "b", "ä"], len(rows)).tolist()), rows),
        Column("price", Kind.NUMBER, random.integers(0, 9, ROWS).astype(np.float64)),
    ]
    times = NOW - random.integers(0, 90 * DAY, ROWS)
    return Batch(Strings.of(f"c{each}" for each in customers), types, times, None, columns)


def send(engine: Engine, *seeds: int) -> None:
    for seed in seeds:
        engine.append(Submission(batch=batch(seed))).result()
        engine.snapshot()
    engine.settle()


def answers(engine: Engine, snapshot: Snapshot | None = None) -> list[list[str]]:
    """Ask who did what in every window of ten days, and how often."""
    found = []
    for event_type in ("view", "cart"):
        for days in (3, 10, 90, None):
            first = EVER if days is None else NOW - days * DAY
            for least in (1, 2, 5):
                plan = Did(event_type, None, first, NOW + 1, least)
                members = engine.evaluate(plan, snapshot or engine.snapshot(), NOW)
                found.append(sorted(engine.customer_ids(list(members))))
    return found


def segments(engine: Engine) -> list[Segment]:
    parts = engine.snapshot().parts.values()
    return [part for held in parts for part in held if isinstance(part, Segment)]


def tail_rows(engine: Engine) -> int:
    parts = engine.snapshot().parts.values()
    return sum(len(part) for held in parts for part in held if not isinstance(part, Segment))


def index_folder(tmp_path: Path) -> Path:
    return tmp_path / "log" / "index"


def crash(engine: Engine) -> None:
    """Let go of an engine without what closing does: nothing further is sealed."""
    engine._writer.close()  # type: ignore[union-attr]
    engine._keeper.close()  # type: ignore[union-attr]
    engine._index._sealer.close()
    engine._log.close()
    engine._closed = True


@pytest.fixture
def closed(opening: Opening) -> list[list[str]]:
    """Leave a log with segments on disk; return what it answers."""
    engine = opening()
    send(engine, *range(6))
    expected = answers(engine)
    engine.close()
    return expected


def test_after_a_clean_stop_nothing_is_replayed(opening: Opening, closed: list[list[str]]) -> None:
    again = opening()
    assert answers(again) == closed
    assert tail_rows(again) == 0
    assert all(segment.name for segment in segments(again))
    send(again, 6)
    assert answers(again) != closed


def test_tails_that_take_much_memory_are_sealed_however_few_their_events(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opening(seal_rows=10**6)
    send(engine, 0)
    assert tail_rows(engine) == ROWS
    monkeypatch.setattr(index, "TAIL_BYTES", 1000)
    send(engine, 1)
    assert tail_rows(engine) == 0


def test_after_a_crash_what_was_not_sealed_is_replayed(opening: Opening) -> None:
    engine = opening()
    send(engine, *range(4))
    assert tail_rows(engine) == 0
    engine._index._seal_rows = 10**6
    send(engine, 4)
    expected = answers(engine)
    crash(engine)
    again = opening()
    assert tail_rows(again) == ROWS
    assert answers(again) == expected


def test_sizes_grow_geometrically_however_many_batches_come(opening: Opening) -> None:
    engine = opening()
    send(engine, *range(40))
    engine.settle()
    for held in engine.snapshot().parts.values():
        assert len(held) <= 7
        assert sum(map(len, held)) > 40 * ROWS // 3


@pytest.mark.parametrize("which", [0, -1])
def test_a_damaged_segment_is_derived_from_the_log_again(
    opening: Opening, closed: list[list[str]], tmp_path: Path, which: int
) -> None:
    files = sorted(index_folder(tmp_path).glob("segment-*"))
    content = bytearray(files[which].read_bytes())
    content[len(content) // 2] ^= 1
    files[which].write_bytes(content)
    again = opening()
    assert answers(again) == closed
    assert not files[which].exists()
    assert len(list(index_folder(tmp_path).glob("segment-*"))) == len(files)
    again.close()
    assert answers(opening()) == closed


def test_missing_segments_and_manifests_are_derived_again(
    opening: Opening, closed: list[list[str]], tmp_path: Path
) -> None:
    next(index_folder(tmp_path).glob("segment-*")).unlink()
    again = opening()
    assert answers(again) == closed
    again.close()
    manifest = index_folder(tmp_path) / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes()[:-1])
    again = opening()
    assert answers(again) == closed
    again.close()
    named = {segment.name for segment in segments(opening())}
    assert {path.name for path in index_folder(tmp_path).glob("segment-*")} == named


def test_segments_of_another_version_zone_or_log_are_not_used(
    opening: Opening, closed: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.index.store.VERSION", 99)
    opening().close()
    monkeypatch.undo()
    assert answers(opening()) == closed
    other = SegmentStore(index_folder(tmp_path), "another", "UTC", writable=False)
    assert other.manifest() is None
    elsewhere = SegmentStore(index_folder(tmp_path), EventLog.__name__, "Asia/Kolkata", writable=False)
    assert elsewhere.manifest() is None


def test_a_merge_that_outlives_its_server_meets_no_name_of_the_next(tmp_path: Path) -> None:
    killed, following = (SegmentStore(tmp_path, "log", "UTC", writable=True) for _ in range(2))
    assert killed.new_name() != following.new_name()


def test_files_that_a_crash_left_are_deleted_at_the_next_start(
    opening: Opening, closed: list[list[str]], tmp_path: Path
) -> None:
    folder = index_folder(tmp_path)
    (folder / "segment-99999999").write_bytes(b"half")
    (folder / f"segment-88888888{arrays.TEMPORARY}").write_bytes(b"half")
    again = opening()
    assert answers(again) == closed
    names = {segment.name for segment in segments(again)}
    assert {path.name for path in folder.iterdir()} == {MANIFEST_NAME, *names}


def test_a_reader_takes_over_what_the_writer_sealed(opening: Opening) -> None:
    writer = opening(seal_rows=10**6)
    send(writer, 0, 1)
    reader = opening(reads=writer)
    held = reader.snapshot()
    before = answers(reader)
    assert (before, tail_rows(reader)) == (answers(writer), 2 * ROWS)
    writer._index._seal_rows = ROWS
    send(writer, 2, 3)
    assert answers(reader) == answers(writer)
    assert tail_rows(reader) == 0
    assert answers(reader, held) == before
    writer._index._seal_rows = 10**6
    send(writer, 4)
    assert answers(reader) == answers(writer)
    assert tail_rows(reader) == ROWS


def test_a_reader_repairs_nothing_but_answers(
    opening: Opening, closed: list[list[str]], tmp_path: Path
) -> None:
    path = next(index_folder(tmp_path).glob("segment-*"))
    content = path.read_bytes()
    writer = opening(seal_rows=10**6)
    path.write_bytes(content[:-10])
    reader = opening(reads=writer)
    assert answers(reader) == closed
    assert path.read_bytes() == content[:-10]


def test_a_large_merge_runs_in_a_process_and_makes_what_sealing_all_at_once_makes(
    opening: Opening, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("libs.index.sealer.PROCESS_ROWS", 1)
    engine = opening()
    send(engine, *range(6))
    whole = segments(engine)
    assert any(segment.head.log_rows[1] - segment.head.log_rows[0] > ROWS for segment in whole)
    engine.close()
    log = EventLog(tmp_path / "log", readonly=True)
    for segment in whole:
        rebuilt = rebuild(Entry("", segment.event_type, *segment.head.log_rows), log, engine.calendar)
        assert rebuilt.head == segment.head
        for name, array in segment.arrays.items():
            np.testing.assert_array_equal(rebuilt.arrays[name], array)
    log.close()
