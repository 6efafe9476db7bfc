"""Which column is what? What was said, and for the rest a guess from the names people use.

A role is a field of an event or a customer; every column without one becomes an attribute of its own name, or
of the name that `--map ATTRIBUTE=COLUMN` gives it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.cli.errors import Failed

USUAL = {
    "customer_id": (
        "customerid", "userid", "distinctid", "householdid", "clientid", "visitorid", "memberid", "accountid",
        "shopperid", "personid", "anonymousid", "customer", "user", "household", "uid",
    ),
    "event_type": ("eventtype", "eventname", "event", "action", "activity", "type"),
    "event_time": (
        "eventtime", "eventtimestamp", "timestamp", "time", "datetime", "occurredat", "createdat",
        "transactiontimestamp", "eventdate", "date", "ts",
    ),
    "event_id": ("eventid", "messageid", "insertid", "uuid", "id"),
}  # fmt: skip
"""The usual names of each role, the surest first, in lower case without separators."""
EVENT_ROLES = ("customer_id", "event_type", "event_time", "event_id")
CUSTOMER_ROLES = ("customer_id",)
LAST_RESORT = "id"
"""In a file of customers, the column that names the customer when no surer one is there."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a file are: `roles` by role, `attributes` by column."""

    roles: dict[str, str]
    attributes: dict[str, str]
    guessed: frozenset[str]
    """The roles that were guessed rather than said."""
    event_type: str | None = None
    """The type of every event, where there is no column for it."""


def pairs_of(options: Sequence[str]) -> dict[str, str]:
    """Read `customer_id=COLUMN` options: name to column. Raises Failed."""
    given: dict[str, str] = {}
    for option in options:
        name, equals, column = option.partition("=")
        if not (name and equals and column):
            raise Failed(f"--map {option}: say --map NAME=COLUMN, as in --map customer_id=user")
        if name in given:
            raise Failed(f"--map {name} is given twice")
        given[name] = column
    return given


def propose(
    columns: Sequence[str],
    given: Mapping[str, str],
    *,
    roles: Sequence[str] = EVENT_ROLES,
    event_type: str | None = None,
    ignored: Sequence[str] = (),
) -> Columns:
    """Decide what each column is. Raises Failed for a role that needs a column, or an unknown name."""
    for column in (*given.values(), *ignored):
        if column not in columns:
            raise Failed(f"there is no column {column!r}; the file has {', '.join(columns)}")
    if event_type is not None and "event_type" in given:
        raise Failed("say --event-type or --map event_type=COLUMN, not both")
    chosen = {role: given[role] for role in roles if role in given}
    free = [one for one in columns if one and one not in given.values() and one not in ignored]
    guessed: dict[str, str] = {}
    for role in roles:
        if role in chosen or (role == "event_type" and event_type is not None):
            continue
        usual = _usual(role, [one for one in free if one not in guessed.values()], roles)
        if usual is not None:
            guessed[role] = usual
    found = chosen | guessed
    _require(found, roles, event_type, columns)
    attributes = {column: name for name, column in given.items() if name not in roles}
    attributes |= {column: column for column in free if column not in guessed.values()}
    _distinct(attributes)
    ordered = {column: attributes[column] for column in columns if column in attributes}
    return Columns(
        {role: found[role] for role in roles if role in found}, ordered, frozenset(guessed), event_type
    )


def _usual(role: str, columns: Sequence[str], roles: Sequence[str]) -> str | None:
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(re.sub(r"[^a-z0-9]", "", column.lower()), column)
    usual = USUAL[role] if "event_id" in roles else (*USUAL[role], LAST_RESORT)
    return next((by_name[name] for name in usual if name in by_name), None)


def _require(
    found: Mapping[str, str], roles: Sequence[str], event_type: str | None, columns: Sequence[str]
) -> None:
    has = f"the file has {', '.join(columns)}"
    if "customer_id" not in found:
        raise Failed(f"no column looks like the customer's id; say --map customer_id=COLUMN ({has})")
    if "event_type" in roles and "event_type" not in found and event_type is None:
        raise Failed(
            f"no column looks like the event's type; say --map event_type=COLUMN or --event-type NAME ({has})"
        )


def _distinct(attributes: Mapping[str, str]) -> None:
    sources: dict[str, str] = {}
    for column, name in attributes.items():
        if name in sources:
            raise Failed(f"the columns {sources[name]!r} and {column!r} would both be the attribute {name!r}")
        sources[name] = column
