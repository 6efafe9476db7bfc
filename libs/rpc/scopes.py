"""Which scope of an API key opens which call? One table; a call that is not in it cannot be served.

Scopes do not imply one another: a key has those it was made with. Health and reflection need no key.
"""

from collections.abc import Mapping
from enum import StrEnum


class Scope(StrEnum):
    """What a key may do in its project."""

    INGEST = "ingest"
    """Send events and customer data; learn nothing back but what was refused."""
    READ = "read"
    """Ask: run rules, list and read members, customers, cohorts, syncs and how the server is."""
    MANAGE = "manage"
    """Change: save and delete cohorts, destinations and syncs, start runs, erase customers."""
    ADMIN = "admin"
    """Make, list and revoke keys, and see the project's settings."""


ALL = frozenset(Scope)

_RPCS = {
    "IngestService": {
        Scope.INGEST: "SendEvents StreamEvents SendEventColumns SendEventsJson UpsertCustomers",
        Scope.READ: "GetCustomer ListCustomerEvents GetCatalog ListErasures",
        Scope.MANAGE: "DeleteCustomers ConfirmErasure ReportErasures",
    },
    "CohortService": {
        Scope.READ: "RunRule ParseRule FormatRule GetCohort ListCohorts ListMembers StreamMembers GetMemberSet "
        "ResolveMembers CheckMembership BatchCheckMembership LookupCohorts ExplainMembership GetSizeHistory "
        "CompareCohorts WatchCohort",
        Scope.MANAGE: "CreateCohort UpdateCohort DeleteCohort",
    },
    "SyncService": {
        Scope.READ: "GetDestination ListDestinations GetSync ListSyncs PreviewSync GetSyncRun ListSyncRuns",
        Scope.MANAGE: "CreateDestination UpdateDestination DeleteDestination TestDestination CreateSync UpdateSync "
        "PauseSync ResumeSync DeleteSync RunSync CancelSyncRun",
    },
    "AdminService": {
        Scope.READ: "GetStatus",
        Scope.MANAGE: "Compact",
        Scope.ADMIN: "CreateApiKey ListApiKeys RevokeApiKey CreateProject UpdateProject ListProjects "
        "GetProject",
    },
    # Served by plug-ins, whose keys are their own; here for plug-ins that are built on `libs.rpc`.
    "DestinationService": {Scope.MANAGE: "Describe OpenAudience ApplyBatch CloseRun"},
}

SCOPES: Mapping[str, Scope] = {
    f"cohort.v1.{service}.{name}": scope
    for service, scopes in _RPCS.items()
    for scope, names in scopes.items()
    for name in names.split()
}
"""The scope of every RPC, by its full name."""

SYNC_CALLS = frozenset({"cohort.v1.IngestService.ConfirmErasure", "cohort.v1.IngestService.ReportErasures"})
"""What the sync service's own credential opens beside everything that reads."""


OUTBOUND = frozenset(
    f"cohort.v1.SyncService.{name}"
    for name in ("CreateDestination", "UpdateDestination", "TestDestination", "PreviewSync")
)
"""What waits for machines that callers name: at a door of its own, so that nothing else waits for those."""


BY_PAGES = frozenset({"cohort.v1.CohortService.StreamMembers", "cohort.v1.CohortService.ResolveMembers"})
"""Streams of which each message is work: it takes a turn among calls, and none while the client reads."""


def scope_of(rpc: str) -> Scope:
    """Return the scope of an RPC by its full name. Raises LookupError for one that the table forgot."""
    try:
        return SCOPES[rpc]
    except KeyError:
        raise LookupError(f"{rpc} has no scope in libs/rpc/scopes.py") from None
