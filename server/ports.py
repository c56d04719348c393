"""The sections of the configuration that are about ports: where the platform listens, and where it is called."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from server.settings import Between

_H, _D = timedelta(hours=1), timedelta(days=1)

Port = Annotated[int, Between(0, 65535)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentListener:
    """The port for terminals that have no certificate yet: server TLS, EnrollmentService alone."""

    enabled: bool = True
    """Whether the port is opened. Close it when no terminal is being installed."""
    address: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 7443
    """Port to listen on; 0 takes any free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalListener:
    """The port for enrolled terminals: mutual TLS."""

    enabled: bool = True
    """Whether the port is opened."""
    address: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 7444
    """Port to listen on; 0 takes any free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminListener:
    """The port for operators: mutual TLS with operator certificates, shualian.admin.v1."""

    enabled: bool = True
    """Whether the port is opened."""
    address: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 7445
    """Port to listen on; 0 takes any free one."""
    certificate_lifetime: Annotated[timedelta, Between(1 * _H, 365 * _D)] = 90 * _D
    """Life of an operator's certificate; its holder renews it with `shualian operator renew`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminClient:
    """Which platform the command line speaks to; without a server, to the database of this configuration itself."""

    server: str = ""
    """`HOST:PORT` of a platform's admin port; empty for the platform on this machine, without any port."""
    folder: Path | None = None
    """Folder of the operator who speaks: key.pem, certificate.pem and root.pem, from `shualian operator request`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpListener:
    """The port for Prometheus and probes: /metrics, /livez, /readyz, in clear text; keep it inside."""

    enabled: bool = True
    """Whether the port is opened."""
    address: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 7480
    """Port to listen on; 0 takes any free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """A unix socket in a folder only its owner can enter: reflection, channelz and health, for who runs the machine."""

    enabled: bool = True
    """Whether the socket is opened."""
    socket: Path | None = None
    """Path of the socket; `data_dir/run/diagnostics.sock` when empty. At most 100 bytes long."""
