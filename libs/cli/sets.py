"""Which set does a person mean? A saved cohort by name or id, or a rule that stands behind --rule."""

from typing import Annotated, Any

import typer

from libs.cli import names
from libs.cli.rules_input import read_rule
from libs.cli.session import Session
from libs.gen.cohort.v1 import rule_pb2

RULE_HELP = "A rule that is not saved: in text form or JSON, a file of either or of YAML, or - for stdin."
RuleInstead = Annotated[str | None, typer.Option("--rule", metavar="RULE", help=RULE_HELP)]


def put_cohort(session: Session, message: Any, wanted: str) -> str:
    """Have a message ask about the saved cohort of a name or id; return its name."""
    found = names.cohort_named(session, wanted)
    message.cohort_id = found.cohort_id
    name: str = found.name
    return name


def put_rule(session: Session, message: Any, source: str) -> rule_pb2.Rule:
    """Have a message ask about the rule that `source` names or holds; return it."""
    rule = read_rule(source, session.cohort())
    message.rule.CopyFrom(rule)
    return rule
