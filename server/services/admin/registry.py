"""Sites and terminals, as operators ask for them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Connection

from device_registry import store
from device_registry.imports import ImportResult
from device_registry.model import Terminal, TerminalState
from device_registry.operators.roles import Role
from device_registry.revocation.revoked import RevocationReason
from server.administration.caller import OperatorCaller, current_operator
from server.interceptors.chain import Context
from server.refusals import RoleMissingError
from server.services.admin import convert, registry_records
from server.services.admin.watching import Watches
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1 import registry_pb2_grpc

T = TypeVar("T")

PAGE_SIZE = 1_000


class _CheckedOnlyError(Exception):
    """Carries the answer of a dry run out of its transaction, which is rolled back."""

    def __init__(self, results: list[ImportResult]) -> None:
        self.results = results
        super().__init__()


class RegistryService(registry_pb2_grpc.RegistryServiceServicer):
    """RegistryService: every decision is an operator's, and the audit log says whose and why."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._domain = domain
        self._registry = domain.registry
        self._roster = domain.roster
        self._unit_of_work = unit_of_work
        self._watches = Watches(unit_of_work=unit_of_work, roster=domain.roster)

    # Sites -----------------------------------------------------------------------------------------

    async def AddSite(self, request: pb.AddSiteRequest, _context: Context) -> pb.AddSiteResponse:
        """Add a site."""
        caller = current_operator()

        def add(connection: Connection) -> pb.Site:
            site = self._registry.add_site(
                connection,
                name=request.name,
                region=request.region,
                kind=registry_records.site_kind(request.kind),
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return self._placed(connection, site.site_id, request, actor=caller.actor, request_id=caller.request_id)

        return pb.AddSiteResponse(site=await self._unit_of_work.write(add))

    async def UpdateSite(self, request: pb.UpdateSiteRequest, _context: Context) -> pb.UpdateSiteResponse:
        """Correct a site."""
        caller = current_operator()

        def correct(connection: Connection) -> pb.Site:
            self._domain.sites.correct(
                connection,
                site_id=request.site_id,
                name=request.name or None,
                kind=registry_records.site_kind(request.kind) if request.kind else None,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return self._placed(connection, request.site_id, request, actor=caller.actor, request_id=caller.request_id)

        return pb.UpdateSiteResponse(site=await self._unit_of_work.write(correct))

    async def ListSites(self, _request: pb.ListSitesRequest, _context: Context) -> pb.ListSitesResponse:
        """List every site."""
        sites = await self._unit_of_work.read(self._registry.sites)
        return pb.ListSitesResponse(sites=map(registry_records.site, sites))

    def _placed(
        self,
        connection: Connection,
        site_id: str,
        request: pb.AddSiteRequest | pb.UpdateSiteRequest,
        *,
        actor: str,
        request_id: str,
    ) -> pb.Site:
        """Note place and opening hours, where either was given; what was not given stays."""
        if request.HasField("place") or request.opening_hours:
            before = self._registry.site(connection, site_id)
            self._domain.places.settle(
                connection,
                site_id=site_id,
                place=registry_records.place_of(request) or registry_records.place_in(before),
                opening_hours=request.opening_hours or before.opening_hours,
                actor=actor,
                request_id=request_id,
            )
        return registry_records.site(self._registry.site(connection, site_id))

    # Terminals -------------------------------------------------------------------------------------

    async def RegisterTerminal(
        self, request: pb.RegisterTerminalRequest, _context: Context
    ) -> pb.RegisterTerminalResponse:
        """Register a terminal, with its token where one is asked for."""
        caller, new = current_operator(), request.terminal

        def register(connection: Connection) -> pb.RegisterTerminalResponse:
            _refuse_to_undo(connection, new.serial_number, caller)
            terminal = self._registry.register(
                connection,
                serial_number=new.serial_number,
                manufacturer=new.manufacturer,
                model=new.model,
                terminal_class=registry_records.terminal_class(new.terminal_class),
                site_id=new.site_id,
                certification_number=new.certification_number,
                record_number=new.record_number,
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return pb.RegisterTerminalResponse(
                terminal=registry_records.terminal(terminal),
                token=self._token(connection, terminal, caller.actor, caller.request_id)
                if request.with_token
                else None,
            )

        return await self._unit_of_work.write(register)

    async def ImportTerminals(
        self, request: pb.ImportTerminalsRequest, _context: Context
    ) -> pb.ImportTerminalsResponse:
        """Register many terminals, each row for itself."""
        caller = current_operator()
        rows = [registry_records.import_row(row) for row in request.rows]

        def take(connection: Connection) -> list[ImportResult]:
            results = self._domain.imports.take(connection, rows, actor=caller.actor, request_id=caller.request_id)
            if request.dry_run:
                raise _CheckedOnlyError(results)
            return results

        try:
            results = await self._unit_of_work.write(take)
        except _CheckedOnlyError as checked:
            results = checked.results
        return pb.ImportTerminalsResponse(results=map(registry_records.import_result, results))

    async def GetTerminal(self, request: pb.GetTerminalRequest, _context: Context) -> pb.GetTerminalResponse:
        """Return a terminal with its certificates and vitals."""

        def read(connection: Connection) -> pb.GetTerminalResponse:
            terminal = self._roster.meant(connection, request.terminal)
            vitals = self._registry.vitals(connection, terminal.terminal_id)
            return pb.GetTerminalResponse(
                terminal=registry_records.terminal(terminal),
                certificates=map(
                    registry_records.certificate, self._registry.certificates(connection, terminal.terminal_id)
                ),
                vitals=None if vitals is None else registry_records.vitals(vitals),
            )

        return await self._unit_of_work.read(read)

    async def ListTerminals(self, request: pb.ListTerminalsRequest, _context: Context) -> pb.ListTerminalsResponse:
        """List a page of terminals; one more is read, to know whether there is another page."""
        size = request.page_size or PAGE_SIZE
        where = replace(
            registry_records.roster_filter(request.filter), after=request.page_token or None, limit=size + 1
        )
        found = await self._unit_of_work.read(lambda connection: self._roster.page(connection, where))
        page = found[:size]
        return pb.ListTerminalsResponse(
            terminals=map(registry_records.view, page),
            next_page_token=page[-1].terminal.terminal_id if len(found) > size else "",
        )

    async def WatchTerminals(
        self, request: pb.WatchTerminalsRequest, _context: Context
    ) -> AsyncIterator[pb.WatchTerminalsResponse]:
        """Send what is there, and from then on what changes."""
        where, watcher = registry_records.roster_filter(request.filter), current_operator().actor
        async for change in self._watches.watch(where, watcher=watcher):
            yield change

    async def IssueEnrollmentToken(
        self, request: pb.IssueEnrollmentTokenRequest, _context: Context
    ) -> pb.IssueEnrollmentTokenResponse:
        """Make a one-time token."""
        caller = current_operator()

        def issue(connection: Connection) -> pb.EnrollmentToken:
            terminal = self._roster.meant(connection, request.terminal)
            return self._token(connection, terminal, caller.actor, caller.request_id)

        return pb.IssueEnrollmentTokenResponse(token=await self._unit_of_work.write(issue))

    def _token(self, connection: Connection, terminal: Terminal, actor: str, request_id: str) -> pb.EnrollmentToken:
        token = self._registry.issue_token(
            connection, terminal_id=terminal.terminal_id, actor=actor, request_id=request_id
        )
        return registry_records.token(token, self._domain.authority.root_fingerprint_sha256)

    # Decisions -------------------------------------------------------------------------------------

    async def SuspendTerminal(
        self, request: pb.SuspendTerminalRequest, _context: Context
    ) -> pb.SuspendTerminalResponse:
        """Keep a terminal out until it is resumed."""
        return pb.SuspendTerminalResponse(terminal=await self._decided(request, self._registry.suspend))

    async def ResumeTerminal(self, request: pb.ResumeTerminalRequest, _context: Context) -> pb.ResumeTerminalResponse:
        """Let a terminal in again."""
        return pb.ResumeTerminalResponse(terminal=await self._decided(request, self._registry.resume))

    async def QuarantineTerminal(
        self, request: pb.QuarantineTerminalRequest, _context: Context
    ) -> pb.QuarantineTerminalResponse:
        """Keep a terminal out on suspicion."""
        return pb.QuarantineTerminalResponse(terminal=await self._decided(request, self._registry.quarantine))

    async def EvictTerminal(self, request: pb.EvictTerminalRequest, _context: Context) -> pb.EvictTerminalResponse:
        """Have a terminal enroll again."""
        return pb.EvictTerminalResponse(
            terminal=await self._decided(request, self._registry.evict, **_code(request.code))
        )

    async def RevokeTerminal(self, request: pb.RevokeTerminalRequest, _context: Context) -> pb.RevokeTerminalResponse:
        """Withdraw a terminal's certificates for good."""
        return pb.RevokeTerminalResponse(
            terminal=await self._decided(request, self._registry.revoke, **_code(request.code))
        )

    async def BanTerminal(self, request: pb.BanTerminalRequest, _context: Context) -> pb.BanTerminalResponse:
        """Refuse a device under any registration."""
        return pb.BanTerminalResponse(terminal=await self._decided(request, self._registry.ban, **_code(request.code)))

    async def UnbanTerminal(self, request: pb.UnbanTerminalRequest, _context: Context) -> pb.UnbanTerminalResponse:
        """Lift a ban."""
        return pb.UnbanTerminalResponse(terminal=await self._decided(request, self._registry.unban))

    async def RetireTerminal(self, request: pb.RetireTerminalRequest, _context: Context) -> pb.RetireTerminalResponse:
        """Close a revoked terminal's file."""
        return pb.RetireTerminalResponse(terminal=await self._decided(request, self._registry.retire))

    async def _decided(
        self,
        request: Any,  # noqa: ANN401  # one of the requests above; each has terminal and reason
        decide: Callable[..., Terminal],
        **more: RevocationReason,
    ) -> pb.Terminal:
        """Carry out what the caller decides about one terminal."""
        caller = current_operator()

        def write(connection: Connection) -> pb.Terminal:
            terminal = self._roster.meant(connection, request.terminal)
            return registry_records.terminal(
                decide(
                    connection,
                    terminal_id=terminal.terminal_id,
                    reason=request.reason,
                    actor=caller.actor,
                    request_id=caller.request_id,
                    **more,
                )
            )

        return await self._unit_of_work.write(write)


def _code(value: int) -> dict[str, RevocationReason]:
    """Return the code as a keyword, none when the decision's own usual one is meant."""
    code = convert.word_of(pb.RevocationCode, "REVOCATION_CODE", value, RevocationReason)
    return {} if code is None else {"code": code}


def _refuse_to_undo(connection: Connection, serial_number: str, caller: OperatorCaller) -> None:
    """Refuse to register anew what was revoked, unless the caller may revoke too: it retires the revoked one.

    Raises:
        RoleMissingError: the caller's role does not cover it; whose role does may also `RetireTerminal` first.
    """
    former = store.find_in_service(connection, serial_number)
    if former is not None and former.state is TerminalState.REVOKED and not caller.role.covers(Role.SECURITY):
        raise RoleMissingError(needed=Role.SECURITY.value)
