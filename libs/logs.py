"""What does a server write down, and what never? One line a record: JSON, or for people where a terminal reads it.

No personal data and no secret: what raises is logged by its type and the lines of code it came through, never by
its message or the values it had, wherever it surfaces (a call, a thread, a task nobody waits for, a library's
own logger). Of what libraries log, warnings and worse are kept, and of their text only what is a template.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import MutableMapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Protocol

import structlog

from libs.errors import frames


class Level(StrEnum):
    """From which level on lines are written; the names are those of the command line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level as the standard library counts it."""
        number: int = getattr(logging, self.name)
        return number


Line = MutableMapping[str, Any]


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> object:
        """Take a line."""

    def flush(self) -> object:
        """Let go of what was written."""

    def isatty(self) -> bool:
        """Say whether people read it as it is written."""
        ...


def configure(level: Level = Level.INFO, stream: Stream | None = None, *, keep: bool = True) -> None:
    """Log to a stream, stderr where none is named, from a level on; to `keep` to it is faster."""
    out: Any = sys.stderr if stream is None else stream
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_values,
            structlog.dev.ConsoleRenderer() if out.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level.number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=keep,
    )


def take_over() -> None:
    """Log what nobody else catches, and what libraries log, in a program that is ours alone."""
    root = logging.getLogger()
    root.handlers[:] = [Libraries(logging.WARNING)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def described(error: BaseException | None) -> dict[str, Any]:
    """Return what a log may hold of an exception: its type, where it passed, and the same of what it came from."""
    if error is None:
        return {}
    found: dict[str, Any] = {"error": type(error).__name__, "where": frames(error)}
    cause = error.__cause__ or error.__context__
    if cause is not None and cause is not error:
        found["cause"] = {"error": type(cause).__name__, "where": frames(cause)}
    return found


def without_values(logger: object, method: str, line: Line) -> Line:
    """Put the frames of an exception in its place."""
    given = line.pop("exc_info", None)
    line.pop("stack_info", None)
    if given:
        error = given if isinstance(given, BaseException) else sys.exc_info()[1]
        line.update(described(error))
    return line


class Libraries(logging.Handler):
    """Takes what libraries log by the standard library's means."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record: where it was logged, and its text before values were put into it."""
        text = record.msg if isinstance(record.msg, str) and record.args else "text withheld"
        error = record.exc_info[1] if record.exc_info else None
        place = f"{record.pathname}:{record.lineno}"
        structlog.get_logger().log(record.levelno, text, logger=record.name, place=place, **described(error))


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Log what goes wrong in tasks and callbacks that nobody waits for, values left out."""

    def lost(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        structlog.get_logger().error("a task failed", **described(context.get("exception")))

    loop.set_exception_handler(lost)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("the program failed", **described(error))


def _uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
    name = given.thread.name if given.thread else ""
    structlog.get_logger().error("a thread failed", thread=name, **described(given.exc_value))


def _unraisable(given: "sys.UnraisableHookArgs") -> None:
    structlog.get_logger().error("clearing up failed", **described(given.exc_value))
