"""Is a plan read back as it was written, and only for its own run?"""

from pyroaring import BitMap

from services.sync.delivered import Entry, Removal
from services.sync.destinations.base import Addition
from services.sync.in_flight import Sent, SentPage
from services.sync.members import Member, MemberSet
from services.sync.model import Mode, RunId, SyncId
from services.sync.plans import Draft, LeftOut, Place, Plan
from services.sync.store import Store

SYNC, RUN = SyncId("syn_a"), RunId("run_1")


def test_a_plan_and_a_place_are_kept_for_the_run_they_are_of(tmp_path):
    store = Store(tmp_path)
    numbers = {"s": BitMap([1, 70_000]), "t": BitMap()}
    members = MemberSet("coh", "Name", "rev", "epoch", numbers)
    plan = Plan(members, Mode.REPLACE, {"s": BitMap([1])}, {"t": BitMap([3])}, 2, 9, (Removal("ann", b"k"),))
    place = Place(3, 1, None, ("s", 1), True, 4, 5, b"state")
    with store.write() as txn:
        store.plans.begin(txn, SYNC, RUN, plan)
        assert store.plans.place(txn, SYNC) == Place()
        store.plans.move(txn, SYNC, place)
    with store.write() as txn:
        assert store.plans.find(txn, SYNC, RUN) == plan
        assert store.plans.find(txn, SYNC, RunId("run_2")) is None
        assert store.plans.place(txn, SYNC) == place
        store.plans.begin(txn, SYNC, RunId("run_2"), plan)
        assert store.plans.place(txn, SYNC) == Place()
        store.plans.end(txn, SYNC)
        assert store.plans.find(txn, SYNC, RunId("run_2")) is None
    store.environment.close()


def test_a_page_under_way_is_read_back_and_given_up_customer_by_customer(tmp_path):
    store = Store(tmp_path)
    ann = Addition(Member(Entry("ann", "s", 1), {"age": 3, "ok": True, "name": "Ann", "x": 0.5}), b"a")
    draft = Draft(
        [ann],
        [Removal("bob", b"b"), Removal("twin", b"t")],
        [LeftOut("UNMATCHED", "s", BitMap([4]).serialize())],
        [(ann, "REFUSED")],
        behind=Place(removed=None, added=("s", 4)),
    )
    page = SentPage("epoch", 2, 3, False, True, draft, [Removal("bob", b"b")])
    with store.write() as txn:
        store.in_flight.begin_page(txn, SYNC, page)
    with store.write() as txn:
        assert store.in_flight.page(txn, SYNC) == page
        store.in_flight.give_up(txn, SYNC)
        assert store.in_flight.page(txn, SYNC) is None
        assert store.in_flight.left(txn, SYNC) == [
            Sent("epoch", Entry("ann", "s", 1, b"a")),
            Sent("", Entry("bob", "", 0, b"b"), removing=True),
        ]
        store.in_flight.drop(txn, SYNC)
        assert store.in_flight.left(txn, SYNC) == []
    store.environment.close()
