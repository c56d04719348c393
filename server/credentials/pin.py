"""Is this the person's PIN? Asked a few times at most, and at a price.

A six-digit PIN is guessed in a million tries. Four things stand before that: PINs that everybody tries first are not
taken; attempts are counted, by person and by terminal, and by person before the PIN is looked at, so that guesses sent
side by side cannot slip past the bound; the hash is slow (Argon2id); and it is keyed with a secret that is not in the
database, so that a stolen database alone says nothing.
"""

import asyncio
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlalchemy import Connection, insert, select, update

from device_registry.audit.log import AuditLog
from server.credentials.errors import (
    PinCheckBusyError,
    PinExistsError,
    PinFormatError,
    PinLockedError,
    PinMissingError,
    PinTriesSpentError,
    PinWrongError,
)
from server.credentials.guesses import WrongPins, refuse_guessable
from server.credentials.sealing import derived_key
from server.store.errors import StoreBusyError
from server.store.tables.people import person_pins
from server.store.unit_of_work import UnitOfWork

_PIN: Final = re.compile(r"[0-9]{6}")
# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane; 45 ms here.
_MEMORY_KIB: Final = 19_456
_ITERATIONS: Final = 2
_LANES: Final = 1
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_INSIST: Final = tuple(timedelta(milliseconds=wait) for wait in (50, 100, 200, 400, 800))
"""Waits between two tries to write what must follow a counted attempt."""


class PinHasher:
    """Turns a PIN into what may be stored, and back into yes or no."""

    def __init__(self, data_key: bytes) -> None:
        self._secret: Final = derived_key(data_key, purpose="pin")

    def hash(self, pin: str, *, person_id: str, id_number: str) -> str:
        """Return the Argon2id hash of a new PIN in PHC form, bound to the person.

        Raises:
            PinFormatError: not six digits.
            PinGuessableError: among the first that a thief would try.
        """
        if not _PIN.fullmatch(pin):
            raise PinFormatError
        refuse_guessable(pin, id_number=id_number)
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
    locked_until: datetime | None = None
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
        waiting_per_terminal_max: int = 3,
        wrong_per_terminal_max: int = 20,
        wrong_per_terminal_within: timedelta = timedelta(minutes=10),
        on_checked: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what a check needs.

        Args:
            unit_of_work: counts the attempts.
            now: the clock.
            data_key: the same as for `People`.
            attempts_max: wrong PINs in a row before the lock.
            lock_for: how long the lock holds.
            waiting_max: PINs that may wait for the slow hash; one more is PinCheckBusyError (I11).
            waiting_per_terminal_max: of these, from one terminal.
            wrong_per_terminal_max: refused PINs, of whichever cards, before a terminal has to wait.
            wrong_per_terminal_within: in this time.
            on_checked: told of each outcome: RIGHT, WRONG or LOCKED.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._audit: Final = AuditLog(now=now)
        self._hasher: Final = PinHasher(data_key)
        self._attempts_max: Final = attempts_max
        self._lock_for: Final = lock_for
        self._waiting_max: Final = waiting_max
        self._waiting_per_terminal_max: Final = waiting_per_terminal_max
        self._wrong: Final = WrongPins(now=now, wrong_max=wrong_per_terminal_max, within=wrong_per_terminal_within)
        self._on_checked: Final = on_checked
        self._running: Final[dict[asyncio.Task[None], str]] = {}
        # One thread: the hash is meant to be slow, and must not take the processors from the faces.
        self._executor: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pin-hash")

    async def drain(self) -> None:
        """Wait for the checks under way; call it before the unit of work is closed."""
        while self._running:
            await asyncio.wait(self._running)

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True)

    async def verify(self, person_id: str, pin: str, *, terminal_id: str) -> None:
        """Return if this is the person's PIN.

        Raises:
            PinWrongError: it is not.
            PinLockedError: too many wrong ones; says until when.
            PinMissingError: the person has no PIN.
            PinTriesSpentError: too many wrong ones from this terminal; this one was not counted.
            PinCheckBusyError: too many checks are waiting; this one was not counted.
            StoreError: the attempt could not be counted, so the PIN was not looked at.
        """
        await self._check(person_id, pin, terminal_id=terminal_id, is_hidden=False)

    async def verify_cardholder(self, person_id: str | None, pin: str, *, terminal_id: str) -> str:
        """Return the holder of a card, if this is their PIN.

        A card that nobody has, or whose holder has no PIN, is answered as a wrong PIN and takes as long, so that cards
        cannot be found by trying. Otherwise as `verify`.
        """
        await self._check(person_id, pin, terminal_id=terminal_id, is_hidden=True)
        if person_id is None:  # nobody's PIN is never right
            raise PinWrongError
        return person_id

    async def hashed(self, pin: str, *, person_id: str, id_number: str) -> str:
        """Return what may be stored of a new PIN.

        Raises:
            PinFormatError, PinGuessableError: it is no good.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, partial(self._hasher.hash, pin, person_id=person_id, id_number=id_number)
        )

    async def _check(self, person_id: str | None, pin: str, *, terminal_id: str, is_hidden: bool) -> None:
        if wait := self._wrong.wait(terminal_id):
            raise PinTriesSpentError(retry_after=wait)
        waiting = list(self._running.values())
        if len(waiting) >= self._waiting_max or waiting.count(terminal_id) >= self._waiting_per_terminal_max:
            raise PinCheckBusyError
        # A task of its own: a terminal that hangs up does not stop it between counting the attempt and clearing it.
        task = asyncio.create_task(self._counted(person_id, pin, terminal_id=terminal_id, is_hidden=is_hidden))
        self._running[task] = terminal_id
        task.add_done_callback(self._done)
        await asyncio.shield(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled():
            task.exception()  # heard by whoever still waits; nobody may

    async def _counted(self, person_id: str | None, pin: str, *, terminal_id: str, is_hidden: bool) -> None:
        """Look at the PIN, and count what came of it: for the metrics, the terminal and the audit log."""
        try:
            await self._look_at(person_id, pin, terminal_id=terminal_id, is_hidden=is_hidden)
        except (PinWrongError, PinLockedError) as error:
            self._on_checked("WRONG" if isinstance(error, PinWrongError) else "LOCKED")
            if self._wrong.note(terminal_id):
                await self._insist(partial(self._note, action="pin_tries_spent", terminal_id=terminal_id))
            raise
        self._on_checked("RIGHT")

    async def _look_at(self, person_id: str | None, pin: str, *, terminal_id: str, is_hidden: bool) -> None:
        attempt = await self._unit_of_work.write(partial(self._reserve, person_id=person_id, is_hidden=is_hidden))
        is_right = await asyncio.get_running_loop().run_in_executor(
            self._executor, partial(self._hasher.is_pin, pin, attempt.pin_hash, person_id=person_id or "")
        )
        if is_right:
            await self._insist(partial(_clear, person_id=person_id))
        elif attempt.locked_until is not None:
            lock = {"until": attempt.locked_until.isoformat()}
            await self._insist(
                partial(self._note, action="pin_locked", terminal_id=terminal_id, person_id=person_id, details=lock)
            )
            raise PinLockedError(until=attempt.locked_until)
        else:
            raise PinWrongError

    def _reserve(self, connection: Connection, *, person_id: str | None, is_hidden: bool) -> _Attempt:
        """Count the attempt, and lock with the last one, before anybody looks at the PIN."""
        now = self._now()
        row = connection.execute(select(person_pins).where(person_pins.c.person_id == person_id)).one_or_none()
        if row is None:
            if not is_hidden:
                raise PinMissingError
            return _Attempt(pin_hash=_nobodys_hash())
        if row.locked_until is not None and row.locked_until > now:
            raise PinLockedError(until=row.locked_until)
        attempts = 1 if row.locked_until is not None else row.attempts + 1  # a lock that is over starts a new count
        locked_until = now + self._lock_for if attempts >= self._attempts_max else None
        connection.execute(
            update(person_pins)
            .where(person_pins.c.person_id == person_id)
            .values(attempts=attempts, locked_until=locked_until)
        )
        return _Attempt(pin_hash=row.pin_hash, locked_until=locked_until)

    def _note(
        self,
        connection: Connection,
        *,
        action: str,
        terminal_id: str,
        person_id: str | None = None,
        details: Mapping[str, str | int] = MappingProxyType({}),
    ) -> None:
        subject = person_id or terminal_id
        self._audit.append(connection, actor=f"terminal:{terminal_id}", action=action, subject=subject, details=details)

    async def _insist(self, work: Callable[[Connection], None]) -> None:
        """Write what must follow a counted attempt, also when the database is busy for a while."""
        for wait in _INSIST:
            try:
                return await self._unit_of_work.write(work)
            except StoreBusyError:
                await asyncio.sleep(wait.total_seconds())
        return await self._unit_of_work.write(work)


def set_first_pin(connection: Connection, *, person_id: str, pin_hash: str) -> None:
    """Keep the PIN of somebody who has none.

    Raises:
        PinExistsError: they have one.
    """
    mine = select(person_pins.c.person_id).where(person_pins.c.person_id == person_id)
    if connection.scalar(mine) is not None:
        raise PinExistsError
    connection.execute(insert(person_pins).values(person_id=person_id, pin_hash=pin_hash))


def _clear(connection: Connection, *, person_id: str | None) -> None:
    connection.execute(
        update(person_pins).where(person_pins.c.person_id == person_id).values(attempts=0, locked_until=None)
    )


def _nobodys_hash() -> str:
    """Return a hash that fits no PIN, and takes as long to find that out as any other."""
    salt, digest = (
        b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p={_LANES}${salt}${digest}"


def _material(pin: str, person_id: str) -> bytes:
    """Return what is hashed: with the person in it, a hash copied to another row fits nobody."""
    return f"{person_id}:{pin}".encode()
