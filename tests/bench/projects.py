"""What does a project cost that holds nothing yet? Makes N in a real server: `python -m tests.bench.projects [N]`."""

import sys
import tempfile
import time
from pathlib import Path

from tests.contract.harness import Client
from tests.integration.processes import serve, started

FIELDS = {"VmRSS": "KB of memory", "Threads": "threads", "VmSize": "KB of address space"}


def held(pid: int) -> dict[str, int]:
    """Return what a process holds, by what it is."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in lines)
        if name in FIELDS
    }
    shown = {FIELDS[name]: value for name, value in status.items()}
    return {**shown, "open files": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


def main(count: int) -> None:
    """Print what each project adds, in one process that serves all three services."""
    with tempfile.TemporaryDirectory() as folder, started() as start:
        server = start(*serve(Path(folder))).listening()
        api = Client(server.target)
        before, began = held(server.pid), time.perf_counter()
        for number in range(count):
            api.call("CreateProject", {"project": {"projectId": f"p{number}"}})
            while len(list(Path(folder, "tenants", f"p{number}").glob("sync/data.mdb"))) == 0:
                time.sleep(0.01)
        seconds = time.perf_counter() - began
        for name, value in held(server.pid).items():
            print(f"{(value - before[name]) / count:,.1f} {name} a project")
        print(f"{seconds / count * 1000:.0f} ms to make one and open its syncs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
