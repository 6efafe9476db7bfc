"""Is each value written as Meta wants it before it is hashed? A table for each key."""

import pytest

from services.sync.destinations.facebook.keys import MATCH_KEYS
from services.sync.destinations.facebook.normalise import NORMALISE

TABLES = {
    "EMAIL": [
        ("  Ann@Example.COM\n", "", "ann@example.com"),
        ("ann+news@mail.example.co.in", "", "ann+news@mail.example.co.in"),
        ("jörg@bücher.example", "", "jörg@bücher.example"),
        ("ann@example", "", ""),
        ("ann at example.com", "", ""),
        ("a@b@example.com", "", ""),
        ("ann@.example..com", "", ""),
        ("   ", "", ""),
    ],
    "PHONE": [
        ("+91 98765 43210", "", "919876543210"),
        ("919876543210", "", "919876543210"),
        ("0091-98765-43210", "", "919876543210"),
        ("09876543210", "in", "919876543210"),
        ("98765 43210", "in", "919876543210"),
        ("(415) 555-0123", "us", "14155550123"),
        ("+1 (415) 555-0123 ext. 9", "", "14155550123"),
        ("+44 (0)20 7946 0018", "", "442079460018"),
        ("020 7946 0018", "gb", "442079460018"),
        ("+39 06 698 12345", "", "390669812345"),
        ("919876543210", "us", "919876543210"),
        ("1-800-FLOWERS", "us", "18003569377"),
        ("12345", "us", ""),
        ("555-0123", "us", ""),
        ("no number", "us", ""),
        ("+", "", ""),
    ],
    "GEN": [
        ("MALE", "", "m"),
        ("Female ", "", "f"),
        ("f", "", "f"),
        ("M", "", "m"),
        ("other", "", ""),
    ],
    "DOBY": [("1990-02-28", "", "1990"), ("1990-02-30", "", ""), ("28.2.1990", "", ""), ("90-2-28", "", "")],
    "DOBM": [("1990-02-28", "", "02"), ("1990-13-01", "", "")],
    "DOBD": [("1990-02-08", "", "08"), ("1990-02-00", "", "")],
    "FN": [
        (" José ", "", "josé"),
        ("Jose\u0301", "", "josé"),
        ("Mary-Jane", "", "maryjane"),
        ("Anne Marie", "", "anne marie"),
        ("विराट", "", "विराट"),
        ("--", "", ""),
    ],
    "LN": [("O'Neil", "", "oneil"), ("van der Berg, Jr.", "", "van der berg jr"), ("ÅSTRÖM", "", "åström")],
    "CT": [
        ("New York", "us", "newyork"),
        ("Saint-Étienne 2", "fr", "saintétienne"),
        ("पुणे", "in", "पुणे"),
        ("12", "", ""),
    ],
    "ST": [
        ("California", "us", "ca"),
        ("ca", "us", "ca"),
        ("District of Columbia", "us", "dc"),
        ("N.Y.", "us", "ny"),
        ("Californication", "us", ""),
        ("Tamil Nadu", "in", "tamilnadu"),
        ("Baden-Württemberg", "de", "badenwürttemberg"),
        ("California", "", "california"),
    ],
    "ZIP": [
        ("94107-1234", "us", "94107"),
        ("94107", "us", "94107"),
        ("941071234", "us", "94107"),
        ("9410", "us", ""),
        ("SW1A 1AA", "gb", "sw1a1aa"),
        ("411 001", "in", "411001"),
        ("94107-1234", "", "941071234"),
    ],
    "COUNTRY": [
        ("IN", "", "in"),
        ("de ", "", "de"),
        ("India", "", "in"),
        ("United States", "", "us"),
        ("United Kingdom", "", "gb"),
        ("UK", "", "gb"),
        ("USA", "", "us"),
        ("XX", "", ""),
        ("Atlantis", "", ""),
    ],
    "MADID": [
        ("AEBE52E7-03EE-455A-B3C4-E57283966239", "", "aebe52e7-03ee-455a-b3c4-e57283966239"),
        ("aebe52e703ee455ab3c4e57283966239", "", ""),
        ("00000000-0000-0000-0000-000000000000", "", ""),
    ],
    "EXTERN_ID": [(" Ann 7 ", "", " Ann 7 ")],
}


@pytest.mark.parametrize(
    ("key", "value", "country", "normal"),
    [(key, *row) for key, rows in TABLES.items() for row in rows],
)
def test_values_are_written_as_meta_matches_them(key, value, country, normal):
    assert NORMALISE[key](value, country) == normal


def test_every_key_has_a_rule_and_a_table():
    assert {key.name for key in MATCH_KEYS} == NORMALISE.keys() == TABLES.keys()


@pytest.mark.parametrize("key", TABLES)
def test_what_is_normal_stays_as_it_is(key):
    for value, country, normal in TABLES[key]:
        if normal and not key.startswith("DOB"):
            assert NORMALISE[key](normal, country) == normal, value
