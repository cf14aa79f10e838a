"""What ingest counts, for /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from argus_ingest.log import Appended


class Measures:
    """Prometheus metrics of one ingest process. No ids in labels."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter("argus_events_ingested", "Events appended to the log", registry=self.registry)
        self._repeats = Counter("argus_events_repeated", "Events that were in the log already", registry=self.registry)
        self._buried = Counter("argus_events_dead_lettered", "Events put into dead_letters", registry=self.registry)
        self._commits = Counter("argus_ingest_commits", "Commits of the log", registry=self.registry)
        self._tries = Counter(
            "argus_ingest_appends_tried_again", "Appends that the database did not take at once", registry=self.registry
        )
        self._ack_failures = Counter("argus_ingest_ack_failures", "Acks that could not be sent", registry=self.registry)
        self.position = Gauge("argus_log_position", "Last position of the log", registry=self.registry)
        self.missing = Gauge("argus_log_missing_events", "Numbered events never received", registry=self.registry)
        self.pending = Gauge(
            "argus_ingest_pending_messages", "Messages in the stream not yet taken", registry=self.registry
        )

    def appended(self, appended: Appended) -> None:
        self._commits.inc()
        self._events.inc(appended.n_events)
        self._repeats.inc(appended.n_repeats)
        self._buried.inc(appended.n_buried)
        self.position.set(appended.last_position)

    def tried_again(self) -> None:
        self._tries.inc()

    def ack_failed(self) -> None:
        self._ack_failures.inc()
