"""Of which tokens is a text made? Words are found among the names, and told apart by what follows them.

The grammar looks one token ahead. What takes more is decided here, in one pass from the end: whether what
follows an `and` is a test or a rule (behind any `not`, `(`, `all(`), and what a `between` is of. A text that
could never be a rule, for its size alone, is refused before it is parsed.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters

from libs.errors import Invalid
from services.cohort.limits import MAX_NODES, MAX_VALUES
from services.cohort.text.mistakes import TESTS, UNITS, mistake, quoted
from services.cohort.text.words import WORDS

GRAMMAR = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
MAX_TEXT = 1 << 20
"""Characters. Ten thousand values of 100 characters fit; a longer rule travels as a message."""
MAX_TOKENS = 60_000
"""No node has more than 40, a list of values is one; the rest is room to find the mistake in a long list."""
MAX_NESTING = 100
"""Parentheses in parentheses: a rule has at most 32 levels, the rest is room for needless ones."""
CONNECTIVES = {"_AND": "_AND_TEST", "_OR": "_OR_TEST"}


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a text, the terminals of the grammar their types. Raises `Invalid`."""
    if len(text) > MAX_TEXT:
        raise _too_large(text, MAX_TEXT, f"a text has at most {MAX_TEXT:,} characters")
    tokens: list[Token] = []
    nesting = 0
    for token in _lexed(text):
        tokens.append(token)
        nesting += (token.type == "_OPEN") - (token.type == "_CLOSE")
        if nesting > MAX_NESTING:
            raise _too_large(text, token.start_pos or 0, "there are too many parentheses in parentheses")
        if len(tokens) > MAX_TOKENS:
            what = f"a rule has at most {MAX_NODES} rules, conditions and steps, a test {MAX_VALUES:,} values"
            raise _too_large(text, token.start_pos or 0, what)
    return _told_apart(tokens)


@cache
def _lexer() -> Lark:
    return Lark(GRAMMAR, parser=None, lexer="basic")


def _lexed(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, words found among the names."""
    try:
        for token in _lexer().lex(text):
            if token.type == "NAME":
                token.type = WORDS.get(token.lower(), "NAME")
            yield token
    except UnexpectedCharacters as error:
        place = error.pos_in_stream or 0
        raise mistake(text, place, _unreadable(text[place])) from None


def _unreadable(character: str) -> str:
    match character:
        case '"':
            return 'this string has no closing " on its line, or holds a control character not written as \\n'
        case "`":
            return "this name has no closing backquote"
        case "'" | "“" | "”" | "‘" | "’" | "«":
            return 'strings stand in "double quotes", names in `backquotes`'
    return f"`{quoted(character)}` means nothing here; names with other letters stand in `backquotes`"


def _too_large(text: str, place: int, what: str) -> Invalid:
    return mistake(text, place, what, "RULE_TOO_LARGE")


def _told_apart(tokens: list[Token]) -> list[Token]:
    types = [token.type for token in tokens] + ["$END"] * 6  # as far as anything looks ahead
    for place, found in enumerate(types):
        if found == "_BETWEEN":
            types[place] = _between(types, place)
            if types[place + 2] == "_AND":
                types[place + 2] = "_AND_UPPER"
    tests = [False] * len(types)
    for place in reversed(range(len(tokens))):
        found = types[place]
        if found in ("_NOT", "_OPEN") or (found in ("_ALL", "_ANY") and types[place + 1] == "_OPEN"):
            tests[place] = tests[place + 1]
        elif found == "NAME":
            tests[place] = _is_test(types, place)
        elif found in CONNECTIVES and tests[place + 1]:
            types[place] = CONNECTIVES[found]
        else:
            tests[place] = found in ("TRUE", "FALSE")
    for token, told in zip(tokens, types, strict=False):
        token.type = told
    return tokens


def _between(types: Sequence[str], place: int) -> str:
    """Say of what a `between` is: `between 2 and 4 times`, `between 60 and 31 days ago`, or of values."""
    behind = types[place + 4]
    if behind == "_TIMES":
        return "_BETWEEN_TIMES"
    return "_BETWEEN_DAYS" if behind in UNITS else "_BETWEEN"


def _is_test(types: Sequence[str], place: int) -> bool:
    """Say whether the name at a place is an attribute that is tested, rather than an event type."""
    behind = types[place + 1]
    if behind == "_IN":
        return types[place + 2] != "_LAST"
    return behind in TESTS
