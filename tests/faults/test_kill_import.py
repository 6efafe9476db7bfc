"""Is an import that is killed and done again there exactly once? Real servers, killed with SIGKILL."""

import random
import threading
from pathlib import Path

import grpc

from tests.contract.harness import Client, event
from tests.integration.processes import Process, connected, serve, started

BATCHES, ROWS, KILLS = 60, 40, 3


def rows(batch: int) -> list[dict[str, str]]:
    return [
        event(f"c{number % 97}", eventId=str(number)) for number in range(batch * ROWS, (batch + 1) * ROWS)
    ]


def import_all(api: Client, server: Process, kill_after: int | None, rest: float) -> set[int]:
    """Send every batch; return those acknowledged. The server is killed some time behind one of them."""
    acknowledged: set[int] = set()
    killer = threading.Timer(rest, server.kill)
    for batch in range(BATCHES):
        if batch == kill_after:
            killer.start()
        try:
            answer = api.send(*rows(batch))
        except grpc.RpcError:
            break
        assert answer.get("accepted", 0) + answer.get("duplicates", 0) == ROWS
        acknowledged.add(batch)
    if kill_after is not None:
        killer.join()
    return acknowledged


def test_an_import_killed_and_repeated_is_there_exactly_once(tmp_path: Path) -> None:
    chance = random.Random(20260101)
    known: set[int] = set()
    with started() as start:
        for kill in range(KILLS + 1):
            server = start(*serve(tmp_path)).listening()
            with connected(server) as api:
                kept = int(api.call("GetCatalog").get("events", 0))
                assert kept % ROWS == 0, "a batch is there whole or not at all"
                for batch in sorted(known):
                    repeated = api.send(*rows(batch))
                    assert repeated.get("duplicates", 0) == ROWS, "an acknowledged batch was lost"
                last = kill == KILLS
                after = None if last else chance.randrange(5, BATCHES - 20)
                known |= import_all(api, server, after, chance.random() * 0.02)
                if last:
                    assert api.call("GetCatalog")["events"] == str(BATCHES * ROWS)
                    counts = [
                        int(api.call("GetCustomer", {"customerId": f"c{n}"})["events"]) for n in range(97)
                    ]
                    assert sum(counts) == BATCHES * ROWS
                    assert max(counts) - min(counts) <= 1
                    assert server.terminate()[0] == 0
