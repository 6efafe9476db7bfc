"""Why is a customer in a cohort, or not? `cohort explain`: the rule as a tree of check and cross marks."""

from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from libs.cli.errors import Failed
from libs.cli.importing.times import to_timestamp
from libs.cli.options import AsOf, Json
from libs.cli.output import console, count, instant, pairs, plain, say, show_json
from libs.cli.session import session_of
from libs.cli.sets import RuleInstead, put_cohort, put_rule
from libs.gen.cohort.v1 import cohort_pb2

HOLDS, FAILS = ("✓", "bold green"), ("✗", "bold red")
GROUPS = {"all": "all of", "any": "any of", "not": "not"}
"""How a node with nodes below it is called, by the field that its children's paths name."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    context: typer.Context,
    cohort_and_customer: Annotated[
        list[str],
        typer.Argument(
            metavar="[COHORT] CUSTOMER",
            help="A saved cohort, by name or id, unless --rule is said; and the customer's id.",
        ),
    ],
    rule: RuleInstead = None,
    events: Annotated[
        int, typer.Option("--events", min=0, max=100, help="How many events of a node to show.")
    ] = 3,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Explain why a customer is in a saved cohort, or matches a rule, and when that changes by time alone.

    Example: cohort explain "High spenders" customer-17

    Example: cohort explain --rule 'purchase in last 7 days' customer-17
    """
    if len(cohort_and_customer) != (2 if rule is None else 1):
        raise Failed("name a saved cohort and a customer, or a customer and --rule")
    session = session_of(context)
    customer = cohort_and_customer[-1]
    request = cohort_pb2.ExplainMembershipRequest(customer_id=customer)
    if rule is None:
        where = f"in {put_cohort(session, request, cohort_and_customer[0])!r}"
    else:
        put_rule(session, request, rule)
        where = "matched"
    if as_of:
        request.as_of.CopyFrom(to_timestamp(as_of))
    response = session.cohort().ExplainMembership(request)
    if as_json:
        show_json(response)
        return
    verdict = "is" if response.root.holds else "is not"
    say(f"{customer} {verdict} {where} as of {instant(response, 'as_of')}")
    console().print(_branch(response.root, events))
    turn = instant(response, "changes_at")
    say(f"if nothing else happens, this changes at {turn}" if turn else "time alone does not change this")


def _branch(node: Any, events: int) -> Tree:
    """Draw a node: its mark and words, what it was decided by, and what is below it."""
    mark, style = HOLDS if node.holds else FAILS
    label = Text.assemble((mark, style), " ", _words(node))
    if node.event_count:
        label.append(f"  {count(node.event_count, 'event')}", style="bold cyan")
    tree = Tree(label)
    for each in node.events[:events]:
        tree.add(Text(f"{instant(each, 'event_time')}  {each.event_type}  {pairs(plain(each.data))}", "dim"))
    hidden = node.event_count - min(events, len(node.events))
    if events and hidden > 0:
        tree.add(Text(f"… and {count(hidden)} more", "dim"))
    if node.HasField("profile"):
        tree.add(Text(f"profile: {pairs(plain(node.profile)) or 'none of these attributes'}", "dim"))
    for child in node.children:
        tree.add(_branch(child, events))
    return tree


def _words(node: Any) -> str:
    """Write a node without what is below it."""
    if not node.children:
        return str(node.text)
    kind = node.children[0].path.removeprefix(f"{node.path}.").partition(".")[0]
    return GROUPS.get(kind, str(node.text))
