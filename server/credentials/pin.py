"""Is this the person's PIN? Asked a few times at most, and at a price.

A six-digit PIN is guessed in a million tries. Three things stand before that: attempts are counted, and counted before
the PIN is looked at, so that guesses sent side by side cannot slip past the bound; the hash is slow (Argon2id); and it
is keyed with a secret that is not in the database, so that a stolen database alone says nothing.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlalchemy import Connection, select, update

from server.credentials.errors import PinCheckBusyError, PinFormatError, PinLockedError, PinMissingError, PinWrongError
from server.credentials.sealing import derived_key
from server.store.tables.people import person_pins
from server.store.unit_of_work import UnitOfWork

_PIN: Final = re.compile(r"[0-9]{6}")
# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane; 45 ms here.
_MEMORY_KIB: Final = 19_456
_ITERATIONS: Final = 2
_LANES: Final = 1
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32


class PinHasher:
    """Turns a PIN into what may be stored, and back into yes or no."""

    def __init__(self, data_key: bytes) -> None:
        self._secret: Final = derived_key(data_key, purpose="pin")

    def hash(self, pin: str, *, person_id: str) -> str:
        """Return the Argon2id hash in PHC form, bound to the person.

        Raises:
            PinFormatError: not six digits.
        """
        if not _PIN.fullmatch(pin):
            raise PinFormatError
        slow = Argon2id(
            salt=secrets.token_bytes(_SALT_BYTES),
            length=_HASH_BYTES,
            iterations=_ITERATIONS,
            lanes=_LANES,
            memory_cost=_MEMORY_KIB,
            secret=self._secret,
        )
        return slow.derive_phc_encoded(_material(pin, person_id))

    def is_pin(self, pin: str, pin_hash: str, *, person_id: str) -> bool:
        """Return whether this is the PIN; takes as long for a wrong one."""
        try:
            Argon2id.verify_phc_encoded(_material(pin, person_id), pin_hash, secret=self._secret)
        except InvalidKey:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt, already counted."""

    pin_hash: str
    attempts_left: int
    locked_until: datetime | None
    """Set when this is the last one: the lock holds unless the attempt succeeds."""


class Pins:
    """Checks PINs."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        data_key: bytes,
        attempts_max: int,
        lock_for: timedelta,
        waiting_max: int = 32,
    ) -> None:
        """Take what a check needs.

        Args:
            unit_of_work: counts the attempts.
            now: the clock.
            data_key: the same as for `People`.
            attempts_max: wrong PINs in a row before the lock.
            lock_for: how long the lock holds.
            waiting_max: PINs that may wait for the slow hash; one more is PinCheckBusyError (I11).
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._hasher: Final = PinHasher(data_key)
        self._attempts_max: Final = attempts_max
        self._lock_for: Final = lock_for
        self._waiting_max: Final = waiting_max
        self._waiting = 0
        # One thread: the hash is meant to be slow, and must not take the processors from the faces.
        self._executor: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pin-hash")

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True)

    async def verify(self, person_id: str, pin: str) -> None:
        """Return if this is the person's PIN.

        Raises:
            PinWrongError: it is not; says how many attempts are left.
            PinLockedError: too many wrong ones; says until when.
            PinMissingError: the person has no PIN.
            PinCheckBusyError: too many checks are waiting; this one was not counted.
            StoreError: the attempt could not be counted, so the PIN was not looked at.
        """
        if self._waiting >= self._waiting_max:
            raise PinCheckBusyError
        self._waiting += 1
        try:
            await self._verify(person_id, pin)
        finally:
            self._waiting -= 1

    async def _verify(self, person_id: str, pin: str) -> None:
        attempt = await self._unit_of_work.write(lambda connection: self._reserve(connection, person_id))
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(
            self._executor, lambda: self._hasher.is_pin(pin, attempt.pin_hash, person_id=person_id)
        )
        if right:
            await self._unit_of_work.write(lambda connection: _clear(connection, person_id))
        elif attempt.locked_until is not None:
            raise PinLockedError(until=attempt.locked_until)
        else:
            raise PinWrongError(attempts_left=attempt.attempts_left)

    def _reserve(self, connection: Connection, person_id: str) -> _Attempt:
        """Count the attempt, and lock with the last one, before anybody looks at the PIN."""
        now = self._now()
        row = connection.execute(select(person_pins).where(person_pins.c.person_id == person_id)).one_or_none()
        if row is None:
            raise PinMissingError
        if row.locked_until is not None and row.locked_until > now:
            raise PinLockedError(until=row.locked_until)
        attempts = 1 if row.locked_until is not None else row.attempts + 1  # a lock that is over starts a new count
        locked_until = now + self._lock_for if attempts >= self._attempts_max else None
        connection.execute(
            update(person_pins)
            .where(person_pins.c.person_id == person_id)
            .values(attempts=attempts, locked_until=locked_until)
        )
        return _Attempt(
            pin_hash=row.pin_hash, attempts_left=max(0, self._attempts_max - attempts), locked_until=locked_until
        )


def _clear(connection: Connection, person_id: str) -> None:
    connection.execute(
        update(person_pins).where(person_pins.c.person_id == person_id).values(attempts=0, locked_until=None)
    )


def _material(pin: str, person_id: str) -> bytes:
    """Return what is hashed: with the person in it, a hash copied to another row fits nobody."""
    return f"{person_id}:{pin}".encode()
