"""What happens in the demo, in order: each step one small function that does one thing and says what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from server.demo import attacks, books, credentials, dropped_answer, face, other_ways, platform, terminal
from server.demo.stage import Stage, Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: its name for programs, its title and chapter for people, and what it does."""

    name: str
    chapter: str
    title: str
    play: Callable[[Stage], Told]
    beside: Sequence[Callable[[Stage], None]] = ()
    """What begins at this step, and goes on while it and others are told."""


PLATFORM: Final = "The platform"
TERMINAL: Final = "The terminal"
PATIENT: Final = "The patient"
ATTACKS: Final = "Those who must not pass"
CREDENTIAL: Final = "The credential"
AFTER: Final = "Afterwards"

STEPS: Final = (
    Step(name="models", chapter=PLATFORM, title="Models verified", play=platform.models, beside=[platform.begin]),
    Step(name="authority", chapter=PLATFORM, title="CA made", play=platform.authority),
    Step(
        name="serving",
        chapter=PLATFORM,
        title="Platform up",
        play=platform.serving,
        beside=[terminal.begin, face.begin],
    ),
    Step(name="maker", chapter=TERMINAL, title="Maker approved", play=terminal.approved),
    Step(name="registered", chapter=TERMINAL, title="Registered", play=terminal.registered, beside=[face.enroll]),
    Step(name="enrolled", chapter=TERMINAL, title="Enrolled", play=terminal.enrolled),
    Step(name="connected", chapter=TERMINAL, title="Control stream up", play=terminal.connected),
    Step(name="person", chapter=PATIENT, title="Person enrolled", play=face.person),
    Step(name="face", chapter=PATIENT, title="Face session", play=face.session),
    Step(name="quote", chapter=PATIENT, title="Quote", play=face.quote),
    Step(name="settled", chapter=PATIENT, title="Settled", play=face.settled),
    Step(name="repeated", chapter=PATIENT, title="Same request again", play=face.repeated, beside=[attacks.begin]),
    Step(name="identified", chapter=PATIENT, title="Found by face", play=other_ways.identified),
    Step(name="unmoved", chapter=PATIENT, title="Cannot move", play=other_ways.unmoved),
    Step(name="colour_only", chapter=PATIENT, title="A colour camera alone", play=other_ways.colour_only),
    Step(
        name="flat_photo",
        chapter=ATTACKS,
        title="A flat photo",
        play=attacks.flat_photo,
        beside=[credentials.begin],
    ),
    Step(name="cut_out", chapter=ATTACKS, title="A face cut out of it", play=attacks.cut_out),
    Step(name="screen_replay", chapter=ATTACKS, title="A replay on a screen", play=attacks.screen_replay),
    Step(name="wrong_person", chapter=ATTACKS, title="Somebody else's face", play=attacks.wrong_person),
    Step(name="virtual_camera", chapter=ATTACKS, title="A virtual camera", play=attacks.virtual_camera),
    Step(name="bare_id_number", chapter=ATTACKS, title="A bare ID number", play=attacks.bare_id_number),
    Step(name="credential", chapter=CREDENTIAL, title="Credential activated", play=credentials.activated),
    Step(name="code", chapter=CREDENTIAL, title="Paid by code", play=credentials.code),
    Step(name="family", chapter=CREDENTIAL, title="Paid for a child", play=credentials.family),
    Step(
        name="next_authority",
        chapter=AFTER,
        title="Next CA takes over",
        play=platform.next_authority,
        beside=[dropped_answer.begin],
    ),
    Step(name="rotated", chapter=AFTER, title="Fleet rotated", play=terminal.rotated),
    Step(name="revoked", chapter=AFTER, title="Terminal revoked", play=terminal.revoked),
    Step(name="healed", chapter=AFTER, title="A lost answer heals", play=dropped_answer.healed),
    Step(name="books", chapter=AFTER, title="Books closed", play=books.closed),
)
