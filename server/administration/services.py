"""Every service of the admin API, in one list.

A service is found by its subject: `protos/shualian/admin/v1/<subject>.proto` has the contract, `server/services/admin/
<subject>.py` the class of the same name. It is loaded when somebody asks for it, so that `shualian site list` does not
wait for what cuts streams.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from monitoring.metrics import Metrics
from server.administration.permissions import PACKAGE
from server.store import UnitOfWork
from server.wiring import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a service may ask for; in local mode it is the same, built for one command."""

    domain: Domain
    unit_of_work: UnitOfWork
    metrics: Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminService:
    """One service of the list."""

    subject: str
    name: str
    needs: tuple[str, ...] = ("domain", "unit_of_work")
    """Which of the parts its class takes, by keyword."""

    @property
    def full_name(self) -> str:
        """As it is called on the wire."""
        return f"{PACKAGE}.{self.name}"

    @property
    def descriptor(self) -> ServiceDescriptor:
        """What the contract says of it."""
        contract = import_module(f"{PACKAGE}.{self.subject}_pb2").DESCRIPTOR
        found: ServiceDescriptor = contract.services_by_name[self.name]
        return found

    def add_to(self, server: Any, parts: Parts) -> None:  # noqa: ANN401  # a server, or what takes its place in local mode
        """Build it and hand it to a server."""
        make = getattr(import_module(f"server.services.admin.{self.subject}"), self.name)
        add = getattr(import_module(f"{PACKAGE}.{self.subject}_pb2_grpc"), f"add_{self.name}Servicer_to_server")
        add(make(**{need: getattr(parts, need) for need in self.needs}), server)


SERVICES: Final[tuple[AdminService, ...]] = (
    AdminService(subject="registry", name="RegistryService"),
    AdminService(subject="operator", name="OperatorService"),
    AdminService(subject="authority", name="AuthorityService"),
    AdminService(subject="maker", name="MakerService"),
    AdminService(subject="ticket", name="TicketService"),
    AdminService(subject="command", name="CommandService", needs=("domain", "unit_of_work", "metrics")),
    AdminService(subject="rollout", name="RolloutService"),
    AdminService(subject="fleet", name="FleetService"),
    AdminService(subject="revocation", name="RevocationService"),
    AdminService(subject="audit", name="AuditService"),
)


def service_names() -> tuple[str, ...]:
    """Return the full name of every service."""
    return tuple(service.full_name for service in SERVICES)


def add_all(parts: Parts, server: grpc.aio.Server) -> None:
    """Build every service and hand it to a server."""
    for service in SERVICES:
        service.add_to(server, parts)


class ServicesOnDemand(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic for type checkers alone
    """Every service, each built when it is first called: for a command, which calls one of them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known = {service.full_name: service for service in SERVICES}
        self._built: dict[str, _Collected] = {}

    def service(self, handler_call_details: Any) -> Any:  # noqa: ANN401  # gRPC's own types are private
        """Return the handler of a method, None when there is none."""
        name = handler_call_details.method.strip("/").partition("/")[0]
        if name not in self._known:
            return None
        if name not in self._built:
            built = self._built[name] = _Collected()
            self._known[name].add_to(built, self._parts)
        found = (handler.service(handler_call_details) for handler in self._built[name].handlers)
        return next((method for method in found if method is not None), None)


class _Collected:
    """Takes the place of a server while a service is added."""

    def __init__(self) -> None:
        self.handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
        """Keep the handlers."""
        self.handlers.extend(handlers)

    def add_registered_method_handlers(self, _service: str, _handlers: object) -> None:
        """Leave out the faster way to the same methods."""
