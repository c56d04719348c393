"""When is the person told what to do? As soon as it is something new, and no more often than they can follow."""

from datetime import timedelta
from time import monotonic

from face_pipeline import Progress
from server import convert
from server.faces.hints import hint_texts
from server.interceptors.chain import Context
from shualian.terminal.v1 import face_pb2


class GuidanceTeller:
    """Tells one person."""

    def __init__(self, context: Context, interval: timedelta) -> None:
        self._context = context
        self._interval = interval.total_seconds()
        self._told: face_pb2.Guidance | None = None
        self._told_at = 0.0

    async def tell(self, progress: Progress) -> None:
        """Send what is new, if the last hint is old enough or the task has changed."""
        guidance, now = convert.guidance(progress), monotonic()
        told = self._told
        if told is not None:
            is_same_task = told.action_index == guidance.action_index
            if told == guidance or (is_same_task and now - self._told_at < self._interval):
                return
        self._told, self._told_at = guidance, now
        await self._context.write(face_pb2.AuthenticateResponse(guidance=_in_words(guidance)))


def _in_words(guidance: face_pb2.Guidance) -> face_pb2.Guidance:
    words = hint_texts()[guidance.hint]
    spoken = face_pb2.Guidance(text_key=words.key, texts=dict(words.texts))
    spoken.MergeFrom(guidance)
    return spoken
