"""Nothing is lost, doubled or halved when a server is killed while it writes: the short form of `make faults`."""

import random
import re
from pathlib import Path

from libs import failpoints
from tests.faults.check import check, check_cohorts
from tests.faults.load import Client
from tests.faults.matrix import ENCRYPT, Fault, Line, repeat, run, try_fault

ROOT = Path(__file__).parents[2]
SHORT = ("committed", "encrypt", "segment", "file.half")


def test_every_step_has_its_place_in_the_code_and_no_other_is_named() -> None:
    named: list[str] = []
    for folder in ("libs", "services"):
        for path in (ROOT / folder).rglob("*.py"):
            named += re.findall(r'failpoints\.hit\("([a-z.]+)"\)', path.read_text())
    assert sorted(named) == sorted(failpoints.POINTS)


def test_a_server_killed_at_one_step_after_another_loses_and_doubles_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    clients = [Client(str(number)) for number in range(3)]
    for step in SHORT:
        line = Line(Fault("kill", step))
        assert run(line.fault, tmp_path / "data", clients, chance, line, *[ENCRYPT] * (step != SHORT[0]))
    repeat(tmp_path / "data", clients, line)
    assert (line.lost, line.doubled, line.wrong) == (0, 0, [])


def test_a_step_for_which_there_is_no_room_is_done_later(tmp_path: Path) -> None:
    line = try_fault(Fault("full", "manifest"), 1, tmp_path, random.Random(1))
    assert line.reached
    assert (line.lost, line.doubled, line.wrong) == (0, 0, [])


def test_a_check_finds_what_is_lost_doubled_and_halved(tmp_path: Path) -> None:
    line, clients = Line(Fault("any")), [Client("0")]
    run(line.fault, tmp_path / "data", clients, random.Random(3), line)
    folder = tmp_path / "data" / "events" / "default"
    assert check(folder, clients).lost == 0
    assert check_cohorts(tmp_path / "data" / "cohort", clients) == []
    assert check_cohorts(tmp_path / "data" / "cohort", [Client("0", 7 + (16 << 10), 7 + (16 << 10))])
    clients[0].acknowledged += 8
    clients[0].sent = clients[0].acknowledged
    assert check(folder, clients).lost > 0
    assert "nobody sent" in "".join(check(folder, []).wrong)
