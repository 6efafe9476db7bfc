"""Do rows, cache and count stay one, whatever is acknowledged in whatever numbering?"""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from services.sync.delivered import Entry, Removal
from services.sync.diff import size
from services.sync.model import SyncId
from services.sync.store import Store

SYNC, OTHER = SyncId("syn_a"), SyncId("syn_b")
PEOPLE = st.sets(st.integers(0, 40))


def name(person: int) -> str:
    return f"c-{person}"


def entry(person: int, epoch: int) -> Entry:
    """Number a person: far apart, in two shards, otherwise in each epoch."""
    return Entry(name(person), f"s{person % 2}", (person * 40_009 + epoch * 7) % 3_000_000)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), PEOPLE, PEOPLE), max_size=6))
def test_the_cache_is_the_rows_less_the_stale_ones(steps):
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        held: set[int] = set()
        fresh: set[int] = set()
        epoch = 0
        for new_epoch, adds, removes in steps:
            with store.write() as txn:
                if new_epoch:
                    epoch, fresh = epoch + 1, set()
                store.delivered.begin_epoch(txn, SYNC, f"e{epoch}", ["s0", "s1"])
                if new_epoch:
                    seen = [entry(person, epoch) for person in removes]
                    assert store.delivered.match(txn, SYNC, seen) == len(removes & held)
                    fresh = removes & held
                else:
                    gone = [name(person) for person in removes]
                    added, removed = store.delivered.acknowledge(
                        txn, SYNC, [entry(p, epoch) for p in adds], gone
                    )
                    assert removed == len(removes & held)
                    held -= removes
                    assert added == len(adds - held)
                    held |= adds
                    fresh = (fresh - removes) | adds
            with store.read() as txn:
                numbers = store.delivered.numbers(txn, SYNC)
                assert size(numbers) == len(fresh)
                assert all(entry(p, epoch).number in numbers[f"s{p % 2}"] for p in fresh)
                assert store.delivered.ledger(txn, SYNC).rows == len(held)
                stale = store.delivered.find_removed(txn, SYNC, {}, b"", 1000)
                assert {r.customer_id for r in stale.removals} == {name(p) for p in held - fresh}
                everybody = store.delivered.find_removed(txn, SYNC, numbers, b"", 1000)
                assert {r.customer_id for r in everybody.removals} == {name(p) for p in held}
        store.environment.close()


def test_removed_customers_are_found_in_pages_and_other_syncs_stay_apart(tmp_path):
    store = Store(tmp_path)
    entries = [Entry(f"c-{n:03}", "s", n) for n in range(10)]
    with store.write() as txn:
        for sync_id in (SYNC, OTHER):
            store.delivered.begin_epoch(txn, sync_id, "e", ["s"])
            store.delivered.acknowledge(txn, sync_id, entries, [])
    gone = {"s": BitMap([1, 4, 5, 9])}
    with store.read() as txn:
        first = store.delivered.find_removed(txn, SYNC, gone, b"", 3)
        rest = store.delivered.find_removed(txn, SYNC, gone, first.after, 3)
    assert [r.customer_id for r in first.removals] == ["c-001", "c-004", "c-005"]
    assert rest == ([Removal("c-009")], None)
    with store.write() as txn:
        store.delivered.drop(txn, SYNC)
    with store.read() as txn:
        assert store.delivered.ledger(txn, SYNC).rows == 0
        assert store.delivered.numbers(txn, SYNC) == {}
        assert size(store.delivered.numbers(txn, OTHER)) == 10
    store.environment.close()


def test_a_row_keeps_the_key_that_was_uploaded_over_epochs_until_it_is_removed(tmp_path):
    store = Store(tmp_path)
    delivered = store.delivered
    with store.write() as txn:
        delivered.begin_epoch(txn, SYNC, "e1", ["s"])
        delivered.acknowledge(txn, SYNC, [Entry("ann", "s", 1, b"old"), Entry("bob", "s", 2, b"b")], [])
        delivered.begin_epoch(txn, SYNC, "e2", ["s"])
        delivered.match(txn, SYNC, [Entry("ann", "s", 70_000)])
        found = delivered.find_removed(txn, SYNC, {"s": BitMap([70_000])}, b"", 10)
        assert found == ([Removal("ann", b"old"), Removal("bob", b"b")], None)
        delivered.acknowledge(txn, SYNC, [Entry("ann", "s", 70_000, b"new")], ["bob"])
        found = delivered.find_removed(txn, SYNC, {"s": BitMap([70_000])}, b"", 10)
        assert found == ([Removal("ann", b"new")], None)
    store.environment.close()


def test_a_key_of_one_who_stays_is_told_from_one_that_only_leavers_have(tmp_path):
    store = Store(tmp_path)
    delivered = store.delivered
    ann, twin, bob = Removal("ann", b"k"), Removal("twin", b"k"), Removal("bob", b"b")
    with store.write() as txn:
        delivered.begin_epoch(txn, SYNC, "e", ["s"])
        people = [Entry("ann", "s", 1, b"k"), Entry("twin", "s", 2, b"k"), Entry("bob", "s", 3, b"b")]
        delivered.acknowledge(txn, SYNC, people, [])
        delivered.acknowledge(txn, SYNC, people, [])  # a batch that came again
        assert delivered.held_by_others(txn, SYNC, [ann, bob]) == {"ann"}
        assert delivered.held_by_others(txn, SYNC, [ann, twin]) == set()
        assert delivered.held_by_others(txn, OTHER, [ann]) == set()
        delivered.acknowledge(txn, SYNC, [Entry("twin", "s", 2, b"other")], [])
        assert delivered.held_by_others(txn, SYNC, [ann]) == set()
        delivered.acknowledge(txn, SYNC, [], ["ann", "twin", "bob"])
        assert delivered.held_by_others(txn, SYNC, [ann, twin, bob]) == set()
    store.environment.close()


def test_rows_of_before_there_were_keys_are_read_as_they_are(tmp_path):
    store = Store(tmp_path)
    with store.write() as txn:
        store.delivered.begin_epoch(txn, SYNC, "e", ["s"])
        store.delivered.acknowledge(txn, SYNC, [Entry("ann", "s", 1)], [])
        row = txn.get(SYNC.encode() + b"ann", db=store.environment["delivered"])
        assert len(row) == 10
        assert store.delivered.find_removed(txn, SYNC, {"s": BitMap([1])}, b"", 1).removals == [
            Removal("ann")
        ]
    store.environment.close()
