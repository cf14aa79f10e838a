"""What operators watch. No label holds an id, a name or a path that somebody typed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "argus_gateway_requests", "HTTP requests", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "argus_gateway_request_seconds", "Time to the end of the answer, streams excluded", ["route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10), registry=self.registry,
        )  # fmt: skip
        self.events = Counter("argus_gateway_events", "Posted events", ["form", "result"], registry=self.registry)
        self.sign_ins = Counter("argus_gateway_sign_ins", "Attempts to sign in", ["result"], registry=self.registry)
        self.callouts = Counter(
            "argus_gateway_nats_callouts",
            "Connections to NATS that asked for rights",
            ["result"],
            registry=self.registry,
        )
        self.streams = Gauge("argus_gateway_sse_connections", "Open live streams", registry=self.registry)
        self.replays = Counter(
            "argus_gateway_sse_replays", "Questions for live streams", ["result"], registry=self.registry
        )

    def page(self) -> bytes:
        return generate_latest(self.registry)
