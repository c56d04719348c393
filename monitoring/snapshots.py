"""How is something spread over the fleet right now? A histogram that is replaced as a whole instead of added to."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeHistogramMetricFamily
from prometheus_client.registry import Collector


class SnapshotHistogram(Collector):
    """A gauge histogram: `histogram_quantile` works on it without `rate`, because nothing accumulates."""

    def __init__(self, *, name: str, about: str, buckets: Sequence[float]) -> None:
        self._name = name
        self._about = about
        self._bounds = (*buckets, float("inf"))
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def replace(self, values: Iterable[float]) -> None:
        """Take these values in place of all earlier ones."""
        counts = [0] * len(self._bounds)
        total = 0.0
        for value in values:
            counts[bisect_left(self._bounds, value)] += 1
            total += value
        self._counts, self._sum = counts, total

    def collect(self) -> Iterator[GaugeHistogramMetricFamily]:
        """Yield the one family, with cumulative buckets as Prometheus wants them."""
        family = GaugeHistogramMetricFamily(self._name, self._about)
        cumulative, buckets = 0, []
        for bound, count in zip(self._bounds, self._counts, strict=True):
            cumulative += count
            buckets.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(cumulative)))
        family.add_metric([], buckets, self._sum)
        yield family
