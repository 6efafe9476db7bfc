"""How does one form of a rule become the other? `cohort parse` gives JSON, `cohort format` the canonical text."""

import typer

from libs.cli.output import say, show_json
from libs.cli.rules_input import read_rule
from libs.cli.run import RuleArgument
from libs.cli.session import session_of
from libs.gen.cohort.v1 import cohort_pb2


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("parse")(parse)
    app.command("format")(format_)


def parse(context: typer.Context, rule: RuleArgument = "-") -> None:
    """Read a rule and print it as JSON.

    The text form, in short:

    - **did**: purchase where (brand = "acme" and price > 100) at least 3 times in last 30 days

    - **tests**: = != > >= < <=, between 1 and 2, in ("a", "b"), contains, starts with, ends with, matches, is set

    - **windows**: in last 7 days, from 2026-01-01 to 2026-01-31, since 2026-01-01, between 60 and 31 days ago

    - **figures**: sum of price of purchase in last 90 days >= 5000, active days of view >= 5

    - **in order**: view then cart then purchase within 2 days

    - **others**: profile where city = "pune", cohort "High spenders", everyone, nobody

    - **together**: and, or, not, parentheses; a name with other letters than A-Z stands in backquotes

    Example: cohort parse 'view in last 7 days and not purchase'
    """
    show_json(read_rule(rule, session_of(context).cohort()))


def format_(context: typer.Context, rule: RuleArgument = "-") -> None:
    """Read a rule in any form and print its one canonical text.

    Example: cohort format lapsed.yaml
    """
    stub = session_of(context).cohort()
    request = cohort_pb2.FormatRuleRequest(rule=read_rule(rule, stub))
    say(stub.FormatRule(request).text)
