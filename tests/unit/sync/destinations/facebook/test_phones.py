"""Does the quick way say what the library says? Over numbers of every region, plain and odd."""

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import ValidationResult

from services.sync.destinations.facebook import phones

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


def by_library(number: str, region: str | None) -> str:
    """Return what the library alone makes of a number."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return ""
    return f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)}"


@pytest.mark.parametrize("region", REGIONS)
def test_a_number_of_each_region_comes_out_the_same_however_it_is_written(region):
    example = phonenumbers.example_number(region)
    digits = f"{example.country_code}{phonenumbers.national_significant_number(example)}"
    written = [
        phonenumbers.format_number(example, form)
        for form in (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    ]
    for text in (*written, f"00{digits}"):
        assert phones.normalise(text, "") == digits
    national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    for text in (national, phonenumbers.national_significant_number(example)):
        assert phones.normalise(text, region) == (by_library(text, region) or by_library(f"+{text}", None))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(REGIONS), st.text("0123456789", min_size=4, max_size=15))
def test_digits_with_a_region_are_read_as_the_library_reads_them(region, digits):
    expected = by_library(digits, region)
    if not expected and not digits.startswith("00"):
        expected = by_library(f"+{digits}", None)
    if digits.startswith("00"):
        expected = by_library(f"+{digits[2:]}", None) or expected or by_library(f"+{digits}", None)
    assert phones.normalise(digits, region) == expected


@settings(max_examples=400, deadline=None)
@given(st.text("0123456789", min_size=4, max_size=16))
def test_international_digits_are_read_as_the_library_reads_them(digits):
    assert phones.normalise(f"+{digits}", "") == by_library(f"+{digits}", None)
