"""Prometheus metrics of the gateway; labels are bounded, no ids and no routes."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

REQUESTS = Counter(
    "llmops_gateway_requests_total", "Calls answered, by surface and status code.", ("surface", "status")
)
SECONDS = Histogram(
    "llmops_gateway_request_seconds",
    "From the request to the end of the answer.",
    ("surface",),
    buckets=_SECONDS,
)
FIRST_CHUNK_SECONDS = Histogram(
    "llmops_gateway_first_chunk_seconds", "From the request to the first piece of a stream.", buckets=_SECONDS
)
TOKENS = Counter("llmops_gateway_tokens_total", "Tokens passed through.", ("direction",))
ABANDONED = Counter("llmops_gateway_abandoned_total", "Calls whose caller went away before the end.")
IN_FLIGHT = Gauge("llmops_gateway_requests_in_flight", "Calls being answered now.")
UNBOOKED = Gauge("llmops_gateway_usage_unbooked", "Calls whose usage is journalled but not in the ledger yet.")
