"""What a verb reads from files, because nothing personal and nothing secret belongs on a command line."""

import json
import sys
from pathlib import Path
from typing import Any

from cryptography import x509

from mock_terminal.errors import InputError
from mock_terminal.sitting import Claim
from shualian.terminal.v1 import device_pb2, settlement_pb2, types_pb2

STDIN = Path("-")
LOCATION_ACCURACY_METRES = 20.0  # what a satellite receiver at a window can tell


def claim_from(path: Path) -> Claim:
    """Read `{"id_number": ..., "name": ...}`; `-` is standard input.

    Raises:
        InputError: it is not that.
    """
    found = _strings(path, ("id_number", "name"))
    return Claim(id_number=found["id_number"], name=found["name"])


def card_from(path: Path) -> settlement_pb2.CardAuthorization:
    """Read `{"card_number": ..., "pin": ...}`; `-` is standard input.

    Raises:
        InputError: it is not that.
    """
    return settlement_pb2.CardAuthorization(**_strings(path, ("card_number", "pin")))


def position_from(text: str) -> device_pb2.Position | None:
    """Return the point that `30.25,120.15` names: degrees north, degrees east; None for an empty text.

    Raises:
        InputError: it is no such point.
    """
    if not text:
        return None
    latitude, longitude = _degrees(text)
    return device_pb2.Position(latitude=latitude, longitude=longitude)


def location_from(text: str) -> types_pb2.Location:
    """Return the place that `30.25,120.15` names, as a face session says it.

    Raises:
        InputError: it is no such place.
    """
    latitude, longitude = _degrees(text)
    return types_pb2.Location(latitude=latitude, longitude=longitude, accuracy_m=LOCATION_ACCURACY_METRES)


def pin_from(path: Path) -> str:
    """Read a PIN, the first line of a file; `-` is standard input.

    Raises:
        InputError: there is nothing in it.
    """
    pin = (_text(path).splitlines() or [""])[0].strip()
    if not pin:
        raise InputError(f"{path} holds no PIN")
    return pin


def code_from(path: Path) -> str:
    """Read a code, the first line of a file; `-` is standard input, where scanners type.

    Raises:
        InputError: there is nothing in it.
    """
    code = (_text(path).splitlines() or [""])[0].strip()
    if not code:
        raise InputError(f"{path} holds no code")
    return code


def roots_from(path: Path) -> bytes:
    """Read the root certificates to trust, PEM.

    Raises:
        InputError: it is not that.
    """
    pem = _text(path).encode()
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise InputError(f"{path} holds no certificate in PEM") from error
    return pem


def _degrees(text: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("a position is two numbers with a comma between: degrees north, degrees east") from error
    return latitude, longitude


def _strings(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    try:
        found: Any = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no JSON") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise InputError(f"{path} must hold a JSON object with {' and '.join(names)}, both text")
    return {name: found[name] for name in names}


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if path == STDIN else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read") from error
