"""Which resource does a person mean? Names and ids are both taken; a name wins over an equal id."""

import re
from collections.abc import Iterable
from typing import Any

from libs.cli.errors import Failed
from libs.cli.paging import joined
from libs.cli.session import Session
from libs.gen.cohort.v1 import cohort_pb2, sync_pb2

SYNC_ID = re.compile(r"syn_[0-9a-f]{22}")
"""What is no cohort's name in all likelihood, and spares a look at the cohort service."""


def cohorts(session: Session) -> Any:
    """Return the ListCohortsResponse of all saved cohorts."""
    return joined(session.cohort().ListCohorts, cohort_pb2.ListCohortsRequest(), "cohorts")


def destinations(session: Session) -> Any:
    """Return the ListDestinationsResponse of all destinations."""
    return joined(session.sync().ListDestinations, sync_pb2.ListDestinationsRequest(), "destinations")


def cohort_named(session: Session, wanted: str) -> Any:
    """Return the saved cohort of this name or id, as lists show it. Raises Failed where there is none."""
    return _find(cohorts(session).cohorts, "cohort_id", wanted, "cohort", "cohort list")


def destination_named(session: Session, wanted: str) -> Any:
    """Return the destination of this name or id. Raises Failed where there is none."""
    found = destinations(session).destinations
    return _find(found, "destination_id", wanted, "destination", "cohort destinations list")


def sync_named(session: Session, wanted: str) -> str:
    """Return the id of the one sync of the cohort of this name; what is no cohort's name is a sync's id itself."""
    if SYNC_ID.fullmatch(wanted):
        return wanted
    named = [one.cohort_id for one in cohorts(session).cohorts if one.name == wanted]
    if not named:
        return wanted
    request = sync_pb2.ListSyncsRequest(cohort_id=named[0])
    found: list[str] = [sync.sync_id for sync in joined(session.sync().ListSyncs, request, "syncs").syncs]
    if len(found) != 1:
        several = f"several, name one: {', '.join(found)}" if found else "none: `cohort syncs add` makes one"
        raise Failed(f"of syncs the cohort {wanted!r} has {several}")
    return found[0]


def _find(resources: Iterable[Any], id_field: str, wanted: str, what: str, listing: str) -> Any:
    by_id = None
    for resource in resources:
        if resource.name == wanted:
            return resource
        if getattr(resource, id_field) == wanted:
            by_id = resource
    if by_id is None:
        raise Failed(f"no {what} has the name or id {wanted!r}: `{listing}` shows them")
    return by_id
