"""What is fuzzed? Every way in by which bytes of a stranger's making reach our code, by name.

A target is made once a process (a world to ask in, if it needs one) and then given bytes, a million times. It may
raise only what a client is told: `libs.errors.Fault`, or of the command line `libs.cli.errors.Failed`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

Run = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Target:
    """What takes the bytes, and inputs to begin with."""

    run: Run
    seeds: Sequence[bytes]


GUIDED_BY = {"ingest_calls": ("services.ingest",)}
"""The modules whose coverage guides a target; of others all of ours. Atheris itself leaks 30 KB an execution where it
follows the catalogue of the index."""


MODULES = {
    "events": "ingest",
    "columns": "ingest",
    "json_lines": "ingest",
    "customers": "ingest",
    "rule_binary": "rules",
    "rule_json": "rules",
    "rule_text": "rules",
    "cohort_calls": "calls",
    "ingest_calls": "calls",
    "page_tokens": "tokens",
    "member_sets": "tokens",
    "update_masks": "masks",
    "syncs": "masks",
    "csv_files": "files",
    "json_files": "files",
    "parquet_files": "files",
    "metadata": "metadata",
}
"""Where each target is made."""


def make(name: str) -> Target:
    """Make a target."""
    target: Target = getattr(import_module(f"{__name__}.{MODULES[name]}"), name)()
    return target
