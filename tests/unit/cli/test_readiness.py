"""A service is SERVING only while its checks pass, and the whole server only while all services are."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry

from libs.cli import readiness
from libs.cli.readiness import Readiness, caught_up, writable
from libs.engine import Engine
from libs.errors import Invalid, Overloaded
from libs.events.commit import Submission
from libs.events.log import DamagedLogError, EventLog
from libs.index.calendar import Calendar
from libs.storage import environment
from services.ingest.validate import check_upsert


class Health:
    """Stands for a server: remembers what is reported."""

    def __init__(self) -> None:
        self.reported: dict[str, bool] = {}

    async def set_health(self, serving: dict[str, bool]) -> None:
        self.reported = serving

    async def set_serving(self, serving: bool) -> None:
        self.reported = dict.fromkeys(self.reported, serving)


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def ready(health: Health) -> Readiness:
    return Readiness(health, CollectorRegistry())  # type: ignore[arg-type]


async def test_a_service_serves_while_all_its_checks_pass(ready: Readiness, health: Health) -> None:
    said = ["", ""]
    ready.require("A", lambda: said[0])
    ready.require("A", lambda: said[1])
    ready.require("B", lambda: "")
    await ready.look()
    assert health.reported == {"A": True, "B": True}
    said[1] = "the disk is full"
    await ready.look()
    assert health.reported == {"A": False, "B": True}
    assert ready.reasons == {"A": "the disk is full", "B": ""}
    said[1] = ""
    await ready.look()
    assert health.reported == {"A": True, "B": True}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Overloaded("STORAGE_FULL", "no room to write"), "no room to write"),
        (DamagedLogError("block 7 is damaged"), "block 7 is damaged"),
        (ValueError("of a customer"), "a check of health failed (ValueError); the log says how"),
    ],
)
async def test_an_error_is_a_reason_and_what_may_hold_data_is_not_repeated(
    ready: Readiness, health: Health, error: Exception, reason: str
) -> None:
    def check() -> str:
        raise error

    ready.require("A", check)
    await ready.look()
    assert (health.reported, ready.reasons) == ({"A": False}, {"A": reason})


async def test_one_that_cannot_keep_up_does_not_serve_until_it_has(
    ready: Readiness, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.01)
    caught, asked = threading.Event(), []

    def catch_up() -> str:
        asked.append(1)
        assert caught.wait(10)
        return ""

    ready.require("A", catch_up)
    await ready.look()
    assert health.reported == {"A": False}
    await ready.look()
    assert len(asked) == 1  # it is waited for, not asked again
    caught.set()
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 10)
    await ready.look()
    assert health.reported == {"A": True}


async def test_at_the_end_nothing_serves_and_nothing_is_asked(ready: Readiness, health: Health) -> None:
    asked = threading.Semaphore(0)
    ready.require("A", lambda: asked.release() or "")  # type: ignore[func-returns-value]
    await ready.begin()
    assert health.reported == {"A": True}
    await asyncio.to_thread(asked.acquire, timeout=10)
    await ready.end()
    assert health.reported == {"A": False}


def now() -> int:
    return 1_767_225_600_000


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(environment, "MAP_BYTES", 4 << 20)
    engine = Engine(EventLog(tmp_path), Calendar(ZoneInfo("UTC")), now, writable=True)
    yield engine
    engine.close()


def put(engine: Engine, number: int) -> Any:
    upsert = check_upsert(f"c{number}", {"city": f"{number}" * 8_000})
    return engine.append(Submission(upserts=[upsert])).result(10)


def fill(engine: Engine) -> None:
    for number in range(1000, 2000):
        put(engine, number)


def test_a_full_log_is_not_writable_until_there_is_room(engine: Engine) -> None:
    assert writable(engine)() == ""
    with pytest.raises(Overloaded):
        fill(engine)
    with pytest.raises(Overloaded, match="no room to write"):
        writable(engine)()
    assert caught_up(engine)() == ""  # readers are unharmed
    engine._log.environment._environment.set_mapsize(64 << 20)
    assert writable(engine)() == ""
    assert put(engine, 1).accepted == 1


def test_a_request_that_is_wrong_is_no_reason(engine: Engine) -> None:
    request = ("id", b"one")
    engine.append(Submission(upserts=[check_upsert("a", {})], request=request)).result(10)
    with pytest.raises(Invalid):
        engine.append(Submission(upserts=[check_upsert("a", {})], request=("id", b"other"))).result(10)
    assert writable(engine)() == ""
