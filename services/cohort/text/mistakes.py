"""What is wrong with a text? The line, a caret under the place, and what was expected there."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from libs.errors import Invalid, Missing, NotBuilt

FIELD = "text"
MARGIN = 60
"""Characters of the line that are shown on each side of the place: a status has to fit into a few kB."""
SHOWN = 40
"""Characters of a token that are quoted."""

COUNTS = frozenset({"_AT", "_EXACTLY", "_MORE", "_LESS", "_BETWEEN_TIMES"})
UNITS = frozenset({"MINUTES", "HOURS", "DAYS", "WEEKS", "MONTHS"})
ORDER = frozenset({"_EQ", "_GT", "_GE", "_LT", "_LE", "_BETWEEN"})
TESTS = ORDER | {"_NE", "_IN", "_NOT", "_CONTAINS", "_STARTS", "_ENDS", "_MATCHES", "_IS"}
FUNCTIONS = frozenset({"_SUM", "_AVERAGE", "_MINIMUM", "_MAXIMUM", "_DISTINCT", "_ACTIVE"})
GROUPED = frozenset({"NAME", "_OPEN", "_NOT", "_ALL", "_ANY"})
CALLED = (
    (GROUPED | FUNCTIONS | {"_EVERYONE", "_NOBODY", "_FIRST", "_PROFILE", "_COHORT"},
     "a rule (`purchase`, `not signup`, `sum of price of purchase >= 10`)"),
    (GROUPED | {"TRUE", "FALSE"}, "a condition (`price > 10`)"),
    (TESTS, 'a test (`= "a"`, `> 10`, `in (1, 2)`, `contains "a"`, `is set`)'),
    (ORDER, "a comparison (`>= 10`, `between 10 and 20`)"),
    (COUNTS, "a count (`at least 3 times`)"),
    (frozenset({"_IN", "_FROM", "_SINCE", "_UNTIL", "_BETWEEN_DAYS"}), "a window (`in last 30 days`)"),
    (UNITS, "minutes, hours, days, weeks or months"),
    (frozenset({"STRING", "NUMBER", "TRUE", "FALSE"}), 'a value ("text", 10, true, false)'),
    (frozenset({"LIST", "_OPEN"}), 'values in parentheses (`("a", 2)`)'),
    (frozenset({"NAME"}), "a name"),
    (frozenset({"STRING"}), 'a "string" in double quotes'),
    (frozenset({"NUMBER"}), "a number"),
    (frozenset({"DATE"}), "a date (2026-01-31) or an instant (2026-01-31T23:59:59Z)"),
)  # fmt: skip
"""What may stand where all these terminals may; the first that fits speaks for all of its terminals."""
SIGNS = {
    **{
        "_OPEN": "(",
        "_CLOSE": ")",
        "_COMMA": ",",
        "_EQ": "=",
        "_GT": ">",
        "_GE": ">=",
        "_LT": "<",
        "_LE": "<=",
    },
    **{"_AND_TEST": "and", "_OR_TEST": "or", "_AND_UPPER": "and"},
    **{"_BETWEEN_TIMES": "between", "_BETWEEN_DAYS": "between"},
}
"""How terminals are written, where their name does not say it."""


def mistake(text: str, place: int, what: str, reason: str = "INVALID_RULE") -> Invalid:
    """Return the fault of what is wrong at a place of a text, as an offset in characters."""
    line, column = _position(text, place)
    position = {"line": str(line), "column": str(column)}
    return Invalid(reason, pointed(text, place, what), FIELD, position)


def relocated(fault: Any, text: str, places: Mapping[str, int]) -> Any:
    """Return a fault of a field of the rule as one of the text; `places` are the fields' by path."""
    path = fault.field
    while path not in places:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
        if not path:
            return fault
    said = fault.message.removeprefix(f"{fault.field}: ")
    if isinstance(fault, Invalid):
        return mistake(text, places[path], said, fault.reason)
    assert isinstance(fault, Missing | NotBuilt)
    return replace(fault, message=pointed(text, places[path], said), field=FIELD)


def expectation(terminals: Iterable[str], found: str) -> str:
    """Say what was expected where one of these terminals may stand, and that something else was found."""
    left = set(terminals)
    said = []
    for together, name in CALLED:
        if together <= left:
            said.append(name)
            left -= together
    ends = "$END" in left
    left.discard("$END")
    said += sorted(f"`{SIGNS.get(one) or one.strip('_').lower()}`" for one in left)
    said += ["the end"] * ends
    listed = f"{', '.join(said[:-1])} or {said[-1]}" if len(said) > 1 else "".join(said)
    return f"expected {listed}, {found}"


def quoted(token: str) -> str:
    """Quote a token, shortened."""
    shown = token if len(token) <= SHOWN else f"{token[:SHOWN]}…"
    return "".join(character if character.isprintable() else "·" for character in shown)


def pointed(text: str, place: int, what: str) -> str:
    """Say what is wrong, and show the line with a caret under the place."""
    line, column = _position(text, place)
    start = place - (column - 1)
    end = text.find("\n", place)
    end = len(text) if end < 0 else end
    first, last = max(start, place - MARGIN), min(end, place + MARGIN)
    before, behind = text[first:place], text[place:last]
    cut, more = "…" * (first > start), "…" * (last < end)
    shown = quoted_line(f"{cut}{before}{behind}{more}")
    return f"line {line}, column {column}: {what}\n{shown}\n{' ' * width(cut + before)}^"


def quoted_line(line: str) -> str:
    """Make a line printable: one character for each, so that columns stay."""
    return "".join(character if character.isprintable() else " " for character in line)


def width(line: str) -> int:
    """Return how many columns of a terminal a line takes."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in line)
    return len(line) + wide - sum(unicodedata.combining(character) != 0 for character in line)


def _position(text: str, place: int) -> tuple[int, int]:
    """Return line and column, from 1, of an offset."""
    return text.count("\n", 0, place) + 1, place - (text.rfind("\n", 0, place) + 1) + 1
