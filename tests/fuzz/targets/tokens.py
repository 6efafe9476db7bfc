"""What a server once handed out and gets back: page tokens, positions, revisions, cursors, sets of members."""

import base64
import contextlib

from pyroaring import BitMap

from libs.errors import Invalid, OutOfRange
from libs.gen.cohort.v1 import cohort_pb2
from services.cohort.position import Place, read_position, write_position
from services.sync.paging import Paging
from tests.fuzz.targets import Target
from tests.fuzz.targets.worlds import World


def page_tokens() -> Target:
    """Tokens of every kind, as they are and made to look right."""
    world = World()
    request = cohort_pb2.ListMembersRequest(cohort_id=world.cohort_id, page_size=1)
    token = world.wait(world.cohort.ListMembers(request, None)).next_page_token
    position = write_position(world.cohort_id, Place(Place.new_feed(), 1, 2))
    revision = world.engine.token(world.engine.snapshot())
    paging = Paging(("ListSyncs", "", ""), 10, "")
    stored = paging._make_token(b"place")

    def run(data: bytes) -> None:
        text = (
            base64.urlsafe_b64encode(data[1:]).decode()
            if data[:1] < b"\x40"
            else data[1:].decode(errors="replace")
        )
        request.page_token = text
        with contextlib.suppress(Invalid):
            world.wait(world.cohort.ListMembers(request, None))
        with contextlib.suppress(Invalid):
            read_position(world.cohort_id, text)
        with contextlib.suppress(Invalid, OutOfRange):
            world.engine.snapshot(text)
        Paging(("ListSyncs", "", ""), 10, text)._place()

    return Target(run, [b"\x7f" + each.encode() for each in (token, position, revision, stored)])


def member_sets() -> Target:
    """ResolveMembers: a bitmap from outside, read by a library in C."""
    world = World()

    def run(data: bytes) -> None:
        shard = cohort_pb2.MemberShard(shard="0", roaring=data)
        members = cohort_pb2.MemberSet(epoch=world.engine.epoch, shards=[shard])
        world.listed(world.cohort.ResolveMembers(cohort_pb2.ResolveMembersRequest(members=members), None))

    runs = BitMap(range(20))
    runs.run_optimize()
    sets = [
        BitMap(),
        BitMap([1, 5, 7]),
        BitMap(range(20)),
        runs,
        BitMap(range(0, 9000, 2)),
        BitMap([1, 1 << 20]),
    ]
    return Target(run, [each.serialize() for each in sets])
