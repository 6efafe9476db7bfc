"""Who enters and leaves a cohort, as it happens? `cohort watch`: a line a customer, until it is stopped."""

import sys
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToJson

from libs.cli import names
from libs.cli.cohorts import Named
from libs.cli.output import instant, note
from libs.cli.session import session_of
from libs.gen.cohort.v1 import cohort_pb2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("watch")(watch)


def watch(
    context: typer.Context,
    cohort: Named,
    position: Annotated[
        str, typer.Option("--position", help="Go on behind this position of an earlier watch.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print each message as a line of JSON.")] = False,
) -> None:
    """Show who enters (+) and leaves (-) a cohort from now on, by events and by the passing of time.

    Ends with Ctrl-C, and says with which --position to go on. A position is held for ten minutes.

    Example: cohort watch "High spenders"

    Example: cohort watch "High spenders" --json | jq .entered
    """
    session = session_of(context)
    found = names.cohort_named(session, cohort)
    request = cohort_pb2.WatchCohortRequest(cohort_id=found.cohort_id, position=position)
    call = session.cohort().WatchCohort(request)
    reached = position
    try:
        for message in call:
            show(message, as_json=as_json)
            reached = message.position
    except KeyboardInterrupt:
        if reached:
            note(f"to go on: --position {reached}")
        raise
    finally:
        call.cancel()


def show(message: Any, *, as_json: bool) -> None:
    """Print one message at once, whoever reads."""
    if as_json:
        sys.stdout.write(MessageToJson(message, indent=None) + "\n")
    else:
        when = instant(message, "as_of")
        for sign, customers in (("+", message.entered), ("-", message.left)):
            sys.stdout.writelines(f"{when} {sign} {customer}\n" for customer in customers)
    sys.stdout.flush()
