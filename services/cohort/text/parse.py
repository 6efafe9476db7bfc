"""Which rule does a text mean? A tree by the grammar, written as a `cohort.v1.Rule` with the place of each field.

What the rule may hold is checked by `services.cohort.translate`, as for any rule; `Parsed.located` turns what it
refuses by field path into a mistake with a caret.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken

from libs.errors import Invalid, Missing
from libs.gen.cohort.v1 import rule_pb2
from services.cohort.text.mistakes import COUNTS, FIELD, expectation, mistake, pointed, quoted, relocated
from services.cohort.text.tokens import CONNECTIVES, GRAMMAR, tokenize
from services.cohort.text.words import WORDS
from services.cohort.text.write import Writer, trees

END = Token("$END", "")
FLIPPED = CONNECTIVES | {told: plain for plain, told in CONNECTIVES.items()}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text, the rule it means, and by field path (`rule.did.count.value`) where in the text each part stands."""

    text: str
    rule: rule_pb2.Rule
    places: dict[str, int]

    def located(self, fault: Any) -> Any:
        """Return a fault of a field of the rule as one of the text; any other as it is."""
        return relocated(fault, self.text, self.places)


def parse_rule(text: str, cohort_named: Callable[[str], str | None]) -> Parsed:
    """Read a text; `cohort_named` gives the id of a saved cohort by its name.

    Raises `Invalid`, or `Missing` for a cohort of an unknown name, both with field `text` and a caret.
    """
    tree = _tree(text, tokenize(text))
    writer = Writer(text)
    rule = rule_pb2.Rule()
    writer.rule(trees(tree)[0], rule, "rule", 1)
    for reference in writer.names:
        cohort_id = cohort_named(reference.name)
        if cohort_id is None:
            what = f"there is no cohort of the name {quoted(reference.name)!r}"
            message = pointed(text, reference.place, what)
            raise Missing("COHORT_NOT_FOUND", message, "cohort", quoted(reference.name), FIELD)
        reference.message.cohort_id = cohort_id
    return Parsed(text, rule, writer.places)


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="basic", propagate_positions=True)


class _Stuck(Exception):
    """The token at `place`, or the end behind all tokens, does not fit."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place


def _tree(text: str, tokens: list[Token]) -> Tree[Token]:
    """Parse tokens.

    An `and` was taken to stand before a rule or before a test by what follows it. Where it cannot, the mistake
    is more likely behind it.
    """
    try:
        return _parsed(tokens)
    except _Stuck as stuck:
        place = stuck.place
    if place < len(tokens) and tokens[place].type in FLIPPED:
        tokens[place].type = FLIPPED[tokens[place].type]
        try:
            return _parsed(tokens)
        except _Stuck as stuck:
            place = stuck.place
    raise _mistaken(text, tokens, place)


def _parsed(tokens: list[Token]) -> Tree[Token]:
    parser = _parser().parse_interactive()
    for place, token in enumerate([*tokens, END]):
        try:
            tree: Any = parser.feed_token(token)
        except UnexpectedToken:
            raise _Stuck(place) from None
    return cast("Tree[Token]", tree)


def _mistaken(text: str, tokens: list[Token], place: int) -> Invalid:
    """Return the fault of a token, or of the end, that does not fit behind those before it."""
    parser = _parser().parse_interactive()
    for token in tokens[:place]:
        parser.feed_token(token)
    expected: set[str] = parser.accepts()  # type: ignore[no-untyped-call]
    if place == len(tokens):
        return mistake(text, len(text.rstrip()), expectation(expected, "but the text ends here"))
    found = tokens[place]
    said = expectation(expected, f"not `{quoted(found)}`")
    if "NAME" in expected and found.lower() in WORDS:
        said += f"; it is a word of the language: a name that is one stands in backquotes, `{found}`"
    if found.type in COUNTS and "_AND" in expected:
        said += "; a count stands before the window"
    return mistake(text, found.start_pos or 0, said)
