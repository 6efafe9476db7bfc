"""What does a process show of itself to Prometheus? Its registry, and the HTTP port it is read from.

Guarantees: no label holds a customer id, a value or a secret: labels are methods, status codes, parts, projects,
outcomes and ids of ours. What can be asked for is asked for when Prometheus reads, so that it costs nothing in
between. The port answers GET alone and knows no key; it is loopback unless an address is given.
Neighbours: `libs.rpc.metrics` (calls), `services.sync.measures` (syncs).
"""

import threading
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from libs.engine import Engine, Status
from libs.version import program_version


def new_registry() -> CollectorRegistry:
    """Return a registry that shows the process itself: memory, processor time, open files, collections."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    Info("cohort_build", "The version of the program.", registry=registry).info(
        {"version": program_version()}
    )
    return registry


class ByProject(Collector):
    """Shows registries, one a project, as one, with the project as a label."""

    def __init__(self) -> None:
        self._registries: dict[str, CollectorRegistry] = {}
        self._lock = threading.Lock()

    def add(self, project: str, registry: CollectorRegistry) -> None:
        """Show the registry of a project from now on."""
        with self._lock:
            self._registries[project] = registry

    def remove(self, project: str) -> None:
        """Show it no more; returns when it is not being read."""
        with self._lock:
            self._registries.pop(project, None)

    def describe(self) -> Iterable[Metric]:
        """Name no series ahead."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Read all of them, a family of each name."""
        families: dict[str, Metric] = {}
        with self._lock:
            for project, registry in self._registries.items():
                for found in registry.collect():
                    family = families.setdefault(
                        found.name, Metric(found.name, found.documentation, found.type, found.unit)
                    )
                    family.samples += [
                        sample._replace(labels={"project": project, **sample.labels})
                        for sample in found.samples
                    ]
        return list(families.values())


class EngineCollector(Collector):
    """Shows engines: revision, lag, bytes by part, what was taken in, and what waits."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def add(self, project: str, engine: Engine) -> None:
        """Show the engine of a project from now on."""
        with self._lock:
            self._engines[project] = engine

    def remove(self, project: str) -> None:
        """Show it no more, as before it is closed; returns when it is not being read."""
        with self._lock:
            self._engines.pop(project, None)

    def describe(self) -> Iterable[Metric]:
        """Name no series ahead: there is nothing to ask before an engine is open."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Read every engine as it is now: well under a millisecond each."""
        families = _Families()
        with self._lock:
            for project, engine in self._engines.items():
                families.add(project, engine.status())
        return families.all()


class _Families:
    """The metrics of some engines, as one answer shows them."""

    def __init__(self) -> None:
        self._revision = GaugeMetricFamily(
            "cohort_log_revision", "Revision of the last commit of the event log.", labels=("project",)
        )
        self._lag = GaugeMetricFamily(
            "cohort_index_lag_seconds", "How far the index is behind the log.", labels=("project",)
        )
        self._bytes = GaugeMetricFamily(
            "cohort_bytes",
            "What a part of the log or the index takes; memory includes mapped files.",
            labels=("project", "part", "where"),
        )
        self._events = CounterMetricFamily(
            "cohort_events", "Events sent, by what became of them.", labels=("project", "outcome")
        )
        self._customers = CounterMetricFamily(
            "cohort_customer_upserts", "Profiles sent, by what became of them.", labels=("project", "outcome")
        )
        self._commits = CounterMetricFamily(
            "cohort_commits", "Transactions of the event log, each with one fsync.", labels=("project",)
        )
        self._waiting = GaugeMetricFamily(
            "cohort_writer_waiting_items",
            "Events and profiles in the queue to be written, the group that is being written included.",
            labels=("project",),
        )

    def add(self, project: str, status: Status) -> None:
        """Take in one engine."""
        self._revision.add_metric((project,), status.revision)
        self._lag.add_metric((project,), status.lag / 1000)
        for part in status.parts:
            for where, size in (("disk", part.disk_bytes), ("memory", part.memory_bytes)):
                if size is not None:
                    self._bytes.add_metric((project, part.name, where), size)
        taken = status.intake
        if taken is None:
            return
        self._events.add_metric((project, "accepted"), taken.events_accepted)
        self._events.add_metric((project, "duplicate"), taken.events_duplicate)
        self._events.add_metric((project, "rejected"), taken.events_rejected)
        self._customers.add_metric((project, "accepted"), taken.customers_accepted)
        self._customers.add_metric((project, "rejected"), taken.customers_rejected)
        self._commits.add_metric((project,), taken.commits)
        self._waiting.add_metric((project,), status.waiting or 0)

    def all(self) -> list[Metric]:
        """Return the metrics that have a series."""
        families: list[Metric] = [
            *(self._revision, self._lag, self._bytes),
            *(self._events, self._customers, self._commits, self._waiting),
        ]
        return [family for family in families if family.samples]


class Exposition:
    """The HTTP port that Prometheus reads, in threads of its own: a busy event loop does not delay it."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        """Listen. Raises OSError where the port cannot be had."""
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise OSError(f"metrics cannot be served on {host}:{port}: {error.strerror or error}") from error
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
