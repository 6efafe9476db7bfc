"""Days are those of the tzdata package, whatever the machine has."""

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

SCRIPT = """
from libs.zones import ZoneInfo
from datetime import datetime
print(datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")).utcoffset())
"""


def test_zone_files_of_the_machine_are_not_read(tmp_path: Path) -> None:
    wrong = tmp_path / "Europe/Berlin"
    wrong.parent.mkdir()
    wrong.write_bytes((resources.files("tzdata") / "zoneinfo/Asia/Tokyo").read_bytes())
    environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
    shown = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert shown.stdout == "2:00:00\n", shown.stderr
