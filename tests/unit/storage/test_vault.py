"""What is sealed opens only by its own key, at its own place, unchanged; and keys are read, made and refused."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from libs.storage import master_key, vault
from libs.storage.checked import DamagedRecordError
from libs.storage.environment import Environment
from libs.storage.master_key import KeyFault, MasterKey
from libs.storage.vault import Vault

PLAIN = b"EAAB-a-token"
RAW = bytes(range(32))


def key(text: str | None = None) -> MasterKey:
    return master_key.parse(text or master_key.new_key(), "test")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "e", "things", 1, ["t"])


def test_what_is_sealed_opens_and_says_nothing() -> None:
    by = Vault(RAW, b"things")
    sealed = by.seal(PLAIN, b"1")
    assert by.open(sealed, b"1") == PLAIN
    assert PLAIN not in sealed
    assert len(sealed) == len(PLAIN) + vault.OVERHEAD
    assert by.seal(PLAIN, b"1") != sealed


def test_every_changed_byte_is_noticed() -> None:
    by = Vault(RAW, b"things")
    sealed = by.seal(PLAIN, b"1")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(DamagedRecordError):
            by.open(bytes(changed), b"1")
    for length in range(len(sealed)):
        with pytest.raises(DamagedRecordError):
            by.open(sealed[:length], b"1")


def test_it_opens_at_its_own_place_alone() -> None:
    sealed = Vault(RAW, b"things").seal(PLAIN, b"1")
    with pytest.raises(DamagedRecordError):
        Vault(RAW, b"things").open(sealed, b"2")
    with pytest.raises(DamagedRecordError):
        Vault(RAW, b"others").open(sealed, b"1")


def test_a_salt_seals_so_many_records_and_all_of_them_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "SEALED_BY_ONE", 3)
    by = Vault(RAW, b"things")
    sealed = [by.seal(PLAIN, b"%d" % number) for number in range(7)]
    salts = [each[1 : 1 + vault.SALT_BYTES] for each in sealed]
    assert [salts.count(salt) for salt in dict.fromkeys(salts)] == [3, 3, 1]
    again = Vault(RAW, b"things")
    assert [again.open(each, b"%d" % number) for number, each in enumerate(sealed)] == [PLAIN] * 7


def test_what_version_1_sealed_opens() -> None:
    nonce = bytes(12)
    sealed = b"\x01" + nonce + AESGCM(RAW).encrypt(nonce, PLAIN, b"things\x001")
    assert Vault(RAW, b"things").open(sealed, b"1") == PLAIN


def test_digests_are_compared_within_one_vault_alone() -> None:
    mine, others = Vault(RAW, b"things"), [Vault(RAW[::-1], b"things"), Vault(RAW, b"others")]
    assert mine.digest(PLAIN) == Vault(RAW, b"things").digest(PLAIN)
    assert len({mine.digest(PLAIN), mine.digest(PLAIN + b"x"), *(each.digest(PLAIN) for each in others)}) == 4


def test_a_vault_opens_by_its_master_key_alone(environment: Environment) -> None:
    mine, other = key(), key()
    with environment.write() as txn:
        assert vault.sealed_by(environment, txn) is None
        sealed = vault.make_vault(environment, txn, mine).seal(PLAIN, b"1")
    with environment.read() as txn:
        assert vault.sealed_by(environment, txn) == mine.key_id
        assert vault.open_vault(environment, txn, mine).open(sealed, b"1") == PLAIN
        with pytest.raises(KeyFault, match=f"sealed by master key {mine.key_id}.*{other.key_id}.*rotate"):
            vault.open_vault(environment, txn, other)
        with pytest.raises(KeyFault, match="no master key is given"):
            vault.open_vault(environment, txn, None)


def test_a_damaged_data_key_is_told_from_a_wrong_master_key(environment: Environment) -> None:
    mine = key()
    with environment.write() as txn:
        vault.make_vault(environment, txn, mine)
        record = bytearray(txn.get(vault.DATA_KEY, db=environment.meta))
        record[-1] ^= 1
        txn.put(vault.DATA_KEY, bytes(record), db=environment.meta)
    with environment.read() as txn, pytest.raises(KeyFault, match="damaged"):
        vault.open_vault(environment, txn, mine)


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(RAW).decode(),
        base64.b64encode(RAW).decode().rstrip("=") + "\n",
        base64.urlsafe_b64encode(RAW).decode(),
        RAW.hex(),
        f"  {RAW.hex().upper()}\n",
    ],
)
def test_a_key_is_read_in_every_usual_form(text: str) -> None:
    assert master_key.parse(text, "test").secret == RAW


@pytest.mark.parametrize(
    "text", ["", "password", "ab" * 31, "ab" * 33, "é" * 32, base64.b64encode(RAW[:-1]).decode()]
)
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(KeyFault, match="test holds no master key") as caught:
        master_key.parse(text, "test")
    assert not text or text not in str(caught.value)


def test_a_key_is_not_shown() -> None:
    mine = key(RAW.hex())
    assert RAW.hex() not in repr(mine)
    assert repr(RAW) not in repr(mine)


def test_where_a_key_is_given(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(RAW.hex())
    one = key().secret
    text = base64.b64encode(one).decode()
    assert master_key.given({}, None) is None
    assert master_key.given({"COHORT_MASTER_KEY": text}, None) == MasterKey(one, "COHORT_MASTER_KEY")
    assert master_key.given({"COHORT_MASTER_KEY_FILE": str(file)}, None) == MasterKey(RAW, str(file))
    assert master_key.given({"COHORT_MASTER_KEY": text}, file) == MasterKey(RAW, str(file))
    with pytest.raises(KeyFault, match="both"):
        master_key.given({"COHORT_MASTER_KEY": text, "COHORT_MASTER_KEY_FILE": str(file)}, None)
    with pytest.raises(KeyFault, match="cannot be read"):
        master_key.given({}, tmp_path / "absent")
    with pytest.raises(KeyFault, match="too long"):
        master_key.read_file(Path("/proc/self/maps"))


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: master_key.make(folder).key_id, range(32)))
    assert len(made) == 1
    assert os.listdir(folder) == ["master.key"]
    assert (folder / "master.key").stat().st_mode & 0o777 == 0o600
    assert not master_key.write_new(folder / "master.key")
    kept = master_key.kept(folder)
    assert kept is not None
    assert {kept.key_id} == made
