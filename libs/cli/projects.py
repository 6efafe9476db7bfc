"""Which tenants does a server hold? `cohort projects create|list|show`."""

from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli.options import Everything, Json, Limit
from libs.cli.output import count, instant, note, say, show_facts, show_json, show_table
from libs.cli.paging import listing
from libs.cli.session import session_of
from libs.gen.cohort.v1 import admin_pb2

DAY_SECONDS = 24 * 3600

app = typer.Typer(
    no_args_is_help=True, help="Projects: tenants with events, cohorts, syncs and keys of their own."
)


@app.command()
def create(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="Its id: 1 to 64 of a-z, 0-9 and -.")],
    time_zone: Annotated[
        str, typer.Option(metavar="ZONE", help="The IANA zone of its calendar days, fixed from now on. [UTC]")
    ] = "",
    dedupe_days: Annotated[
        float | None,
        typer.Option(min=1 / 1440, max=366, help="How long an event's id is remembered, in days. [7]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a project. Your key must be the operator's; then make keys of it, with `cohort keys create --project`.

    Example: cohort projects create acme --time-zone Europe/Berlin
    """
    wanted = admin_pb2.Project(project_id=project, time_zone=time_zone)
    if dedupe_days is not None:
        wanted.dedupe_window.FromSeconds(round(dedupe_days * DAY_SECONDS))
    request = admin_pb2.CreateProjectRequest(project=wanted, request_id=uuid4().hex)
    response = session_of(context).admin().CreateProject(request)
    if as_json:
        show_json(response)
        return
    say(f"made project {response.project.project_id}, in time zone {response.project.time_zone}")
    note(f"make a key of it: cohort keys create NAME --scope … --project {response.project.project_id}")


@app.command("list")
def list_(
    context: typer.Context, limit: Limit = 1000, everything: Everything = False, as_json: Json = False
) -> None:
    """List the projects your key may see: its own, or all with the operator's.

    Example: cohort projects list
    """
    call = session_of(context).admin().ListProjects
    request = admin_pb2.ListProjectsRequest()
    response = listing(call, request, "projects", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    rows = [
        [one.project_id, one.time_zone, _days(one), instant(one, "create_time")] for one in response.projects
    ]
    show_table(["project", "time zone", "ids remembered", "made"], rows)
    if response.next_page_token:
        note(f"the first {count(len(rows))}: --limit N or --all shows more")


@app.command()
def show(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="Its id. Default: the project of your key.")] = "",
    as_json: Json = False,
) -> None:
    """Show a project.

    Example: cohort projects show
    """
    response = session_of(context).admin().GetProject(admin_pb2.GetProjectRequest(project_id=project))
    if as_json:
        show_json(response)
        return
    found = response.project
    show_facts(
        [
            ("project", found.project_id),
            ("time zone", found.time_zone),
            ("ids remembered", _days(found)),
            ("made", instant(found, "create_time")),
        ]
    )


def _days(project: Any) -> str:
    return f"{project.dedupe_window.ToTimedelta().total_seconds() / DAY_SECONDS:g} days"
