"""How is each value written before it is hashed? One function a key, after Meta's guide for customer lists.

Each takes the value as text and the customer's country (ISO alpha-2 in lower case, or ""), and returns the
normal form, or "" for what cannot be right: a blank is never hashed. Letters keep their accents, composed
(NFC), as Meta takes UTF-8.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from importlib import resources

from services.sync.destinations.facebook import phones
from services.sync.destinations.facebook.states import US_STATES

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
ADVERTISING_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NO_ADVERTISING = "00000000-0000-0000-0000-000000000000"
"""What a device says whose owner has switched advertising ids off: the same for all of them."""
ALIASES = {
    "united kingdom": "gb",
    "great britain": "gb",
    "uk": "gb",
    "usa": "us",
    "u.s.a.": "us",
    "u.s.": "us",
    "united states of america": "us",
}
"""Names that people write and the table of names does not have."""
BIRTH_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
US_ZIP = re.compile(r"([0-9]{5})(?:[0-9]{4})?", re.ASCII)
GENDERS = {"male": "m", "m": "m", "female": "f", "f": "f"}

Normalise = Callable[[str, str], str]


def email(value: str, country: str) -> str:
    """Return an address trimmed and in lower case."""
    value = value.strip().lower()
    return value if EMAIL.fullmatch(value) else ""


def phone(value: str, country: str) -> str:
    """Return a phone number as digits with its country code."""
    return phones.normalise(value, country)


def gender(value: str, country: str) -> str:
    """Return m or f."""
    return GENDERS.get(value.strip().lower(), "")


def birth_year(value: str, country: str) -> str:
    """Return YYYY of YYYY-MM-DD."""
    return _birth_date(value)[:4]


def birth_month(value: str, country: str) -> str:
    """Return MM of YYYY-MM-DD."""
    return _birth_date(value)[5:7]


def birth_day(value: str, country: str) -> str:
    """Return DD of YYYY-MM-DD."""
    return _birth_date(value)[8:]


def name(value: str, country: str) -> str:
    """Return a first or last name trimmed, in lower case, without punctuation."""
    return _without(value, "PSC").strip()


def city(value: str, country: str) -> str:
    """Return a city in lower case, letters only."""
    return "".join(char for char in _lower(value) if unicodedata.category(char)[0] in "LM")


def state(value: str, country: str) -> str:
    """Return a state in lower case, without punctuation and spaces; of the US its two letters."""
    value = "".join(char for char in _lower(value) if unicodedata.category(char)[0] in "LMN")
    if country != "us":
        return value
    return US_STATES.get(value, "")


def postal_code(value: str, country: str) -> str:
    """Return a postal code in lower case, without spaces and dashes; of the US its first five digits."""
    value = _lower(value)
    if not _is_bare(value):
        value = "".join(char for char in value if unicodedata.category(char) not in ("Zs", "Pd", "Cc"))
    if country != "us":
        return value
    found = US_ZIP.fullmatch(value)
    return found[1] if found else ""


def country_code(value: str, country: str = "") -> str:
    """Return ISO 3166-1 alpha-2 in lower case, of a code or of a country's English name."""
    return _countries().get(value.strip().casefold(), "")


def advertising_id(value: str, country: str) -> str:
    """Return a mobile advertising id in lower case, hyphens kept."""
    value = value.strip().lower()
    return value if ADVERTISING_ID.fullmatch(value) and value != NO_ADVERTISING else ""


def external_id(value: str, country: str) -> str:
    """Return an id as it is."""
    return value


NORMALISE: dict[str, Normalise] = {
    "EMAIL": email,
    "PHONE": phone,
    "GEN": gender,
    "DOBY": birth_year,
    "DOBM": birth_month,
    "DOBD": birth_day,
    "FN": name,
    "LN": name,
    "CT": city,
    "ST": state,
    "ZIP": postal_code,
    "COUNTRY": country_code,
    "MADID": advertising_id,
    "EXTERN_ID": external_id,
}


def _lower(value: str) -> str:
    return unicodedata.normalize("NFC", value.strip().lower())


def _is_bare(value: str) -> bool:
    """Whether there are only letters and digits of ASCII, as mostly: nothing to look up in Unicode's tables."""
    return value.isascii() and value.isalnum()


def _without(value: str, kinds: str) -> str:
    """Return a value in lower case without characters of these kinds (the first letters of categories)."""
    value = _lower(value)
    if _is_bare(value):
        return value
    return "".join(char for char in value if unicodedata.category(char)[0] not in kinds)


def _birth_date(value: str) -> str:
    value = value.strip()
    try:
        return value if BIRTH_DATE.fullmatch(value) and date.fromisoformat(value) else ""
    except ValueError:
        return ""


@lru_cache(maxsize=1)  # read once
def _countries() -> dict[str, str]:
    """Return the codes by code and by name, both in lower case, as the tzdata package lists them."""
    table = (resources.files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8")
    pairs = [line.split("\t") for line in table.splitlines() if line and not line.startswith("#")]
    by_name = {name.casefold(): code.lower() for code, name in pairs}
    return by_name | {code.lower(): code.lower() for code, _ in pairs} | ALIASES
