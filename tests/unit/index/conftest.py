"""Loops are compiled before the first test: hypothesis would blame an example for the time it takes."""

import pytest

from libs.index import kernels


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    kernels.load()
