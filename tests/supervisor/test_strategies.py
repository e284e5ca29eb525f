"""The hosted strategy: what is found under its path, and what is said when it is not."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from ordersmith import ConfigError
from ordersmith.supervisor.strategies import load_strategy

SOURCE = """\
import dataclasses
from ordersmith import Strategy
from {neighbour} import HALF

class Momentum(Strategy):
    def __init__(self, lookback=20, invested=None):
        self.lookback, self.invested, self.half = lookback, invested, HALF
        if lookback < 1:
            raise ValueError("lookback must be at least 1")

class Picky(Strategy):
    def __init__(self, *, lookback, symbols, top=1):
        self.lookback = lookback

@dataclasses.dataclass
class Plain(Strategy):
    window: int = 5

class Takes(Strategy):
    def __init__(self, **rest):
        self.rest = rest

class ByPosition(Strategy):
    def __init__(self, lookback, /):
        pass

class Unrelated: pass
def function(): pass
NUMBER = 5
"""


@pytest.fixture(autouse=True)
def path_restored():
    """Leave the module search path as it was."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def folder(tmp_path):
    """Return a folder with strategies.py, and a neighbour with a name that no other test has imported."""
    neighbour = f"neighbour_of_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{neighbour}.py").write_text("HALF = 0.5\n")
    (tmp_path / "strategies.py").write_text(SOURCE.format(neighbour=neighbour))
    return tmp_path


def said(path, folder, **parameters):
    with pytest.raises(ConfigError) as caught:
        load_strategy(path, parameters, folder)
    return str(caught.value)


def test_a_class_is_made_with_the_parameters_as_keywords(folder):
    """A class of a file beside the configuration gets the parameters by name, just as the configuration has them."""
    made = load_strategy("strategies.py:Momentum", {"invested": Decimal("0.95")}, folder)
    assert (type(made).__name__, made.lookback, made.invested) == ("Momentum", 20, Decimal("0.95"))


def test_the_path_may_lead_anywhere(folder, tmp_path, monkeypatch):
    """A path is relative to the configuration's folder, whatever the current one is, or absolute."""
    monkeypatch.chdir("/")
    below = tmp_path / "configs"
    below.mkdir()
    for path in ("../strategies.py:Momentum", f"{folder}/strategies.py:Momentum"):
        assert load_strategy(path, {}, below).half == 0.5


def test_a_strategy_finds_its_neighbours_and_hides_no_library(folder):
    """While it is imported, modules beside it come first; afterwards they come last, where they can take no library's place."""
    load_strategy("strategies.py:Momentum", {}, folder)
    assert sys.path[-1] == str(folder)
    assert sys.path.count(str(folder)) == 1
    load_strategy("strategies.py:Momentum", {}, folder)
    assert sys.path.count(str(folder)) <= 2


def test_equal_names_in_two_folders_are_two_strategies(folder, tmp_path):
    """A file is imported anew, and not taken for another of the same name."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "strategies.py").write_text("from ordersmith import Strategy\nclass Momentum(Strategy):\n    half = 2\n")
    assert [load_strategy("strategies.py:Momentum", {}, base).half for base in (folder, other)] == [0.5, 2]


def test_a_dataclass_is_a_strategy_like_another(folder):
    """A decorator that looks up the class's module finds it."""
    assert load_strategy("strategies.py:Plain", {"window": 7}, folder).window == 7


def test_a_class_that_takes_anything_gets_everything(folder):
    """With **keywords no parameter is unknown."""
    assert load_strategy("strategies.py:Takes", {"a": 1, "b": 2}, folder).rest == {"a": 1, "b": 2}


def test_a_package_beside_the_configuration_is_found(tmp_path):
    """A dotted path leads to a module of a package, installed or beside the configuration."""
    package = tmp_path / f"package_of_{tmp_path.name.replace('-', '_')}"
    package.mkdir()
    (package / "module.py").write_text("from ordersmith import Strategy\nclass Inner(Strategy): pass\n")
    assert type(load_strategy(f"{package.name}.module:Inner", {}, tmp_path)).__name__ == "Inner"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "strategie.py:Momentum",
            ["strategy.path: strategie.py is no file", "did you mean strategies.py?", "accepted: "],
        ),
        ("no/such/folder.py:Momentum", ["no/such/folder.py is no file (looked for /", "accepted: file.py:Class"]),
        ("strategies.py:Momentun", ["has no class Momentun; did you mean Momentum? accepted here: Momentum, Picky, "]),
        ("strategies.py:Zzz", ["has no class Zzz; accepted here: "]),
        (
            "strategies.py:Unrelated",
            ["Unrelated in strategies.py is a class, no subclass of Strategy", "accepted here: "],
        ),
        ("strategies.py:function", ["is of type function, no subclass of Strategy"]),
        ("strategies.py:NUMBER", ["NUMBER in strategies.py is of type int, no subclass of Strategy"]),
        ("strategies.py:Strategy", ["is the base class itself, no subclass of Strategy"]),
        (
            "no_such_module_at_all:Momentum",
            ["there is no module no_such_module_at_all", "accepted: package.module:Class"],
        ),
        ("json.no_such_part:Momentum", ["there is no module json.no_such_part"]),
        ("json.decoder:JSONDecoder", ["json.decoder has no subclass of ordersmith.Strategy"]),
    ],
)
def test_a_wrong_path_is_explained(folder, path, words):
    """The message has the path, what was found there, the nearest name and what would be accepted, in one line."""
    message = said(path, folder)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_module_that_is_a_file_beside_the_configuration_is_proposed(folder):
    """Where the dotted path has a file's name and a wrong ending, the file is named."""
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.py").write_text("")
    (folder / "sub.py").write_text("")
    assert "did you mean sub/deep.py?" in said("sub.deep:Momentum", folder)


@pytest.mark.parametrize(
    ("parameters", "lines"),
    [
        (
            {"lokback": 3},
            ["strategy.parameters.lokback: Momentum has no such parameter; did you mean lookback? accepted: "],
        ),
        (
            {"x": 1, "investd": 2},
            [
                "strategy.parameters.x: Momentum has no such parameter; accepted: lookback, invested",
                "strategy.parameters.investd: Momentum has no such parameter; did you mean invested?",
            ],
        ),
    ],
)
def test_every_wrong_parameter_is_named(folder, parameters, lines):
    """Each unknown parameter has a line of its own with the nearest name and all that are accepted."""
    message = said("strategies.py:Momentum", folder, **parameters).splitlines()
    assert [line.startswith(start) for line, start in zip(message, lines, strict=True)] == [True] * len(lines), message


def test_a_missing_parameter_is_named(folder):
    """A parameter without a default that is not given is named, beside one that is unknown."""
    message = said("strategies.py:Picky", folder, lookback=1, topp=2).splitlines()
    assert message == [
        "strategy.parameters.topp: Picky has no such parameter; did you mean top? accepted: lookback, symbols, top",
        "strategy.parameters.symbols: is missing; Picky needs it, accepted: lookback, symbols, top",
    ]


def test_a_parameter_without_a_name_is_refused(folder):
    """Parameters come from a configuration by name, so a class that takes them by position only is refused."""
    assert "ByPosition has parameters without a name" in said("strategies.py:ByPosition", folder, lookback=1)


def test_what_the_constructor_raises_is_shown(folder):
    """The exception, the parameters and the stranger's own line are shown, and no line of ours."""
    first, *trace = said("strategies.py:Momentum", folder, lookback=0).splitlines()
    assert first == (
        "strategy.parameters: Momentum cannot be made with lookback=0: ValueError: lookback must be at least 1"
    )
    assert 'raise ValueError("lookback must be at least 1")' in "\n".join(trace)
    assert trace[0] == "Traceback (most recent call last):"
    assert "load_strategy" not in "\n".join(trace)


@pytest.mark.parametrize(
    ("source", "error", "line"),
    [
        ("import math\nrate = math.sqrt(-1)\n", "ValueError: ", "rate = math.sqrt(-1)"),
        ("def f(:\n    pass\n", "SyntaxError: ", "def f(:"),
        (
            "import no_such_library_at_all\n",
            "ModuleNotFoundError: No module named 'no_such_library_at_all'",
            "import no_",
        ),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0", "sys.exit(0)"),
    ],
)
@pytest.mark.parametrize("spelling", ["{}.py:X", "{}:X"])
def test_what_the_import_raises_is_shown(tmp_path, source, error, line, spelling):
    """An exception during the import is a wrong configuration with the stranger's traceback, whatever it is."""
    name = f"broken_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(source)
    message = said(spelling.format(name), tmp_path)
    first, *trace = message.splitlines()
    assert first.startswith(f"strategy.path: {name}")
    assert f" cannot be imported: {error}" in first
    assert line in "\n".join(trace)
    assert not [shown for shown in trace if "importlib" in shown or "supervisor" in shown]


def test_an_error_inside_a_library_keeps_its_frames(tmp_path):
    """Only the frames above the stranger's are left out: what his code called stays."""
    (tmp_path / "deep.py").write_text("from ordersmith import Order\norder = Order.buy('AAPL', 'many')\n")
    message = said("deep.py:X", tmp_path)
    assert "order = Order.buy('AAPL', 'many')" in message
    assert str(Path("actors", "model.py")) in message
