"""An environment written anew holds what it held, and no byte of what was deleted or replaced."""

from pathlib import Path

from libs.storage.environment import Environment

TABLES = ["a", "b"]
MARK = b"canary-%05d-of-somebody"


def content(environment: Environment) -> dict[str, list[tuple[bytes, bytes]]]:
    with environment.read() as txn:
        tables = {"": environment.meta, **{name: environment[name] for name in TABLES}}
        return {name: list(txn.cursor(db=table)) for name, table in tables.items()}


def test_no_byte_of_what_was_deleted_is_left_and_nothing_else_is_lost(tmp_path: Path) -> None:
    environment = Environment(tmp_path, "things", 3, TABLES)
    with environment.write() as txn:
        for number in range(3000):
            txn.put(b"%05d" % number, MARK % number, db=environment["a"])
    with environment.write() as txn:
        for number in range(3000):
            if number % 3 == 0:
                txn.delete(b"%05d" % number, db=environment["a"])
            else:
                txn.put(b"%05d" % number, b"kept-%d" % number * (number % 400), db=environment["a"])
        txn.put(b"large", bytes(100_000), db=environment["b"])
    before = content(environment)
    file = tmp_path / "data.mdb"
    assert b"canary" in file.read_bytes()  # else this would show nothing
    environment.rewrite()
    assert b"canary" not in file.read_bytes()
    assert content(environment) == before
    with environment.write() as txn:
        txn.put(b"more", b"is taken", db=environment["b"])
    environment.close()
    again = Environment(tmp_path, "things", 3, TABLES)
    assert content(again)["b"] == [*before["b"], (b"more", b"is taken")]
    again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "data.mdb",
        "lock.mdb",
        "writer.lock",
    ]


def test_an_empty_one_can_be_written_anew(tmp_path: Path) -> None:
    environment = Environment(tmp_path, "things", 3, TABLES)
    environment.rewrite()
    assert content(environment)["a"] == []
    environment.close()
