"""What can be set about terminals: how long things last, and when one counts as unwell?"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from device_registry.model import DEFAULT_POLICY
from server.settings import Between

_S, _MIN, _H, _D = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Terminals: how long things last and when a terminal counts as unwell."""

    token_lifetime: Annotated[timedelta, Between(1 * _MIN, 7 * _D)] = DEFAULT_POLICY.token_lifetime
    """Life of a one-time enrollment token."""
    nonce_lifetime: Annotated[timedelta, Between(10 * _S, 1 * _H)] = DEFAULT_POLICY.nonce_lifetime
    """Life of an enrollment nonce."""
    nonces_open_max: Annotated[int, Between(1, 1_000_000)] = DEFAULT_POLICY.nonces_open_max
    """Enrollment nonces that may be open at once, over all terminals."""
    nonces_open_per_address_max: Annotated[int, Between(2, 1_000_000)] = 500
    """Of these, what one address may have (with IPv6, one /64). Half of it at once after a rest."""
    certificate_lifetime: Annotated[timedelta, Between(1 * _MIN, 365 * _D)] = 30 * _D
    """Life of a terminal's certificate; renewed from two thirds of it."""
    renewal_grace: Annotated[timedelta, Between(1 * _MIN, 30 * _D)] = DEFAULT_POLICY.renewal_grace
    """How long an old certificate is good beside its successor when that one is never used."""
    grace_class_i: Annotated[timedelta, Between(timedelta(), 365 * _D)] = DEFAULT_POLICY.grace_class_i
    """How long after its end a certificate of a class I terminal can be renewed at the enrollment port."""
    grace_class_ii: Annotated[timedelta, Between(timedelta(), 365 * _D)] = DEFAULT_POLICY.grace_class_ii
    """The same for class II."""
    grace_class_iii: Annotated[timedelta, Between(timedelta(), 365 * _D)] = DEFAULT_POLICY.grace_class_iii
    """The same for class III."""
    heartbeat_interval: Annotated[timedelta, Between(1 * _S, 10 * _MIN)] = DEFAULT_POLICY.heartbeat_interval
    """How often a terminal is asked to send a heartbeat."""
    overdue_after: Annotated[timedelta, Between(2 * _S, 1 * _H)] = DEFAULT_POLICY.overdue_after
    """Silence after which a terminal is overdue and its control stream is ended. At least two heartbeat intervals."""
    flapping_connects: Annotated[int, Between(2, 1_000)] = DEFAULT_POLICY.flapping_connects
    """Connections within `flapping_window` from which on a terminal is flapping."""
    flapping_window: Annotated[timedelta, Between(1 * _MIN, 1 * _D)] = DEFAULT_POLICY.flapping_window
    """See `flapping_connects`."""
    witness: Path | None = None
    """File that repeats every revocation outside the database, best on another disk, outside of what backups bring
    back; `data_dir/witness/revocations.jsonl` when empty. Platforms that share a database share it: see
    docs/operations/revocation.md."""
    checkpoints: Path | None = None
    """File of the audit log's signed checkpoints, likewise; `data_dir/witness/checkpoints.jsonl` when empty."""
    checkpoint_interval: Annotated[timedelta, Between(1 * _MIN, 7 * _D)] = 1 * _H
    """How often the audit log is signed, when something was written."""
    clock_skew_warning: Annotated[timedelta, Between(1 * _S, 1 * _D)] = 30 * _S
    """Difference between a terminal's clock and ours from which on it is logged."""
