"""How do the metrics leave the process? As text for Prometheus, on whatever HTTP listener serves it."""

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder


def exposition(registry: CollectorRegistry, accept: str = "") -> tuple[str, bytes]:
    """Return the content type and the body of `/metrics`.

    Args:
        registry: whose metrics to print.
        accept: the request's Accept header; OpenMetrics is sent to those who ask for it.
    """
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)


def watch_process(registry: CollectorRegistry) -> None:
    """Add CPU, memory, file descriptors and garbage collection of this process, under their usual Prometheus names."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
