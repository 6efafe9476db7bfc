"""What do `cohort import` and `cohort customers import` do? Open, map, confirm, send, report."""

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from libs.cli.errors import Failed
from libs.cli.importing import forms, json_file
from libs.cli.importing.csv_file import CsvFile
from libs.cli.importing.encode import Batch, Encoder, fitting
from libs.cli.importing.kinds import Kind
from libs.cli.importing.mapping import CUSTOMER_ROLES, EVENT_ROLES, Columns, pairs_of, propose
from libs.cli.importing.report import Report, exit_unless_any_kept, outcome_json, show_outcome
from libs.cli.importing.sender import Sender
from libs.cli.importing.table import CHUNK_ROWS, Source, digest_of
from libs.cli.importing.times import zone_of
from libs.cli.options import Yes
from libs.cli.output import console, note
from libs.cli.session import can_ask, session_of

CUSTOMER_BATCH = 5_000
"""Customers a batch: half of the limit."""


class FileFormat(StrEnum):
    """The formats of files."""

    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    JSON_LINES = "json-lines"


SUFFIXES = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.TSV,
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
    ".jsonl": FileFormat.JSON_LINES,
    ".ndjson": FileFormat.JSON_LINES,
    ".json": FileFormat.JSON_LINES,
}

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, TSV, Parquet or JSON lines.")]
FormatOption = Annotated[
    FileFormat | None, typer.Option("--format", help="Default: as the file's suffix says.")
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="NAME=COLUMN", help="Which column is what: customer_id=user, price=sales_value."
    ),
]
IgnoreOption = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="COLUMN", help="Leave a column out.")
]
StringOption = Annotated[
    list[str] | None, typer.Option("--string", metavar="COLUMN", help="Its values are strings.")
]
NumberOption = Annotated[
    list[str] | None, typer.Option("--number", metavar="COLUMN", help="Its values are numbers.")
]
RejectsOption = Annotated[
    Path | None,
    typer.Option("--rejects", metavar="FILE", help="Write every rejected row's number and reason here."),
]
OutcomeJson = Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add `cohort import`."""
    app.command("import")(import_events)


def import_events(
    context: typer.Context,
    file: FileArgument,
    file_format: FormatOption = None,
    mapping: MapOption = None,
    event_type: Annotated[
        str | None, typer.Option(metavar="NAME", help="The type of every event in the file.")
    ] = None,
    ignore: IgnoreOption = None,
    string: StringOption = None,
    number: NumberOption = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="The zone of times that name none. Default: UTC.")
    ] = None,
    rejects: RejectsOption = None,
    yes: Yes = False,
    as_json: OutcomeJson = False,
) -> None:
    """Import events from a file: CSV with a header line, Parquet, or JSON lines.

    Which column is what is guessed from usual names, shown, and asked about on a terminal; every other column
    becomes an attribute of its name, of one kind for the whole column. An empty cell is an absent attribute.
    Without an id column the event id is made of the file's digest and the row, so that a second import of the
    file doubles nothing. JSON lines are Event objects (customerId, eventType, eventTime, eventId, data;
    customer_id and so on beside a data object too) or flat ones. Rows that are rejected are reported and the
    rest goes on; the exit code is 2 if all were.

    Example: cohort import purchases.csv --event-type purchase --map customer_id=household --string store
    """
    zone = zone_of(time_zone)
    path, chosen = _open(file, file_format)
    batches: Iterator[Batch]
    as_events = chosen is FileFormat.JSON_LINES and not (mapping or event_type or ignore or string or number)
    if as_events and json_file.is_event_form(path):
        method = session_of(context).ingest().SendEventsJson
        total, batches = json_file.count_lines(path), forms.event_batches(path, digest_of(path))
    else:
        source = _source(path, chosen)
        columns = propose(
            source.columns, pairs_of(mapping or []), event_type=event_type, ignored=ignore or []
        )
        kinds = _kinds(source, string or [], number or [])
        _confirm(columns, kinds, EVENT_ROLES, yes)
        encoder = Encoder(columns, kinds, digest_of(path), zone, frozenset(number or []))
        method = session_of(context).ingest().SendEventColumns
        total, batches = source.total, fitting(encoder.events, source.chunks(CHUNK_ROWS))
    _send(Sender(method), path, batches, total, rejects, "event", as_json)


def import_customers(
    context: typer.Context,
    file: FileArgument,
    file_format: FormatOption = None,
    mapping: MapOption = None,
    ignore: IgnoreOption = None,
    string: StringOption = None,
    number: NumberOption = None,
    rejects: RejectsOption = None,
    yes: Yes = False,
    as_json: OutcomeJson = False,
) -> None:
    """Import customer data from a file: CSV with a header line, Parquet, or JSON lines.

    A row is merged into the customer's profile: an empty cell leaves what is there. JSON lines are Customer
    objects (customerId, data; a null in data removes an attribute) or flat ones.

    Example: cohort customers import crm.csv --map customer_id=household --map email=mail
    """
    path, chosen = _open(file, file_format)
    batches: Iterator[Batch]
    as_customers = chosen is FileFormat.JSON_LINES and not (mapping or ignore or string or number)
    if as_customers and json_file.is_customer_form(path):
        total, batches = json_file.count_lines(path), forms.customer_batches(path, CUSTOMER_BATCH)
    else:
        source = _source(path, chosen)
        columns = propose(source.columns, pairs_of(mapping or []), roles=CUSTOMER_ROLES, ignored=ignore or [])
        kinds = _kinds(source, string or [], number or [])
        _confirm(columns, kinds, CUSTOMER_ROLES, yes)
        encoder = Encoder(columns, kinds, "", zone_of(None), frozenset(number or []))
        total, batches = source.total, fitting(encoder.customers, source.chunks(CUSTOMER_BATCH))
    # One at a time: of two rows for one customer, the later must be merged after the earlier.
    sender = Sender(session_of(context).ingest().UpsertCustomers, in_flight=1)
    _send(sender, path, batches, total, rejects, "customer", as_json)


def _open(path: Path, file_format: FileFormat | None) -> tuple[Path, FileFormat]:
    if not path.is_file():
        raise Failed(f"{path}: no such file")
    chosen = file_format or SUFFIXES.get(path.suffix.lower())
    if chosen is None:
        raise Failed(f"{path}: what format is it? Say --format csv, tsv, parquet or json-lines")
    return path, chosen


def _source(path: Path, file_format: FileFormat) -> Source:
    with console(stderr=True).status(f"reading {path.name}"), without_collector():
        return _survey(path, file_format)


def _survey(path: Path, file_format: FileFormat) -> Source:
    if file_format is FileFormat.PARQUET:
        from libs.cli.importing.parquet_file import ParquetFile  # pyarrow is slow to load, and optional

        return ParquetFile(path)
    if file_format is FileFormat.JSON_LINES:
        return json_file.JsonFile(path)
    return CsvFile(path, "\t" if file_format is FileFormat.TSV else ",")


def _kinds(source: Source, strings: list[str], numbers: list[str]) -> dict[str, Kind]:
    for column in (*strings, *numbers):
        if column not in source.columns:
            raise Failed(f"there is no column {column!r}; the file has {', '.join(source.columns)}")
        if column in strings and column in numbers:
            raise Failed(f"{column!r} cannot be both --string and --number")
    said = dict.fromkeys(strings, Kind.STRING) | dict.fromkeys(numbers, Kind.NUMBER)
    return {**source.kinds, **said}


def _confirm(columns: Columns, kinds: dict[str, Kind], roles: tuple[str, ...], yes: bool) -> None:
    """Show what each column is, and ask whether that is right where there is somebody to ask."""
    for line in describe(columns, kinds, roles):
        note(line)
    if can_ask(yes):
        typer.confirm("Import it so?", default=True, abort=True, err=True)


def describe(columns: Columns, kinds: dict[str, Kind], roles: tuple[str, ...]) -> Iterator[str]:
    """Write a mapping for people, a line for each column."""
    absent = {"event_time": "(the time of arrival)", "event_id": "(file digest and row)"}
    width = max(map(len, (*roles, *columns.attributes.values())))
    for role in roles:
        if role in columns.roles:
            guess = "   guessed from its name" if role in columns.guessed else ""
            yield f"  {role:<{width}}  {columns.roles[role]}{guess}"
        elif role == "event_type":
            yield f"  {role:<{width}}  always {columns.event_type!r}"
        else:
            yield f"  {role:<{width}}  {absent[role]}"
    for column, attribute in columns.attributes.items():
        kind = kinds[column].value if column in kinds else "as it stands"
        yield f"  {attribute:<{width}}  {column}   {kind}"


def _send(
    sender: Sender,
    path: Path,
    batches: Iterator[Batch],
    total: int,
    rejects: Path | None,
    what: str,
    as_json: bool,
) -> None:
    with ExitStack() as stack:
        file = stack.enter_context(_writable(rejects)) if rejects else None
        report = stack.enter_context(Report(path.name, total, file))
        stack.enter_context(without_collector())
        sender.on_batch = report.batch
        tally = sender.send(batches)
        seconds = report.seconds
    if as_json:
        sys.stdout.write(outcome_json(tally, seconds) + "\n")
    else:
        show_outcome(tally, seconds, what)
    exit_unless_any_kept(tally)


@contextmanager
def without_collector() -> Iterator[None]:
    """Stop the cycle collector: rows are in no cycles, and looking for some takes a quarter of an import."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _writable(path: Path) -> Any:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise Failed(f"{path}: cannot be written: {error}") from error
