"""How does a destination stay in step with a cohort? Destinations, syncs, runs; not who is a member."""
