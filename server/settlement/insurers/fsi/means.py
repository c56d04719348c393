"""What do quotes, bookings, undoings and statements all work with? The same things, handed on as one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers.fsi.errand import Errands
from server.settlement.insurers.fsi.errors import CoreRefusedError
from server.settlement.insurers.fsi.institutions import Institutions
from server.settlement.insurers.fsi.kinds import Kinds
from server.settlement.insurers.fsi.looking import Looks
from server.settlement.insurers.fsi.profile import Profile
from server.settlement.insurers.fsi.records import Records
from server.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the parts of the national insurer share."""

    unit_of_work: UnitOfWork
    """Where everything is written down before the core is asked."""
    now: Callable[[], datetime]
    errands: Errands
    """Ask the core."""
    institutions: Institutions
    """In whose name."""
    looks: Looks
    """Look into the core's books."""
    records: Records
    """Visits and messages."""
    profile: Profile
    """The province's dialect."""
    kinds: Kinds
    """What it makes of our use types."""

    def refusal_of(self, error: CoreRefusedError) -> InsurerRefusedError:
        """Return how a refusal of the core is told: by the code that the province's profile gives it."""
        return InsurerRefusedError(code=self.profile.answer.code_of(infcode=error.infcode, err_msg=error.err_msg))
