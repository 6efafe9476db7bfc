"""How do syncs go? What Prometheus is shown of them: runs by how they ended, customers sent, syncs by state.

Labels are states, types of destinations and ids of syncs; nothing of a customer or a destination is in them.
"""

import threading
from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.sync.model import Run, RunState, Settings, SyncState
from services.sync.store import Store

BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)
"""Upper ends in seconds, from a run with nothing to send to one that a destination's limits hold up."""
ENDED = tuple(state for state in RunState if state is not RunState.RUNNING)


class Measures:
    """What one sync service shows. Without a registry it is counted and not shown."""

    def __init__(self, store: Store, registry: CollectorRegistry | None = None) -> None:
        self._runs = CounterMetric(
            "cohort_sync_runs", "Runs that ended here, by how.", ("destination", "state"), registry=registry
        )
        self._seconds = Histogram(
            "cohort_sync_run_seconds",
            "How long runs took, by how they ended.",
            ("state",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._customers = CounterMetric(
            "cohort_sync_customers",
            "Customers of runs: added and removed as acknowledged, and rejected.",
            ("destination", "change"),
            registry=registry,
        )
        self._under_way = Gauge("cohort_sync_runs_under_way", "Runs under way.", registry=registry)
        for state in ENDED:
            self._seconds.labels(state)
        self._syncs = SyncCollector(store)
        if registry is not None:
            registry.register(self._syncs)

    def began(self) -> None:
        """Count a run that begins."""
        self._under_way.inc()

    def cut_off(self) -> None:
        """Count a run that stops without an end, as the service stops."""
        self._under_way.dec()

    def ended(self, settings: Settings | None, run: Run) -> None:
        """Count a run that has ended; `settings` are its destination's, None where they could not be read."""
        kind = settings.__struct_config__.tag if settings else "unknown"
        self._under_way.dec()
        self._runs.labels(kind, run.state).inc()
        if run.end_time is not None:
            self._seconds.labels(run.state).observe((run.end_time - run.start_time) / 1000)
        counts = {
            "added": run.delivered_adds,
            "removed": run.delivered_removes,
            "rejected": sum(run.rejected.values()),
        }
        for change, count in counts.items():
            self._customers.labels(kind, change).inc(count)

    def close(self) -> None:
        """Show nothing of the store any more: it is about to be closed."""
        self._syncs.close()


class SyncCollector(Collector):
    """Shows syncs as they are kept: how many in which state, and when each last ended a run, and how."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._closed = False

    def describe(self) -> Iterable[Metric]:
        """Name no series ahead: there may be no sync."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Read all syncs and their last runs."""
        states = GaugeMetricFamily("cohort_syncs", "Syncs by state.", labels=("state",))
        last = GaugeMetricFamily(
            "cohort_sync_last_run_end_timestamp_seconds",
            "When the last run of a sync ended, by how it did.",
            labels=("sync_id", "state"),
        )
        counts: Counter[SyncState] = Counter()
        with self._lock:
            if self._closed:
                return ()
            with self._store.read() as txn:
                for _, sync in self._store.syncs(txn):
                    counts[sync.state] += 1
                    run = self._store.run(txn, sync.last_run) if sync.last_run else None
                    if run is not None and run.end_time is not None:
                        last.add_metric((sync.sync_id, run.state), run.end_time / 1000)
        for state in SyncState:
            states.add_metric((state,), counts[state])
        return states, last

    def close(self) -> None:
        """Read nothing any more; returns when nothing is being read."""
        with self._lock:
            self._closed = True
