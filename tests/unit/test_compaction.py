"""Is nothing left of an erased customer behind a compaction, and everything of all others?"""

import random
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from libs import compaction
from libs.engine import Engine
from libs.errors import Unavailable
from libs.events.batch import Upsert
from libs.events.commit import Receipt, Submission
from libs.events.log import EventLog
from libs.index.calendar import Calendar
from libs.index.catalog import Asked
from libs.index.merge import merge_in_process
from libs.index.plan import EVER, All, Did
from libs.storage.environment import Environment
from tests.oracle import Event
from tests.world import collect

DAY = 86_400_000
NOW = 400 * DAY
SEAL_ROWS = 64


def started(folder: Path) -> Engine:
    return Engine(
        EventLog(folder), Calendar(ZoneInfo("UTC")), lambda: NOW, writable=True, seal_rows=SEAL_ROWS
    )


class History:
    """Customers and their events, each with values that are found again by a search."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.events: dict[str, list[Event]] = {}
        self.profiles: dict[str, dict[str, Any]] = {}
        self._number = 0

    def canary(self, what: str) -> str:
        """Return a string that is nowhere else, longer or shorter than what one byte of length says."""
        self._number += 1
        padding = "ü" * self.chance.choice((0, 1, 40, 300)) if what != "id" else ""
        return f"{what}-{self._number}-{self.chance.randrange(10**12):012d}{padding}"

    def new_customer(self) -> str:
        who = self.canary("id")
        self.events[who] = []
        return who

    def some_events(self, count: int) -> list[Event]:
        """Make events of known and new customers."""
        made = []
        for _ in range(count):
            known = list(self.events)
            who = (
                self.new_customer() if not known or self.chance.random() < 0.1 else self.chance.choice(known)
            )
            data = {"own": self.canary("value"), "brand": f"brand-{self.chance.randrange(5)}"}
            if self.chance.random() < 0.5:
                data["price"] = float(self.chance.randrange(1000))
            event_type = self.chance.choice(("view", "purchase"))
            made.append(Event(who, event_type, NOW - self.chance.randrange(90) * DAY, data))
            self.events[who].append(made[-1])
        return made

    def forget(self, who: str) -> None:
        self.events.pop(who, None)
        self.profiles.pop(who, None)


def send(engine: Engine, submission: Submission) -> Receipt:
    receipt: Future[Receipt] = engine.append(submission)
    return receipt.result()


def step(engine: Engine, history: History, gone: set[str]) -> None:
    """Send events, change profiles, or erase somebody."""
    chance = history.chance
    kind = chance.random()
    known = list(history.events)
    if kind < 0.6 or len(known) < 3:
        made = history.some_events(chance.randrange(1, 60))
        batch = collect(made)
        ids = [f"e-{event.data['own']}" for event in made]  # found by the same search
        send(
            engine,
            Submission(
                batch=type(batch)(batch.customer_ids, batch.event_types, batch.times, ids, batch.columns)
            ),
        )
    elif kind < 0.85:
        who = chance.choice([*known, history.new_customer()])
        data = {"city": history.canary("city"), "vip": True, "zip": float(chance.randrange(10**6))}
        history.profiles[who] = data
        send(engine, Submission(upserts=[Upsert(who, data)]))
    else:
        chosen = [
            who
            for who in chance.sample(known, min(2, len(known)))
            if history.events[who] or who in history.profiles
        ]
        for who in chosen:
            gone.add(who)
            gone.update(str(event.data["own"]) for event in history.events[who])
            history.forget(who)
        if chosen:
            assert send(engine, Submission(erase=chosen)).accepted == len(chosen)


def check(engine: Engine, history: History) -> None:
    """See that the engine has everybody who is left, and nobody else, with all they have done."""
    snapshot = engine.snapshot()
    present = {who for who in history.events if history.events[who] or who in history.profiles}
    found = engine.evaluate(All(()), snapshot, NOW)
    assert set(engine.customer_ids(list(found))) == present
    for event_type in ("view", "purchase"):
        matching = engine.evaluate(Did(event_type, None, EVER, NOW + 1), snapshot, NOW)
        assert set(engine.customer_ids(list(matching))) == {
            who for who, events in history.events.items() if any(e.event_type == event_type for e in events)
        }
    for who in present:
        number = engine.customer(who, snapshot)
        assert number is not None
        _, rows = snapshot.rows_of(number)
        logged = [(event.event_type, event.time, sorted(event.data.items())) for event in engine.events(rows)]
        assert sorted(logged) == sorted(
            (e.event_type, e.time, sorted(e.data.items())) for e in history.events[who]
        )
        [profile] = engine.profiles(snapshot, np.array([number], np.uint32))
        assert profile == history.profiles.get(who, {})


def left_of(folder: Path, gone: set[str]) -> list[tuple[str, str]]:
    """Return which of some strings are in which files."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found += [(path.name, each) for each in gone if each.encode() in data]
    return found


def confirm_all(engine: Engine) -> None:
    for key, _ in engine.erasures():
        engine.confirm_erasure(key, None)


@pytest.mark.parametrize("seed", range(6))
def test_behind_a_compaction_only_what_is_kept_is_there(tmp_path: Path, seed: int) -> None:
    history, gone = History(seed), set()
    engine = started(tmp_path)
    for number in range(60):
        step(engine, history, gone)
        if number % 20 == 19:
            if history.chance.random() < 0.5:
                engine.settle()
            confirm_all(engine)
            engine.compact()
            check(engine, history)
            assert left_of(tmp_path, gone) == []
        if history.chance.random() < 0.08:
            engine.close()
            engine = started(tmp_path)
            check(engine, history)
    assert gone
    engine.close()
    engine = started(tmp_path)
    check(engine, history)
    confirm_all(engine)
    engine.compact()
    assert not engine.wants_compaction()
    assert engine.compact() == compaction.Compacted()
    engine.close()
    assert left_of(tmp_path, gone) == []


def test_the_id_stays_until_destinations_have_acknowledged(tmp_path: Path) -> None:
    engine = started(tmp_path)
    send(engine, Submission(batch=collect([Event("the-customer", "view", NOW, {"own": "the-value"})])))
    send(engine, Submission(erase=["the-customer"]))
    done = engine.compact()
    assert (done.customers, done.events, done.strings) == (1, 1, 4)  # the names "view" and "own" too
    assert {each for _, each in left_of(tmp_path, {"the-customer", "the-value"})} == {"the-customer"}
    assert [erasure.customer_id for _, erasure in engine.erasures()] == ["the-customer"]
    confirm_all(engine)
    assert engine.wants_compaction()
    [(_, erasure)] = engine.erasures()
    assert erasure.acknowledged
    engine.compact()
    assert engine.erasures() == []
    assert left_of(tmp_path, {"the-customer", "the-value"}) == []
    engine.close()


def test_names_that_nobody_uses_any_more_go_and_come_back_as_new_ones(tmp_path: Path) -> None:
    engine = started(tmp_path)
    for number in range(2 * SEAL_ROWS):
        send(engine, Submission(batch=collect([Event(f"c-{number}", "view", NOW, {"price": 1.0})])))
    odd = {"text-of-one": "x", "number-of-one": 0.5, "flag-of-one": False}
    events = [Event("one", event_type, NOW, odd) for event_type in ("type-of-one", "view")]
    send(engine, Submission(batch=collect(events)))
    profiles = {"one": {"profile-of-one": True, "city": "Pune"}, "c-1": {"city": "Pune"}}
    send(engine, Submission(upserts=[Upsert(who, data) for who, data in profiles.items()]))
    engine.settle()
    names = {"type-of-one", *odd, "profile-of-one"}
    assert {each for _, each in left_of(tmp_path, names)} == names
    send(engine, Submission(erase=["one"]))
    confirm_all(engine)
    engine.compact()
    assert left_of(tmp_path, names) == []
    for again in range(2):
        snapshot = engine.snapshot()
        assert len(engine.evaluate(Did("view", None, EVER, NOW + 1), snapshot, NOW)) == 2 * SEAL_ROWS
        assert not engine.evaluate(Did("type-of-one", None, EVER, NOW + 1), snapshot, NOW)
        catalog = engine.catalog(snapshot, Asked())
        assert (set(catalog.event_types), set(catalog.profile_attributes)) == ({"view"}, {"city"})
        if not again:
            engine.close()
            engine = started(tmp_path)
    send(engine, Submission(batch=collect([Event("two", "type-of-one", NOW, odd)])))
    send(engine, Submission(upserts=[Upsert("two", {"profile-of-one": True})]))
    snapshot = engine.snapshot()
    found = engine.evaluate(Did("type-of-one", None, EVER, NOW + 1), snapshot, NOW)
    assert engine.customer_ids(list(found)) == ["two"]
    assert set(engine.catalog(snapshot, Asked()).event_types["type-of-one"].attributes) == set(odd)
    engine.close()


def test_an_acknowledgement_has_a_compaction_follow_and_the_last_one_waits_for_it(tmp_path: Path) -> None:
    engine = Engine(
        EventLog(tmp_path), Calendar(ZoneInfo("UTC")), lambda: NOW, writable=True, compact_every=3600.0
    )
    for who in ("ann", "bob"):
        send(engine, Submission(batch=collect([Event(who, "view", NOW, {"own": f"{who}-value"})])))
    send(engine, Submission(erase=["ann", "bob"]))
    (first, _), (second, _) = engine.erasures()
    engine.confirm_erasure(first, None)
    engine.settle_erasures()  # at once: bob's waits for a destination
    engine.confirm_erasure(second, None)
    engine.settle_erasures()
    assert engine.erasures() == []
    assert left_of(tmp_path, {"ann-value", "bob-value"}) == []
    engine.close()


STEPS: list[tuple[str, Callable[[pytest.MonkeyPatch, Callable[..., Any]], None]]] = [
    ("before blanking", lambda patch, stop: patch.setattr(compaction, "blank", stop)),
    ("before segments", lambda patch, stop: patch.setattr("libs.index.index.Index.purge", stop)),
    (
        "before profiles",
        lambda patch, stop: patch.setattr("libs.index.profile_store.ProfileStore.rewrite", stop),
    ),
    ("before strings", lambda patch, stop: patch.setattr(compaction, "used_strings", stop)),
    (
        "before the note goes",
        lambda patch, stop: patch.setattr("libs.events.erasures.Erasures.removed", stop),
    ),
    ("before the wipe", lambda patch, stop: patch.setattr(Environment, "wipe", stop)),
]


@pytest.mark.parametrize(("where", "patched"), STEPS, ids=[name for name, _ in STEPS])
def test_a_compaction_that_was_cut_off_is_done_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, patched: Callable[..., None]
) -> None:
    history, gone = History(7), set()
    engine = started(tmp_path)
    while len(gone) < 20:
        step(engine, history, gone)
    confirm_all(engine)

    def stop(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError(where)

    with monkeypatch.context() as patch:
        patched(patch, stop)
        with pytest.raises(ZeroDivisionError):
            engine.compact()
    check(engine, history)
    engine.close()
    engine = started(tmp_path)
    check(engine, history)
    assert engine.wants_compaction()
    engine.compact()
    check(engine, history)
    assert left_of(tmp_path, gone) == []
    engine.close()


@pytest.mark.parametrize("others", [True, False], ids=["some are left", "nobody is left"])
def test_a_large_segment_is_purged_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    made: list[Any] = []

    def counted(*arguments: Any) -> Any:
        made.append(merge_in_process(*arguments))
        return made[-1]

    monkeypatch.setattr("libs.index.sealer.PROCESS_ROWS", 1)
    monkeypatch.setattr("libs.index.sealer.merge_in_process", counted)
    engine = started(tmp_path)
    names = ("the-customer", "other") if others else ("the-customer",)
    events = [Event(who, "view", NOW, {"own": f"{who}-value"}) for who in names * SEAL_ROWS]
    send(engine, Submission(batch=collect(events)))
    engine.snapshot()
    engine.settle()
    made.clear()
    send(engine, Submission(erase=["the-customer"]))
    confirm_all(engine)
    engine.compact()
    assert [segment is not None for segment in made] == [others]
    viewed = engine.evaluate(Did("view", None, EVER, NOW + 1), engine.snapshot(), NOW)
    assert engine.customer_ids(list(viewed)) == (["other"] if others else [])
    engine.close()
    assert left_of(tmp_path, {"the-customer"}) == []
    engine = started(tmp_path)
    viewed = engine.evaluate(Did("view", None, EVER, NOW + 1), engine.snapshot(), NOW)
    assert engine.customer_ids(list(viewed)) == (["other"] if others else [])
    engine.close()


def test_files_that_failed_to_be_named_are_named_before_who_was_erased_is_unmasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = started(tmp_path / "log")
    events = [
        Event(who, "view", NOW, {"own": f"{who}-value"}) for who in ("the-customer", "other") * SEAL_ROWS
    ]
    send(engine, Submission(batch=collect(events)))
    send(engine, Submission(erase=["the-customer"]))
    send(engine, Submission(batch=collect(events[1::2] * 2)))  # so that a manifest covers the erasure
    engine.snapshot()
    engine.settle()
    confirm_all(engine)
    with monkeypatch.context() as patch:
        patch.setattr("libs.index.store.SegmentStore.commit", failing)
        with pytest.raises(Unavailable, match="could not all be removed"):
            engine.compact()
    engine.compact()
    shutil.copytree(tmp_path / "log", tmp_path / "killed")
    engine.close()
    engine = started(tmp_path / "killed")
    viewed = engine.evaluate(Did("view", None, EVER, NOW + 1), engine.snapshot(), NOW)
    assert engine.customer_ids(list(viewed)) == ["other"]
    engine.close()
    assert left_of(tmp_path / "killed", {"the-customer"}) == []


def failing(*_: Any) -> None:
    raise OSError("no room")


def test_events_and_answers_go_on_while_it_is_compacted(tmp_path: Path) -> None:
    history, gone = History(11), set()
    engine = started(tmp_path)
    for _ in range(30):
        step(engine, history, gone)
    ended, failed = threading.Event(), []

    def compact() -> None:
        while not ended.is_set():
            try:
                engine.compact()
            except Exception as error:
                failed.append(error)
                return

    thread = threading.Thread(target=compact)
    thread.start()
    for _ in range(80):
        step(engine, history, gone)
        if history.chance.random() < 0.2:
            check(engine, history)
    ended.set()
    thread.join()
    assert not failed
    check(engine, history)
    confirm_all(engine)
    engine.compact()
    engine.close()
    assert left_of(tmp_path, gone) == []
    engine = started(tmp_path)
    check(engine, history)
    engine.close()


def test_an_index_made_from_the_log_alone_has_nothing_of_who_was_erased(tmp_path: Path) -> None:
    history, gone = History(5), set()
    engine = started(tmp_path)
    while len(gone) < 20:
        step(engine, history, gone)
    engine.compact()
    engine.close()
    for folder in ("index", "dictionaries", "dedupe"):
        for path in (tmp_path / folder).glob("*"):
            path.unlink()
    engine = started(tmp_path)
    check(engine, history)
    engine.close()


def test_a_background_compaction_comes_by_itself(tmp_path: Path) -> None:
    engine = started(tmp_path)
    send(engine, Submission(batch=collect([Event("the-customer", "view", NOW, {"own": "the-value"})])))
    send(engine, Submission(erase=["the-customer"]))
    engine.close()
    compacted = threading.Event()
    log = EventLog(tmp_path)
    wiping = log.environment.wipe
    log.environment.wipe = lambda: (wiping(), compacted.set())[0]  # type: ignore[method-assign]
    engine = Engine(log, Calendar(ZoneInfo("UTC")), lambda: NOW, writable=True, compact_every=3600.0)
    assert compacted.wait(30)
    engine.close()
    assert left_of(tmp_path, {"the-value"}) == []
