"""How do people use Cohort from a terminal? Commands that speak gRPC to any deployment."""
