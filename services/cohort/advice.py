"""What in a rule is legal but may be a mistake? Event types and attributes that were never seen.

They match nothing, which is not an error: they may be about to arrive. Predefined names give no warning.
"""

from collections.abc import Iterable, Iterator

from libs.events.predefined import EVENT_ATTRIBUTES, EVENT_TYPES, PROFILE_ATTRIBUTES
from libs.index.snapshot import Snapshot
from services.cohort.condition import AllOf, AnyOf, Condition, NotOf, Test
from services.cohort.rule import All, Any, Did, InCohort, Not, Profile, Rule, Sequence

PREDEFINED = {*EVENT_ATTRIBUTES, *PROFILE_ATTRIBUTES}


def warnings(rule: Rule, snapshot: Snapshot) -> list[str]:
    """Return a sentence for each name of a rule that was never seen, each once, in order."""
    return list(dict.fromkeys(_walk(rule, snapshot)))


def _walk(rule: Rule, snapshot: Snapshot) -> Iterator[str]:
    match rule:
        case All(rules) | Any(rules):
            for each in rules:
                yield from _walk(each, snapshot)
        case Not(inner):
            yield from _walk(inner, snapshot)
        case Did(event_type, where):
            figure = [rule.aggregate.attribute] if rule.aggregate and rule.aggregate.attribute else []
            yield from _event(event_type, [*attributes(where), *figure], snapshot)
        case Sequence(steps):
            for step in steps:
                yield from _event(step.event_type, attributes(step.where), snapshot)
        case InCohort():
            pass  # what the cohort's own rule names is not this rule's affair
        case Profile(where):
            known = {snapshot.names[attribute] for attribute, _ in snapshot.profiles.columns}
            for attribute in attributes(where):
                if attribute not in known and attribute not in PREDEFINED:
                    yield f"no profile has had the attribute {attribute!r} yet"


def _event(event_type: str, tested: Iterable[str], snapshot: Snapshot) -> Iterator[str]:
    seen = snapshot.of_type(event_type)
    if not seen and event_type not in EVENT_TYPES:
        yield f"no event of type {event_type!r} has arrived yet"
    parts = seen or [part for parts in snapshot.parts.values() for part in parts]
    known = {snapshot.names[attribute] for part in parts for attribute, _ in part.columns}
    for attribute in tested:
        if attribute not in known and attribute not in PREDEFINED:
            yield f"no event of type {event_type!r} has had the attribute {attribute!r} yet"


def attributes(condition: Condition | None) -> Iterator[str]:
    """Yield the attribute of every test of a condition, in order."""
    match condition:
        case AllOf(conditions) | AnyOf(conditions):
            for each in conditions:
                yield from attributes(each)
        case NotOf(inner):
            yield from attributes(inner)
        case Test(attribute):
            yield attribute
