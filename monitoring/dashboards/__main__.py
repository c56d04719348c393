"""Are the dashboards on disk the ones the code describes? Writes them, or with `--check` only says."""

import json
import sys
from pathlib import Path
from typing import Final

from monitoring.dashboards import faces, identity, money, platform
from monitoring.dashboards.grafana import dashboard

FOLDER: Final = Path(__file__).parent


def dashboards() -> dict[Path, str]:
    """Return the text of each dashboard by the file it belongs in."""
    described = {
        "platform": dashboard(
            uid="shualian-platform",
            title="Shualian platform",
            about="Calls, fleet, faces, money and store of one platform. "
            "Generated from monitoring/dashboards/platform.py.",
            rows=platform.ROWS,
        ),
        "identity": dashboard(
            uid="shualian-identity",
            title="Shualian identity",
            about="Certificates, issuers, rollouts, fleet checks and the audit trail. "
            "Generated from monitoring/dashboards/identity.py.",
            rows=identity.ROWS,
        ),
        "faces": dashboard(
            uid="shualian-faces",
            title="Shualian face quality and attacks",
            about="How face sessions end, why, and who attacks. Generated from monitoring/dashboards/faces.py.",
            rows=faces.ROWS,
        ),
        "money": dashboard(
            uid="shualian-money",
            title="Shualian money",
            about="Bills, the provincial core, doubt, and differences between the books. "
            "Generated from monitoring/dashboards/money.py.",
            rows=money.ROWS,
        ),
    }
    return {
        FOLDER / f"{name}.json": json.dumps(model, indent=2, ensure_ascii=False) + "\n"
        for name, model in described.items()
    }


def main(arguments: list[str]) -> int:
    """Write the dashboards; with `--check` write nothing and return 1 when one is stale."""
    stale = [path for path, text in dashboards().items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.name} is stale. Run `python -m monitoring.dashboards` and commit the result.\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(dashboards()[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
