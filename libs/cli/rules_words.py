"""How does a rule read? As a tree in the words of the text form, with sizes where they are known.

This is for reading only: the canonical text of a rule is the server's FormatRule.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf import json_format
from rich.text import Text
from rich.tree import Tree

from libs.cli.output import scalar
from libs.gen.cohort.v1 import rule_pb2

TESTS = {
    "EQUALS": "=",
    "NOT_EQUALS": "!=",
    "IN": "in",
    "NOT_IN": "not in",
    "GREATER_THAN": ">",
    "AT_LEAST": ">=",
    "LESS_THAN": "<",
    "AT_MOST": "<=",
}
GROUPS = {"all": ("all of", "everyone"), "any": ("any of", "nobody")}


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
    if kind == "did":
        return did_words(rule.did)
    if kind == "profile":
        return (
            f"profile where {condition_words(rule.profile.where)}"
            if rule.profile.HasField("where")
            else "profile"
        )
    if kind == "cohort":
        return f"cohort id {rule.cohort.cohort_id}"
    if kind == "sequence":
        return " then ".join(_step_words(step) for step in rule.sequence.steps)
    return "(empty)"


def did_words(did: rule_pb2.Did) -> str:
    """Write what a customer did."""
    parts = [("first " if did.first_time else "") + _step_words(did)]
    if did.HasField("count"):
        parts.append(_count_words(did.count))
    if did.HasField("aggregate"):
        one = did.aggregate
        function = rule_pb2.Aggregate.Function.Name(one.function).lower().replace("_", " ")
        op = rule_pb2.Count.Op.Name(one.op).lower().replace("_", " ")
        of = f" of {one.attribute}" if one.attribute else ""
        parts.append(f"with {function}{of} {op} {scalar(one.value)}" + _upper(one))
    if did.HasField("when"):
        parts.append(window_words(did.when))
    return " ".join(parts)


def _step_words(step: Any) -> str:
    where = f" where {condition_words(step.where)}" if step.HasField("where") else ""
    return f"{step.event_type}{where}"


def _count_words(test: rule_pb2.Count) -> str:
    op = rule_pb2.Count.Op.Name(test.op).lower().replace("_", " ")
    last = test.upper if test.HasField("upper") else test.value
    return f"{op} {test.value}{_upper(test)} time{'' if last == 1 else 's'}"


def _upper(test: Any) -> str:
    return f" and {scalar(test.upper)}" if test.HasField("upper") else ""


def window_words(window: rule_pb2.Window) -> str:
    """Write a window of time."""
    kind = window.WhichOneof("window")
    if kind == "last":
        unit = rule_pb2.Span.Unit.Name(window.last.unit).lower()
        return f"in last {window.last.amount} {unit}{'' if window.last.amount == 1 else 's'}"
    if kind == "between":
        ends = window.between
        if not ends.HasField("to"):
            return f"since {ends.start}"
        return f"from {ends.start} to {ends.to}" if ends.HasField("start") else f"until {ends.to}"
    if kind == "days_ago":
        return f"between {window.days_ago.start} and {window.days_ago.to} days ago"
    return "(no window)"


def condition_words(condition: rule_pb2.Condition, *, inner: bool = False) -> str:
    """Write a condition in one line; `inner` groups stand in parentheses."""
    kind = condition.WhichOneof("condition")
    if kind == "test":
        return _test_words(condition.test)
    if kind == "negation":
        return f"not {condition_words(condition.negation.condition, inner=True)}"
    if kind is None:
        return "(empty)"
    parts = [condition_words(one, inner=True) for one in getattr(condition, kind).conditions]
    if not parts:
        return "true" if kind == "all" else "false"
    text = (" and " if kind == "all" else " or ").join(parts)
    return f"({text})" if inner and len(parts) > 1 else text


def _test_words(test: rule_pb2.Test) -> str:
    op = rule_pb2.Test.Op.Name(test.op)
    values = [_literal(value) for value in test.values]
    words = TESTS.get(op, op.lower().replace("_", " "))
    if op in ("IN", "NOT_IN"):
        shown = f" ({', '.join(values)})"
    elif op == "BETWEEN":
        shown = " " + " and ".join(values)
    else:
        shown = "".join(f" {value}" for value in values)
    return f"{test.attribute} {words}{shown}" + (" ignoring case" if test.ignore_case else "")


def _literal(value: Any) -> str:
    text = json_format.MessageToJson(value, ensure_ascii=False)
    return scalar(value.number_value) if value.HasField("number_value") else text
