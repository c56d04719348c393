"""How does a command reach the admin API? Over mutual TLS with a platform, or with its services in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import typer

from server.commands.mistakes import AdminCallError, CommandError, ExitCode
from server.commands.session import Session

RENEW_DAYS_BEFORE = 14
"""From how many days before the end of their certificate on an operator is reminded."""
CALL_SECONDS_MAX = 60.0
"""How long one call may take; a watch lasts until Ctrl-C."""


@contextmanager
def admin(session: Session) -> Iterator[grpc.Channel]:
    """Open the admin API for one command.

    With a server configured (`shualian --server`, `admin_client.server`) it is that platform's, and the operator's
    folder says who speaks; else it is served in this process on the configured database.

    Raises:
        AdminCallError: a call inside the block was refused; its reason is the platform's.
    """
    opened = _remote if session.server else _local
    with opened(session) as channel:
        try:
            yield grpc.intercept_channel(channel, _Deadline())
        except grpc.RpcError as error:
            raise refusal_from(error) from error


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """Return how a call ended; gRPC's errors are calls too, which its types do not say."""
    call: Any = error
    code: grpc.StatusCode = call.code()
    return code


def refusal_from(error: grpc.RpcError) -> AdminCallError:
    """Return what a refused call says, with the platform's own reason and details."""
    from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo  # noqa: PLC0415 - only for refusals
    from google.rpc.status_pb2 import Status  # noqa: PLC0415

    call: Any = error
    raw = dict(call.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    found: dict[type, Any] = {}
    for detail in Status.FromString(raw).details:
        for kind in (ErrorInfo, BadRequest, RequestInfo):
            message = kind()
            if detail.Unpack(message):
                found[kind] = message
    info = found.get(ErrorInfo)
    return AdminCallError(
        reason=info.reason if info else f"GRPC_{call.code().name}",
        public=call.details() if info else f"No answer from the platform: {call.details()}.",
        code=call.code().name,
        details=dict(info.metadata) if info else {},
        fields=tuple(
            (violation.field, violation.description)
            for violation in (found[BadRequest].field_violations if BadRequest in found else ())
        ),
        request_id=found[RequestInfo].request_id if RequestInfo in found else "",
    )


@contextmanager
def _local(session: Session) -> Iterator[grpc.Channel]:
    from monitoring.logs import configure_logs  # noqa: PLC0415 - a remote command needs neither
    from server.administration.local import serving  # noqa: PLC0415
    from server.commands.domain import open_domain  # noqa: PLC0415

    configure_logs("error")
    without_proxy = (("grpc.enable_http_proxy", 0),)
    with (
        open_domain(session) as domain,
        serving(domain, account=session.account) as target,
        grpc.insecure_channel(target, options=without_proxy) as channel,
    ):
        yield channel


@contextmanager
def _remote(session: Session) -> Iterator[grpc.Channel]:
    from server.commands.identity import read_identity  # noqa: PLC0415 - keys are not needed in local mode

    if session.operator_folder is None:
        raise CommandError(
            "To speak to a server, say who you are.",
            next="Name your operator's folder with `shualian --as FOLDER`; `shualian operator request` makes one.",
            code=ExitCode.USAGE,
        )
    identity = read_identity(session.operator_folder, now=datetime.now(UTC))
    if identity.days_left < RENEW_DAYS_BEFORE:
        days = f"in {identity.days_left} days" if identity.days_left else "today"
        typer.echo(f"Your certificate ends {days}; run `shualian operator renew`.", err=True)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=identity.root_pem,
        private_key=identity.private_key_pem,
        certificate_chain=identity.certificate_pem,
    )
    with grpc.secure_channel(session.server, credentials) as channel:
        yield channel


class _Deadline(grpc.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # generic for type checkers alone
    """Gives every call that does not say otherwise a bound."""

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:  # noqa: ANN401  # gRPC's own types are private
        """Set the deadline and call."""
        if client_call_details.timeout is None:
            client_call_details = client_call_details._replace(timeout=CALL_SECONDS_MAX)
        return continuation(client_call_details, request)
