"""`where` takes the longest condition with which the whole text still parses: shown by trying all there are.

The peer is an Earley parser of the same grammar with one `and`, one `or` and one `between`, so that it finds
every way to read a text.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput
from lark.lexer import Lexer
from lark.visitors import CollapseAmbiguities

from libs.errors import Invalid
from services.cohort.text.parse import _tree
from services.cohort.text.tokens import GRAMMAR, _lexed, tokenize

MERGED = {"_AND_TEST": "_AND", "_AND_UPPER": "_AND", "_OR_TEST": "_OR"}
MERGED |= dict.fromkeys(("_BETWEEN_TIMES", "_BETWEEN_DAYS"), "_BETWEEN")
OPERANDS = [
    *(
        "view",
        "cart where a = 1",
        "cart where not b is set at least 2 times",
        "a = 1",
        "a between 1 and 2",
        "true",
    ),
    *("a in (1)", "a in last 3 days", "a between 1 and 2 times", "a between 9 and 2 days ago", "everyone"),
    *(
        "profile where a > 1",
        "a then b where c = 2 then d within 1 day",
        "a not in (1)",
        "first a",
        "profile",
    ),
    *("sum of x of a where b = 1 >= 3", "active days of a between 3 and 4", "b starts with any of (1, 2)"),
]


class Given(Lexer):
    """Hands over the tokens it is given."""

    def __init__(self, _: Any) -> None:
        pass

    def lex(self, data: Any) -> Iterator[Token]:
        yield from data


@cache
def earley() -> Lark:
    grammar = re.sub(r"^%declare .*$", "", GRAMMAR, flags=re.MULTILINE)
    for told, plain in MERGED.items():
        grammar = re.sub(rf"\b{told}\b", plain, grammar)
    declared = {
        MERGED.get(name, name)
        for line in re.findall(r"^%declare (.*)$", GRAMMAR, re.MULTILINE)
        for name in line.split()
    }
    grammar += f"\n%declare {' '.join(sorted(declared))}\n"
    return Lark(grammar, parser="earley", lexer=Given, ambiguity="explicit")


def longest(text: str) -> Tree[Token] | None:
    """Return the tree whose conditions are longest, the first one's first; None where there is no tree."""
    try:
        found = earley().parse(list(_lexed(text)))  # type: ignore[arg-type]
    except UnexpectedInput:
        return None
    return max(CollapseAmbiguities().transform(found), key=lambda tree: [*lengths(tree)])


def lengths(tree: Tree[Token]) -> Iterator[int]:
    """Yield the number of tokens of each condition behind a `where`, from left to right."""
    for child in tree.children:
        if isinstance(child, Tree):
            if child.data == "where":
                yield sum(1 for _ in child.scan_values(lambda _: True))
            yield from lengths(child)


expressions = st.recursive(
    st.sampled_from(OPERANDS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).flatmap(
            lambda members: st.sampled_from([" and ", " or "]).map(lambda between: between.join(members))
        ),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"not {one}"),
        inner.map(lambda one: f"all({one})"),
        inner.map(lambda one: f"view where {one}"),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(expressions)
def test_where_takes_the_longest_condition_with_which_the_text_parses(text: str) -> None:
    wanted = longest(text)
    try:
        found = _tree(text, tokenize(text))
    except Invalid:
        found = None
    event("a rule" if wanted else "no rule")
    assert (found and found.pretty()) == (wanted and wanted.pretty()), text
