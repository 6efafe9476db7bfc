"""Which saved cohorts does a rule lead to? Every one must exist, none may lead back, and not too deep.

A cycle is refused where it would be made, on saving, so that what is saved can always be evaluated.
"""

from collections.abc import Callable, Iterator

from services.cohort.limits import MAX_REFERENCES
from services.cohort.refusal import bad, too_large
from services.cohort.rule import All, Any, InCohort, Not, Rule

NO_REFERENCES: Rule = Any(())
"""Stands, where references are followed, for a static cohort: its list leads nowhere."""


def references(rule: Rule, path: str) -> Iterator[tuple[str, str]]:
    """Yield the cohort ids that a rule names, each with the path of its field."""
    match rule:
        case All(rules):
            for place, each in enumerate(rules):
                yield from references(each, f"{path}.all.rules[{place}]")
        case Any(rules):
            for place, each in enumerate(rules):
                yield from references(each, f"{path}.any.rules[{place}]")
        case Not(inner):
            yield from references(inner, f"{path}.not.rule")
        case InCohort(cohort_id):
            yield f"{path}.cohort.cohortId", cohort_id


def check_references(
    rule: Rule, path: str, rule_of: Callable[[str, str], Rule], cohort_id: str | None = None
) -> None:
    """Refuse a rule that leads to what is not there, too deep, or to the cohort itself that it is saved as.

    `rule_of` gives the rule of a saved cohort by its id, and raises `Missing` naming a field, its second
    argument. Raises `Invalid`, or what `rule_of` raises.
    """
    depths: dict[str, int] = {}  # of each cohort met, so that each is followed once
    for field, named in references(rule, path):
        if _depth(named, field, rule_of, cohort_id, depths) > MAX_REFERENCES:
            too_large(field, f"cohorts refer to one another at most {MAX_REFERENCES} deep")


def _depth(
    named: str,
    field: str,
    rule_of: Callable[[str, str], Rule],
    cohort_id: str | None,
    depths: dict[str, int],
    level: int = 1,
) -> int:
    """Return how many references deep a cohort leads, itself counted; MAX_REFERENCES + 1 for any deeper."""
    if named == cohort_id:
        bad(field, "must not lead back to the cohort that is saved")
    if level > MAX_REFERENCES:
        return level
    if named not in depths:
        below = references(rule_of(named, field), "")
        depths[named] = 1 + max(
            (_depth(each, field, rule_of, cohort_id, depths, level + 1) for _, each in below), default=0
        )
    return depths[named]
