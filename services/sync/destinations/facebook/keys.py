"""What does Meta match people by? The keys of a customer list, and where their values come from.

Names are those of the upload's schema. The order is that of the bits in a kept row (`rows`): keys may be added
at the end, and none may move. Imports nothing heavy, as settings are checked with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MatchKey:
    """A key: its usual profile attribute ("" for the customer id), and how it is treated."""

    name: str
    attribute: str
    hashed: bool = True
    distinct: bool = False
    """Whether it names a person by itself."""


MATCH_KEYS = (
    MatchKey("EMAIL", "email", distinct=True),
    MatchKey("PHONE", "phoneNumber", distinct=True),
    MatchKey("GEN", "gender"),
    MatchKey("DOBY", "dob"),
    MatchKey("DOBM", "dob"),
    MatchKey("DOBD", "dob"),
    MatchKey("FN", "firstName"),
    MatchKey("LN", "lastName"),
    MatchKey("CT", "city"),
    MatchKey("ST", "state"),
    MatchKey("ZIP", "zip"),
    MatchKey("COUNTRY", "country"),
    MatchKey("MADID", "advertisingId", hashed=False, distinct=True),
    MatchKey("EXTERN_ID", "", hashed=False, distinct=True),
)
BY_NAME = {key.name: key for key in MATCH_KEYS}


def check_keys(names: Sequence[str]) -> str:
    """Return what is wrong with a choice of match keys, "" where nothing is."""
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        return f"{unknown[0][:32]!r} is no match key: they are {', '.join(BY_NAME)}"
    if len(set(names)) < len(names):
        return "a match key is named twice"
    if not any(BY_NAME[name].distinct for name in names):
        distinct = ", ".join(key.name for key in MATCH_KEYS if key.distinct)
        return f"one match key at least must name a person by itself: {distinct}"
    return ""
