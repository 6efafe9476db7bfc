import pytest

from libs.errors import Invalid, Missing
from services.cohort.limits import MAX_REFERENCES
from services.cohort.references import check_references
from services.cohort.rule import All, Any, Did, InCohort, Not, Rule

VIEW = Did("view")


class Saved:
    """Saved cohorts; counts how often a rule is asked for."""

    def __init__(self, **rules: Rule) -> None:
        self.rules = rules
        self.asked: list[str] = []

    def rule_of(self, cohort_id: str, field: str) -> Rule:
        self.asked.append(cohort_id)
        if cohort_id not in self.rules:
            raise Missing("COHORT_NOT_FOUND", "not there", "cohort", cohort_id, field)
        return self.rules[cohort_id]


def refers(*cohort_ids: str) -> Rule:
    return Any(tuple(map(InCohort, cohort_ids)))


def chain(length: int) -> Saved:
    """Save c1 → c2 → … → c`length`."""
    links: dict[str, Rule] = {f"c{n}": refers(f"c{n + 1}") for n in range(1, length)}
    return Saved(**links, **{f"c{length}": VIEW})


def test_a_rule_may_lead_to_cohorts_that_share_cohorts() -> None:
    saved = Saved(a=refers("c", "d"), b=refers("c", "d"), c=refers("d"), d=VIEW)
    check_references(All((InCohort("a"), Not(InCohort("b")), InCohort("a"))), "rule", saved.rule_of, "new")
    assert sorted(saved.asked) == ["a", "b", "c", "d"]


def test_a_cohort_that_is_not_there_is_named_by_path() -> None:
    with pytest.raises(Missing) as caught:
        check_references(Not(All((VIEW, InCohort("x")))), "cohort.rule", Saved().rule_of)
    assert caught.value.field == "cohort.rule.not.rule.all.rules[1].cohort.cohortId"


@pytest.mark.parametrize("first", ["a", "b", "c"])
def test_a_cycle_is_refused(first: str) -> None:
    saved = Saved(a=VIEW, b=refers("a"), c=All((VIEW, Not(InCohort("b")))))
    with pytest.raises(Invalid) as caught:
        check_references(Any((VIEW, InCohort(first))), "cohort.rule", saved.rule_of, "a")
    assert (caught.value.reason, caught.value.field) == (
        "INVALID_RULE",
        "cohort.rule.any.rules[1].cohort.cohortId",
    )


def test_references_are_at_most_32_deep() -> None:
    assert MAX_REFERENCES == 32
    check_references(InCohort("c1"), "rule", chain(32).rule_of)
    with pytest.raises(Invalid) as caught:
        check_references(InCohort("c1"), "rule", chain(33).rule_of)
    assert (caught.value.reason, caught.value.field) == ("RULE_TOO_LARGE", "rule.cohort.cohortId")
