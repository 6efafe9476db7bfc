"""How does the catalog look on the wire, and what of it may a client ask for?"""

from collections.abc import Iterable, Mapping

from google.protobuf import struct_pb2

from libs.engine import Engine
from libs.errors import Invalid
from libs.events.batch import Kind
from libs.events.predefined import EVENT_ATTRIBUTES, EVENT_TYPES, PROFILE_ATTRIBUTES
from libs.gen.cohort.v1 import ingest_pb2
from libs.index.catalog import MAX_NAMES, TOP_VALUES, Asked, EventTypeSummary, KindSummary

MOST_VALUES, MOST_NAMES = 1_000, 10_000


def read_asked(request: ingest_pb2.GetCatalogRequest) -> Asked:
    """Read what is asked for. Raises `Invalid`."""
    if request.event_type and request.profiles_only:
        raise Invalid("INVALID_CATALOG", "profiles have no event type; say one of the two", "profiles_only")
    return Asked(
        request.event_type,
        request.profiles_only,
        request.attribute,
        request.prefix,
        _limit(request.max_values, TOP_VALUES, MOST_VALUES, "max_values"),
        _limit(request.max_names, MAX_NAMES, MOST_NAMES, "max_names"),
    )


def _limit(asked: int, default: int, most: int, field: str) -> int:
    if asked < 0:
        raise Invalid("INVALID_CATALOG", f"{field} is 0 (for {default:,}) or more", field)
    return min(asked or default, most)


def write_catalog(engine: Engine, asked: Asked) -> ingest_pb2.GetCatalogResponse:
    """Write what is asked for of the catalog as it is now."""
    snapshot = engine.snapshot()
    catalog = engine.catalog(snapshot, asked)
    response = ingest_pb2.GetCatalogResponse(
        event_types=[
            _event_type(name, catalog.event_types.get(name), asked)
            for name in _listed(filter(asked.wants_type, EVENT_TYPES), catalog.event_types)
        ],
        customers=catalog.customers,
        events=catalog.events,
        revision=engine.token(snapshot),
        time_zone=engine.calendar.zone.key,
    )
    if not asked.event_type:
        wanted = [name for name in PROFILE_ATTRIBUTES if asked.wants(name, profile=True)]
        response.profile_attributes.extend(_attributes(wanted, catalog.profile_attributes))
    return response


def _listed(predefined: Iterable[str], found: Iterable[str]) -> list[str]:
    """Return the predefined names, then the others in order."""
    first = list(predefined)
    return first + sorted(set(found) - set(first))


def _event_type(name: str, summary: EventTypeSummary | None, asked: Asked) -> ingest_pb2.CatalogEventType:
    wanted = list(filter(asked.wants, EVENT_ATTRIBUTES))
    written = ingest_pb2.CatalogEventType(
        event_type=name,
        predefined=name in EVENT_TYPES,
        attributes=_attributes(wanted, summary.attributes if summary else {}),
    )
    if summary:
        written.events, written.customers = summary.events, summary.customers
        written.first_time.FromMilliseconds(summary.first_time)
        written.last_time.FromMilliseconds(summary.last_time)
    return written


def _attributes(
    predefined: list[str], found: Mapping[str, Mapping[Kind, KindSummary]]
) -> list[ingest_pb2.CatalogAttribute]:
    return [
        ingest_pb2.CatalogAttribute(
            attribute=name,
            predefined=name in predefined,
            kinds=[_kind(kind, summary) for kind, summary in sorted(found.get(name, {}).items())],
        )
        for name in _listed(predefined, found)
    ]


def _kind(kind: Kind, summary: KindSummary) -> ingest_pb2.CatalogKind:
    written = ingest_pb2.CatalogKind(kind=kind.name, count=summary.count)
    if kind is Kind.NUMBER:
        written.minimum, written.maximum = summary.minimum, summary.maximum
        return written
    written.distinct = summary.distinct
    for value, count in summary.top:
        sent = (
            struct_pb2.Value(bool_value=value)
            if isinstance(value, bool)
            else struct_pb2.Value(string_value=str(value))
        )
        written.top_values.append(ingest_pb2.CatalogValue(value=sent, count=count))
    return written
