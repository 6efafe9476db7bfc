"""How do people use Cohort from a terminal? Commands that speak gRPC to any deployment."""

import os

os.environ.setdefault(
    "GRPC_VERBOSITY", "NONE"
)  # gRPC's own lines are no records, and tell nothing that ours do not
