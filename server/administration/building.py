"""How the admin door is put together: layers around every call, and the services behind them."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.metrics import Metrics
from server.administration.admission import Admission
from server.administration.layers import Identify, OperatorLayer, PermissionLayer, by_certificate, by_operator
from server.administration.services import Parts
from server.config import Limits
from server.interceptors import Chain, ErrorLayer, Layer, LimitLayer, MetricsLayer, RequestIdLayer, ValidationLayer
from server.interceptors.limits import Rate
from server.store import UnitOfWork
from server.wiring import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminDoor:
    """What the admin port opens."""

    chain: Chain
    parts: Parts


def admin_door(
    *, domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics, innermost: Sequence[Layer] = ()
) -> AdminDoor:
    """Return the door for operators with certificates."""
    admission = Admission(unit_of_work=unit_of_work, operators=domain.operators, testimony=domain.revocations.testimony)
    return AdminDoor(
        chain=admin_chain(
            metrics=metrics,
            limits=domain.config.limits,
            identify=by_certificate(admission),
            innermost=innermost,
        ),
        parts=Parts(domain=domain, unit_of_work=unit_of_work, metrics=metrics),
    )


def admin_chain(
    *, metrics: Metrics, limits: Limits | None, identify: Identify, innermost: Sequence[Layer] = ()
) -> Chain:
    """Return the layers of the admin API, outermost first: who, how much, with which role, and then what.

    Args:
        metrics: where calls are counted.
        limits: the bounds of one operator; None for a command that serves itself.
        identify: establishes who calls.
        innermost: layers next to the services.
    """
    return Chain(
        (
            RequestIdLayer(),
            MetricsLayer(metrics),
            ErrorLayer(lambda service, method, reason: metrics.rpc_refusals.labels(service, method, reason).inc()),
            OperatorLayer(identify),
            *(() if limits is None else (_limits(limits),)),
            PermissionLayer(),
            ValidationLayer(),
            *innermost,
        )
    )


def _limits(limits: Limits) -> LimitLayer:
    return LimitLayer(
        caller_key=by_operator,
        calls=Rate(per_second=limits.calls_per_second, burst=limits.calls_burst),
        messages=Rate(per_second=limits.messages_per_second, burst=limits.messages_burst),
        calls_open_max=limits.calls_open_per_terminal_max,
    )
