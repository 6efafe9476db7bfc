"""A start goes on from the profiles on disk, reads what changed since from the log, and answers the same."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from libs.engine import Engine
from libs.events.batch import Batch, Scalar, Strings, Upsert
from libs.events.commit import Submission
from libs.events.log import EventLog, Position
from libs.index import profile_store
from libs.index.calendar import Calendar
from libs.index.profiles import ProfileTable
from libs.storage import arrays

NOW = 1_782_842_400_000
Opening = Callable[..., Engine]
Data = dict[str, Scalar | None]


@pytest.fixture
def opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opening]:
    """Open engines on one log, which write profiles often; at the end all are closed."""
    monkeypatch.setattr(profile_store, "CHANGED", 4)
    monkeypatch.setattr(profile_store, "CLOSING", 4)
    opened: list[Engine] = []

    def start(*, reads: Engine | None = None) -> Engine:
        log = reads._log if reads else EventLog(tmp_path / "log")
        engine = Engine(log, Calendar(ZoneInfo("UTC")), lambda: NOW, writable=reads is None)
        engine._closed = reads is not None
        opened.append(engine)
        return engine

    yield start
    for engine in opened:
        engine.close()


def crash(engine: Engine) -> None:
    """Let go of an engine without what closing does for profiles; what is being written is written."""
    engine._writer.close()  # type: ignore[union-attr]
    engine._keeper.close()  # type: ignore[union-attr]
    engine._profiles._keeper.close()
    engine._index._sealer.close()
    engine._log.close()
    engine._closed = True


def upsert(engine: Engine, **changed: Data) -> None:
    engine.append(Submission(upserts=[Upsert(each, data) for each, data in changed.items()])).result()
    engine.snapshot()
    engine._profiles._keeper.wait()


def everything(engine: Engine) -> dict[str, Any]:
    """Return all profiles there are."""
    snapshot = engine.snapshot()
    holders = np.array(snapshot.profiles.holders, np.uint32)
    data = engine.profiles(snapshot, holders)
    return dict(zip(engine.customer_ids(holders), data, strict=True))


def written(tmp_path: Path) -> Position:
    """Return the position the file is of."""
    path = tmp_path / "log" / "index" / profile_store.NAME
    if not path.exists():
        return Position()
    _, revision, rows = arrays.open_arrays(path, profile_store.KIND, profile_store.VERSION).meta
    return Position(revision, rows)


def read_again(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect which customers' profiles an engine reads from the log."""
    seen: list[int] = []
    original = ProfileTable.update

    def update(table: ProfileTable, profiles: Any) -> None:
        seen.extend(profiles.customers.tolist())
        original(table, profiles)

    monkeypatch.setattr(ProfileTable, "update", update)
    return seen


MANY: dict[str, Data] = {
    f"c{n}": {"city": f"city {n % 3}", "age": float(n), "vip": n % 2 == 0} for n in range(8)
}


def test_a_start_reads_what_changed_since_the_file(
    opening: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opening()
    upsert(engine, **MANY)
    assert written(tmp_path) == Position(1, 0)
    upsert(engine, c1={"city": None, "age": 99.0}, new={})
    engine.append(Submission(batch=Batch(Strings.of(["c1"]), Strings.of(["view"]), np.array([NOW])))).result()
    expected = everything(engine)
    assert expected["c1"] == {"age": 99.0, "vip": False}
    crash(engine)
    seen = read_again(monkeypatch)
    engine = opening()
    assert everything(engine) == expected
    assert sorted(seen) == [1, 8]
    upsert(engine, c2={"city": "new"}, new={"vip": True})
    expected |= {"c2": {**MANY["c2"], "city": "new"}, "new": {"vip": True}}
    assert everything(engine) == expected
    engine.close()
    assert written(tmp_path) == Position(4, 1)
    seen.clear()
    assert everything(opening()) == expected
    assert seen == []


def test_profiles_older_than_the_segments_are_caught_up_with(
    opening: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opening()
    upsert(engine, **MANY)
    upsert(engine, c1={"age": 1.5})
    engine.append(Submission(batch=Batch(Strings.of(["c1"]), Strings.of(["view"]), np.array([NOW])))).result()
    monkeypatch.setattr(profile_store, "CHANGED", 1000)
    monkeypatch.setattr(profile_store, "SHARE", 1)
    expected = everything(engine)
    engine.close()
    assert written(tmp_path) == Position(1, 0)
    seen = read_again(monkeypatch)
    assert everything(opening()) == expected
    assert seen == [1]


@pytest.mark.parametrize("harm", ["flipped", "empty", "missing", "other version", "later state"])
def test_a_file_that_is_of_no_use_is_dropped_and_written_again(
    opening: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    engine = opening()
    upsert(engine, **MANY)
    expected = everything(engine)
    engine.close()
    path = tmp_path / "log" / "index" / profile_store.NAME
    content = path.read_bytes()
    if harm in ("flipped", "empty"):
        path.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)) if harm == "flipped" else b"")
    elif harm == "missing":
        path.unlink()
    elif harm == "other version":
        monkeypatch.setattr(profile_store, "VERSION", profile_store.VERSION + 1)
    else:
        file = arrays.open_arrays(path, profile_store.KIND, profile_store.VERSION)
        log_id, revision, rows = file.meta
        arrays.write(
            path, profile_store.KIND, profile_store.VERSION, (log_id, revision + 1, rows), file.arrays
        )
    engine = opening()
    assert everything(engine) == expected
    engine.close()
    assert written(tmp_path) == Position(1, 0)


def test_a_reader_maps_the_file_and_never_writes_it(opening: Opening, tmp_path: Path) -> None:
    writer = opening()
    upsert(writer, **MANY)
    reader = opening(reads=writer)
    assert everything(reader) == everything(writer)
    path = tmp_path / "log" / "index" / profile_store.NAME
    path.write_bytes(b"damaged")
    assert everything(opening(reads=writer)) == everything(writer)
    reader._profiles.close(reader._index.profiles, reader._index.position)
    assert path.read_bytes() == b"damaged"
