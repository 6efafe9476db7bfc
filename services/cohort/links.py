"""Where does a rule say what another one says? The plans of saved cohorts, put in the place of references to them.

Each cohort is planned once however often cohorts lead to it, and is one object, so that the engine evaluates it
once as well. Cycles are refused on saving (`references`), and all is read from one list of cohorts, so there is
an end to it. A cohort that is a list is its members.
"""

from collections.abc import Callable

from libs.index.calendar import Calendar
from libs.index.plan import Cohort, Plan
from services.cohort.plan import make_plan
from services.cohort.rule import Rule

RuleOf = Callable[[str, str], Rule]
"""Returns the rule of a saved cohort by its id; raises `Missing` naming a field, its second argument."""
Listed = Callable[[str, str], Plan | None]
"""Returns the plan of a saved cohort that is a list, None for one that is a rule."""


class Linker:
    """Plans rules that refer to saved cohorts, all for one instant, ms."""

    def __init__(self, rule_of: RuleOf, listed: Listed, as_of: int, calendar: Calendar) -> None:
        self._rule_of = rule_of
        self._listed = listed
        self._as_of = as_of
        self._calendar = calendar
        self._plans: dict[str, Cohort] = {}

    def plan(self, rule: Rule, path: str = "rule") -> Plan:
        """Plan a rule. Raises `NotBuilt` with the path of what is not evaluated yet, and what `rule_of` raises."""
        return make_plan(rule, self._as_of, self._calendar, path, self._plan_of)

    def _plan_of(self, cohort_id: str, path: str) -> Cohort:
        found = self._plans.get(cohort_id)
        if found is None:
            inner = self._listed(cohort_id, path) or self.plan(self._rule_of(cohort_id, path), path)
            found = self._plans[cohort_id] = Cohort(inner)
        return found
