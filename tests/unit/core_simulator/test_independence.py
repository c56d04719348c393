"""The simulated core and our own client share no envelope code: a mistake must not agree with itself."""

import ast
from pathlib import Path

SERVER = Path(__file__).parents[3] / "server"


def imported(folder: Path) -> set[str]:
    """Return the modules of ours that the files of a folder name."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.ImportFrom(module=str(name)):
                    found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
                case ast.Import(names=names):
                    found |= {alias.name for alias in names}
    return {name for name in found if name.startswith("server.")}


def test_the_simulator_imports_nothing_of_the_server() -> None:
    simulator = imported(SERVER / "core_simulator")

    assert simulator
    assert {name for name in simulator if not name.startswith("server.core_simulator")} == set()


def test_our_client_imports_nothing_of_the_simulator() -> None:
    client = imported(SERVER / "settlement")

    assert any(name.startswith("server.settlement.insurers.fsi") for name in client)
    assert {name for name in client if name.startswith("server.core_simulator")} == set()
