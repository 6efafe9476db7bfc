"""Is this message a rule? Reads rules off the wire and refuses bad ones by the path of the field at fault.

Paths use the JSON names that people type: `rule.all.rules[1].did.where.test.values`. The leaves are read by
neighbours: `windows`, `comparisons` (counts, aggregates), `operands` (tests); `refusal` says how one is refused.
"""

from typing import Any as Anything

from libs.gen.cohort.v1 import rule_pb2
from libs.index.calendar import Calendar
from libs.patterns import weight
from services.cohort.comparisons import check_name, read_aggregate, read_count
from services.cohort.condition import AllOf, AnyOf, Condition, NotOf, Op, Test
from services.cohort.limits import MAX_DEPTH, MAX_NODES, MAX_PATTERNS, MAX_STEPS, MIN_STEPS
from services.cohort.operands import read_test
from services.cohort.refusal import bad, too_large
from services.cohort.rule import All, Any, Did, InCohort, Not, Profile, Rule, Sequence, Step, Window
from services.cohort.windows import read_span, read_window


def read_rule(message: rule_pb2.Rule, calendar: Calendar, path: str = "rule") -> Rule:
    """Read a rule. Raises `Invalid` with the path of the field at fault."""
    return _Reader(calendar).rule(message, path, 1)


class _Reader:
    """Reads one rule, counting its nodes and what its patterns weigh."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._nodes = 0
        self._patterns = 0

    def rule(self, message: rule_pb2.Rule, path: str, depth: int) -> Rule:
        self._enter(path, depth)
        match message.WhichOneof("rule"):
            case "all":
                return All(self._rules(message.all.rules, f"{path}.all.rules", depth))
            case "any":
                return Any(self._rules(message.any.rules, f"{path}.any.rules", depth))
            case "negation":
                if not message.negation.HasField("rule"):
                    bad(f"{path}.not.rule", "is required")
                return Not(self.rule(message.negation.rule, f"{path}.not.rule", depth + 1))
            case "did":
                return self._did(message.did, f"{path}.did", depth)
            case "profile":
                return Profile(self._where(message.profile, f"{path}.profile.where", depth))
            case "cohort":
                if not message.cohort.cohort_id:
                    bad(f"{path}.cohort.cohortId", "is required")
                return InCohort(message.cohort.cohort_id)
            case "sequence":
                return self._sequence(message.sequence, f"{path}.sequence", depth)
        return bad(path, "set one of all, any, not, did, profile, cohort, sequence")

    def _enter(self, path: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            too_large(path, f"a rule has at most {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            too_large(path, f"a rule has at most {MAX_NODES} rules, conditions and steps")

    def _rules(self, messages: Anything, path: str, depth: int) -> tuple[Rule, ...]:
        return tuple(self.rule(each, f"{path}[{place}]", depth + 1) for place, each in enumerate(messages))

    def _did(self, message: rule_pb2.Did, path: str, depth: int) -> Did:
        check_name(message.event_type, f"{path}.eventType", "an event type")
        return Did(
            message.event_type,
            self._where(message, f"{path}.where", depth),
            self._when(message, f"{path}.when"),
            read_count(message.count, f"{path}.count") if message.HasField("count") else None,
            read_aggregate(message.aggregate, f"{path}.aggregate") if message.HasField("aggregate") else None,
            message.first_time,
        )

    def _sequence(self, message: rule_pb2.Sequence, path: str, depth: int) -> Sequence:
        if not MIN_STEPS <= len(message.steps) <= MAX_STEPS:
            bad(f"{path}.steps", f"a sequence has {MIN_STEPS} to {MAX_STEPS} steps")
        return Sequence(
            tuple(
                self._step(each, f"{path}.steps[{place}]", depth + 1)
                for place, each in enumerate(message.steps)
            ),
            read_span(message.within, f"{path}.within") if message.HasField("within") else None,
            self._when(message, f"{path}.when"),
        )

    def _step(self, message: rule_pb2.Step, path: str, depth: int) -> Step:
        self._enter(path, depth)
        check_name(message.event_type, f"{path}.eventType", "an event type")
        return Step(message.event_type, self._where(message, f"{path}.where", depth))

    def _when(self, holder: Anything, path: str) -> Window:
        return read_window(holder.when, path, self._calendar) if holder.HasField("when") else None

    def _where(self, holder: Anything, path: str, depth: int) -> Condition | None:
        return self._condition(holder.where, path, depth + 1) if holder.HasField("where") else None

    def _condition(self, message: rule_pb2.Condition, path: str, depth: int) -> Condition:
        self._enter(path, depth)
        match message.WhichOneof("condition"):
            case "all":
                return AllOf(self._conditions(message.all.conditions, f"{path}.all.conditions", depth))
            case "any":
                return AnyOf(self._conditions(message.any.conditions, f"{path}.any.conditions", depth))
            case "negation":
                if not message.negation.HasField("condition"):
                    bad(f"{path}.not.condition", "is required")
                inner = self._condition(message.negation.condition, f"{path}.not.condition", depth + 1)
                return NotOf(inner)
            case "test":
                return self._test(message.test, f"{path}.test")
        return bad(path, "set one of all, any, not, test")

    def _test(self, message: rule_pb2.Test, path: str) -> Test:
        test = read_test(message, path, self._calendar)
        if test.op is Op.MATCHES:
            self._patterns += weight(str(test.values[0]), ignore_case=test.ignore_case)
            if self._patterns > MAX_PATTERNS:
                too_large(f"{path}.values[0]", "the regular expressions of the rule are too large together")
        return test

    def _conditions(self, messages: Anything, path: str, depth: int) -> tuple[Condition, ...]:
        return tuple(
            self._condition(each, f"{path}[{place}]", depth + 1) for place, each in enumerate(messages)
        )
