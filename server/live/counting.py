"""What is counted of commits, and of streams that were cut? For whoever only takes a callback."""

from collections.abc import Callable

from monitoring.metrics import Metrics
from server.live.following import Cut
from server.store.writer import Batch


def counted_batch(metrics: Metrics) -> Callable[[Batch], None]:
    """Return what counts a batch of the writer."""

    def count(batch: Batch) -> None:
        metrics.store_commit_seconds.observe(batch.seconds)
        metrics.store_batch_writes.observe(len(batch.jobs))
        if not batch.committed:
            metrics.store_failures.labels("STORE_FAILED").inc(len(batch.jobs))

    return count


def counted_cut(metrics: Metrics) -> Callable[[Cut], None]:
    """Return what counts a stream that was cut."""

    def count(cut: Cut) -> None:
        metrics.stream_cut_seconds.labels(cut.reason).observe(cut.seconds)
        if cut.seconds_since_decision is not None:
            metrics.revocation_to_cut_seconds.labels(cut.reason).observe(cut.seconds_since_decision)

    return count
