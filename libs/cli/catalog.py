"""What is there to build rules from? `cohort catalog`."""

from typing import Annotated, Any

import typer

from libs.cli.options import Json
from libs.cli.output import count, instant, say, scalar, show_json, show_table
from libs.cli.session import session_of
from libs.gen.cohort.v1 import ingest_pb2

SHOWN_VALUES = 3
"""How many of the most frequent values fit in a line."""
TOP_VALUES = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("catalog")(catalog)


def catalog(
    context: typer.Context,
    event_type: Annotated[str | None, typer.Argument(help="Show the attributes of this event type.")] = None,
    attribute: Annotated[
        str | None, typer.Argument(help="Show the most frequent values of this attribute.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="ATTRIBUTE", help="Show the values of this attribute of profiles."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Only what begins so, in any case: values, attributes or event types.")
    ] = "",
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="How many values of an attribute to show.")
    ] = TOP_VALUES,
    as_json: Json = False,
) -> None:
    """Show the event types and attributes there are, with their kinds, ranges and most frequent values.

    Example: cohort catalog purchase

    Example: cohort catalog purchase brand --prefix ac

    Example: cohort catalog --profile city --limit 50
    """
    if profile and event_type:
        raise typer.BadParameter("say an event type or --profile, not both")
    request = ingest_pb2.GetCatalogRequest(
        event_type=event_type or "",
        profiles_only=profile is not None,
        attribute=attribute or profile or "",
        prefix=prefix,
        max_values=limit,
    )
    response = session_of(context).ingest().GetCatalog(request)
    if as_json:
        show_json(response)
    elif request.attribute:
        show_values(response, event_type, request.attribute)
    else:
        show_catalog(response, event_type)


def show_catalog(response: ingest_pb2.GetCatalogResponse, event_type: str | None) -> None:
    """Print event types, and attributes where they are of one type or of profiles."""
    events, customers = count(response.events, "event"), count(response.customers, "customer")
    say(f"{events} of {customers}; days are those of {response.time_zone or 'UTC'}")
    types = response.event_types
    if event_type and not any(one.events for one in types):
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
    if profile:
        say("\nprofiles")
        show_attributes(profile)


def show_values(response: ingest_pb2.GetCatalogResponse, event_type: str | None, name: str) -> None:
    """Print the values of one attribute, a line each, of every kind it has."""
    held = [response.profile_attributes, *(one.attributes for one in response.event_types)]
    kinds = [kind for attributes in held for attribute in attributes for kind in attribute.kinds]
    if not kinds:
        say(
            f"no {'event of type ' + repr(event_type) if event_type else 'profile'} has had the attribute {name!r}"
        )
    for kind in kinds:
        found = f"{count(kind.count, KINDS[kind.kind])}"
        if kind.kind == ingest_pb2.CatalogKind.NUMBER:
            say(f"{found}, {_values(kind)}")
            continue
        say(f"{found}, {count(kind.distinct)} different")
        show_table(["value", ">count"], [[_value(each), count(each.count)] for each in kind.top_values])


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
    top = [_value(value) for value in kind.top_values[:SHOWN_VALUES]]
    more = kind.distinct - len(top)
    return ", ".join(top) + (f" … {count(more)} more" if more > 0 else "")


def _value(value: Any) -> str:
    sent = value.value
    return scalar(sent.string_value if sent.HasField("string_value") else sent.bool_value)


KINDS = {
    ingest_pb2.CatalogKind.STRING: "string",
    ingest_pb2.CatalogKind.NUMBER: "number",
    ingest_pb2.CatalogKind.BOOL: "bool",
}
