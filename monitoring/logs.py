"""What does a log line look like? One JSON object per event, with the ids of request and session, and nothing personal.

Ids travel in context variables: bind them once per request with `structlog.contextvars.bind_contextvars(...)`. The
loggers of libraries (uvicorn, alembic, grpc) are led through the same processors, hence through the same redaction.
"""

import logging
import sys
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitoring.redaction import redact

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: str = "info", stream: TextIO | None = None) -> None:
    """Send every logger of the process to one stream (stderr by default) as redacted JSON lines.

    Args:
        level: debug, info, warning or error; lower events are dropped before any work is done on them.
        stream: where to write; the tests give a buffer.
    """
    out = sys.stderr if stream is None else stream
    structlog.configure(
        processors=[*_shared(), *_ending()],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,  # A module's logger is made before the stream is known.
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending()],
        )
    )
    logging.basicConfig(level=max(LEVELS[level], logging.WARNING), handlers=[handler], force=True)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]


def _ending() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        redact,
        _event_first,
        structlog.processors.JSONRenderer(ensure_ascii=False, default=_type_name),
    ]


def _event_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put time, level and event in front, where the eye looks for them."""
    head = {key: event[key] for key in ("time", "level", "event") if key in event}
    return {**head, **event}


def _type_name(value: Any) -> str:  # noqa: ANN401 - json hands over whatever it cannot write
    return f"[{type(value).__name__}]"
