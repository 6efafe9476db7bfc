"""What do contract tests of sync share? The fakes around a served SyncService, and the service."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contract.sync.harness import SECRET, TOKEN, SyncHarness
from tests.fakes.cohort_service import FakeCohortService
from tests.fakes.graph import GraphApi
from tests.fakes.webhook import WebhookReceiver


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SECRET) as started:
        yield started


@pytest.fixture
def graph() -> Iterator[GraphApi]:
    with GraphApi({TOKEN}, {"42"}) as started:
        yield started


@pytest.fixture
async def cohorts() -> AsyncIterator[FakeCohortService]:
    service = FakeCohortService()
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def sync(tmp_path: Path, cohorts: FakeCohortService) -> AsyncIterator[SyncHarness]:
    harness = SyncHarness(tmp_path / "data", cohorts)
    await harness.start()
    yield harness
    await harness.stop()
