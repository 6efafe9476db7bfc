"""What would a change to a saved cohort do? Who would enter and leave, and which other rules it would break."""

from dataclasses import dataclass

import msgspec

from libs.errors import Invalid, Refused
from libs.gen.cohort.v1 import rule_pb2
from services.cohort.references import references
from services.cohort.run import Runner
from services.cohort.store import CohortRecord, CohortStore
from services.cohort.translate import read_rule

MAX_NAMED = 10
"""Cohorts that a refusal names in its message; its metadata has the ids of all."""


@dataclass(frozen=True, slots=True)
class Impact:
    """What an update would do: the cohort `after` it, with the etag and times it still has.

    `entering` and `leaving` are numbers of customers; `size` is the size after it, at `revision`.
    """

    after: CohortRecord
    entering: int
    leaving: int
    size: int
    revision: str


def impact(runner: Runner, before: CohortRecord, after: CohortRecord) -> Impact:
    """Compare the members of a cohort before and after an update, of one snapshot at one instant."""
    moment = runner.moment(None, "")
    members = old = runner.members(before, moment)
    if after.rule != before.rule:
        rule = read_rule(rule_pb2.Rule.FromString(after.rule), runner.engine.calendar, "cohort.rule")
        members = runner.matching(rule, moment)
    shown = msgspec.structs.replace(after, etag=before.etag, update_time=before.update_time)
    stay = members.intersection_cardinality(old)
    return Impact(shown, len(members) - stay, len(old) - stay, len(members), moment.revision)


def refuse_rule(cohort: CohortRecord) -> None:
    """Refuse to give a static cohort a rule. Raises `Invalid`."""
    if cohort.static:
        raise Invalid("INVALID_RULE", "cohort.rule: a static cohort has a list and no rule", "cohort.rule")


def refuse_referred(cohort: CohortRecord, store: CohortStore, runner: Runner) -> None:
    """Refuse to delete a cohort that rules of others refer to. Raises `Refused`, naming them."""
    others = [
        each
        for each in store.all()
        if not each.static
        and any(named == cohort.cohort_id for _, named in references(runner.rule_of(each), "rule"))
    ]
    if others:
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        names = ", ".join(f'"{each.name}"' for each in others[:MAX_NAMED])
        raise Refused(
            "COHORT_IN_USE",
            f"other cohorts refer to this one: {names}{more}; change or delete those first",
            {"cohort_ids": ",".join(each.cohort_id for each in others)},
        )
