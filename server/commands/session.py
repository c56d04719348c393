"""What does every command need? The configuration, and who is asking."""

import getpass
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import typer

from server.config import Config, load_config


@dataclass
class Session:
    """One run of the command line."""

    config_path: Path | None = None

    @cached_property
    def config(self) -> Config:
        """The configuration, read when it is first asked for, so that `--help` works with a broken one."""
        return load_config(self.config_path, os.environ)

    @cached_property
    def actor(self) -> str:
        """Who is asking, for the audit trail: the account on this machine."""
        return f"operator:{getpass.getuser()}"


def session_of(context: typer.Context) -> Session:
    """Return the session that the main command made."""
    session = context.find_object(Session)
    if session is None:
        raise RuntimeError("a command ran outside of `shualian`")
    return session
