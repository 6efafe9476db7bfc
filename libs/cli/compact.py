"""How is what is left of erased customers removed from disk at once? `cohort compact`."""

import typer

from libs.cli.options import Json
from libs.cli.output import count, say, show_json
from libs.cli.session import session_of
from libs.cli.status import size
from libs.gen.cohort.v1 import admin_pb2


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compact")(compact)


def compact(context: typer.Context, as_json: Json = False) -> None:
    """Remove from the event log and the files beside it what is left of erased customers, now.

    A server does so by itself at its start, when destinations have acknowledged, and every hour (--compact-every of
    `cohort serve`). Ids stay until all destinations have acknowledged: see `cohort customers erasures`. The cohort
    and sync services clean their own folders as they follow an erasure.

    Example: cohort compact
    """
    response = session_of(context).admin().Compact(admin_pb2.CompactRequest())
    if as_json:
        show_json(response)
        return
    if not (response.customers or response.wiped_bytes):
        say("nothing was left of anybody erased")
        return
    say(
        f"removed {count(response.events, 'event')} of {count(response.customers, 'customer')}, "
        f"{count(response.strings, 'string')}; overwrote {size(response.wiped_bytes)}"
    )
