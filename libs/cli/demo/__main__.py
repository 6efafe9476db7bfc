"""How is the demo run? `python -m libs.cli.demo [--keep | --data]`; exits 0, or 1 at the first surprise."""

import io
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import grpc
import typer

from libs.cli.demo import cohorts
from libs.cli.demo.receiver import running_receiver
from libs.cli.demo.server import running_server
from libs.cli.demo.story import SECRET, Story, heading
from libs.cli.demo.surprise import Surprise
from libs.cli.errors import Failed, explain
from libs.cli.output import note, say
from libs.cli.session import Session


def play(keep: bool, data: bool) -> None:
    """Play the whole demo; or, for its `data` alone, bring that in and leave the server up."""
    started = time.monotonic()
    today = datetime.now(UTC).date()
    say(
        "Cohort on real data: The Complete Journey, "
        "a year of purchases, coupons and campaigns of a grocer's households."
    )
    try:
        from libs.cli.demo.dataset import load  # pandas takes a second to load: say something first
    except ImportError as error:
        raise Surprise(f"the demo's data and pandas are needed ({error}): run it with `make demo`") from error
    journey = load(today)
    say(
        f"All times are moved by {journey.moved_days:,} whole days, so that the last event is yesterday, "
        f"{journey.last_day}. Days are UTC."
    )
    with (
        tempfile.TemporaryDirectory(prefix="cohort-demo-") as name,
        running_receiver(SECRET) as (url, audience),
    ):
        say("Starting a server: ingest, cohort and sync in one process, on a directory of its own.")
        with running_server(Path(name)) as target:
            session = Session(target)
            try:
                story = Story(session, audience, url, today)
                story.bring_in(journey)
                if data:
                    stay(target, DATA_COMMANDS)
                    return
                for question in cohorts.questions(today):
                    story.ask(question)
                cohort_id = story.save(cohorts.lapsed(today))
                sync_id = story.add_sync(cohort_id)
                story.run_sync(sync_id, cohort_id)
                enter, leave = story.change(cohort_id)
                heading("Sync again")
                run_id = story.run_sync(sync_id, cohort_id)
                story.show_difference(run_id, enter, leave)
                heading(f"That was the demo: {time.monotonic() - started:.0f} s.")
                if keep:
                    stay(target, commands(sync_id, sorted(enter)[0]))
            except grpc.RpcError as error:
                raise Surprise(explain(error, session.targets())) from error
            finally:
                session.close()


LAPSED = shlex.quote("Lapsed regulars")
DATA_COMMANDS = (
    "catalog purchase",
    f"run {shlex.quote('purchase where price > 20 in last 30 days')}",
)
"""What to try on the data alone; docs/rules.md has a hundred more."""


def commands(sync_id: str, customer: str) -> Sequence[str]:
    """Return what to try when the demo was played."""
    rule = "purchase at least 2000 times and not coupon_redemption in last 90 days"
    return (
        "catalog purchase",
        "list",
        f"show {LAPSED}",
        f"members {LAPSED} --fields age,income,kids",
        f"check {customer}",
        f"customers events {customer} --limit 5",
        f"run {shlex.quote(rule)} --nodes",
        f"syncs runs {sync_id}",
    )


def stay(target: str, try_next: Sequence[str]) -> None:
    """Leave the server up and say what to try, until Ctrl-C."""
    command = f"{shlex.quote(sys.executable)} -m libs.cli.main --target {target}"
    say("The server stays up. In another terminal, from this directory:\n")
    for rest in try_next:
        say(f"  {command} {rest}")
    say("\nCtrl-C here ends it and removes its data.")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        say("")


def main(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server up, with commands to try next.")
    ] = False,
    data: Annotated[
        bool, typer.Option("--data", help="Bring the data in, leave the server up, and tell no story.")
    ] = False,
) -> None:
    """Show what Cohort does, on real data, in about two minutes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a story told through a pipe is told as it happens
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with the demo
    try:
        play(keep, data)
    except (Surprise, Failed) as error:
        note(f"error: {error}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        note("stopped")
        raise typer.Exit(130) from None


if __name__ == "__main__":
    typer.run(main)
