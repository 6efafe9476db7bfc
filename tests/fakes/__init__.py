"""What stands outside of Cohort in tests? Real servers on the loopback address that misbehave on demand."""
