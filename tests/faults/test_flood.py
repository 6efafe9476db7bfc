"""A server that is attacked in every way of `make flood` at once still serves, and within its memory."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

from libs.rpc.limits import Limits
from tests.faults.attacks import ATTACKS, RUN, Tally, bomb, explode
from tests.faults.flood import Victim, attack, peak, victim
from tests.faults.raw_http import Raw, framed

SECONDS = 1.0
SMALL = Limits(request_mib=128, writing_mib=64, streams_in=2)
"""So that what the server may grow by, 960 MiB, is a bound that a flood of large messages would pass."""
MOST_OF_A_BOMB = 256
"""MiB, where a message may have 64 and the bomb has 1,024."""
DEADLINE = 120.0


@pytest.fixture(scope="module")
def attacked() -> Iterator[Victim]:
    with victim(SMALL) as started:
        yield started


def test_a_compression_bomb_is_refused_before_it_is_unpacked(attacked: Victim) -> None:
    process = attacked.process
    before, tally, raw = peak(process.pid), Tally(), Raw(process.target)
    explode(raw, framed(bomb(), compressed=True), tally)
    raw.close()
    assert (tally.tried, tally.refused) == (1, 1)
    assert peak(process.pid) - before < MOST_OF_A_BOMB


@pytest.mark.parametrize("heeding", [True, False])
def test_large_metadata_is_refused_whether_settings_are_heeded_or_not(
    attacked: Victim, heeding: bool
) -> None:
    raw = Raw(attacked.process.target)
    if heeding:
        raw.receive()
    raw.call("CohortService/RunRule", framed(RUN), x_padding="x" * (1 << 20))
    raw.flush()
    assert raw.answer()
    raw.close()


def test_thousands_of_calls_at_once_are_answered_or_told_when_to_try_again_and_never_just_ended(
    attacked: Victim,
) -> None:
    process = attacked.process
    with ExitStack() as stack:
        own = (("grpc.use_local_subchannel_pool", 1),)  # a connection each, with 100 calls on it
        channels = [stack.enter_context(grpc.insecure_channel(process.target, own)) for _ in range(25)]
        for channel in channels:
            grpc.channel_ready_future(channel).result(DEADLINE)
        os.kill(process.pid, signal.SIGSTOP)  # so that all of them are there when it looks
        try:
            ask = [channel.unary_unary("/cohort.v1.CohortService/ListCohorts") for channel in channels]
            calls = [each.future(b"", timeout=DEADLINE) for each in ask for _ in range(100)]
        finally:
            os.kill(process.pid, signal.SIGCONT)
        codes = {call.code() for call in calls}
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_an_honest_client_is_answered_rightly_while_all_attacks_go_on(attacked: Victim) -> None:
    outcomes = attack(list(ATTACKS), attacked, SECONDS, threads=1)
    assert all(one.tally.tried for one in outcomes)
    [honest] = {one.honest for one in outcomes}
    assert honest.answered
    assert not honest.wrong
    assert outcomes[0].alive
    assert outcomes[0].most - outcomes[0].before <= outcomes[0].bound
