"""How are the refusals of face sessions answered? Part of the one table in errors.py, kept apart for its length."""

from types import MappingProxyType

from grpc import StatusCode

from server.answers import Answer, NextAction
from server.faces import errors as faces

_OURS = Answer(
    code=StatusCode.INTERNAL, public="Something is wrong on the platform's side. Its operators have been told."
)

FACES = MappingProxyType(
    {
        faces.FaceRulesError: _OURS,
        faces.FaceNotHereError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="A face is not used for this business at this site. Offer one of the other ways to pay.",
            details=("other_ways",),
        ),
        faces.CameraInsufficientError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="A bill of this size needs a camera with more than colour. Offer another way to pay.",
            details=("needed",),
        ),
        faces.ConsentStaleError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="The consent is too old, or from the future. Ask again; if that does not help, set the clock.",
            next_action=NextAction.FIX_CLOCK,
        ),
        faces.ConsentTextUnknownError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="The consent is to a text that is not in use here. Show the current one.",
            next_action=NextAction.CONTACT_OPERATOR,
        ),
        faces.CaptureClockError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="A frame was taken far from the platform's time. Set the terminal's clock, then begin again.",
            details=("platform_time",),
            next_action=NextAction.FIX_CLOCK,
        ),
        faces.CapturePaceError: Answer(
            code=StatusCode.INVALID_ARGUMENT,
            public="More frames in the time than the camera takes, as the start says. Say what it really takes.",
        ),
        faces.FaceTriesSpentError: Answer(
            code=StatusCode.RESOURCE_EXHAUSTED,
            public="Too many face sessions in a short time led to nobody. Offer one of the other ways to pay.",
            details=("other_ways",),
        ),
        faces.SitePlaceUnknownError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="Nobody has written down where this site stands, so no practitioner can confirm here.",
            next_action=NextAction.CONTACT_OPERATOR,
        ),
        faces.OutsideGeofenceError: Answer(
            code=StatusCode.PERMISSION_DENIED,
            public="By its location the terminal does not stand at its site, or the location is too uncertain.",
            next_action=NextAction.CONTACT_OPERATOR,
        ),
        faces.PractitionerUnknownError: Answer(
            code=StatusCode.NOT_FOUND, public="There is no such practitioner in service."
        ),
        faces.GalleryNotReadyError: Answer(
            code=StatusCode.UNAVAILABLE,
            public="Nobody can be identified by face alone right now. Try again, or ask for card or ID number.",
        ),
        faces.GalleryOverfullError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="Too many people are enrolled here to be told apart by face alone. Ask for card or ID number.",
            next_action=NextAction.CONTACT_OPERATOR,
        ),
        faces.PractitionerExistsError: Answer(
            code=StatusCode.ALREADY_EXISTS, public="A practitioner with this code is in service already."
        ),
    }
)
