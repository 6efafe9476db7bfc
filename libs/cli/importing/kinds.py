"""What kind is a column of text? Decided for the column as a whole, so that no cell is an exception.

- every cell that is not empty is a number → number;
- every one is true or false, in any case → bool;
- anything else → string. So is a column with a leading zero (zip codes, phone numbers), or with an integer of
  more than 15 digits: as a double it would not be exact, and two ids could become one.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

NUMBER = r"-?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?"
LOOSE_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""What counts as a number in a column that was said to hold numbers: leading zeros do, too."""
ALL_NUMBERS = re.compile(rf"(?:{NUMBER}\n)*+")
TRUTH = {"true": True, "false": False}
EXACT = 2**53
"""Integers up to here are exact as doubles."""


class Kind(StrEnum):
    """The kinds a value can be of."""

    STRING = "string"
    NUMBER = "number"
    BOOL = "bool"


class Guess:
    """The kind of one column, seen part by part."""

    def __init__(self) -> None:
        self._seen = False
        self._number = True
        self._bool = True

    def see(self, cells: Iterable[str | None]) -> None:
        """Take more cells of the column into account; empty ones say nothing."""
        if not (self._number or self._bool):
            return
        distinct = {cell for cell in cells if cell}
        if not distinct:
            return
        self._seen = True
        if self._number:
            text = "\n".join(distinct) + "\n"
            self._number = text.count("\n") == len(distinct) and ALL_NUMBERS.fullmatch(text) is not None
        if self._bool:
            self._bool = all(cell.lower() in TRUTH for cell in distinct)

    @property
    def kind(self) -> Kind:
        """The kind that all cells seen so far are of; a column of empty cells is a string."""
        if not self._seen:
            return Kind.STRING
        if self._number:
            return Kind.NUMBER
        return Kind.BOOL if self._bool else Kind.STRING
