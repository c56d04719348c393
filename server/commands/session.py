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
    given_server: str | None = None
    """`--server`: where the platform's admin port is."""
    given_folder: Path | None = None
    """`--as`: the operator's folder."""

    @cached_property
    def config(self) -> Config:
        """The configuration, read when it is first asked for, so that `--help` works with a broken one."""
        return load_config(self.config_path, os.environ)

    @property
    def server(self) -> str:
        """Where the admin port is; empty for local mode."""
        return self.config.admin_client.server if self.given_server is None else self.given_server

    @property
    def operator_folder(self) -> Path | None:
        """The folder of the operator who speaks to a server."""
        return self.given_folder or self.config.admin_client.folder

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
