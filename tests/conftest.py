import os
import sys

import pytest
from hypothesis import settings

from libs.logs import Level, configure

# A change passes or fails for what it changes: the tests draw the same examples each time. HYPOTHESIS_PROFILE=default
# draws new ones, and the `make fuzz` targets draw many.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


class _Stderr:
    """What is stderr while a line is written: tests capture it in turn."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return False


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """Have servers that run inside the tests log nothing but what went wrong."""
    configure(Level.ERROR, _Stderr(), keep=False)
