"""How fast is Cohort, beside the best of its peers on the same events, in the same run? `python -m tests.bench`."""
