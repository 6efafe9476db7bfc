"""What would a run do now? The plan and the drafts of a run, counted and not sent.

Names every customer who would be added and makes the key it would be known by, as a run does: that takes as long
as the run without its calls. Memory does not grow with the cohort. The destination is asked what it wants, and
nothing is changed there.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from pyroaring import BitMap

from services.sync.delivered import Entry
from services.sync.destinations.base import Feed, Opening, Page, Target
from services.sync.diff import size
from services.sync.drafting import Drafts
from services.sync.members import Members
from services.sync.model import Sync
from services.sync.planning import Planner, check_mode
from services.sync.plans import Draft, Place, Plan
from services.sync.store import Store


@dataclass(slots=True)
class Preview:
    """What a run would do: customers added and removed, those left out by reason, batches, and calls."""

    revision: str
    adds: int = 0
    removes: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    calls: int = 0


async def preview(store: Store, client: Members, sync: Sync, target: Target) -> Preview:
    """Count what a run of `sync` to an opened destination would do.

    Raises `RunError` for a mode it cannot do, `MembersError`, `DeliveryError`, and `Refused` where customers have
    other numbers than those of a run under way.
    """
    if isinstance(target, Feed):
        await target.prepare()
        check_mode(target, sync)
    plan = await Planner(store, client, sync, target).foresee()
    counted = Preview(plan.members.revision, removes=plan.removes, unmatched=Counter(plan.standing))
    if isinstance(target, Feed):
        await _count_pages(store, client, sync, plan, target, counted)
    else:
        counted.adds, counted.batches, counted.calls = size(plan.adds), 1, 1
    return counted


async def _count_pages(
    store: Store, client: Members, sync: Sync, plan: Plan, feed: Feed, counted: Preview
) -> None:
    drafts = Drafts(store, client, sync, plan, feed)
    async for draft in drafts.all(Place()):
        counted.adds += sum(_is_new(one.member.entry, plan) for one in draft.adds)
        counted.unmatched.update(reason for _, reason in draft.standing)
        for left_out in draft.unmatched:
            counted.unmatched[left_out.reason] += len(BitMap.deserialize(left_out.numbers))
        await _count_page(drafts, draft, feed, counted)
    if counted.batches:
        audience = await store.reading(partial(store.audience, sync_id=sync.sync_id))
        counted.calls += feed.calls_beside(audience)


async def _count_page(drafts: Drafts, draft: Draft, feed: Feed, counted: Preview) -> None:
    removes = await drafts.to_send(draft.removes)
    if draft.adds or removes:
        counted.batches += 1
        counted.calls += feed.calls(Page(Opening("", "", "", ""), 0, 0, draft.adds, removes))


def _is_new(entry: Entry, plan: Plan) -> bool:
    return entry.number in plan.adds.get(entry.shard, ())
