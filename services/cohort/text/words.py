"""Which words has the language, and how are names and values written?

A name that is a word, in any case, or has other characters than letters, digits, `_` and `.`, stands in
backquotes; a backquote inside is doubled. Strings are those of JSON.
"""

import json
import re

_LISTED = """
all any and or not everyone nobody where first at least most exactly more less than between times in last since
until from to ago sum average minimum maximum distinct active of profile cohort id then within contains starts
ends with matches is set ignoring case
"""
WORDS = {word: f"_{word.upper()}" for word in _LISTED.split()}
"""The words and their terminals in the grammar."""
WORDS["time"] = "_TIMES"
for _word in ("minute", "hour", "day", "week", "month"):
    WORDS[_word] = WORDS[f"{_word}s"] = f"{_word.upper()}S"
WORDS["true"], WORDS["false"] = "TRUE", "FALSE"

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)


def write_name(name: str) -> str:
    """Write the name of an event type or attribute."""
    if PLAIN.fullmatch(name) and name.lower() not in WORDS:
        return name
    return f"`{name.replace('`', '``')}`"


def read_name(written: str) -> str:
    """Read a name as it is written."""
    return written[1:-1].replace("``", "`") if written.startswith("`") else written


def write_value(value: str | float | bool) -> str:
    """Write a value: a JSON string, true, false, or a number in its shortest form that reads back the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return write_string(value) if isinstance(value, str) else write_number(value)


def write_string(text: str) -> str:
    """Write a string as JSON does, other scripts as they are."""
    return json.dumps(text, ensure_ascii=False)


def write_number(number: float) -> str:
    """Write a number: 5 rather than 5.0."""
    return repr(float(number)).removesuffix(".0")
