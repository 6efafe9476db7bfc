"""How is a customer erased? `cohort customers delete|erasures|confirm`."""

import uuid
from pathlib import Path
from typing import Annotated

import grpc
import typer

from libs.cli.errors import Failed
from libs.cli.options import Everything, Json, Limit, Yes
from libs.cli.output import count, instant, note, say, show_json, show_table
from libs.cli.paging import listing
from libs.cli.session import can_ask, session_of
from libs.gen.cohort.v1 import ingest_pb2
from libs.rpc.errors import Failure

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

    They are in no answer as soon as this returns. Destinations follow within minutes, and then the bytes on disk: see
    `cohort customers erasures`. An id that nobody has is passed over.

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
    """List erasures of which something is left somewhere, oldest first, and what each waits for.

    The sync service works through them every few seconds; a destination that does not answer keeps one here. Where
    no sync service runs, nobody acknowledges: see `cohort customers confirm`. Behind that a compaction takes the
    bytes off the disk, by itself or by `cohort compact`; who is listed no more is gone.

    Example: cohort customers erasures --all --json
    """
    call = session_of(context).ingest().ListErasures
    request = ingest_pb2.ListErasuresRequest(with_compaction=True)
    response = listing(call, request, "erasures", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    rows = [
        [one.customer_id, instant(one, "create_time"), one.erasure_id, _waits(one)]
        for one in response.erasures
    ]
    show_table(["customer", "erased", "erasure", "waits for"], rows)
    if response.next_page_token:
        note(f"the oldest {count(len(response.erasures))}: --limit N or --all shows more")
    if response.awaits_compaction:
        note("what is left of erased customers on disk goes with the next compaction: cohort compact")


def confirm(
    context: typer.Context,
    erasures: Annotated[list[str] | None, typer.Argument(help="Ids of erasures.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are listed.")] = False,
    yes: Yes = False,
) -> None:
    """Say that no destination holds erased customers any more, where no sync service does.

    For installations without a sync service, and for destinations that will never answer again. The next compaction
    removes the id from disk: nobody can be removed by it from then on.

    Example: cohort customers confirm --all
    """
    if bool(erasures) == everything:
        raise Failed("name at least one erasure, or give --all")
    stub = session_of(context).ingest()
    if everything:
        request = ingest_pb2.ListErasuresRequest()
        listed = listing(stub.ListErasures, request, "erasures", limit=0, everything=True).erasures
        erasures = [one.erasure_id for one in listed if not one.acknowledged]
    wanted = list(dict.fromkeys(erasures or []))
    if wanted and can_ask(yes):
        who = count(len(wanted), "erasure")
        typer.confirm(f"Confirm {who}? Destinations that still hold anybody keep them.", abort=True)
    for erasure_id in wanted:
        try:
            stub.ConfirmErasure(ingest_pb2.ConfirmErasureRequest(erasure_id=erasure_id))
        except grpc.RpcError as error:  # of all, one may have been confirmed since it was listed
            if not everything or Failure.of(error).code is not grpc.StatusCode.NOT_FOUND:
                raise
    say(f"confirmed {count(len(wanted), 'erasure')}")


def _waits(erasure: ingest_pb2.Erasure) -> str:
    """Write what an erasure waits for, as in "crm: UNREACHABLE"."""
    waits = (
        f"{wait.destination_name or wait.destination_id or wait.sync_id}: {wait.reason}".removeprefix(": ")
        for wait in erasure.waits_for
    )
    return ", ".join(waits)


def _read(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"{file} cannot be read as a list of ids: {error}") from error
    return [line for line in lines if line]
