"""The hosted strategy: from `strategy.path` and `strategy.parameters` to an instance, or to sentences that say what is wrong.

The code is a stranger's. Whatever it raises while it is imported or made becomes a ConfigError with its traceback, in which our own frames
are left out.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from ..actors.errors import ConfigError
from ..actors.strategy import Strategy
from ..config.problems import either, path_text, shown

PATH = "strategy.path"
CALLERS = (__name__.partition(".")[0], "importlib", "_frozen_importlib", "_frozen_importlib_external")
"""The packages whose frames stand above those of a strategy: ours, and the import system's."""


def load_strategy(path: str, parameters: Mapping[str, Any], base: Path) -> Strategy:
    """Import `file.py:Class` (relative to `base`) or `package.module:Class` and make an instance with the parameters as keywords.

    A file is imported anew by each call. Raises ConfigError, one line a problem; what the code itself raised follows as a traceback.
    """
    kind = strategy_class(path, base)
    _check_parameters(kind, parameters)
    try:
        return kind(**parameters)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"strategy.parameters: {kind.__name__} cannot be made with {_as_keywords(parameters)}: "
            f"{_named(error)}\n{traceback_of(error)}"
        ) from error


def strategy_class(path: str, base: Path) -> type[Strategy]:
    """Import the class that `path` names. Raises ConfigError."""
    where, _, name = path.rpartition(":")
    module = _from_file(where, base) if where.endswith(".py") else _from_package(where, base)
    found = getattr(module, name, None)
    if _is_strategy(found):
        return found
    offered = [known for known, value in vars(module).items() if _is_strategy(value)]
    accepted = f"accepted here: {either(offered)}" if offered else f"{where} has no subclass of ordersmith.Strategy"
    if found is not None:
        raise ConfigError(f"{PATH}: {name} in {where} is {_kind_of(found)}, no subclass of Strategy; {accepted}")
    raise ConfigError(f"{PATH}: {where} has no class {name}{_nearest(name, offered)} {accepted}")


def traceback_of(error: BaseException) -> str:
    """Return the traceback of what a stranger's code raised, from its own first frame on: those that called it are ours."""
    frames = error.__traceback__
    while frames is not None and str(frames.tb_frame.f_globals.get("__name__")).partition(".")[0] in CALLERS:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


# --- Import ------------------------------------------------------------------------------------------------------------


def _from_file(where: str, base: Path) -> ModuleType:
    file = base / Path(where).expanduser()
    if not file.is_file():
        beside = [neighbour.name for neighbour in file.parent.glob("*.py")]
        raise ConfigError(
            f"{PATH}: {where} is no file (looked for {file.absolute()}){_nearest(file.name, beside)} "
            "accepted: file.py:Class, relative to the configuration's folder, or package.module:Class"
        )
    # A name that no import statement uses, registered because dataclasses and pickle look their module up.
    name = f"strategy file {file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _importing(where), _first_on_path(file.parent):
        spec.loader.exec_module(module)
    return module


def _from_package(where: str, base: Path) -> ModuleType:
    try:
        with _importing(where), _first_on_path(base, Path.cwd()):
            return importlib.import_module(where)
    except ModuleNotFoundError as error:
        file = f"{where.replace('.', '/')}.py"
        hint = f"; did you mean {file}?" if (base / file).is_file() else ";"
        raise ConfigError(
            f"{PATH}: there is no module {where} ({error}){hint} accepted: package.module:Class of something that is installed "
            f"or lies in {base}, or file.py:Class"
        ) from error


@contextmanager
def _importing(where: str) -> Iterator[None]:
    """Turn what the import raises into a ConfigError, but for the absence of the module itself."""
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{where}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"{PATH}: {where} cannot be imported: {_named(error)}\n{traceback_of(error)}") from error


@contextmanager
def _first_on_path(*folders: Path) -> Iterator[None]:
    """Look for modules in these folders first while a strategy is imported, and last from then on.

    First, so that its neighbours are found; last, because a neighbour named like a library must not take that one's
    place for us.
    """
    names = [str(folder.absolute()) for folder in folders]
    sys.path[:0] = names
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for name in names:
            sys.path.remove(name)
        sys.path.extend(name for name in names if name not in sys.path)


# --- Judge -------------------------------------------------------------------------------------------------------------


def _is_strategy(value: object) -> TypeGuard[type[Strategy]]:
    return isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy


def _check_parameters(kind: type[Strategy], parameters: Mapping[str, Any]) -> None:
    takes = inspect.signature(kind).parameters.values()
    if any(one.kind is one.POSITIONAL_ONLY for one in takes):
        raise ConfigError(
            f"{PATH}: {kind.__name__} has parameters without a name; accepted: ones that are given by name"
        )
    named = {one.name: one for one in takes if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    takes_any = any(one.kind is one.VAR_KEYWORD for one in takes)
    unknown = [] if takes_any else [name for name in parameters if name not in named]
    missing = [name for name, one in named.items() if one.default is one.empty and name not in parameters]
    accepted = ", ".join(named) or "none"
    problems = [
        f"{_key(name)}: {kind.__name__} has no such parameter{_nearest(name, named)} accepted: {accepted}"
        for name in unknown
    ]
    problems += [f"{_key(name)}: is missing; {kind.__name__} needs it, accepted: {accepted}" for name in missing]
    if problems:
        raise ConfigError("\n".join(problems))


def _key(name: str) -> str:
    return path_text(("strategy", "parameters", name))


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ";"


def _kind_of(found: object) -> str:
    if found is Strategy:
        return "the base class itself"
    return "a class" if isinstance(found, type) else f"of type {type(found).__name__}"


def _as_keywords(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={shown(value)}" for name, value in parameters.items()) or "no parameters"


def _named(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()
