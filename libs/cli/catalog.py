"""What is there to build rules from? `cohort catalog`."""

from typing import Annotated, Any

import typer

from libs.cli.options import Json
from libs.cli.output import count, instant, say, scalar, show_json, show_table
from libs.cli.session import session_of
from libs.gen.cohort.v1 import ingest_pb2

SHOWN_VALUES = 3
"""How many of the most frequent values fit in a line."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("catalog")(catalog)


def catalog(
    context: typer.Context,
    event_type: Annotated[str | None, typer.Argument(help="Show the attributes of this event type.")] = None,
    as_json: Json = False,
) -> None:
    """Show the event types and attributes there are, with their kinds, ranges and most frequent values.

    Example: cohort catalog purchase
    """
    response = session_of(context).ingest().GetCatalog(ingest_pb2.GetCatalogRequest())
    if as_json:
        show_json(response)
        return
    events, customers = count(response.events, "event"), count(response.customers, "customer")
    say(f"{events} of {customers}; days are those of {response.time_zone or 'UTC'}")
    types = [one for one in response.event_types if event_type in (None, one.event_type)]
    if event_type and not types:
        say(f"no event of type {event_type!r} has arrived")
    rows = [
        [
            one.event_type,
            count(one.events),
            count(one.customers),
            instant(one, "first_time"),
            instant(one, "last_time"),
        ]
        for one in types
    ]
    show_table(["event type", ">events", ">customers", "first", "last"], rows)
    for one in types:
        seen = [attribute for attribute in one.attributes if attribute.kinds]
        if seen and (event_type or len(types) == 1):
            show_attributes(seen)
        elif seen:
            say(f"{one.event_type}: {', '.join(attribute.attribute for attribute in seen)}")
    profile = [attribute for attribute in response.profile_attributes if attribute.kinds]
    if profile and not event_type:
        say("\nprofiles")
        show_attributes(profile)


def show_attributes(attributes: list[Any]) -> None:
    """Print attributes, a line for each kind of value."""
    rows = [
        [attribute.attribute, KINDS[kind.kind], count(kind.count), _values(kind)]
        for attribute in attributes
        for kind in attribute.kinds
    ]
    show_table(["attribute", "kind", ">count", "values"], rows)


def _values(kind: Any) -> str:
    if kind.kind == ingest_pb2.CatalogKind.NUMBER:
        return f"{scalar(kind.minimum)} to {scalar(kind.maximum)}"
    top = [
        scalar(value.value.string_value if value.value.HasField("string_value") else value.value.bool_value)
        for value in kind.top_values[:SHOWN_VALUES]
    ]
    more = kind.distinct - len(top)
    return ", ".join(top) + (f" … {count(more)} more" if more > 0 else "")


KINDS = {
    ingest_pb2.CatalogKind.STRING: "string",
    ingest_pb2.CatalogKind.NUMBER: "number",
    ingest_pb2.CatalogKind.BOOL: "bool",
}
