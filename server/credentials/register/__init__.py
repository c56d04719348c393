"""Who is somebody, by the population register? The port, declared by those who ask: two registers stand behind it.

`local` is our own table of people, for a pilot or a closed scheme; `http` asks a register elsewhere. Whatever the
register says of a face is a template before it gets here: a portrait is never kept (I7).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection

if TYPE_CHECKING:
    from face_pipeline.frames import Template
    from server.credentials.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What the register says of a person whose name and number agree with it. Lives as long as one call."""

    name: str = field(repr=False)
    id_number: str = field(repr=False)
    born: date = field(repr=False)
    region: str
    """Where they are insured (统筹区)."""
    former_id_numbers: tuple[str, ...] = field(default=(), repr=False)
    """Numbers they had before, newest first: how we know them again after a change."""
    template: "Template | None" = field(default=None, repr=False)
    """Of their portrait; None when there is none, or none was asked for."""
    is_ours: bool = False
    """Whether that template is the one that we keep of them anyway."""
    still: Callable[[Connection], bool] = field(default=lambda _connection: True, repr=False, compare=False)
    """Whether their guardian is one now, for the transaction that binds; a register elsewhere is not asked again."""


class Register(Protocol):
    """A register of people."""

    async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
        """Return the person with this number and this name; None does not tell which of the two is wrong.

        Raises:
            IdNumberInvalidError, NameInvalidError: wrong form.
            RegisterUnavailableError: no answer, or none that makes sense (I10).
        """
        ...

    async def find_ward(self, *, id_number: str, name: str, guardian: "Identity") -> Registered | None:
        """Return the child with this number and this name, if somebody is their guardian.

        None does not tell whether it is the number, the name or the guardian that is wrong, nor does the time it takes.

        Raises:
            IdNumberInvalidError, NameInvalidError: wrong form.
            RegisterUnavailableError: as above; also when it does not say whether they are the guardian.
        """
        ...
