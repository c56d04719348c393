"""What does every command need? The configuration, and who is asking."""

import os
import pwd
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
    def account(self) -> str:
        """The account on this machine, as the kernel has it: what the environment says can be anybody's name."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container may run as a number that has no name
            return str(os.getuid())

    @property
    def actor(self) -> str:
        """Who is asking, for the audit trail; an account on this machine is no operator of the same name."""
        return f"local:{self.account}"


def session_of(context: typer.Context) -> Session:
    """Return the session that the main command made."""
    session = context.find_object(Session)
    if session is None:
        raise RuntimeError("a command ran outside of `shualian`")
    return session
