"""Which pages of the documentation are printed from code, and how?"""

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Final

from monitoring.reference import metrics_page
from server.commands.catalogue import catalogue_page
from server.config import settings
from server.errors import as_markdown
from server.settings import Setting

ERRORS_HEAD: Final = """# Errors

Printed by `shualian docs errors` from the table in `server/errors.py`; do not edit by hand. Each failed call ends with
a gRPC status and carries `google.rpc.ErrorInfo` (domain `shualian`, one of the reasons below), `BadRequest` where a
field is to blame, and `RetryInfo` where the same request may work later. Program against the reason: it is stable, the
sentence is for people.

"""

CONFIGURATION_HEAD: Final = """# Configuration

Printed by `shualian docs configuration` from `server/config.py`; do not edit by hand. Settings come from one TOML file
(`shualian --config FILE`), and the variables below win over it. Everything has a default. All mistakes are reported at
once, at start. Durations are written like `500ms`, `30s`, `5min`, `24h`, `7d`. `shualian config show` prints what is in
force.
"""


def errors_page() -> str:
    """Return docs/errors.md."""
    return ERRORS_HEAD + as_markdown()


def configuration_page() -> str:
    """Return docs/configuration.md."""
    lines = [CONFIGURATION_HEAD]
    for section, group in groupby(settings(), key=lambda setting: setting.key.rpartition(".")[0]):
        lines += [f"## [{section}]" if section else "## Top level", ""]
        lines += ["| Setting | Variable | Type | Default | Bound | Meaning |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [_row(setting) for setting in group]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(setting: Setting) -> str:
    cells = (
        f"`{setting.key}`",
        f"`{setting.variable}`",
        setting.kind,
        f"`{setting.default}`" if setting.default else "empty",
        setting.bound,
        setting.meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "errors": errors_page,
    "error-catalogue": catalogue_page,
    "configuration": configuration_page,
    "metrics": metrics_page,
}
"""By the name of the command and of the file in docs/."""
