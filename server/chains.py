"""The layers around every call of a terminal, and the rates at which strangers may ask."""

from monitoring.metrics import Metrics
from server.config import Config
from server.interceptors import (
    Chain,
    ErrorLayer,
    IdentityLayer,
    LimitLayer,
    MetricsLayer,
    RequestIdLayer,
    ValidationLayer,
)
from server.interceptors.limits import Rate, by_address, by_terminal
from server.live.witness import VouchLayer
from server.settings.registry import RegistrySettings


def chains(config: Config, metrics: Metrics, identity: IdentityLayer, vouching: VouchLayer) -> tuple[Chain, Chain]:
    """Return the layers of the enrollment port and those of the terminal port."""
    limits = config.limits
    calls = Rate(per_second=limits.calls_per_second, burst=limits.calls_burst)
    messages = Rate(per_second=limits.messages_per_second, burst=limits.messages_burst)
    calls_open_max = limits.calls_open_per_terminal_max
    outer = (
        RequestIdLayer(),
        MetricsLayer(metrics),
        ErrorLayer(lambda service, method, reason: metrics.rpc_refusals.labels(service, method, reason).inc()),
        vouching,
    )
    by_origin = LimitLayer(caller_key=by_address, calls=calls, messages=messages, calls_open_max=calls_open_max)
    by_caller = LimitLayer(caller_key=by_terminal, calls=calls, messages=messages, calls_open_max=calls_open_max)
    validation = ValidationLayer()
    return (
        Chain((*outer, by_origin, validation)),
        Chain((*outer, identity, by_caller, validation)),
    )


def challenge_rate(registry: RegistrySettings) -> Rate:
    """Return the rate at which one address never has more nonces open than its share: half at once, half over time."""
    half = registry.nonces_open_per_address_max / 2
    return Rate(per_second=half / registry.nonce_lifetime.total_seconds(), burst=int(half))
