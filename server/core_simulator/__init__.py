"""The provincial core as a process of its own: whom the national envelope talks to, in tests and on benches.

It keeps its own books, shares no envelope code with `server/settlement/insurers/fsi`, so that a mistake cannot agree
with itself, and misbehaves by a script. docs/operations/core-simulator.md says what it answers.
"""

from server.core_simulator.books import Books
from server.core_simulator.core import Core, CoreSettings
from server.core_simulator.script import Fault, Rule, Script
from server.core_simulator.seals import Seals
from server.core_simulator.serving import Ready, serve

__all__ = ["Books", "Core", "CoreSettings", "Fault", "Ready", "Rule", "Script", "Seals", "serve"]
