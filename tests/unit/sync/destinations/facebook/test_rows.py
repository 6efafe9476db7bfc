"""What goes out for a customer, and does it come back from its kept form as it went?"""

import hashlib

import pytest

from services.sync.delivered import Entry
from services.sync.destinations.base import INVALID, UNMATCHED, Unmatchable
from services.sync.destinations.facebook.keys import MATCH_KEYS, check_keys
from services.sync.destinations.facebook.rows import Matcher, upload_form
from services.sync.members import Member
from services.sync.model import FacebookSettings

ANN = {
    "email": "Ann@Example.com",
    "phoneNumber": "98765 43210",
    "gender": "FEMALE",
    "dob": "1990-02-08",
    "firstName": "Ann",
    "lastName": "O'Neil",
    "city": "Pune",
    "state": "Maharashtra",
    "zip": 411001,
    "country": "IN",
    "advertisingId": "AEBE52E7-03EE-455A-B3C4-E57283966239",
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def row_of(profile: dict, *keys: str, **fields):
    settings = FacebookSettings("1", "token", keys, **fields)
    return Matcher(settings).row(Member(Entry("ann", "s", 1), profile))


def test_a_whole_row_is_hashed_but_for_the_ids():
    schema, values = upload_form(row_of(ANN, *[key.name for key in MATCH_KEYS]))
    assert dict(zip(schema, values, strict=True)) == {
        "EMAIL": sha("ann@example.com"),
        "PHONE": sha("919876543210"),
        "GEN": sha("f"),
        "DOBY": sha("1990"),
        "DOBM": sha("02"),
        "DOBD": sha("08"),
        "FN": sha("ann"),
        "LN": sha("oneil"),
        "CT": sha("pune"),
        "ST": sha("maharashtra"),
        "ZIP": sha("411001"),
        "COUNTRY": sha("in"),
        "MADID": "aebe52e7-03ee-455a-b3c4-e57283966239",
        "EXTERN_ID": "ann",
    }


def test_what_is_missing_or_wrong_is_empty_and_never_the_hash_of_nothing():
    row = row_of(
        {"email": "ann@example.com", "phoneNumber": "12", "zip": True}, "EMAIL", "PHONE", "ZIP", "GEN"
    )
    assert upload_form(row) == (("EMAIL", "PHONE", "GEN", "ZIP"), [sha("ann@example.com"), "", "", ""])


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({}, UNMATCHED),
        ({"gender": "MALE", "country": "IN"}, UNMATCHED),
        ({"email": ""}, UNMATCHED),
        ({"email": "nonsense", "gender": "MALE"}, INVALID),
        ({"phoneNumber": "1"}, INVALID),
    ],
)
def test_without_a_value_that_names_a_person_there_is_no_row(profile, reason):
    assert row_of(profile, "EMAIL", "PHONE", "GEN", "COUNTRY") == Unmatchable(reason)


def test_a_value_that_is_a_hash_already_is_passed_through_once():
    digest = sha("ann@example.com")
    for written in (digest, digest.upper()):
        assert upload_form(row_of({"email": written}, "EMAIL"))[1] == [digest]
    assert row_of({"email": digest[:-1]}, "EMAIL") == Unmatchable(INVALID)


def test_attributes_can_have_other_names_and_the_country_a_default():
    row = row_of(
        {"work": "a@example.com", "cell": "(415) 555-0123"},
        "EMAIL",
        "PHONE",
        match_attributes={"EMAIL": "work", "PHONE": "cell"},
        default_country="US",
    )
    assert upload_form(row)[1] == [sha("a@example.com"), sha("14155550123")]


def test_only_what_is_needed_of_a_profile_is_asked_for():
    def needed(*keys: str) -> set[str]:
        return set(Matcher(FacebookSettings("1", "token", keys)).attributes)

    assert needed("EMAIL") == {"email"}
    assert needed("EXTERN_ID") == set()
    assert needed("PHONE") == {"phoneNumber", "country"}
    assert needed("EMAIL", "DOBY", "DOBM") == {"email", "dob"}


def test_limited_data_use_is_a_column_that_is_kept_with_the_row():
    row = row_of(ANN, "EMAIL", limited_data_use=True)
    assert upload_form(row) == (("EMAIL", "DATA_PROCESSING_OPTIONS"), [sha("ann@example.com"), ["LDU"]])


def test_a_kept_row_takes_half_of_what_is_sent():
    assert len(row_of(ANN, "EMAIL")) < 40


def test_keys_must_be_known_distinct_and_named_once():
    assert check_keys(["EMAIL", "GEN"]) == ""
    assert "EMAIL, PHONE, MADID, EXTERN_ID" in check_keys(["GEN", "COUNTRY"])
    assert "twice" in check_keys(["EMAIL", "EMAIL"])
    assert "'AGE'" in check_keys(["AGE"])
