"""Saved cohorts in memory are those on disk, whoever changes them at the same time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from libs.storage.environment import Environment
from services.cohort.store import Change, CohortStore


def test_of_two_changes_at_once_memory_keeps_the_one_committed_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CohortStore(tmp_path)
    store.mutate(None, 0, lambda changes: changes.create("One", "", b"", 0).cohort_id.encode())
    [made] = store.all()

    def describe(text: str) -> None:
        def change(changes: Change) -> bytes:
            changes.replace(changes.current(made.cohort_id, ""), 1, description=text)
            return b""

        store.mutate(None, 1, change)

    second = threading.Thread(target=describe, args=("second",))
    original, interrupted = Environment.write, False

    @contextmanager
    def write(environment: Environment) -> Iterator[Any]:
        nonlocal interrupted
        with original(environment) as txn:
            yield txn
        if not interrupted:
            interrupted = True
            second.start()
            second.join(0.05)  # it may overtake here, if nothing holds it back

    monkeypatch.setattr(Environment, "write", write)
    describe("first")
    second.join()
    assert store.get(made.cohort_id).description == "second"
    store.close()
    again = CohortStore(tmp_path)
    assert again.get(made.cohort_id).description == "second"
    again.close()
