"""How the authority is opened as configured: where its keys are, how long what it signs lives."""

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from device_registry import Authority, CertificateLifetimes, Issuers
from device_registry.authority.vault import IssuingKeys
from server.config import Config
from server.secret_files import KeyFileError, read_secret
from server.store import open_reader
from server.trust import KeyBackend


def certificate_lifetimes(config: Config) -> CertificateLifetimes:
    """Return how long certificates live, as configured."""
    return CertificateLifetimes(
        terminal=config.registry.certificate_lifetime,
        server=config.tls.server_lifetime,
        operator=config.admin.certificate_lifetime,
    )


def issuing_keys(config: Config) -> IssuingKeys | None:
    """Return where the issuing keys are when that is a token; None for files in the authority's own folder."""
    settings = config.authority
    if settings.backend is KeyBackend.FILE or settings.pkcs11_module is None:
        return None
    from device_registry.authority.pkcs11 import Pkcs11Keys  # noqa: PLC0415 - loads a library that only an HSM needs

    return Pkcs11Keys(module=settings.pkcs11_module, token_label=settings.token_label, pin=_pin_in(config.hsm_pin))


def open_authority(config: Config, *, passphrase: bytes) -> Authority:
    """Open the authority.

    Raises:
        AuthorityError: there is none yet, or its files are not in order.
    """
    return Authority.open(
        config.authority_dir,
        passphrase=passphrase,
        lifetimes=certificate_lifetimes(config),
        keys=issuing_keys(config),
    )


def take_up_issuers(engine: Engine, issuers: Issuers) -> None:
    """Let the authority follow the books; new books get the issuer that was made together with the root."""
    reader = open_reader(engine)
    try:
        with reader.connect() as connection:  # a look needs no lock, which a busy server might keep us waiting for
            if issuers.is_entered(connection):
                issuers.follow(connection)
                return
    finally:
        reader.dispose()
    with engine.begin() as connection:
        issuers.adopt(connection)
        issuers.follow(connection)


def _pin_in(path: Path) -> Callable[[], str]:
    """Return what reads the token's PIN; at each opening, so that a changed PIN needs no restart."""

    def read() -> str:
        try:
            return read_secret(path).strip().decode()
        except KeyFileError as error:
            raise OSError(str(error)) from error  # the token counts as out of reach: the next try may find the file

    return read
