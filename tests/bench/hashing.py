"""How many customers a second are made into rows for Facebook Ads? `python -m tests.bench.hashing`.

Seconds are those of the processor, so that other work on the machine counts for little.
One core, as the sync service does it: profiles in, kept rows out. Every value is its own, apart from those that
repeat among people (names, cities, states, countries, birthdays); a tenth of the phone numbers are written in
ways that only the library can read.
"""

import random
import time

from services.sync.delivered import Entry
from services.sync.destinations.facebook.keys import MATCH_KEYS
from services.sync.destinations.facebook.rows import Matcher
from services.sync.members import Member
from services.sync.model import FacebookSettings

CUSTOMERS = 200_000
FORMS = ("+1 (415) 555-{0:04}", "(415) 555-{0:04} ext. 9", "0044 20 7946 {0:04}")
KEYS = (
    ("EMAIL",),
    ("EMAIL", "EXTERN_ID"),
    ("EMAIL", "PHONE"),
    ("EMAIL", "PHONE", "FN", "LN", "COUNTRY"),
    tuple(key.name for key in MATCH_KEYS),
)


def customers(count: int, dice: random.Random) -> list[Member]:
    """Make customers with whole profiles."""
    firsts = [f"First{n}" for n in range(2_000)]
    lasts = [f"O'Last-{n}" for n in range(20_000)]
    cities = [f"City {chr(97 + n % 26)}{chr(97 + n // 26 % 26)}" for n in range(500)]
    made = []
    for number in range(count):
        odd = dice.random() < 0.1
        phone = dice.choice(FORMS).format(number % 10_000) if odd else f"+91 98{number:08}"
        profile = {
            "email": f" Person.{number}@Example.com",
            "phoneNumber": phone,
            "gender": dice.choice(("MALE", "FEMALE")),
            "dob": f"{dice.randrange(1940, 2005)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",
            "firstName": dice.choice(firsts),
            "lastName": dice.choice(lasts),
            "city": dice.choice(cities),
            "state": "Maharashtra",
            "country": dice.choice(("IN", "US", "DE")),
            "zip": f"{dice.randrange(10_000, 99_999)}",
            "advertisingId": f"{number:08x}-0000-4000-8000-{number:012x}",
        }
        made.append(Member(Entry(f"customer-{number}", "s", number), profile))
    return made


def main() -> None:
    """Print a table."""
    people = customers(CUSTOMERS, random.Random(7))
    print(f"{CUSTOMERS:,} customers, one core")
    for keys in KEYS:
        matcher = Matcher(FacebookSettings("1", "token", keys))
        started = time.process_time()
        rows = [matcher.row(member) for member in people]
        seconds = time.process_time() - started
        matched = sum(isinstance(row, bytes) for row in rows)
        print(f"{' '.join(keys):<84} {CUSTOMERS / seconds:>10,.0f} customers/s  {matched:,} matched")


if __name__ == "__main__":
    main()
