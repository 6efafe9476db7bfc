"""How is each call of CohortService answered? Translation between the wire and the runner, by concern.

    base      what all handlers work with
    runs      RunRule, ParseRule, FormatRule
    saved     saved cohorts: create, show, list, change, delete
    members   who is in a saved cohort
    checks    whether a customer is in
    answers   sizes over time, how sets lie to one another, and why

Not for: what a rule means or who matches it. Blocking work goes to a thread; nothing here waits on the loop.
"""
