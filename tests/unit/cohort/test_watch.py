"""A watch leaves nothing behind, runs for nobody, and holds a bounded history for who is behind."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from libs.engine import Engine
from libs.errors import OutOfRange, Unavailable
from libs.events.log import EventLog
from libs.gen.cohort.v1 import event_pb2, ingest_pb2, rule_pb2
from libs.index.calendar import Calendar
from services.cohort import watch
from services.cohort.run import Runner
from services.cohort.store import CohortStore
from services.cohort.watch import Feed, Watches
from services.ingest.servicer import IngestServicer


class World:
    """An engine that takes events, saved cohorts of everyone, and their watches, at an instant that stays."""

    def __init__(self, folder: Path) -> None:
        calendar = Calendar(ZoneInfo("UTC"))
        self.engine = Engine(EventLog(folder / "log"), calendar, self.clock, writable=True)
        self.store = CohortStore(folder / "saved")
        self.watches = Watches(Runner(self.engine, self.clock, self.store), self.store, self.clock)
        self._ingest = IngestServicer(self.engine, self.clock)

    def clock(self) -> int:
        return 0

    def save(self, name: str = "Everyone") -> str:
        rule = rule_pb2.Rule(all=rule_pb2.AllRule()).SerializeToString()
        self.store.mutate(None, 0, lambda changes: changes.create(name, "", rule, 0).name.encode())
        return self.store.named(name) or ""

    async def send(self, *customers: str) -> None:
        events = [event_pb2.Event(customer_id=each, event_type="view") for each in customers]
        await self._ingest.SendEvents(ingest_pb2.SendEventsRequest(events=events), None)  # type: ignore[arg-type]

    def feed(self, cohort_id: str) -> Feed | None:
        return self.watches._feeds.get(cohort_id)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()
    made.engine.close()


def test_a_cancelled_watch_leaves_an_idle_feed_that_is_dropped_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        cohort_id = world.save()
        started = asyncio.Event()

        async def follow() -> None:
            async for _ in world.watches.watch(cohort_id, ""):
                started.set()

        followers = [asyncio.create_task(follow()) for _ in range(3)]
        await started.wait()
        feed = world.feed(cohort_id)
        assert feed
        for each in followers:
            each.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        assert (feed.watchers, len(asyncio.all_tasks())) == (0, 1)
        assert world.feed(cohort_id) is feed
        monkeypatch.setattr(watch, "HELD_SECONDS", 0)
        pieces = world.watches.watch(cohort_id, "")
        await anext(pieces)
        assert world.feed(cohort_id) is feed  # who comes back finds it
        await pieces.aclose()
        while world.feed(cohort_id):  # noqa: ASYNC110  the timer of a feed sets no event
            await asyncio.sleep(0)

    asyncio.run(main())


def test_of_feeds_that_nobody_watches_the_last_left_are_held(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_IDLE", 2)

    async def main() -> None:
        cohorts = [world.save(str(n)) for n in range(3)]
        for cohort_id in cohorts:
            pieces = world.watches.watch(cohort_id, "")
            await anext(pieces)
            await pieces.aclose()
        assert [world.feed(each) is not None for each in cohorts] == [False, True, True]
        world.watches.end()

    asyncio.run(main())


@pytest.mark.parametrize(("bound", "limit"), [("MAX_CHANGES", 2), ("MAX_HELD", 4)])
def test_a_client_that_falls_behind_the_history_lists_again(
    world: World, monkeypatch: pytest.MonkeyPatch, bound: str, limit: int
) -> None:
    monkeypatch.setattr(watch, bound, limit)

    async def main() -> None:
        cohort_id = world.save()
        slow, fast = world.watches.watch(cohort_id, ""), world.watches.watch(cohort_id, "")
        await anext(slow)
        await anext(fast)
        for n in range(3):
            await world.send(f"a{n}", f"b{n}")
            assert len((await anext(fast)).entered) == 2
        feed = world.feed(cohort_id)
        assert feed
        assert (len(feed._changes), feed._held) == (2, 4)
        with pytest.raises(OutOfRange):
            await anext(slow)
        await fast.aclose()
        world.watches.end()

    asyncio.run(main())


def test_with_a_slow_client_alone_nothing_is_evaluated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    look = Feed._look

    def counted(feed: Feed) -> Any:
        looks.append(feed)
        return look(feed)

    monkeypatch.setattr(Feed, "_look", counted)

    async def main() -> None:
        cohort_id = world.save()
        slow = world.watches.watch(cohort_id, "")
        await anext(slow)
        for n in range(3):
            await world.send(f"c{n}")
        assert len(looks) == 1
        assert sorted((await anext(slow)).entered) == ["c0", "c1", "c2"]
        await slow.aclose()
        world.watches.end()

    asyncio.run(main())


def test_a_watch_ends_when_the_server_stops(world: World) -> None:
    async def main() -> None:
        cohort_id = world.save()
        pieces = world.watches.watch(cohort_id, "")
        await anext(pieces)
        world.watches.end()
        with pytest.raises(Unavailable):
            await anext(pieces)
        assert world.feed(cohort_id) is None

    asyncio.run(main())
