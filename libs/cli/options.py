"""Which options do many commands share? Their types, so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print the response as JSON; of several pages, one joined object.")
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Never ask; without a terminal nothing is asked anyway.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many to show.")]
Everything = Annotated[bool, typer.Option("--all", help="Page through everything, whatever --limit says.")]
Fields = Annotated[
    str,
    typer.Option(
        "--fields", help="Profile attributes to show beside the ids: email,city", show_default=False
    ),
]
MasterKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--master-key-file",
        metavar="FILE",
        help="The key of what is sealed at rest. [COHORT_MASTER_KEY_FILE, COHORT_MASTER_KEY, or the one in the data "
        "directory]",
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", help="The instant to evaluate for: 2026-03-01, or 2026-03-01T12:00:00Z. Default: now."
    ),
]


def listed(fields: str) -> list[str]:
    """Split `email,city` into names."""
    return [name.strip() for name in fields.split(",") if name.strip()]
