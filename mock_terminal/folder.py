"""What one terminal has on disk: its identities, whom it trusts, and the channel that follows from both."""

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from grpc import aio

from mock_terminal.client import terminal_channel
from mock_terminal.disk import alone, make_private, write_private
from mock_terminal.errors import StateError
from mock_terminal.keystore import Identity, KeyStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """How a terminal got its identity, for when it needs another one."""

    serial_number: str
    address: str
    """The platform's enrollment port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The state of one terminal on disk."""

    path: Path

    @property
    def keys(self) -> KeyStore:
        """Its identities."""
        return KeyStore(self.path)

    @property
    def roots_pem(self) -> bytes:
        """Whom it trusts.

        Raises:
            StateError: nobody yet.
        """
        try:
            return (self.path / "roots.pem").read_bytes()
        except FileNotFoundError as error:
            raise StateError(f"no roots in {self.path}: run `shualian-terminal enroll` first") from error

    def trust(self, roots_pem: bytes) -> None:
        """Trust these roots from now on."""
        make_private(self.path)
        write_private(self.path / "roots.pem", roots_pem)

    def remember(self, enrollment: Enrollment) -> None:
        """Note where it was enrolled and under which serial number: what a renewal after expiry needs."""
        write_private(self.path / "enrollment.json", json.dumps(asdict(enrollment)).encode())

    @property
    def enrollment(self) -> Enrollment:
        """Where it was enrolled.

        Raises:
            StateError: nobody noted it.
        """
        try:
            found = json.loads((self.path / "enrollment.json").read_bytes())
            return Enrollment(serial_number=found["serial_number"], address=found["address"])
        except FileNotFoundError as error:
            raise StateError(f"no enrollment port is known in {self.path}: run `shualian-terminal enroll`") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"enrollment.json in {self.path} is damaged") from error

    def channel(self, address: str, identity: Identity | None = None) -> aio.Channel:
        """Return a channel with an identity, by default the current one."""
        return terminal_channel(address, roots_pem=self.roots_pem, identity=identity or self.keys.identity())

    def changing_identity(self) -> AbstractContextManager[None]:
        """Change the identity in this block: two at a time could end with a certificate that the other one retired.

        Raises:
            StateError: another process is at it.
        """
        return alone(self.path, "identity")

    def paying(self, *, patience: timedelta = timedelta()) -> AbstractContextManager[None]:
        """Pay in this block, with one identity from the first call to the last.

        A second process would take a payment under way for one that broke off, and reverse it; and whoever moves to a
        new certificate ends the old one with its first use, under the hands of the person who pays.

        Args:
            patience: for how long to wait for another process.

        Raises:
            StateError: another process is at it.
        """
        return alone(self.path, "payment", patience=patience)
