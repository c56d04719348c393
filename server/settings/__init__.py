"""How settings are read, with every mistake found at once; and the sections of `server/config.py` that fill a file."""

from server.settings.reading import (
    Between,
    ConfigError,
    Setting,
    duration_from_text,
    read_settings,
    settings_of,
    shown,
)

__all__ = ["Between", "ConfigError", "Setting", "duration_from_text", "read_settings", "settings_of", "shown"]
