"""The rules of the house that a linter cannot see: arrows point down, the domain is pure, everything is listed.

The checks read the source and import nothing of it. Each is a function from source text to findings, so that it is tried
on text that breaks its rule as well as on the tree: a check that finds nothing anywhere proves nothing. The determinism
contract has a file of its own.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib.metadata
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import ordersmith

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_SHIPPED = ("tests", "benchmarks", "examples")
MAX_LINES = 420

# Floor -> the floors it may import from. "" is the root itself: the public API and the command.
MAY_IMPORT = {
    "config": {"config"},
    "actors": {"actors"},
    "adapters": {"config", "actors", "adapters"},
    "supervisor": {"config", "actors", "adapters", "supervisor"},
    "simulation": {"config", "actors", "adapters", "supervisor", "simulation"},
    "": {"config", "actors", "adapters", "supervisor", "simulation", ""},
}

# The domain reads no clock, does no I/O and knows no event loop: all that it may import from outside.
OUTSIDE_FOR_ACTORS = frozenset(
    """
    __future__ abc bisect collections contextlib copy dataclasses datetime decimal enum functools hashlib heapq inspect
    itertools json math operator re string textwrap traceback types typing
    msgspec structlog
    """.split()
)


# ------------------------------------------------------------------------------------------------------------- the tree


def _ignored() -> list[str]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    return [".git", *(line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#"))]


@cache
def tree() -> tuple[str, ...]:
    """Every file that belongs to the project, as git would list it, without needing git: paths relative to the root, sorted."""
    patterns, found = _ignored(), []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder)
        folders[:] = [name for name in folders if not _matches(name, patterns) and not _is_foreign(here / name)]
        found += [(here / name).relative_to(ROOT).as_posix() for name in files if not _matches(name, patterns)]
    return tuple(sorted(found))


def _is_foreign(folder: Path) -> bool:
    return folder.is_symlink() or (folder / "pyvenv.cfg").exists()


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def python_files(*, shipped: bool = False) -> list[str]:
    return [path for path in tree() if path.endswith(".py") and not (shipped and path.split("/")[0] in NOT_SHIPPED)]


def source(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def module_name(path: str) -> str:
    parts = ["ordersmith", *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --------------------------------------------------------------------------------------------------------------- arrows


def imports_of(module: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of everything that the file at `path` imports, wherever in the file."""
    package = module_name(path).split(".")
    if not path.endswith("__init__.py"):
        package.pop()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def floor_of(name: str) -> str | None:
    """The floor that a dotted name belongs to: "" for the root's own, None for what is not ours."""
    first, _, rest = name.partition(".")
    if first != "ordersmith":
        return None
    floor = rest.split(".")[0]
    return floor if floor in MAY_IMPORT else ""


def upward_imports(module: ast.Module, path: str) -> list[str]:
    own = floor_of(module_name(path))
    assert own is not None
    allowed = MAY_IMPORT[own]
    return [
        f"{path}:{line} imports {name}: {own or 'the root'} may import from {', '.join(sorted(filter(None, allowed)))}"
        for line, name in imports_of(module, path)
        if floor_of(name) is not None and floor_of(name) not in allowed
    ]


def absolute_imports(module: ast.Module, path: str) -> list[str]:
    named = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom) and not node.level and node.module]
    plain = [alias.name for node in ast.walk(module) if isinstance(node, ast.Import) for alias in node.names]
    ours = [name for name in [*plain, *(str(node.module) for node in named)] if floor_of(name) is not None]
    return [f"{path} imports {name} by its full name: imports inside the package are relative" for name in ours]


def foreign_imports(module: ast.Module, path: str) -> list[str]:
    return [
        f"{path}:{line} imports {name}: the domain does no I/O and reads no clock"
        for line, name in imports_of(module, path)
        if floor_of(name) is None and name.split(".")[0] not in OUTSIDE_FOR_ACTORS
    ]


def test_arrows_point_down() -> None:
    """No floor imports from a floor above it."""
    assert not [finding for path in python_files(shipped=True) for finding in upward_imports(source(path), path)]


def test_imports_inside_the_package_are_relative() -> None:
    """The package never names itself, so that it works under the name that the installation gives it."""
    assert not [finding for path in python_files(shipped=True) for finding in absolute_imports(source(path), path)]


def test_the_domain_touches_nothing_outside() -> None:
    """Actors import no event loop, no I/O, no clock and no randomness."""
    paths = [path for path in python_files() if path.startswith("actors/")]
    assert not [finding for path in paths for finding in foreign_imports(source(path), path)]


@pytest.mark.parametrize(
    ("path", "text", "count"),
    [
        ("config/settings.py", "from ..actors import model", 1),
        ("config/settings.py", "from . import loading", 0),
        ("actors/order.py", "from ..adapters.simulated.clock import Clock", 1),
        ("actors/order.py", "def f():\n    from .. import supervisor", 1),
        ("actors/machines/order.py", "from ..model import Order", 0),
        ("actors/machines/order.py", "from ...config.settings import Settings", 1),
        ("actors/order.py", "from .. import py_typed_by_another_name", 1),
        ("adapters/simulated/exchange.py", "from ...supervisor.dispatcher import Dispatcher", 1),
        ("supervisor/tree.py", "from ..adapters import calendar\nfrom ..config import settings", 0),
        ("supervisor/cli.py", "from ..simulation import storm", 1),
        ("__main__.py", "from .supervisor.cli import main", 0),
    ],
)
def test_an_upward_import_is_found(path: str, text: str, count: int) -> None:
    """The arrow check sees relative imports of every depth, also inside functions."""
    assert len(upward_imports(ast.parse(text), path)) == count


@pytest.mark.parametrize(
    "text", ["import anyio", "import os.path", "from time import sleep", "from pathlib import Path"]
)
def test_a_foreign_import_is_found(text: str) -> None:
    """The purity check sees modules that do I/O or read a clock."""
    assert foreign_imports(ast.parse(text), "actors/order.py")


# ------------------------------------------------------------------------------------------------------------ packaging


def test_the_tests_run_on_this_checkout() -> None:
    """The installed package is the one whose tests these are."""
    assert Path(str(ordersmith.__file__)).resolve().parent == ROOT


def test_every_folder_with_modules_is_a_listed_package() -> None:
    """pyproject.toml lists every folder of the package that holds modules, and no other."""
    folders = {"/".join(path.split("/")[:-1]) for path in python_files(shipped=True)}
    packages = {".".join(["ordersmith", *filter(None, folder.split("/"))]) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages


def test_every_package_has_an_init() -> None:
    """Every listed package has an __init__.py, so that it is a package to every tool alike."""
    folders = [name.split(".")[1:] for name in PROJECT["tool"]["setuptools"]["packages"]]
    assert not [folder for folder in folders if not ROOT.joinpath(*folder, "__init__.py").is_file()]


def test_types_are_checked_on_every_floor() -> None:
    """The type checker is told of every floor and of the root's own modules."""
    floors = {name for name in PROJECT["tool"]["setuptools"]["packages"] if name.count(".") == 1}
    roots = {module_name(path) for path in python_files() if "/" not in path}
    assert set(PROJECT["tool"]["mypy"]["packages"]) == floors
    assert set(PROJECT["tool"]["mypy"]["modules"]) == roots


def test_every_library_that_is_imported_is_required() -> None:
    """What the package imports from others is named in its own requirements and not only brought along by another package."""
    owners = importlib.metadata.packages_distributions()
    extras = PROJECT["project"]["optional-dependencies"]
    of_users = ("alpaca", "backtest", "calendar", "sandbox", "trio")
    stated = [*PROJECT["project"]["dependencies"], *(name for extra in of_users for name in extras[extra])]
    required = {_distribution(requirement) for requirement in stated}
    imported = {name.split(".")[0] for path in python_files(shipped=True) for _, name in imports_of(source(path), path)}
    foreign = imported - set(sys.stdlib_module_names) - {"ordersmith"}
    assert not {name for name in foreign if not required & {_distribution(owner) for owner in owners.get(name, [name])}}


def test_every_requirement_is_pinned() -> None:
    """constraints.txt has a version for whatever any extra asks for."""
    extras = PROJECT["project"]["optional-dependencies"]
    stated = [*PROJECT["project"]["dependencies"], *(name for extra in extras.values() for name in extra)]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_distribution(line) for line in pins if "==" in line and not line.startswith("#")}
    assert {_distribution(name) for name in stated} - {"ordersmith"} <= pinned


def _distribution(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, f"{requirement!r} does not begin with a name"
    return re.sub(r"[-_.]+", "-", found[0]).lower()


# ---------------------------------------------------------------------------------------------------------------- files


def test_files_have_one_idea() -> None:
    """No file of source, benchmarks or examples has more than 420 lines."""
    paths = [path for path in python_files() if not path.startswith("tests/")]
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in paths}
    assert not {path: length for path, length in lengths.items() if length > MAX_LINES}


def test_every_test_states_a_behaviour() -> None:
    """Every test function has a docstring of one sentence."""
    tests = [
        (path, node)
        for path in python_files()
        if path.startswith("tests/") and path.rsplit("/", 1)[-1].startswith("test_")
        for node in ast.walk(source(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert not [f"{path}:{node.lineno} {node.name}" for path, node in tests if not ast.get_docstring(node)]


# Taken apart, so that this file does not contain them.
FOREIGN_TO_A_REPOSITORY = re.compile(
    rf"(?<![\w.-])/(?:{'|'.join(('wo' + 'rk', 'ro' + 'ot', 'fa' + 'rm', 't' + 'mp', 'ho' + 'me', 'Use' + 'rs'))})/"
    rf"|\.lib{''}rary|\bfa{''}rm-[a-z]|py{''}pi\.org|files\.python{''}hosted"
)


def test_no_file_knows_a_machine() -> None:
    """No file of the project contains a path of somebody's machine or the address of a package registry."""
    texts = {path: (ROOT / path).read_bytes().decode("utf-8", errors="ignore") for path in tree()}
    assert not {path: found[0] for path, text in texts.items() if (found := FOREIGN_TO_A_REPOSITORY.search(text))}


@pytest.mark.parametrize(
    "text", ["see /wo" + "rk/x", '"/ro' + 'ot/.pyenv"', "cd /t" + "mp/x", "https://py" + "pi.org/x"]
)
def test_a_path_of_a_machine_is_found(text: str) -> None:
    """The check for machine paths sees them in prose, in quotes and in commands."""
    assert FOREIGN_TO_A_REPOSITORY.search(text)
    assert not FOREIGN_TO_A_REPOSITORY.search("a frame" + "work/tree, docs/wo" + "rk/notes")
