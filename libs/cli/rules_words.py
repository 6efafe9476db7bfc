"""How does a rule read? As a tree in the words of the text form, with sizes where they are known."""

from collections.abc import Iterator, Sequence

from google.protobuf import json_format
from rich.text import Text
from rich.tree import Tree

from libs.errors import Invalid
from libs.gen.cohort.v1 import rule_pb2
from libs.index.calendar import Calendar
from libs.zones import ZoneInfo
from services.cohort.text.format import format_rule
from services.cohort.translate import read_rule

GROUPS = {"all": ("all of", "everyone"), "any": ("any of", "nobody")}
CALENDAR = Calendar(ZoneInfo("UTC"))
"""Rules are read for their words alone, which no time zone changes."""


def rule_tree(rule: rule_pb2.Rule, notes: Sequence[str] = ()) -> Tree:
    """Draw a rule; `notes` are what to write behind its nodes, in pre-order."""
    return _branch(rule, iter(notes))


def _branch(rule: rule_pb2.Rule, notes: Iterator[str]) -> Tree:
    label = Text(rule_words(rule))
    note = next(notes, None)
    if note is not None:
        label.append(f"  {note}", style="bold cyan")
    tree = Tree(label)
    for child in children(rule):
        tree.add(_branch(child, notes))
    return tree


def children(rule: rule_pb2.Rule) -> list[rule_pb2.Rule]:
    """Return the rules right below a rule."""
    kind = rule.WhichOneof("rule")
    if kind in GROUPS:
        return list(getattr(rule, kind).rules)
    return [rule.negation.rule] if kind == "negation" else []


def preorder(rule: rule_pb2.Rule) -> Iterator[rule_pb2.Rule]:
    """Yield a rule and all below it, each before its children: the order of node sizes."""
    yield rule
    for child in children(rule):
        yield from preorder(child)


def rule_words(rule: rule_pb2.Rule) -> str:
    """Write one node of a rule, without what is below it."""
    kind = rule.WhichOneof("rule")
    if kind in GROUPS:
        full, empty = GROUPS[kind]
        return full if getattr(rule, kind).rules else empty
    if kind == "negation":
        return "not"
    try:
        return format_rule(read_rule(rule, CALENDAR))
    except Invalid:  # of a server with another version of the language
        return json_format.MessageToJson(rule, indent=None, ensure_ascii=False)
