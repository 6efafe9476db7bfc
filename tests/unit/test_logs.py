"""Logs hold no values: of an exception its type and the lines it passed, wherever it surfaces."""

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from libs import logs
from libs.logs import Level, Libraries, configure, described

CANARY = "canary-7f3a"


@pytest.fixture
def lines() -> Iterator[Any]:
    out = io.StringIO()
    before = structlog.get_config()
    configure(Level.DEBUG, out, keep=False)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    structlog.configure(**before)


def failing(value: str) -> None:
    try:
        int(value)
    except ValueError as error:
        raise LookupError(value) from error


def caught(value: str) -> LookupError:
    try:
        failing(value)
    except LookupError as error:
        return error
    raise AssertionError


def test_an_exception_is_described_by_types_and_lines() -> None:
    said = described(caught(CANARY))
    assert said["error"] == "LookupError"
    assert said["cause"]["error"] == "ValueError"
    assert all(__file__ in place for place in said["where"])
    assert CANARY not in repr(said)


def test_what_a_line_is_told_of_an_exception_loses_its_values(lines: Any) -> None:
    structlog.get_logger().error("failed", exc_info=caught(CANARY))
    try:
        failing(CANARY)
    except LookupError:
        structlog.get_logger().exception("failed")
    first, second = lines()
    assert first["error"] == second["error"] == "LookupError"
    assert CANARY not in json.dumps(lines())


def test_libraries_say_where_and_their_template_but_no_values(lines: Any) -> None:
    logger = logging.Logger("library")
    logger.addHandler(Libraries(logging.WARNING))
    logger.info("too quiet %s", CANARY)
    logger.warning("retrying %s", CANARY)
    logger.error(f"made up before: {CANARY}", exc_info=caught(CANARY))
    assert [(line["event"], line["level"]) for line in lines()] == [
        ("retrying %s", "warning"),
        ("text withheld", "error"),
    ]
    assert lines()[1]["error"] == "LookupError"
    assert CANARY not in json.dumps(lines())


def test_what_nobody_catches_is_logged_without_values(lines: Any) -> None:
    error = caught(CANARY)
    logs._uncaught(type(error), error, error.__traceback__)
    logs._uncaught_in_thread(threading.ExceptHookArgs((type(error), error, None, None)))
    logs._unraisable(_Unraisable(error))  # type: ignore[arg-type]
    loop = asyncio.new_event_loop()
    logs.watch_loop(loop)
    loop.call_exception_handler({"message": CANARY, "exception": error})
    loop.close()
    assert [line["event"] for line in lines()] == [
        "the program failed",
        "a thread failed",
        "clearing up failed",
        "a task failed",
    ]
    assert {line["error"] for line in lines()} == {"LookupError"}
    assert CANARY not in json.dumps(lines())


class _Unraisable:
    def __init__(self, error: BaseException) -> None:
        self.exc_value = error


def test_lines_below_the_level_are_left_out_and_a_terminal_reads_text() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    before, out = structlog.get_config(), Terminal()
    try:
        configure(Level.WARNING, out, keep=False)
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud", place=3)
    finally:
        structlog.configure(**before)
    assert "loud" in out.getvalue()
    assert "quiet" not in out.getvalue()
    assert not out.getvalue().startswith("{")
    assert sys.stderr is not out
