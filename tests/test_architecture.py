"""ARCHITECTURE.md shows the tables that the code decides by; `python tests/update_architecture.py` puts them there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "ARCHITECTURE.md"


def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_architecture", HERE / "update_architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UPDATE = command()


@pytest.mark.parametrize("name", ["order-table", "risk-table"])
def test_the_page_has_the_table_of_the_code(name: str) -> None:
    """What stands between the markers is what the code renders; if not, run `python tests/update_architecture.py`."""
    text = PAGE.read_text(encoding="utf-8")
    shown = text.partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0].strip()
    assert shown == UPDATE.TABLES[name]()


def test_the_command_would_change_nothing() -> None:
    """The page as it is committed is what the command makes of it."""
    text = PAGE.read_text(encoding="utf-8")
    assert UPDATE.updated(text, UPDATE.TABLES) == text


def test_only_what_is_between_the_markers_changes() -> None:
    """The command replaces an old table, keeps the rest, and does the same when it is run again."""
    page = "# Title\n\n<!-- t:begin -->\nold\n<!-- t:end -->\n\nA \\1 text.\n"
    once = UPDATE.updated(page, {"t": lambda: "| new \\1 |"})
    assert once == "# Title\n\n<!-- t:begin -->\n\n| new \\1 |\n\n<!-- t:end -->\n\nA \\1 text.\n"
    assert UPDATE.updated(once, {"t": lambda: "| new \\1 |"}) == once


@pytest.mark.parametrize(
    "page",
    [
        "nothing",
        "<!-- t:begin -->",
        "<!-- t:end --><!-- t:begin -->",
        "<!-- t:begin --><!-- t:end --><!-- t:begin --><!-- t:end -->",
    ],
)
def test_missing_markers_are_an_error(page: str) -> None:
    """A page without the place for a table says which lines it needs."""
    with pytest.raises(ValueError, match="t needs the lines <!-- t:begin --> and <!-- t:end -->"):
        UPDATE.updated(page, {"t": lambda: ""})
