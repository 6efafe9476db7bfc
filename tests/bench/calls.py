"""What does measuring a call cost? The same empty handler with and without it: `python -m tests.bench.calls`."""

import asyncio
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry

from libs.gen.cohort.v1 import cohort_pb2
from libs.rpc.metrics import Calls

CALLS = 200_000
ROUNDS = 5
METHOD = cohort_pb2.DESCRIPTOR.services_by_name["CohortService"].methods_by_name["GetCohort"]


class Context:
    """Stands for the context of a call that ends well."""

    def code(self) -> int:
        """Return OK."""
        return 0


async def nothing(request: Any, context: Any) -> Any:
    """Answer at once."""
    return None


async def seconds(call: Any) -> float:
    """Return what one call takes."""
    context = Context()
    began = perf_counter()
    for _ in range(CALLS):
        await call(None, context)
    return (perf_counter() - began) / CALLS


async def main() -> None:
    """Measure both in turn, and print the best of each."""
    measured = Calls(CollectorRegistry()).measure(METHOD, nothing)
    plain = [await seconds(nothing) for _ in range(ROUNDS)]
    with_it = [await seconds(measured) for _ in range(ROUNDS)]
    print(f"a call without {min(plain) * 1e6:.2f} µs, with {min(with_it) * 1e6:.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
