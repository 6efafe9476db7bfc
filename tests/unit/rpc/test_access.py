"""Keys become callers: of their own project and scopes, whatever else a call says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.errors import Denied, Invalid, Missing, Unauthenticated
from libs.rpc.access import MOST_METADATA, PROJECT_METADATA, Caller, Keys
from libs.rpc.scopes import SCOPES, SYNC_CALLS, Scope, scope_of
from libs.storage.directory import Change, Directory, ensure_default
from libs.storage.key_use import KeyUse
from libs.storage.projects import Project
from services.ingest.keys import made

OTHER = ((PROJECT_METADATA, "other"),)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path, writable=True)
    ensure_default(opened, None, 0)

    def change(changes: Change) -> tuple[bytes, bytes]:
        changes.put_project(Project("other", "UTC", 0))
        return b"", b""

    opened.mutate(None, 0, change)
    yield opened
    opened.close()


def bearer(secret: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"),)


def key(directory: Directory, *scopes: str) -> str:
    kept, secret = made("k", scopes, project_id="default", now=0)

    def change(changes: Change) -> tuple[bytes, bytes]:
        changes.add_key(kept)
        return b"", b""

    directory.mutate(None, 0, change)
    return secret


def test_whoever_has_a_key_is_in_its_project_whatever_project_they_name(directory: Directory) -> None:
    keys = Keys(directory, "operator's")
    for secret in (key(directory, "read"), "operator's"):
        assert keys.identify((*bearer(secret), *OTHER)).project_id == "default"


def test_metadata_that_is_too_large_is_refused_with_a_key_or_without(directory: Directory) -> None:
    large = (("x-padding", "x" * MOST_METADATA),)
    for keys in (Keys(directory, "operator's"), Keys(insecure=True)):
        with pytest.raises(Invalid) as refused:
            keys.identify((*bearer("operator's"), *large))
        assert refused.value.reason == "METADATA_TOO_LARGE"
        assert keys.identify((*bearer("operator's"), ("x-padding", "x" * 8_000))).operator


def test_the_credential_of_sync_reads_and_confirms_in_the_project_it_names(directory: Directory) -> None:
    keys = Keys(directory)
    internal = directory.contents().internal.decode()
    who = keys.identify((*bearer(internal), *OTHER))
    assert (who.project_id, who.operator) == ("other", False)
    for rpc, scope in SCOPES.items():
        if scope is Scope.READ or rpc in SYNC_CALLS:
            who.check(rpc)
        else:
            with pytest.raises(Denied):
                who.check(rpc)
    with pytest.raises(Missing):
        keys.identify((*bearer(internal), (PROJECT_METADATA, "none")))


def test_a_start_of_ingest_makes_the_credential_of_sync_anew(directory: Directory, tmp_path: Path) -> None:
    old = directory.contents().internal.decode()
    directory.close()
    again = Directory(tmp_path, writable=True)
    keys = Keys(again)
    with pytest.raises(Unauthenticated):
        keys.identify(bearer(old))
    assert keys.identify(bearer(again.contents().internal.decode())).internal
    again.close()


def test_without_keys_asked_for_a_caller_may_name_a_project_that_is_there(directory: Directory) -> None:
    keys = Keys(directory, insecure=True)
    assert keys.identify(()) == Caller(operator=True)
    assert keys.identify(OTHER).project_id == "other"
    with pytest.raises(Missing):
        keys.identify(((PROJECT_METADATA, "none"),))


def test_where_no_key_was_ever_made_nobody_gets_in(tmp_path: Path) -> None:
    reader = Directory(tmp_path, writable=False)
    keys = Keys(reader)
    with pytest.raises(Unauthenticated):
        keys.identify(bearer("x"))
    assert reader.contents().projects == {}
    reader.close()


def test_an_rpc_without_a_scope_is_not_served() -> None:
    with pytest.raises(LookupError, match="scopes"):
        scope_of("cohort.v1.CohortService.Forgotten")


def test_last_uses_of_all_processes_are_put_together_and_outlive_them(tmp_path: Path) -> None:
    (tmp_path / "projects").mkdir()
    ingest, cohort = KeyUse(tmp_path, "ingest"), KeyUse(tmp_path, "cohort")
    ingest.note("a", 5)
    cohort.note("a", 7)
    cohort.note("b", 3)
    assert ingest.last_uses() == {"a": 5}
    cohort.flush()
    assert ingest.last_uses() == {"a": 7, "b": 3}
    again = KeyUse(tmp_path, "cohort")
    again.note("b", 9)
    again.flush()
    assert KeyUse(tmp_path, "sync").last_uses() == {"a": 7, "b": 9}
    (tmp_path / "projects" / "use-cohort.json").write_bytes(b"{half")
    assert ingest.last_uses() == {"a": 5}
