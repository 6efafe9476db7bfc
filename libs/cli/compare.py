"""How do some sets overlap? `cohort compare`: a matrix of pairs, and an UpSet-like chart of regions."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from libs.cli.errors import Failed
from libs.cli.history import bars
from libs.cli.importing.times import to_timestamp
from libs.cli.options import AsOf, Json
from libs.cli.output import count, instant, note, say, show_json, show_table
from libs.cli.session import session_of
from libs.cli.sets import put_cohort, put_rule
from libs.gen.cohort.v1 import cohort_pb2

LETTERS = "ABCDEFGHIJ"
"""What the sets are called in matrix and chart: names are too wide for the heads of columns."""
IN, OUT = "●", "·"

Sizes = Mapping[tuple[int, ...], int]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    context: typer.Context,
    cohorts: Annotated[
        list[str] | None, typer.Argument(metavar="[COHORT]…", help="Saved cohorts, by name or id.")
    ] = None,
    rules: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="RULE", help="A rule that is not saved, too; may be said again."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many regions to draw.")] = 20,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Show how two to ten saved cohorts, or rules, overlap.

    The matrix has the customers that are in both; the chart has a row for each region, who is in exactly the
    cohorts marked, the largest first.

    Example: cohort compare "High spenders" Lapsed --rule 'view in last 7 days'
    """
    wanted = (cohorts or [], rules or [])
    if not 2 <= sum(map(len, wanted)) <= len(LETTERS):
        raise Failed(f"name 2 to {len(LETTERS)} saved cohorts or rules")
    session = session_of(context)
    request = cohort_pb2.CompareCohortsRequest()
    titles = [put_cohort(session, request.comparands.add(), each) for each in wanted[0]]
    for source in wanted[1]:
        put_rule(session, request.comparands.add(), source)
        titles.append(source)
    if as_of:
        request.as_of.CopyFrom(to_timestamp(as_of))
    response = session.cohort().CompareCohorts(request)
    if as_json:
        show_json(response)
        return
    _show_matrix(titles, {tuple(each.indexes): each.size for each in response.intersections})
    say()
    _show_chart(len(titles), response.intersections, limit)
    say(f"as of {instant(response, 'as_of')}")


def _show_matrix(titles: Sequence[str], sizes: Sizes) -> None:
    """Print how many are in both of each pair, and on the diagonal in each."""
    places = range(len(titles))
    rows = [
        [LETTERS[row], title, *(count(sizes.get(tuple(sorted({row, column})), 0)) for column in places)]
        for row, title in zip(places, titles, strict=True)
    ]
    show_table(["", "cohort", *(f">{LETTERS[place]}" for place in places)], rows)


def _show_chart(sets: int, intersections: Sequence[Any], limit: int) -> None:
    """Print a row for each region that is not empty, largest first, with its sets marked."""
    regions = [each for each in intersections if each.exclusive_size]
    regions.sort(key=lambda each: (-each.exclusive_size, len(each.indexes), list(each.indexes)))
    shown = regions[:limit]
    rows = [
        [
            *(IN if place in region.indexes else OUT for place in range(sets)),
            count(region.exclusive_size),
            bar,
        ]
        for region, bar in zip(shown, bars([each.exclusive_size for each in shown]), strict=True)
    ]
    if rows:
        show_table([*LETTERS[:sets], ">only there", ""], rows)
    else:
        say("nobody is in any of them")
    if len(regions) > limit:
        note(f"… and {count(len(regions) - limit, 'smaller region')}: --limit N shows more")
