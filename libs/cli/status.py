"""What does a server hold, and where? `cohort status`."""

import typer

from libs.cli.options import Json
from libs.cli.output import say, show_json, show_table
from libs.cli.session import session_of
from libs.gen.cohort.v1 import admin_pb2

UNITS = ("bytes", "KB", "MB", "GB", "TB")
THOUSAND = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(context: typer.Context, as_json: Json = False) -> None:
    """Show what the log and the index take, by part, on disk and in memory (mapped files included).

    Example: cohort status
    """
    response = session_of(context).admin().GetStatus(admin_pb2.GetStatusRequest())
    if as_json:
        show_json(response)
        return
    behind = f"{response.lag.ToMilliseconds()} ms behind" if response.lag.ToMilliseconds() else "up to date"
    say(f"version {response.version}, revision {response.revision}, the index is {behind}")
    rows = [[part.part, size(part.disk_bytes), size(part.memory_bytes)] for part in response.parts]
    total = sum(part.disk_bytes for part in response.parts), sum(part.memory_bytes for part in response.parts)
    show_table(["part", ">disk", ">memory"], [*rows, ["all", *map(size, total)]])


def size(number: float) -> str:
    """Write a number of bytes with three digits; nothing for none."""
    if not number:
        return ""
    unit = 0
    while number >= THOUSAND and unit < len(UNITS) - 1:
        number /= THOUSAND
        unit += 1
    return f"{number:.3g} {UNITS[unit]}" if unit else f"{int(number)} bytes"
