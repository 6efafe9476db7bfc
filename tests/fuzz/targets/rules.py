"""Rules in each of their three forms: read, and asked of a small world; a text means the same once written back."""

import contextlib
import json
import re
from pathlib import Path

from google.protobuf import json_format, timestamp_pb2

from libs.cli.errors import Failed
from libs.cli.rules_input import read_source
from libs.errors import Fault
from libs.gen.cohort.v1 import rule_pb2
from services.cohort.text.format import format_rule
from services.cohort.text.parse import parse_rule
from services.cohort.translate import read_rule
from tests.fuzz.targets import Target
from tests.fuzz.targets.messages import built, seed
from tests.fuzz.targets.worlds import RULES, World

TEXTS = re.findall(
    r"`([^`\n]{8,})`", (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
)
"""The examples of docs/rules.md."""


class Asker:
    """Asks rules in one world."""

    def __init__(self) -> None:
        self.world = World()
        self.calendar = self.world.engine.calendar

    def ask(self, message: rule_pb2.Rule) -> None:
        """Read a rule and run it with the sizes of all nodes: together no larger than the world."""
        rule = read_rule(message, self.calendar)
        as_of = timestamp_pb2.Timestamp(seconds=1_767_000_000)
        result = self.world.cohort._runner.run(rule, as_of, "", nodes=True, explain=True)
        assert len(result.members) <= result.moment.snapshot.customers
        assert result.nodes[0] == len(result.members)


def rule_binary() -> Target:
    """A Rule message, as RunRule and CreateCohort have it."""
    asker = Asker()

    def run(data: bytes) -> None:
        asker.ask(built(data, rule_pb2.Rule))

    rules = [json_format.ParseDict(rule, rule_pb2.Rule()) for rule in RULES]
    return Target(run, [*map(seed, rules), bytes(range(0, 250, 2))])


def rule_json() -> Target:
    """JSON or YAML of a rule, as the command line reads it."""
    asker = Asker()

    def run(data: bytes) -> None:
        with contextlib.suppress(Failed):
            read = read_source(data.decode(errors="replace").replace("\0", ""))
            if isinstance(read, rule_pb2.Rule):
                asker.ask(read)

    return Target(run, [json.dumps(rule).encode() for rule in RULES] + [b"did:\n  eventType: view\n"])


def rule_text() -> Target:
    """The text form."""
    asker = Asker()
    named = {"one": asker.world.cohort_id, "two": asker.world.static_id}
    names = {cohort_id: name for name, cohort_id in named.items()}

    def run(data: bytes) -> None:
        text = data.decode(errors="replace")
        parsed = parse_rule(text, named.get)
        try:
            rule = read_rule(parsed.rule, asker.calendar)
        except Fault as fault:
            raise parsed.located(fault) from None
        written = format_rule(rule, lambda cohort_id: names.get(cohort_id, ""))
        again = parse_rule(written, named.get).rule
        assert format_rule(read_rule(again, asker.calendar), lambda i: names.get(i, "")) == written
        asker.ask(parsed.rule)

    return Target(run, [text.encode() for text in TEXTS])
