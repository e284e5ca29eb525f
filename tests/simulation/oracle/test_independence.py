"""The oracle knows the words and none of the code that speaks them."""

from __future__ import annotations

import ast
from pathlib import Path

import ordersmith
from ordersmith.simulation.oracle.oracle import Oracle
from ordersmith.simulation.oracle.watch import OracleLimits, Watch

ORACLE = Path(ordersmith.__file__).parent / "simulation" / "oracle"
VOCABULARY = {
    "actors.account_events",
    "actors.actor",
    "actors.doubt_events",
    "actors.events",
    "actors.messages",
    "actors.model",
    "actors.ports",
}


def imported(text: str) -> set[str]:
    """Return what a module of the oracle imports of the package, its own folder aside; of a top module, what of it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("ordersmith")}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level > 1 and "." not in module:
                found |= {f"{module}.{alias.name}" for alias in node.names}
            elif node.level > 1 or (node.level == 0 and module.startswith("ordersmith")):
                found.add(module)
    return found


def test_the_oracle_imports_the_vocabulary_alone() -> None:
    """No checker imports an actor, a machine, the supervisor or the simulation around it."""
    found = set().union(*(imported(path.read_text(encoding="utf-8")) for path in ORACLE.glob("*.py")))
    assert found == VOCABULARY


def test_an_import_of_what_is_judged_is_found() -> None:
    """The check sees every way to import."""
    text = "from ...actors.machines import fills\nfrom .. import store\nfrom ..wire import Wire\nimport ordersmith.actors.order"
    assert imported(text) == {"actors.machines", ".store", "wire.Wire", "ordersmith.actors.order"}
    assert imported("from ...actors import desk") == {"actors.desk"}


def test_an_oracle_is_a_watch() -> None:
    """Everything that is told is taken."""
    watch: Watch = Oracle("main", OracleLimits())
    assert all(callable(getattr(watch, name)) for name in vars(Watch) if not name.startswith("_"))
