"""The determinism contract, by reading the source: the same inputs give the same trace on every run, machine and Python.

The linter's list of banned names covers what has a name to ban; this adds what it cannot see, the builtins and the order
of sets. What neither can see, and review must: a sum() of floats, a set that comes from another module, a float whose last
digit decides, and whatever a library does.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUFF = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]

# Where the contract holds, as patterns of the linter: the domain, the simulated exchange and its paper venue, the dispatcher and its parts.
HEART = (
    *("core", "inputs", "prices", "recovery", "tree"),
    *("dispatcher", "asks", "commit", "lifecycle", "kernel", "supervision", "cell", "timers", "crash_report"),
)
CONTRACT = (
    *("actors/**", "adapters/simulated/**"),
    *(f"adapters/paper/{name}.py" for name in ("inputs", "memory", "venue")),
    *(f"supervisor/{name}.py" for name in HEART),
)

# The storm's floor is bound as well, but for what a person starts. Its chance comes from seeds: others may name the type
# `Random`, and only chance.py makes one. (The linter cannot tell those apart.)
NOT_SIMULATED = ("simulation/running.py",)
CHANCE = "simulation/chance.py"
SEEDED = "imports random.Random"

BANNED_MODULES = {"time", "random", "secrets", "uuid", "statistics"}
BANNED_BUILTINS = {"id", "hash"}
BANNED_NAMES = {
    *("datetime.now", "datetime.today", "datetime.utcnow", "date.today", "os.urandom"),
    *(f"math.{name}" for name in ("log", "log1p", "log2", "log10", "exp", "exp2", "expm1", "pow")),
}

SET_MAKERS = {"set", "frozenset"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
ORDER_TAKERS = set("list tuple iter enumerate zip map filter dict fromkeys deque chain join extend".split())
# What these make of a generator does not depend on its order.
ORDERLESS = {"sorted", "any", "all", "set", "frozenset"}

Loop = ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp


class Findings(ast.NodeVisitor):
    """What may differ between two runs of one module's code; a name that the module binds to a set is known as one."""

    def __init__(self, module: ast.Module) -> None:
        self.lines: list[str] = []
        nodes = list(ast.walk(module))
        self.sets = {name for node in nodes for name in _bound_to_set(node)}
        self.bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
        self.bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        self.visit(module)

    def _add(self, node: ast.expr | ast.stmt, what: str) -> None:
        self.lines.append(f"{node.lineno}: {what}")

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] in BANNED_MODULES:
                self._add(node, f"imports {alias.name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            if not node.level and (name.partition(".")[0] in BANNED_MODULES or name in BANNED_NAMES):
                self._add(node, f"imports {name}")

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in BANNED_BUILTINS - self.bound:
            self._add(node, f"uses {node.id}(), which differs between runs")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = ast.unparse(node)
        if any(dotted == name or dotted.endswith(f".{name}") for name in BANNED_NAMES):
            self._add(node, f"uses {dotted}")
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._needs_order(node.iter)
        self.generic_visit(node)

    def visit_GeneratorExp(self, node: Loop) -> None:
        for loop in node.generators:
            self._needs_order(loop.iter)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self.visit_GeneratorExp(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self.visit_GeneratorExp(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._needs_order(node.value)
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        for element in node.elts:  # {*a, *b} is a set again
            self.visit(element.value if isinstance(element, ast.Starred) else element)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rsplit(".", 1)[-1]
        if name in ORDER_TAKERS:
            for argument in node.args:
                self._needs_order(argument)
        if name == "pop" and not node.args and isinstance(node.func, ast.Attribute) and self._is_set(node.func.value):
            self._add(node, f"takes any element of the set {ast.unparse(node.func.value)}")
        for child in ast.iter_child_nodes(node):
            if name in ORDERLESS and isinstance(child, Loop):
                self.generic_visit(child)
            else:
                self.visit(child)

    def _needs_order(self, node: ast.expr) -> None:
        if self._is_set(node):
            self._add(node, f"takes an order from the set {ast.unparse(node)}: sort it, or use a dict")

    def _is_set(self, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name() | ast.Attribute():
                return ast.unparse(node) in self.sets
            case ast.Call(func=ast.Name(id=name)):
                return name in SET_MAKERS
            case ast.Call(func=ast.Attribute(value=owner, attr=name)):
                return name in SET_METHODS and (self._is_set(owner) or _is_view(owner))
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), left=left, right=right):
                return any(self._is_set(side) or _is_view(side) for side in (left, right))
        return False


def _is_view(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"keys", "items"}


def _bound_to_set(node: ast.AST) -> set[str]:
    match node:
        case ast.arg(arg=name, annotation=ast.expr() as annotation) if _annotates_set(annotation):
            return {name}
        case ast.AnnAssign(target=target, annotation=annotation) if _annotates_set(annotation):
            return {ast.unparse(target), f"self.{ast.unparse(target)}"}
        case ast.Assign(targets=targets, value=ast.Set() | ast.SetComp()):
            return {ast.unparse(target) for target in targets}
        case ast.Assign(targets=targets, value=ast.Call(func=ast.Name(id="set" | "frozenset"))):
            return {ast.unparse(target) for target in targets}
    return set()


def _annotates_set(annotation: ast.expr) -> bool:
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return ast.unparse(outer) in {"set", "frozenset", "Set", "AbstractSet", "MutableSet"}


def contract_files() -> list[Path]:
    """Return the files that the contract binds."""
    return sorted(path for pattern in CONTRACT for path in ROOT.glob(pattern.replace("/**", "/**/*.py")))


def simulation_files() -> list[Path]:
    """Return the files of the storm that the contract binds."""
    return [path for path in sorted(ROOT.glob("simulation/**/*.py")) if _relative(path) not in NOT_SIMULATED]


def simulation_findings(module: ast.Module, path: str) -> list[str]:
    """Return what may differ between two runs of a storm's file: chance that is not seeded, besides all the rest."""
    found = [line for line in Findings(module).lines if line.partition(": ")[2] != SEEDED]
    made = [node for node in ast.walk(module) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Random"]
    unseeded = [node for node in made if path != CHANCE or not node.args]
    return found + [f"{node.lineno}: makes a Random: take a stream of {CHANCE}" for node in unseeded]


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def relative_imports(path: Path) -> Iterator[Path]:
    """Yield the files beside `path` that it imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            yield from (path.with_name(f"{name}.py") for name in names if path.with_name(f"{name}.py").exists())


def test_decisions_are_deterministic() -> None:
    """Actors, the simulated exchange and the dispatcher use nothing that may differ between two runs."""
    findings = {path: Findings(ast.parse(path.read_text(encoding="utf-8"))).lines for path in contract_files()}
    assert not [f"{path.relative_to(ROOT)}:{line}" for path, lines in findings.items() for line in lines]


def test_a_storm_is_deterministic() -> None:
    """What is simulated uses nothing that may differ between two runs, and no chance but that of its seed."""
    findings = {_relative(path): ast.parse(path.read_text(encoding="utf-8")) for path in simulation_files()}
    assert not [f"{path}:{line}" for path, module in findings.items() for line in simulation_findings(module, path)]
    assert CHANCE in findings
    assert all((ROOT / path).is_file() for path in NOT_SIMULATED)


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("simulation/broker.py", "from random import Random\ndef f(random: Random): return random.random()", 0),
        ("simulation/broker.py", "from random import Random\nx = Random(1)", 1),
        ("simulation/broker.py", "import random", 1),
        ("simulation/broker.py", "from random import choice", 1),
        ("simulation/broker.py", "import time", 1),
        ("simulation/broker.py", "for x in {1, 2}: pass", 1),
        (CHANCE, "from random import Random\nx = Random('1 a')", 0),
        (CHANCE, "from random import Random\nx = Random()", 1),
    ],
)
def test_chance_without_a_seed_is_found(path: str, text: str, count: int) -> None:
    """The check of the storm accepts a stream that is handed in, and sees randomness that is made elsewhere or without a seed."""
    assert len(simulation_findings(ast.parse(text), path)) == count


def test_the_contract_covers_what_it_is_about() -> None:
    """Every pattern of the contract finds a file, and no file of the contract imports one beside it that is not bound by it."""
    files = set(contract_files())
    assert all(any(ROOT.glob(pattern)) for pattern in CONTRACT)
    assert not {beside for path in files for beside in relative_imports(path)} - files


def test_the_linter_enforces_the_same_contract() -> None:
    """The linter bans the same names in the same files, so that an editor shows what these tests would find."""
    dotted = {f"datetime.{name}" if name.startswith("date") else name for name in BANNED_NAMES}
    names = BANNED_MODULES | dotted | {f"builtins.{name}" for name in BANNED_BUILTINS}
    assert set(RUFF["flake8-tidy-imports"]["banned-api"]) == names
    assert RUFF["per-file-ignores"]["!{" + ",".join(CONTRACT) + "}"] == ["TID251"]


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from random import Random",
        "from math import log",
        "x = math.exp(1)",
        "x = datetime.now(UTC)",
        "x = datetime.datetime.now()",
        "x = id(actor)",
        "x = sorted(rows, key=hash)",
        "for x in {1, 2}: pass",
        "for x in set(rows): pass",
        "x = [y for y in frozenset(rows)]",
        "x = tuple(y for y in {1, 2})",
        "x = list({row.symbol for row in rows})",
        "x = dict.fromkeys(set(rows))",
        "x = [*set(rows)]",
        "x = ','.join({'a', 'b'})",
        "for x in a.keys() - b.keys(): pass",
        "for x in set(a).union(b): pass",
        "x = any(list(set(row)) for row in rows)",
        "class A:\n    def __init__(self):\n        self.open: set[str] = set()\n    def f(self):\n        for x in self.open: pass",
        "def f(symbols: frozenset[str]):\n    return list(symbols)",
        "OPEN = frozenset({1, 2})\nx = tuple(OPEN)",
        "seen = set()\nx = seen.pop()",
    ],
)
def test_what_differs_between_runs_is_found(text: str) -> None:
    """The check sees clocks, randomness, addresses, libm and the order of sets."""
    assert Findings(ast.parse(text)).lines


@pytest.mark.parametrize(
    "text",
    [
        "from .time import Clock",
        "x = math.sqrt(2)",
        "x = datetime.fromtimestamp(0, UTC)",
        "def f(id): return id",
        "for x in sorted({1, 2}): pass",
        "x = sorted(y.name for y in a.keys() - b.keys())",
        "x = all(y > 1 for y in {1, 2})",
        "x = {y + 1 for y in {1, 2}}",
        "x = 1 in {1, 2}",
        "x = {*a, *b}",
        "for x in rows: pass",
        "x = list(dict.fromkeys(rows))",
        "x = len(set(rows))",
        "for key in a.keys(): pass",
        "x = rows.pop()",
    ],
)
def test_what_is_the_same_in_every_run_is_left_alone(text: str) -> None:
    """The check accepts sorted sets, membership, dicts and parameters that hide a builtin."""
    assert not Findings(ast.parse(text)).lines
