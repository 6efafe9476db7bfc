"""How does a parsed text become a message? The tree from the top, noting for each field path where it stands.

Only what a message cannot hold is refused here: numbers beyond int32, strings that are no text. The tree is
followed no deeper than one level below what a rule may have, where the checks of the rule refuse it.
"""

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from lark import Token, Tree

from libs.gen.cohort.v1 import rule_pb2
from services.cohort.limits import MAX_COUNT, MAX_DEPTH, MAX_VALUES
from services.cohort.text.mistakes import mistake
from services.cohort.text.words import read_name

Node: TypeAlias = Tree[Token]
VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,()"]+')
"""A value in a well-formed list."""
SHOWN_VALUES = 100
"""Values of a list whose places are noted; a mistake in a later one is shown at the list."""
NEGATION = {"rule": "rules", "condition": "conditions"}
"""The field of a group's members, by that of a negation's one."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A cohort by its name: the message that asks for the id, and where in the text the name stands."""

    name: str
    place: int
    message: rule_pb2.CohortRule


class Writer:
    """Writes one tree. `places` are offsets in the text by field path; `names` are the cohorts to look up."""

    def __init__(self, text: str) -> None:
        self.places: dict[str, int] = {}
        self.names: list[Reference] = []
        self._text = text

    def rule(self, node: Node, message: rule_pb2.Rule, path: str, depth: int) -> None:
        """Write a rule at a path; `depth` is its level, from 1."""
        self._at(path, node)
        message.SetInParent()
        if depth > MAX_DEPTH + 1:
            return
        match node.data:
            case "all" | "any" | "not":
                self._group(node, message, path, depth, "rule", self.rule)
            case "did":
                self._did(node, message.did, f"{path}.did", depth)
            case "figure":
                self._figure(node, message.did, f"{path}.did", depth)
            case "profile":
                message.profile.SetInParent()
                self._where(node.children, message.profile, f"{path}.profile", depth)
            case "sequence":
                self._sequence(node, message.sequence, f"{path}.sequence", depth)
            case _:
                self._cohort(node, message.cohort, f"{path}.cohort.cohortId")

    def _at(self, path: str, node: Node | Token) -> None:
        start = node.start_pos if isinstance(node, Token) else node.meta.start_pos
        self.places[path] = start or 0

    def _group(self, node: Node, message: Any, path: str, depth: int, one: str, write: Any) -> None:
        """Write `all`, `any` and `not` of rules or of conditions."""
        inner = [child for child in node.children if isinstance(child, Tree)]
        if node.data == "not":
            write(inner[0], getattr(message.negation, one), f"{path}.not.{one}", depth + 1)
            return
        many = NEGATION[one]
        group = getattr(message, node.data)
        group.SetInParent()
        for place, child in enumerate(inner):
            write(child, getattr(group, many).add(), f"{path}.{node.data}.{many}[{place}]", depth + 1)

    def _did(self, node: Node, message: rule_pb2.Did, path: str, depth: int) -> None:
        self._at(path, node)
        for child in trees(node):
            match child.data:
                case "first":
                    self._at(f"{path}.firstTime", child)
                    message.first_time = True
                case "step":
                    self._step(child, message, path, depth)
                case "last" | "from_to" | "since" | "until" | "days_ago":
                    self._window(child, message.when, f"{path}.when")
                case op:
                    self._count(child, op.removesuffix("_times"), message.count, f"{path}.count")

    def _figure(self, node: Node, message: rule_pb2.Did, path: str, depth: int) -> None:
        function, did, comparison = trees(node)
        self._did(did, message, path, depth)
        at = f"{path}.aggregate"
        aggregate: Any = message.aggregate
        self._at(at, node)
        self._at(f"{at}.function", function)
        aggregate.function = rule_pb2.Aggregate.Function.Value(function.data.upper())
        for name in trees(function):
            aggregate.attribute = self._name(name, f"{at}.attribute")
        self._at(f"{at}.op", comparison)
        aggregate.op = rule_pb2.Count.Op.Value(comparison.data.upper())
        for field, number in zip(("value", "upper"), comparison.children, strict=False):
            self._at(f"{at}.{field}", number)
            setattr(aggregate, field, float(str(number)))

    def _step(self, node: Node, message: Any, path: str, depth: int) -> None:
        name, *rest = node.children
        assert isinstance(name, Tree)
        message.event_type = self._name(name, f"{path}.eventType")
        self._where(rest, message, path, depth)

    def _sequence(self, node: Node, message: rule_pb2.Sequence, path: str, depth: int) -> None:
        self._at(path, node)
        steps = 0
        for child in trees(node):
            if child.data == "step":
                at = f"{path}.steps[{steps}]"
                self._at(at, child)
                self._step(child, message.steps.add(), at, depth + 1)
                steps += 1
                self.places.setdefault(f"{path}.steps", child.meta.start_pos)
            elif child.data == "within":
                self._span(trees(child)[0], message.within, f"{path}.within")
            else:
                self._window(child, message.when, f"{path}.when")

    def _cohort(self, node: Node, message: rule_pb2.CohortRule, path: str) -> None:
        [name] = node.children
        assert isinstance(name, Token)
        self._at(path, name)
        written = self._string(name, self.places[path])
        if node.data == "cohort_id":
            message.cohort_id = written
        else:
            message.SetInParent()
            self.names.append(Reference(written, self.places[path], message))

    def _where(self, nodes: Any, message: Any, path: str, depth: int) -> None:
        for node in nodes:
            self._condition(trees(node)[0], message.where, f"{path}.where", depth + 1)

    def _condition(self, node: Node, message: rule_pb2.Condition, path: str, depth: int) -> None:
        self._at(path, node)
        message.SetInParent()
        if depth > MAX_DEPTH + 1:
            return
        if node.data == "test":
            self._test(node, message.test, f"{path}.test")
        else:
            self._group(node, message, path, depth, "condition", self._condition)

    def _test(self, node: Node, message: Any, path: str) -> None:
        self._at(path, node)
        name, passes, *ignoring = trees(node)
        message.attribute = self._name(name, f"{path}.attribute")
        self._at(f"{path}.op", passes)
        message.op = rule_pb2.Test.Op.Value(passes.data.upper())
        self._at(f"{path}.values", passes.children[0] if passes.children else passes)
        self._values(passes, message, f"{path}.values")
        for words in ignoring:
            self._at(f"{path}.ignoreCase", words)
            message.ignore_case = True

    def _values(self, node: Node, message: rule_pb2.Test, path: str) -> None:
        """Write the values of a test; one too many at most, for the checks of the rule to refuse."""
        for token in node.children:
            assert isinstance(token, Token)
            for found in islice(VALUE.finditer(token), MAX_VALUES + 1):
                written, place = found[0], (token.start_pos or 0) + found.start()
                if len(message.values) < SHOWN_VALUES:
                    self.places[f"{path}[{len(message.values)}]"] = place
                value = message.values.add()
                if written.startswith('"'):
                    value.string_value = self._string(written, place)
                elif written[0] in "tTfF":
                    value.bool_value = written.lower() == "true"
                else:
                    value.number_value = float(written)

    def _count(self, node: Node, op: str, message: Any, path: str) -> None:
        self._at(f"{path}.op", node)
        message.op = rule_pb2.Count.Op.Value(op.upper())
        for field, number in zip(("value", "upper"), node.children, strict=False):
            setattr(message, field, self._whole(number, f"{path}.{field}"))

    def _window(self, node: Node, message: rule_pb2.Window, path: str) -> None:
        self._at(path, node)
        match node.data:
            case "last":
                self._span(trees(node)[0], message.last, f"{path}.last")
            case "days_ago":
                first, last = node.children[:2]
                message.days_ago.start = self._whole(first, f"{path}.daysAgo.from")
                message.days_ago.to = self._whole(last, f"{path}.daysAgo.to")
            case ends:
                fields = {"from_to": ("from", "to"), "since": ("from",), "until": ("to",)}[ends]
                for field, date in zip(fields, node.children, strict=True):
                    self._at(f"{path}.between.{field}", date)
                    setattr(message.between, "start" if field == "from" else "to", str(date))

    def _span(self, node: Node, message: Any, path: str) -> None:
        amount, unit = node.children
        assert isinstance(unit, Token)
        message.amount = self._whole(amount, f"{path}.amount")
        self._at(f"{path}.unit", unit)
        message.unit = rule_pb2.Span.Unit.Value(unit.type.removesuffix("S"))

    def _name(self, node: Node, path: str) -> str:
        self._at(path, node)
        return read_name(str(node.children[0]))

    def _whole(self, token: Any, path: str) -> int:
        self._at(path, token)
        digits = token.lstrip("0") or "0"
        if not digits.isdigit():
            raise mistake(self._text, token.start_pos, "a whole number, 0 or more, stands here")
        if len(digits) > len(str(MAX_COUNT)) or int(digits) > MAX_COUNT:
            raise mistake(self._text, token.start_pos, f"a number here is at most {MAX_COUNT:,}")
        return int(digits)

    def _string(self, written: str, place: int) -> str:
        try:
            text: str = json.loads(written)
            text.encode()
        except ValueError:
            what = r"this is no JSON string: a backslash stands before one of \" \\ / b f n r t, or uXXXX"
            raise mistake(self._text, place, what) from None
        return text


def trees(node: Node) -> list[Node]:
    """Return the nodes right below a node, without its tokens."""
    return [child for child in node.children if isinstance(child, Tree)]
