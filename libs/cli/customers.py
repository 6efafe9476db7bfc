"""What is known about a customer? `cohort customers import|show|events|delete|erasures|confirm`."""

from typing import Annotated

import typer

from libs.cli import erasures
from libs.cli.importing import command as importing
from libs.cli.options import Everything, Json, Limit
from libs.cli.output import count, instant, note, pairs, plain, scalar, show_facts, show_json, show_table
from libs.cli.paging import listing
from libs.cli.session import session_of
from libs.gen.cohort.v1 import ingest_pb2

app = typer.Typer(
    no_args_is_help=True, help="Import, show and erase customer data, and show a customer's events."
)
app.command("import")(importing.import_customers)
app.command("delete")(erasures.delete)
app.command("erasures")(erasures.list_erasures)
app.command("confirm")(erasures.confirm)

Customer = Annotated[str, typer.Argument(help="The customer's id.")]


@app.command()
def show(context: typer.Context, customer: Customer, as_json: Json = False) -> None:
    """Show a customer: profile, number of events, first and last event.

    Example: cohort customers show customer-17
    """
    response = session_of(context).ingest().GetCustomer(ingest_pb2.GetCustomerRequest(customer_id=customer))
    if as_json:
        show_json(response)
        return
    facts = [
        ("customer", customer),
        ("events", count(response.events)),
        ("first event", instant(response, "first_event_time")),
        ("last event", instant(response, "last_event_time")),
    ]
    profile = plain(response.customer.data) if response.customer.HasField("data") else {}
    show_facts([*facts, *((name, scalar(value)) for name, value in sorted(profile.items()))])


@app.command()
def events(
    context: typer.Context,
    customer: Customer,
    limit: Limit = 20,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List a customer's events, newest first. With --all and --json, all pages joined in one response.

    Example: cohort customers events customer-17 --limit 5
    """
    request = ingest_pb2.ListCustomerEventsRequest(customer_id=customer)
    call = session_of(context).ingest().ListCustomerEvents
    response = listing(call, request, "events", limit=limit, everything=everything)
    if as_json:
        show_json(response)
        return
    rows = [
        [instant(one, "event_time"), one.event_type, pairs(plain(one.data)), one.event_id]
        for one in response.events
    ]
    show_table(["time", "event", "attributes", "id"], rows)
    if response.next_page_token:
        note(f"the newest {count(len(response.events))}: --limit N or --all shows more")
