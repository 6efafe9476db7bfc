"""Which tenants does a server hold, and what may each take? `cohort projects create|update|list|show`."""

from typing import Annotated, Any
from uuid import uuid4

import typer

from libs.cli.errors import Failed
from libs.cli.options import Everything, Json, Limit
from libs.cli.output import count, instant, note, say, show_facts, show_json, show_table
from libs.cli.paging import listing
from libs.cli.session import session_of
from libs.gen.cohort.v1 import admin_pb2

DAY_SECONDS = 24 * 3600

LIMITS = {field.name.replace("_", "-"): field.name for field in admin_pb2.ProjectLimits.DESCRIPTOR.fields}
"""Names of limits as people type them, and as they are on the wire."""
NONE = "none"

Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=NUMBER",
        help=f"What it may take, of {', '.join(LIMITS)}; NAME={NONE} lifts a limit. Again for others.",
    ),
]

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
    limits: Limits = None,
    as_json: Json = False,
) -> None:
    """Make a project. Your key must be the operator's; then make keys of it, with `cohort keys create --project`.

    Example: cohort projects create acme --time-zone Europe/Berlin --limit events-per-second=5000
    """
    wanted = admin_pb2.Project(project_id=project, time_zone=time_zone)
    wanted.limits.CopyFrom(_limits(_parse(limits or [])))
    if dedupe_days is not None:
        wanted.dedupe_window.FromSeconds(round(dedupe_days * DAY_SECONDS))
    request = admin_pb2.CreateProjectRequest(project=wanted, request_id=uuid4().hex)
    response = session_of(context).admin().CreateProject(request)
    if as_json:
        show_json(response)
        return
    say(f"made project {response.project.project_id}, in time zone {response.project.time_zone}")
    note(f"make a key of it: cohort keys create NAME --scope … --project {response.project.project_id}")


@app.command()
def update(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="Its id.")],
    limits: Limits = None,
    as_json: Json = False,
) -> None:
    """Set or lift limits of a project. Your key must be the operator's. They hold from the next call on.

    Past a limit, what would take more is refused and the rest goes on; limits that are not named stay.

    Example: cohort projects update acme --limit log-bytes=50000000000 --limit api-keys=none
    """
    named = _parse(limits or [])
    if not named:
        raise Failed(f"say what to change: --limit NAME=NUMBER, of {', '.join(LIMITS)}")
    request = admin_pb2.UpdateProjectRequest(
        project=admin_pb2.Project(project_id=project, limits=_limits(named)), request_id=uuid4().hex
    )
    request.update_mask.paths.extend(f"limits.{name}" for name in named)
    response = session_of(context).admin().UpdateProject(request)
    if as_json:
        show_json(response)
        return
    say(f"changed project {response.project.project_id}")
    show_facts(_facts(response.project))


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
        [
            one.project_id,
            one.time_zone,
            _days(one),
            instant(one, "create_time"),
            *(_taken(one, name) for name in LIMITS.values()),
        ]
        for one in response.projects
    ]
    titles = ["project", "time zone", "ids remembered", "made", *(f">{_title(name)}" for name in LIMITS)]
    show_table(titles, rows)
    if response.next_page_token:
        note(f"the first {count(len(rows))}: --limit N or --all shows more")


@app.command()
def show(
    context: typer.Context,
    project: Annotated[str, typer.Argument(help="Its id. Default: the project of your key.")] = "",
    as_json: Json = False,
) -> None:
    """Show a project, with what it takes of its limits.

    Example: cohort projects show
    """
    response = session_of(context).admin().GetProject(admin_pb2.GetProjectRequest(project_id=project))
    if as_json:
        show_json(response)
        return
    show_facts(_facts(response.project))


def _facts(project: Any) -> list[tuple[str, str]]:
    return [
        ("project", project.project_id),
        ("time zone", project.time_zone),
        ("ids remembered", _days(project)),
        ("made", instant(project, "create_time")),
        *((_title(name), _taken(project, field)) for name, field in LIMITS.items()),
    ]


def _parse(given: list[str]) -> dict[str, int | None]:
    """Read NAME=NUMBER; return numbers by the names they have on the wire, None for a limit to lift."""
    named: dict[str, int | None] = {}
    for each in given:
        name, _, value = each.partition("=")
        if name not in LIMITS:
            raise Failed(f"--limit {each}: there are {', '.join(LIMITS)}, as in --limit api-keys=10")
        if value != NONE and not (value.isascii() and value.isdigit() and 1 <= int(value) < 1 << 63):
            raise Failed(f"--limit {each}: the number is 1 or more, without separators, or {NONE}")
        if LIMITS[name] in named:
            raise Failed(f"--limit {name} is given twice")
        named[LIMITS[name]] = None if value == NONE else int(value)
    return named


def _limits(named: dict[str, int | None]) -> admin_pb2.ProjectLimits:
    return admin_pb2.ProjectLimits(**{name: value for name, value in named.items() if value is not None})


def _title(name: str) -> str:
    return name.replace("-", " ")


def _taken(project: Any, field: str) -> str:
    """Write what a project takes of what it may; nothing for what has neither."""
    limit = count(getattr(project.limits, field)) if project.limits.HasField(field) else ""
    used = getattr(project.usage, field, None) if project.HasField("usage") else None
    if field == "log_bytes" and project.HasField("usage") and not project.usage.HasField(field):
        used = None
    if used is None:
        return f"at most {limit}" if limit else ""
    return f"{count(used)} of {limit}" if limit else count(used)


def _days(project: Any) -> str:
    return f"{project.dedupe_window.ToTimedelta().total_seconds() / DAY_SECONDS:g} days"
