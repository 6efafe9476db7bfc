"""What does a rule answer? `cohort run`: size, members, sizes at every node."""

from typing import Annotated, Any

import typer

from libs.cli.importing.times import to_timestamp
from libs.cli.options import AsOf, Everything, Fields, Json, Limit, listed
from libs.cli.output import console, count, duration, instant, note, plain, say, scalar, show_json, show_table
from libs.cli.paging import listing
from libs.cli.rules_input import parsed, read_source
from libs.cli.rules_words import rule_tree
from libs.cli.session import session_of
from libs.gen.cohort.v1 import cohort_pb2, rule_pb2

RuleArgument = Annotated[
    str,
    typer.Argument(
        metavar="RULE", help="A rule in text form or JSON, a file of either or of YAML, or - for stdin."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    context: typer.Context,
    rule: RuleArgument = "-",
    fields: Fields = "",
    count_only: Annotated[bool, typer.Option("--count", help="Answer the size alone.")] = False,
    nodes: Annotated[
        bool, typer.Option("--nodes", help="Draw the rule with the size of every node.")
    ] = False,
    as_of: AsOf = None,
    limit: Limit = 20,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Run a rule: who matches now, or as of an instant?

    Shows the first --limit customers, or --all. With --json the RunRuleResponse is printed; with --all too,
    the customers of all pages are joined in it.

    Example: cohort run 'purchase where price > 100 at least 2 times in last 30 days and not cart in last 7 days'

    Example: cohort run lapsed.yaml --nodes --fields email,city
    """
    stub = session_of(context).cohort()
    wanted = read_source(rule)
    if nodes and isinstance(wanted, str):  # what is drawn below
        wanted = parsed(wanted, stub)
    request = cohort_pb2.RunRuleRequest(
        count_only=count_only, with_node_sizes=nodes, profile_fields=listed(fields)
    )
    if isinstance(wanted, str):
        request.text = wanted
    else:
        request.rule.CopyFrom(wanted)
    if as_of:
        request.as_of.CopyFrom(to_timestamp(as_of))
    response = listing(stub.RunRule, request, "customer_ids", "members", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    for warning in response.warnings:
        note(f"warning: {warning}")
    size = count(response.size, "customer")
    say(f"{size} as of {instant(response, 'as_of')}, in {duration(response.elapsed)}")
    if isinstance(wanted, rule_pb2.Rule) and nodes:
        console().print(rule_tree(wanted, [count(size) for size in response.node_sizes]))
    if not count_only:
        show_customers(response, listed(fields))


def show_customers(response: Any, fields: list[str]) -> None:
    """Print the customers of a RunRuleResponse, and how many are not shown."""
    if response.members:
        show_members(response.members, fields)
    elif response.customer_ids:
        show_table(["customer"], [[customer_id] for customer_id in response.customer_ids])
    shown = len(response.members) or len(response.customer_ids)
    if shown < response.size:
        note(f"… and {count(response.size - shown)} more: --limit N or --all shows them")


def show_members(members: Any, fields: list[str]) -> None:
    """Print members with the fields asked for; with none asked for, all that are there."""
    data = [plain(member.data) for member in members]
    names = fields or sorted({name for one in data for name in one})
    rows = [
        [member.customer_id, *(scalar(one.get(name)) for name in names)]
        for member, one in zip(members, data, strict=True)
    ]
    show_table(["customer", *names], rows)
