"""The authority's folder: `root.pem`, `root/` to be taken offline, and `issuing/<issuer_id>/` for each issuing one."""

import os
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from device_registry.authority.profiles import CertificateLifetimes
from device_registry.authority.root import Root, issuing_request, read_certificate
from device_registry.authority.vault import FileKeys, IssuingKeys
from device_registry.errors import AuthorityBrokenError

ISSUER_ID = re.compile(r"[0-9a-f]{16}")
_ID_BYTES = 8


def new_issuer_id() -> str:
    """Return an id for a new issuing authority: a folder, a label in a token, and a word in its certificate's name."""
    return secrets.token_hex(_ID_BYTES)


def write_first(
    folder: Path,
    *,
    passphrase: bytes,
    keys: IssuingKeys | None,
    at: datetime,
    lifetimes: CertificateLifetimes,
) -> None:
    """Write a root and a first issuing authority; a key that was made in a token for nothing is destroyed again."""
    root = Root.create(folder, passphrase=passphrase, at=at, lifetimes=lifetimes)
    keys = keys or FileKeys(folder / "issuing", passphrase=passphrase)
    issuer_id = new_issuer_id()
    try:
        request = issuing_request(keys.make(issuer_id), issuer_id=issuer_id)
        write_issuer(folder, issuer_id, root.sign_issuing(request, lifetimes=lifetimes, at=at))
    except BaseException:
        keys.discard(issuer_id)
        raise


def write_issuer(folder: Path, issuer_id: str, certificate: x509.Certificate) -> None:
    """Write an issuing certificate beside its key, all of it or nothing; one that is there stays."""
    path = folder / "issuing" / issuer_id / "certificate.pem"
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".certificate-{os.getpid()}.pem")
    draft.write_bytes(certificate.public_bytes(Encoding.PEM))
    draft.replace(path)


def root_in(folder: Path) -> x509.Certificate:
    """Return the root's certificate."""
    return read_certificate(folder / "root.pem")


def issuers_in(folder: Path) -> Mapping[str, x509.Certificate]:
    """Return the issuing certificates by id; one whose certificate is still to come, or was lost, is left out.

    Raises:
        AuthorityBrokenError: one cannot be read, or the folder was laid out by an earlier version.
    """
    issuing = folder / "issuing"
    if (issuing / "certificate.pem").exists():
        detail = "made by an earlier version; each issuing authority has a folder of its own now: `shualian ca init`"
        raise AuthorityBrokenError(path=issuing, detail=f"{detail} into a new data_dir")
    paths = sorted(issuing.glob("*/certificate.pem"))
    for path in paths:
        if not ISSUER_ID.fullmatch(path.parent.name):
            raise AuthorityBrokenError(path=path.parent, detail="the name of the folder is no id of an issuer")
    return {path.parent.name: read_certificate(path) for path in paths}
