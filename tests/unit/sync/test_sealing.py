"""Is all that comes of profiles sealed in a store of syncs, whoever wrote it, and does it open under a new key?"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from libs.storage import master_key
from libs.storage.cover import BARE
from libs.storage.master_key import KeyFault, MasterKey, Masters
from libs.storage.vault import Vault
from services.sync import delivered, in_flight, plans, refusals, sealing, store
from services.sync.delivered import Entry, Removal
from services.sync.destinations.base import Addition
from services.sync.in_flight import Sent, SentPage
from services.sync.members import Member, MemberSet
from services.sync.model import Mode, RunId, SyncId
from services.sync.plans import Draft, Plan
from services.sync.store import Store

ONE, TWO = SyncId("syn_1"), SyncId("syn_2")
RUN = RunId("run_1")
PRINT = b"fingerprint of a secret request "
CANARIES = [
    f"canary-{what}-of-a-profile"
    for what in ("key", "shared", "page", "sent", "orphan", "staged", "answer", "no")
]
KEY, SHARED, PAGE, SENT, ORPHAN, STAGED, ANSWER, REFUSED = (each.encode() for each in CANARIES)
REFUSED_DIGEST = hashlib.blake2b(REFUSED, digest_size=16).digest()


def filled(opened: Store) -> None:
    """Put something into every table that has what comes of profiles."""
    with opened.write() as txn:
        for sync_id in (ONE, TWO):
            opened.delivered.begin_epoch(txn, sync_id, "e", ["0"])
            entries = [Entry("ann", "0", 1, KEY), Entry("bob", "0", 2, SHARED), Entry("cid", "0", 3, SHARED)]
            opened.delivered.acknowledge(txn, sync_id, [*entries, Entry("dee", "0", 4)], [])
        adds = [Addition(Member(Entry("eve", "0", 5), {"email": PAGE.decode()}), PAGE)]
        draft = Draft(adds=adds, removes=[Removal("ann", KEY)])
        opened.in_flight.begin_page(txn, ONE, SentPage("e", 1, 1, True, True, draft, draft.removes))
        opened.in_flight.begin(txn, ONE, [Sent("e", Entry("fay", "0", 6, SENT))])
        members = MemberSet("coh", "name", "r", "e", {"0": BitMap([1])})
        opened.plans.begin(txn, ONE, RUN, Plan(members, Mode.MIRROR, {}, {}, 0, 0, (Removal("gil", ORPHAN),)))
        opened.plans.stage(txn, ONE, [Entry("hal", "0", 7, STAGED)])
        opened.refusals.record(txn, ONE, [(Entry("ira", "0", 8, REFUSED), "REFUSED")])
        opened.requests.record(txn, "r", PRINT, 1, ANSWER)


def everything(opened: Store) -> Any:
    """Return all of it."""
    with opened.read() as txn:
        leavers = [Removal("bob", SHARED)], [Removal("bob", SHARED), Removal("cid", SHARED)]
        return (
            [opened.delivered.keys(txn, each, ["ann", "bob", "cid", "dee"]) for each in (ONE, TWO)],
            [opened.delivered.find(txn, ONE, each) for each in ("ann", "dee")],
            [opened.delivered.held_by_others(txn, TWO, each) for each in leavers],
            opened.in_flight.page(txn, ONE),
            opened.in_flight.left(txn, ONE),
            opened.plans.find(txn, ONE, RUN),
            list(opened.plans.staged(txn, ONE)),
            opened.refusals.known(txn, ONE, {"ira": REFUSED}),
            opened.refusals.known(txn, ONE, {"ira": KEY}),
            opened.requests.find(txn, "r", PRINT, 2),
        )


def left_in(folder: Path) -> set[bytes]:
    found = set()
    for path in filter(Path.is_file, folder.rglob("*")):
        data = path.read_bytes()
        digests = [hashlib.blake2b(each.encode(), digest_size=16).digest() for each in CANARIES]
        found |= {each for each in [*map(str.encode, CANARIES), *digests, PRINT] if each in data}
    return found


@contextmanager
def version_2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have stores written as the version did that sealed nothing but settings of destinations."""
    with monkeypatch.context() as patched:
        for module in (delivered, in_flight, plans, refusals, store):
            patched.setattr(module, "covering", lambda vault, name: BARE)
        patched.setattr(Vault, "digest", lambda self, data: hashlib.blake2b(data, digest_size=16).digest())
        patched.setattr(sealing, "VERSION", 2)
        patched.setattr(store, "VERSION", 2)
        yield


def close(opened: Store) -> None:
    opened.environment.close()


def new_key() -> MasterKey:
    return master_key.parse(master_key.new_key(), "test")


def rotate(data_dir: Path, known: MasterKey, new: MasterKey) -> bool:
    environment = store.open_environment(data_dir)
    try:
        return sealing.rotate(environment, [known], new)
    finally:
        environment.close()


@pytest.fixture
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    opened = Store(tmp_path_factory.mktemp("other"))
    filled(opened)
    try:
        return everything(opened)
    finally:
        close(opened)


def test_nothing_that_comes_of_profiles_is_on_the_disk(tmp_path: Path, expected: Any) -> None:
    opened = Store(tmp_path)
    filled(opened)
    close(opened)
    assert left_in(tmp_path) == set()
    again = Store(tmp_path)
    assert everything(again) == expected
    assert expected[2] == [{"bob"}, set()]
    close(again)


@pytest.mark.parametrize("key", [None, new_key()])
def test_what_an_older_version_left_is_sealed_and_no_byte_stays(
    tmp_path: Path, expected: Any, monkeypatch: pytest.MonkeyPatch, key: MasterKey | None
) -> None:
    with version_2(monkeypatch):
        old = Store(tmp_path, Masters(tmp_path, key))
        filled(old)
        close(old)
    assert left_in(tmp_path) >= set(map(str.encode, CANARIES[:-1]))
    with pytest.raises(KeyFault):
        Store(tmp_path, Masters(tmp_path, new_key()))
    for _ in range(2):
        opened = Store(tmp_path, Masters(tmp_path, key))
        assert everything(opened) == expected
        close(opened)
        assert left_in(tmp_path) == set()


@pytest.mark.parametrize("old", [False, True])
def test_a_rotation_opens_all_by_the_new_key_alone(
    tmp_path: Path, expected: Any, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    one, two = new_key(), new_key()
    if old:
        with version_2(monkeypatch):
            opened = Store(tmp_path, Masters(tmp_path, one))
            filled(opened)
            close(opened)
    else:
        opened = Store(tmp_path, Masters(tmp_path, one))
        filled(opened)
        close(opened)
    with pytest.raises(KeyFault):
        rotate(tmp_path, new_key(), two)
    assert rotate(tmp_path, one, two)
    assert not rotate(tmp_path, one, two)
    with pytest.raises(KeyFault):
        Store(tmp_path, Masters(tmp_path, one))
    again = Store(tmp_path, Masters(tmp_path, two))
    assert everything(again) == expected
    close(again)
    assert left_in(tmp_path) == set()
