"""How large was a set, day by day? `cohort history`: a bar a day."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from libs.cli.errors import Failed
from libs.cli.options import Json
from libs.cli.output import count, say, show_json, show_table
from libs.cli.session import session_of
from libs.cli.sets import RuleInstead, put_cohort, put_rule
from libs.gen.cohort.v1 import cohort_pb2

BAR_CELLS = 40
"""Columns of the longest bar: with date and size a line stays below 80."""
EIGHTHS = " ▏▎▍▌▋▊▉"
BLOCK = "█"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("history")(history)


def history(
    context: typer.Context,
    cohort: Annotated[
        str | None, typer.Argument(metavar="[COHORT]", help="A saved cohort, by name or id.")
    ] = None,
    rule: RuleInstead = None,
    start: Annotated[str | None, typer.Option("--from", help="The first day: 2026-01-01.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="The last day. Default: today in UTC.")] = None,
    days: Annotated[
        int, typer.Option("--days", min=1, max=1_000, help="How many days, where --from is not said.")
    ] = 30,
    as_json: Json = False,
) -> None:
    """Plot how large a saved cohort, or a rule, was at the end of each day.

    Example: cohort history "High spenders" --days 90

    Example: cohort history --rule 'purchase in last 7 days' --from 2026-01-01 --to 2026-01-31
    """
    session = session_of(context)
    if (cohort is None) == (rule is None):
        raise Failed("name a saved cohort, or say --rule")
    last = to or datetime.now(UTC).date().isoformat()
    request = cohort_pb2.GetSizeHistoryRequest(start=start or _before(last, days), to=last)
    if cohort is not None:
        put_cohort(session, request, cohort)
    else:
        put_rule(session, request, rule or "")
    response = session.cohort().GetSizeHistory(request)
    if as_json:
        show_json(response)
        return
    sizes = [point.size for point in response.points]
    rows = [
        [point.date, count(point.size), line]
        for point, line in zip(response.points, bars(sizes), strict=True)
    ]
    show_table(["day", ">customers", ""], rows)
    if sizes:
        say(f"from {sizes[0]:,} to {sizes[-1]:,}; least {min(sizes):,}, most {max(sizes):,}")


def _before(last: str, days: int) -> str:
    try:
        return (date.fromisoformat(last) - timedelta(days=days - 1)).isoformat()
    except (ValueError, OverflowError):
        raise Failed(f"--to {last}: a date is written as in 2026-01-31") from None


def bars(sizes: Sequence[int], cells: int = BAR_CELLS) -> list[str]:
    """Draw a bar for each size: the largest `cells` long, exact to an eighth of a cell, none for 0."""
    most = max(sizes, default=0)
    drawn = []
    for size in sizes:
        eighths = -(-size * cells * 8 // most) if most else 0  # rounded up: what is not empty is seen
        drawn.append(BLOCK * (eighths // 8) + EIGHTHS[eighths % 8].strip())
    return drawn
