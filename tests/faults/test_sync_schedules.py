"""Do some schedules of faults end well? `make faults-sync` goes through hundreds."""

from tests.faults.destinations import KINDS
from tests.faults.sync_schedules import perform

SHORT = 2 * len(KINDS)
"""Two of each type of destination: some 15 s."""


async def test_a_destination_ends_up_with_the_matchable_members_whatever_goes_wrong():
    tally = await perform(range(SHORT))
    assert tally["schedules"] == SHORT
    assert tally["kills"] > 0
