"""What the deleter counts, for /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class Measures:
    """Prometheus metrics of one deleter process. No ids in labels."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._objects = Counter("argus_deleter_objects_deleted", "Objects confirmed as deleted", registry=self.registry)
        self._bytes = Counter("argus_deleter_bytes_freed", "Bytes of those objects", registry=self.registry)
        self._ended = Counter(
            "argus_deleter_deletions_ended", "Deletions by outcome", ["outcome"], registry=self.registry
        )
        self._commands = Counter(
            "argus_deleter_commands", "Commands by what became of them", ["verb", "outcome"], registry=self.registry
        )
        self._measured = Counter(
            "argus_deleter_runs_measured", "Runs whose outputs were listed", registry=self.registry
        )
        self.trouble = Counter(
            "argus_deleter_tries_again", "Times that something had to wait for a neighbour", registry=self.registry
        )
        self.deletions = Gauge("argus_deleter_deletions", "Deletions by state", ["state"], registry=self.registry)
        self.outbox_lag = Gauge("argus_deleter_outbox_lag", "Decisions not yet said to the log", registry=self.registry)
        self.calls = Gauge(
            "argus_deleter_store_calls",
            "Calls to the object store, by operation",
            ["operation"],
            registry=self.registry,
        )
        self.call_seconds = Gauge(
            "argus_deleter_store_seconds", "Seconds spent in them", ["operation"], registry=self.registry
        )
        self.at_once = Gauge(
            "argus_deleter_store_calls_at_once", "Calls that may be made at once just now", registry=self.registry
        )

    def deleted(self, objects: int, n_bytes: int) -> None:
        self._objects.inc(objects)
        self._bytes.inc(n_bytes)

    def ended(self, outcome: str) -> None:
        self._ended.labels(outcome).inc()

    def command(self, verb: str, outcome: str) -> None:
        self._commands.labels(verb, outcome).inc()

    def measured(self) -> None:
        self._measured.inc()
