"""How are rules read from and written as text in a project? The text form with its cohorts' names.

A mistake in a text is named by line and column with field `text`, whoever finds it: the grammar, the checks of
the rule, or the plan.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from libs.errors import Invalid, Missing, NotBuilt
from libs.gen.cohort.v1 import cohort_pb2, rule_pb2
from libs.index.calendar import Calendar
from services.cohort.rule import Rule
from services.cohort.store import CohortStore
from services.cohort.text.format import format_rule
from services.cohort.text.parse import Parsed, parse_rule
from services.cohort.text.tokens import MAX_TEXT
from services.cohort.translate import read_rule


class Texts:
    """Reads and writes the text form of one project's rules."""

    def __init__(self, store: CohortStore, calendar: Calendar) -> None:
        self._store = store
        self._calendar = calendar

    def parse(self, text: str) -> rule_pb2.Rule:
        """Read a text. Raises `Invalid`, and `Missing` for a cohort's name that is not known."""
        parsed = parse_rule(text, self._store.named)
        with _located(parsed):
            read_rule(parsed.rule, self._calendar)
        return parsed.rule

    def format(self, request: cohort_pb2.FormatRuleRequest) -> str:
        """Write the rule of a request. Raises `Invalid`."""
        text = format_rule(self._message(request), self._store.name_of)
        if len(text) > MAX_TEXT:
            what = f"rule: its text would be longer than {MAX_TEXT:,} characters; send the rule itself"
            raise Invalid("RULE_TOO_LARGE", what, "rule")
        return text

    @contextmanager
    def asked(self, request: cohort_pb2.RunRuleRequest) -> Iterator[Rule]:
        """Give the rule of a request; what is said of its fields meanwhile is said of where they stand."""
        if request.WhichOneof("query") == "text":
            parsed = parse_rule(request.text, self._store.named)
            with _located(parsed):
                yield read_rule(parsed.rule, self._calendar)
        else:
            yield self._message(request)

    def _message(self, request: Any) -> Rule:
        if not request.HasField("rule"):
            raise Invalid("INVALID_RULE", "rule: is required", "rule")
        return read_rule(request.rule, self._calendar)


@contextmanager
def _located(parsed: Parsed) -> Iterator[None]:
    try:
        yield
    except (Invalid, Missing, NotBuilt) as fault:
        raise parsed.located(fault) from None
