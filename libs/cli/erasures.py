"""How is a customer erased? `cohort customers delete|erasures`."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from libs.cli.errors import Failed
from libs.cli.options import Everything, Json, Limit, Yes
from libs.cli.output import count, instant, note, say, show_json, show_table
from libs.cli.paging import listing
from libs.cli.session import can_ask, session_of
from libs.gen.cohort.v1 import ingest_pb2

AT_ONCE = 10_000
"""Customers of one call: the most that one takes."""

Customers = Annotated[list[str] | None, typer.Argument(help="The customers' ids.", show_default=False)]
IdFile = Annotated[
    Path | None,
    typer.Option("--file", help="A file with one customer id a line; lines that are empty are passed over."),
]


def delete(
    context: typer.Context,
    customers: Customers = None,
    file: IdFile = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Erase customers for good: profiles, events, memberships, and, through sync, what destinations hold.

    They are in no answer as soon as this returns. Destinations follow within minutes (see `cohort customers
    erasures`), the bytes on disk with the next compaction. An id that nobody has is passed over.

    Example: cohort customers delete customer-17 customer-18
    """
    wanted = list(dict.fromkeys([*(customers or []), *_read(file)]))
    if not wanted:
        raise Failed("name at least one customer, or give --file with one id a line")
    if can_ask(yes):
        who = wanted[0] if len(wanted) == 1 else count(len(wanted), "customer")
        typer.confirm(f"Erase {who} for good? This cannot be undone.", abort=True)
    whole = ingest_pb2.DeleteCustomersResponse()
    for first in range(0, len(wanted), AT_ONCE):
        some = wanted[first : first + AT_ONCE]
        request = ingest_pb2.DeleteCustomersRequest(customer_ids=some, request_id=f"cli-{uuid.uuid4()}")
        response = session_of(context).ingest().DeleteCustomers(request)
        whole.revision = response.revision
        whole.deleted += response.deleted
    if as_json:
        show_json(whole)
        return
    unknown = len(wanted) - whole.deleted
    say(f"erased {count(whole.deleted, 'customer')}" + (f"; {count(unknown)} not known" if unknown else ""))


def list_erasures(
    context: typer.Context, limit: Limit = 20, everything: Everything = False, as_json: Json = False
) -> None:
    """List erasures that destinations have not all acknowledged yet, oldest first.

    The sync service works through them; a destination that does not answer keeps one here.

    Example: cohort customers erasures --all --json
    """
    call = session_of(context).ingest().ListErasures
    response = listing(call, ingest_pb2.ListErasuresRequest(), "erasures", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    rows = [[one.customer_id, instant(one, "create_time"), one.erasure_id] for one in response.erasures]
    show_table(["customer", "erased", "erasure"], rows)
    if response.next_page_token:
        note(f"the oldest {count(len(response.erasures))}: --limit N or --all shows more")


def _read(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{file} cannot be read as a list of ids: {error}") from error
    return [line for line in lines if line]
