"""What can be wrong with a face session before anybody is looked at, and with the rules of faces."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from server.refusals import RefusalError


class FaceRefusalError(RefusalError):
    """Root of what the face room refuses on purpose."""

    reason: ClassVar[str] = "FACE_REFUSED"


class FaceRulesError(FaceRefusalError):
    """The rules of faces ask for something that does not exist or contradicts itself."""

    reason: ClassVar[str] = "FACE_RULES_INVALID"

    def __init__(self, *, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(self.mistakes))


class FaceNotHereError(FaceRefusalError):
    """By policy no face is used for this business at this site; nobody was looked at."""

    reason: ClassVar[str] = "FACE_NOT_HERE"

    def __init__(self, *, other_ways: Sequence[str]) -> None:
        self.other_ways = tuple(other_ways)
        super().__init__(", ".join(self.other_ways))


class CameraInsufficientError(FaceRefusalError):
    """For this business and amount the rules want a camera that the terminal did not promise."""

    reason: ClassVar[str] = "CAMERA_INSUFFICIENT"

    def __init__(self, *, needed: str) -> None:
        self.needed = needed
        super().__init__(f"needs {needed}")


class ConsentStaleError(FaceRefusalError):
    """The consent was given too long ago, or in the future: it is not an answer to this session."""

    reason: ClassVar[str] = "CONSENT_STALE"
    field: ClassVar[str] = "start.consent.given_at"


class ConsentTextUnknownError(FaceRefusalError):
    """The consent is to a text that is not in use."""

    reason: ClassVar[str] = "CONSENT_TEXT_UNKNOWN"
    field: ClassVar[str] = "start.consent.text_version"


class SitePlaceUnknownError(FaceRefusalError):
    """Nobody has said where the site stands, so nobody can be inside it."""

    reason: ClassVar[str] = "SITE_PLACE_UNKNOWN"


class OutsideGeofenceError(FaceRefusalError):
    """The terminal does not stand at its site, or cannot say so closely enough."""

    reason: ClassVar[str] = "OUTSIDE_GEOFENCE"

    def __init__(self, *, metres_beyond: int) -> None:
        self.metres_beyond = metres_beyond
        super().__init__(f"{metres_beyond} m beyond")


class PractitionerUnknownError(FaceRefusalError):
    """No practitioner in service has this id."""

    reason: ClassVar[str] = "PRACTITIONER_UNKNOWN"

    def __init__(self, *, practitioner_id: str) -> None:
        self.practitioner_id = practitioner_id
        super().__init__(practitioner_id)


class PractitionerExistsError(FaceRefusalError):
    """A practitioner with this code is in service already."""

    reason: ClassVar[str] = "PRACTITIONER_EXISTS"


class CaptureClockError(FaceRefusalError):
    """A frame was taken far from our time: the terminal's clock is wrong, or the frame is not of now."""

    reason: ClassVar[str] = "CAPTURE_CLOCK_OFF"

    def __init__(self, *, platform_time: datetime) -> None:
        self.platform_time = platform_time
        super().__init__()


class CapturePaceError(FaceRefusalError):
    """More frames were taken in the time than the camera can take, as the terminal itself said."""

    reason: ClassVar[str] = "CAPTURE_TOO_FAST"
    field: ClassVar[str] = "start.camera.frames_per_second"


class FaceTriesSpentError(FaceRefusalError):
    """Too many tries in a short time did not end well; of whom, and whether anybody is known, is not told."""

    reason: ClassVar[str] = "FACE_TRIES_SPENT"

    def __init__(self, *, retry_after: timedelta, other_ways: Sequence[str]) -> None:
        self.retry_after = retry_after
        self.other_ways = tuple(other_ways)
        super().__init__()


class GalleryNotReadyError(FaceRefusalError):
    """The faces of the people to look among are still being loaded; nobody is identified before all are there."""

    reason: ClassVar[str] = "GALLERY_NOT_READY"

    def __init__(self, *, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(f"again in {retry_after.total_seconds():.0f} s")


class GalleryOverfullError(FaceRefusalError):
    """More people would have to be looked among than is safe."""

    reason: ClassVar[str] = "GALLERY_OVERFULL"

    def __init__(self, *, people_max: int) -> None:
        self.people_max = people_max
        super().__init__(f"more than {people_max} people")
