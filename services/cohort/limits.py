"""How much may one rule hold? The limits of the contract."""

from services.cohort.rule import Unit

MAX_NODES = 500
"""Rules, conditions and steps."""
MAX_DEPTH = 32
MAX_REFERENCES = 32
"""Cohorts that refer to cohorts, one below another."""
MAX_VALUES = 10_000
"""Values of one test."""
MAX_PATTERNS = 200_000
"""What all regular expressions of a rule may weigh (`libs.patterns`): compiled in 100 ms or so."""
MAX_NAME_BYTES = 256
MIN_STEPS, MAX_STEPS = 2, 8
MAX_DAYS = 36_500
MAX_COUNT = 2**31 - 1
"""Numbers of events, days and units are int32 on the wire."""
MAX_AMOUNT = {
    Unit.MINUTE: MAX_DAYS * 1440,
    Unit.HOUR: MAX_DAYS * 24,
    Unit.DAY: MAX_DAYS,
    Unit.WEEK: MAX_DAYS // 7,
    Unit.MONTH: MAX_DAYS // 30,
}
"""Of each unit, as many as there are in MAX_DAYS days."""
