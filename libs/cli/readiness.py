"""May a process be sent calls? Asks each service again and again, and sets health and a gauge accordingly.

Guarantees: a service is SERVING only while its checks pass, and "" (the server as a whole) only while all are. A
check that takes longer than it may counts as failed until it ends, so that an index that cannot keep up with the
log shows. What changes is logged, with the reason; no reason holds personal data.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry, Gauge

from libs.engine import Engine
from libs.errors import Fault, frames
from libs.rpc.server import Server

EVERY_SECONDS = 1.0
"""How often is asked: an idle reader is never further behind than this."""
PATIENCE_SECONDS = 5.0
"""How long the index may take to catch up, or the log to be written to, before that counts as not serving."""

Check = Callable[[], str]
"""Does what a service needs; returns "" where it has it, or why not. Called in a thread."""

log = structlog.get_logger()


class Readiness:
    """The health of one server. `begin` once it listens, `end` before what the checks ask is closed."""

    def __init__(self, server: Server, registry: CollectorRegistry) -> None:
        self._server = server
        self._checks: dict[str, list[_Asked]] = {}
        self._reasons: dict[str, str] = {}
        self._gauge = Gauge(
            "cohort_serving",
            "1 while a service can do its work: caught up with the log, able to write.",
            ("service",),
            registry=registry,
        )
        self._task: asyncio.Task[None] | None = None

    def require(self, service: str, check: Check) -> None:
        """Let a service serve only while `check` passes."""
        self._checks.setdefault(service, []).append(_Asked(check))
        self._gauge.labels(service).set(0)

    @property
    def reasons(self) -> dict[str, str]:
        """Why services do not serve; "" for those that do, by full name."""
        return dict(self._reasons)

    async def begin(self) -> None:
        """Ask once, and then on and on."""
        await self.look()
        self._task = asyncio.create_task(self._watch())

    async def end(self) -> None:
        """Say NOT_SERVING, ask no more, and wait for what is being asked."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for asked in self._asked():
            await asked.end()
        for service in self._checks:
            self._gauge.labels(service).set(0)
        await self._server.set_serving(False)

    async def look(self) -> None:
        """Ask every check and set health by what it says."""
        await asyncio.gather(*(asked.look() for asked in self._asked()))
        for service, checks in self._checks.items():
            reason = next((asked.reason for asked in checks if asked.reason), "")
            if reason != self._reasons.get(service, ""):
                log.warning("serving", service=service, serving=not reason, reason=reason)
            self._reasons[service] = reason
            self._gauge.labels(service).set(not reason)
        await self._server.set_health({service: not reason for service, reason in self._reasons.items()})

    def _asked(self) -> list["_Asked"]:
        return [asked for checks in self._checks.values() for asked in checks]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.look()


class _Asked:
    """One check, asked in a thread; at most one asking is under way."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._task: asyncio.Task[str] | None = None
        self.reason = ""

    async def look(self) -> None:
        """Ask, or go on waiting for the answer, but not too long."""
        if self._task is None:
            self._task = asyncio.create_task(asyncio.to_thread(self._ask))
        done, _ = await asyncio.wait({self._task}, timeout=PATIENCE_SECONDS)
        if done:
            self.reason, self._task = self._task.result(), None
        else:
            self.reason = f"it has not caught up within {PATIENCE_SECONDS:g} s"

    async def end(self) -> None:
        """Wait until nothing is being asked."""
        if self._task:
            await self._task

    def _ask(self) -> str:
        try:
            return self._check()
        except Fault as error:
            return str(error)
        except Exception as error:
            log.error("a check of health failed", error=type(error).__name__, where=frames(error))
            return f"a check of health failed ({type(error).__name__}); the log says how"


def caught_up(engine: Engine) -> Check:
    """Check that an engine takes in everything committed; doing so keeps an idle reader near the log."""

    def check() -> str:
        engine.catch_up()
        return ""

    return check


def writable(engine: Engine) -> Check:
    """Check that events would be written."""
    return engine.why_not_writable
