"""How are cohorts kept? Saved, shown, changed, deleted; their members, and who is one."""

from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli import names
from libs.cli.errors import Failed
from libs.cli.importing.times import to_timestamp
from libs.cli.options import AsOf, Everything, Fields, Json, Limit, Yes, listed
from libs.cli.output import console, count, instant, note, say, show_facts, show_json, show_table
from libs.cli.paging import listing
from libs.cli.rules_input import read_ids, read_rule
from libs.cli.rules_words import rule_tree
from libs.cli.run import RuleArgument, show_members
from libs.cli.session import can_ask, session_of
from libs.gen.cohort.v1 import cohort_pb2

Named = Annotated[str, typer.Argument(metavar="COHORT", help="A saved cohort, by name or id.")]
Description = Annotated[str | None, typer.Option("--description", help="A word for people.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("save", save),
        ("list", list_cohorts),
        ("show", show),
        ("members", members),
        ("check", check),
        ("update", update),
        ("delete", delete),
    ):
        app.command(name)(command)


def save(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The cohort's name, unique in the project.")],
    rule: RuleArgument = "-",
    description: Description = None,
    static: Annotated[
        str | None,
        typer.Option("--static", metavar="FILE", help="Save a list: a file of ids, one a line; - for stdin."),
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Save who matches the rule now, as a list that stays.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Save a rule, or a list of customers, under a name.

    Example: cohort save "High spenders" 'purchase where price > 100 at least 3 times in last 30 days'

    Example: cohort save "High spenders" spenders.yaml --description "Three large purchases in 30 days"

    Example: cohort save "Panel" --static panel.txt

    Example: cohort save "Spenders of today" 'purchase in last 1 day' --freeze
    """
    if static is not None and (freeze or rule != "-"):
        raise Failed("say --static FILE or a rule, not both")
    stub = session_of(context).cohort()
    cohort = cohort_pb2.Cohort(name=name, description=description or "", static=freeze or static is not None)
    if static is None:
        cohort.rule.CopyFrom(read_rule(rule, stub))
    else:
        cohort.customer_ids.extend(read_ids(static))
    request = cohort_pb2.CreateCohortRequest(cohort=cohort, request_id=uuid4().hex)
    response = stub.CreateCohort(request)
    if as_json:
        show_json(response)
        return
    saved = response.cohort
    say(f"saved {saved.name!r} as {saved.cohort_id}: {count(saved.size, 'member')}")


def list_cohorts(context: typer.Context, as_json: Json = False) -> None:
    """List the saved cohorts by name.

    Example: cohort list
    """
    response = names.cohorts(session_of(context))
    if as_json:
        show_json(response)
        return
    rows = [
        [one.name, one.cohort_id, instant(one, "update_time"), one.description] for one in response.cohorts
    ]
    show_table(["name", "id", "updated", "description"], rows)


def show(context: typer.Context, cohort: Named, as_json: Json = False) -> None:
    """Show a saved cohort: its size of now and its rule as a tree.

    Example: cohort show "High spenders"
    """
    session = session_of(context)
    found = names.cohort_named(session, cohort)
    response = session.cohort().GetCohort(cohort_pb2.GetCohortRequest(cohort_id=found.cohort_id))
    if as_json:
        show_json(response)
        return
    shown = response.cohort
    facts = [
        ("name", shown.name),
        ("id", shown.cohort_id),
        ("description", shown.description),
        ("size", count(shown.size)),
        ("created", instant(shown, "create_time")),
        ("updated", instant(shown, "update_time")),
    ]
    show_facts(facts)
    if shown.static:
        say("a fixed list of customers")
    else:
        console().print(rule_tree(shown.rule))


def members(
    context: typer.Context,
    cohort: Named,
    fields: Fields = "",
    as_of: AsOf = None,
    limit: Limit = 20,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List the members of a saved cohort with their profiles.

    With --all and --json the members of all pages are joined in one ListMembersResponse.

    Example: cohort members "High spenders" --fields email,city --all
    """
    session = session_of(context)
    found = names.cohort_named(session, cohort)
    request = cohort_pb2.ListMembersRequest(cohort_id=found.cohort_id, profile_fields=listed(fields))
    if as_of:
        request.as_of.CopyFrom(to_timestamp(as_of))
    call = session.cohort().ListMembers
    response = listing(call, request, "members", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    show_members(response.members, listed(fields))
    if response.next_page_token:
        note(
            f"the first {count(len(response.members))} of {count(response.size)}: "
            "--limit N or --all shows more"
        )


def check(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    cohorts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COHORT]…", help="Saved cohorts, by name or id. Default: all."),
    ] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Say of which saved cohorts a customer is a member. Without cohorts: list those the customer is in.

    Example: cohort check customer-17 "High spenders" "Lapsed"
    """
    session = session_of(context)
    response: Any
    if cohorts:
        found = [names.cohort_named(session, wanted) for wanted in cohorts]
        request: Any = cohort_pb2.CheckMembershipRequest(
            customer_id=customer, cohort_ids=[one.cohort_id for one in found]
        )
    else:
        request = cohort_pb2.LookupCohortsRequest(customer_id=customer)
    if as_of:
        request.as_of.CopyFrom(to_timestamp(as_of))
    stub = session.cohort()
    response = stub.CheckMembership(request) if cohorts else stub.LookupCohorts(request)
    if as_json:
        show_json(response)
    elif cohorts:
        verdicts = [("yes" if one.member else "no") for one in response.results]
        show_table(
            ["cohort", "member"], [[one.name, verdict] for one, verdict in zip(found, verdicts, strict=True)]
        )
    elif response.cohorts:
        show_table(["cohort", "id"], [[one.name, one.cohort_id] for one in response.cohorts])
    else:
        say(f"{customer} is in no saved cohort")


def update(
    context: typer.Context,
    cohort: Named,
    name: Annotated[str | None, typer.Option("--name", help="The new name.")] = None,
    description: Description = None,
    rule: Annotated[str | None, typer.Option("--rule", help="The new rule: as for `cohort save`.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing, but say who would enter and leave.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change the name, description or rule of a saved cohort.

    Example: cohort update "High spenders" --rule 'purchase where price > 200 in last 30 days' --dry-run
    """
    session = session_of(context)
    found = names.cohort_named(session, cohort)
    changed = cohort_pb2.Cohort(cohort_id=found.cohort_id, etag=found.etag)
    request = cohort_pb2.UpdateCohortRequest(
        cohort=changed, validate_only=dry_run, request_id="" if dry_run else uuid4().hex
    )
    if name is not None:
        request.cohort.name = name
        request.update_mask.paths.append("name")
    if description is not None:
        request.cohort.description = description
        request.update_mask.paths.append("description")
    if rule is not None:
        request.cohort.rule.CopyFrom(read_rule(rule, session.cohort()))
        request.update_mask.paths.append("rule")
    if not request.update_mask.paths:
        raise Failed("nothing to change: say --name, --description or --rule")
    response = session.cohort().UpdateCohort(request)
    if as_json:
        show_json(response)
    elif dry_run:
        entering, leaving = count(response.entering), count(response.leaving)
        say(f"{response.cohort.name!r} would have {count(response.cohort.size, 'member')}")
        say(f"{entering} would enter, {leaving} would leave; nothing was changed")
    else:
        say(f"updated {response.cohort.name!r}: {count(response.cohort.size, 'member')}")


def delete(context: typer.Context, cohort: Named, yes: Yes = False) -> None:
    """Delete a saved cohort. Syncs of it pause; nobody is removed from a destination.

    Example: cohort delete "High spenders" --yes
    """
    session = session_of(context)
    found = names.cohort_named(session, cohort)
    if can_ask(yes):
        typer.confirm(f"Delete the cohort {found.name!r}?", abort=True)
    request = cohort_pb2.DeleteCohortRequest(cohort_id=found.cohort_id, request_id=uuid4().hex)
    session.cohort().DeleteCohort(request)
    say(f"deleted {found.name!r}")
