"""What does a caller wait? RunRule and membership over gRPC beside an empty call, alone and while events arrive."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from libs.gen.cohort.v1 import cohort_pb2, cohort_pb2_grpc, rule_pb2
from libs.rpc.client import connect
from tests.bench import shapes
from tests.bench.feed import feeding
from tests.bench.server import serving
from tests.bench.timing import Times, quantiles
from tests.bench.world import AS_OF, World, customer_id

FEED_RATE = 50_000
PAIRS = 1_000
RULES: dict[str, dict[str, Any]] = {
    "RunRule a": shapes.did("purchase"),
    "RunRule b": shapes.B,
    "RunRule c": shapes.did("view", 30, None, 3),
    "RunRule, 5 leaves": shapes.FIVE_LEAVES,
}


@dataclass(frozen=True)
class Call:
    """The times of one call, and of the engine's part in it as the server reports it (RunRule alone)."""

    name: str
    idle: Times
    elapsed: Times | None = None
    feeding: Times | None = None
    feeding_elapsed: Times | None = None


@dataclass(frozen=True)
class Wire:
    """All calls of one server; `feed` is what arrived meanwhile.

    Its start took `ready_seconds` until it listened and `sealed_seconds` until it rested.
    """

    ready_seconds: float
    sealed_seconds: float
    calls: list[Call] = field(default_factory=list)
    feed: dict[str, float] = field(default_factory=dict)

    @property
    def pairs_per_second(self) -> float:
        """Pairs that BatchCheckMembership answers a second."""
        [batch] = [call for call in self.calls if call.name.startswith("BatchCheck")]
        return PAIRS / batch.idle.p50 * 1e3


Timed = Callable[[int], float | None]
"""Makes one call, the n-th; returns the ms the server says its engine took, where it says so."""


def measure_wire(world: World, data_dir: Path, seconds: float, rate: int = FEED_RATE) -> Wire:
    """Start a server on loaded data and time each call for some seconds, then the same while it is fed."""
    with serving(data_dir) as served, connect(served.target) as channel:
        sealed = served.ready_seconds + served.wait_until_idle()
        calls = _calls(world, channel)
        each = seconds / len(calls)
        idle = {name: _times(call, each) for name, call in calls.items()}
        with feeding(served.target, rate, int(2 * seconds) + 2) as feed:
            busy = {name: _times(call, each, spaced=True) for name, call in calls.items()}
        timed = [Call(name, *idle[name], *busy[name]) for name in calls]
        return Wire(served.ready_seconds, sealed, timed, feed)


def _times(call: Timed, seconds: float, spaced: bool = False) -> tuple[Times, Times | None]:
    """Call again and again; `spaced` leaves the feed some room, as people do."""
    taken, reported = [], []
    until = time.perf_counter() + seconds
    number = 0
    call(number)
    while time.perf_counter() < until or number < 5:
        number += 1
        started = time.perf_counter_ns()
        elapsed = call(number)
        taken.append((time.perf_counter_ns() - started) / 1e6)
        if elapsed is not None:
            reported.append(elapsed)
        if spaced:
            time.sleep(0.002)
    return quantiles(taken), quantiles(reported) if reported else None


def _calls(world: World, channel: grpc.Channel) -> dict[str, Timed]:
    stub = cohort_pb2_grpc.CohortServiceStub(channel)
    health = health_pb2_grpc.HealthStub(channel)
    calls: dict[str, Timed] = {
        "empty unary (Health.Check)": lambda _: _ignore(health.Check(health_pb2.HealthCheckRequest()))
    }
    for name, rule in RULES.items():
        calls[name] = _run(stub, rule)
    saved = stub.CreateCohort(
        cohort_pb2.CreateCohortRequest(
            cohort=cohort_pb2.Cohort(name=f"bench {time.time_ns()}", rule=_message(shapes.FIVE_LEAVES))
        )
    ).cohort.cohort_id
    everybody = world.everybody

    def check(number: int) -> None:
        customer = customer_id(int(everybody[number * 7919 % len(everybody)]))
        request = cohort_pb2.CheckMembershipRequest(customer_id=customer, cohort_ids=[saved])
        request.as_of.FromMilliseconds(AS_OF + number)
        stub.CheckMembership(request)

    pairs = [
        cohort_pb2.MembershipPair(customer_id=customer_id(customer), cohort_id=saved)
        for customer in everybody[:: max(len(everybody) // PAIRS, 1)][:PAIRS].tolist()
    ]

    def check_all(number: int) -> None:
        request = cohort_pb2.BatchCheckMembershipRequest(pairs=pairs)
        request.as_of.FromMilliseconds(AS_OF + number)
        stub.BatchCheckMembership(request)

    return {**calls, "CheckMembership, 5 leaves": check, f"BatchCheckMembership, {PAIRS} pairs": check_all}


def _ignore(_: object) -> None:
    return None


def _message(rule: dict[str, Any]) -> rule_pb2.Rule:
    return json_format.ParseDict(rule, rule_pb2.Rule())


def _run(stub: Any, rule: dict[str, Any]) -> Timed:
    message = _message(rule)

    def run(number: int) -> float:
        request = cohort_pb2.RunRuleRequest(rule=message, count_only=True)
        request.as_of.FromMilliseconds(AS_OF + number)
        return float(stub.RunRule(request).elapsed.ToNanoseconds()) / 1e6

    return run
