"""How is a phone number written for matching? Digits with the country code, by the phonenumbers library.

The library takes 30 to 90 µs a number, too long for a million. Numbers in the plain form that most have are
recognised by its own metadata instead: international ones, and national ones of a known region, where nothing
in the region's rules could change a digit. Everything else goes the library's way, and a test holds the two to
the same answers.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneMetadata, ValidationResult

SEPARATORS = str.maketrans("", "", " -.()/\t\u00a0")
PLAIN = re.compile(r"[1-9][0-9]{5,14}", re.ASCII)
OPTIONAL_ZERO = "(0)"
"""Written between country code and number in some countries, and never dialled: the library knows where."""


def normalise(number: str, region: str) -> str:
    """Return country code and national number as digits, "" for what cannot be a phone number.

    `region` (ISO 3166-1 alpha-2, or "") is where a number without a country code is taken to be from.
    """
    number, region = number.strip(), region.upper()
    if OPTIONAL_ZERO in number:
        return _parsed(number, region)
    plain = number.translate(SEPARATORS)
    if plain.startswith("+"):
        return _international(plain[1:]) or _parsed(number, "")
    if plain.startswith("00") and (found := _international(plain[2:]) or _parsed(f"+{plain[2:]}", "")):
        return found
    if region:
        found = _national(plain, region) or _parsed(number, region)
        if found:
            return found
    return _international(plain) or _parsed(f"+{plain}", "")


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a region's numbers look like."""

    code: str
    lengths: frozenset[int]
    prefixes: re.Pattern[str]
    """What a number may begin with that is no part of it: a trunk prefix, an exit code."""


@lru_cache(maxsize=512)
def _rules(region: str) -> _Rules | None:
    metadata = PhoneMetadata.metadata_for_region(region)
    if metadata is None or metadata.general_desc is None:
        return None
    parts = [p for p in (metadata.national_prefix_for_parsing, metadata.international_prefix) if p]
    lengths = frozenset(length for length in metadata.general_desc.possible_length if length > 0)
    return _Rules(
        str(metadata.country_code), lengths, re.compile("|".join(f"(?:{p})" for p in ("0", *parts)))
    )


@lru_cache(maxsize=512)
def _region_of_code(code: str) -> str:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())
    return regions[0] if regions and regions[0] != phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else ""


def _international(digits: str) -> str:
    """Return the digits of a plain international number, "" where the library must look."""
    if not PLAIN.fullmatch(digits):
        return ""
    for length in (1, 2, 3):
        region = _region_of_code(digits[:length])
        if region:
            return digits if _is_plain(digits[length:], _rules(region)) else ""
    return ""


def _national(digits: str, region: str) -> str:
    """Return a plain national number with its country code, "" where the library must look."""
    rules = _rules(region)
    if rules is None or not PLAIN.fullmatch(digits) or digits.startswith(rules.code):
        return ""
    whole = _rules(_region_of_code(rules.code))  # the library takes lengths from the code's main region
    is_plain = whole is not None and len(digits) in whole.lengths and _is_plain(digits, rules)
    return rules.code + digits if is_plain else ""


def _is_plain(national: str, rules: _Rules | None) -> bool:
    return rules is not None and len(national) in rules.lengths and not rules.prefixes.match(national)


def _parsed(number: str, region: str) -> str:
    """Return the digits of a number by the library alone."""
    try:
        parsed = phonenumbers.parse(number, region or None)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return ""
    return f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)}"
