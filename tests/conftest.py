import sys

import pytest

from libs.logs import Level, configure


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
