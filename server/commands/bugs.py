"""What is kept of a mistake of ours? One redacted log line with the traceback, for the report."""

import structlog

from monitoring.logs import configure_logs


def log_bug(error: Exception) -> None:
    """Write the traceback to standard error as a log line."""
    configure_logs("warning")
    structlog.get_logger().error("command_failed", exc_info=error)
