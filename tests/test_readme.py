"""What the README shows runs as it stands there."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def blocks() -> dict[str, list[str]]:
    """Return the README's code blocks by language."""
    found: dict[str, list[str]] = {}
    for language, block in re.findall(
        r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    ):
        found.setdefault(language, []).append(block)
    return found


@pytest.fixture
def folder(blocks: dict[str, list[str]], tmp_path: Path) -> Path:
    """Return a folder with the README's strategy and configuration, and the example prices."""
    (tmp_path / "dip.py").write_text(blocks["python"][0], encoding="utf-8")
    (tmp_path / "config.yaml").write_text(blocks["yaml"][0], encoding="utf-8")
    (tmp_path / "data").symlink_to(ROOT / "examples" / "data")
    return tmp_path


def run(folder: Path, *arguments: str) -> str:
    """Run Python in the folder and return what it prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_strategy_runs_from_the_command_line(folder: Path) -> None:
    """The strategy and the configuration pass `check` and trade."""
    assert "nothing is wrong" in run(folder, "-m", "ordersmith", "check", "config.yaml")
    assert "(2 FILLED)" in run(folder, "-m", "ordersmith", "backtest", "config.yaml", "--out", "out/dip")
    assert (folder / "out/dip/fills.csv").read_text(encoding="utf-8").count("\n") == 3


def test_the_strategy_runs_in_a_program(folder: Path, blocks: dict[str, list[str]]) -> None:
    """A program hands the strategy over and reads the summary."""
    (folder / "program.py").write_text("from dip import BuyTheDip\n" + blocks["python"][1], encoding="utf-8")
    assert "'FILLED': 2" in run(folder, "program.py")


def test_a_program_drives_the_executor(folder: Path, blocks: dict[str, list[str]]) -> None:
    """A program advances bar by bar and submits an order by itself."""
    (folder / "driver.py").write_text(blocks["python"][2], encoding="utf-8")
    printed = run(folder, "driver.py")
    assert "SUBMITTED" in printed
    assert "AccountInfo(" in printed


@pytest.mark.parametrize(
    ("number", "printed"),
    [(3, "'FILLED': 15"), (4, "795 steps of AAPL, IBM"), (5, "6 orders filled"), (6, "quantity=Decimal('10')")],
    ids=["blocking", "own data", "simulated time", "paper"],
)
def test_every_way_of_driving_runs(folder: Path, blocks: dict[str, list[str]], number: int, printed: str) -> None:
    """The programs that drive an executor without await, on data of their own, by sleeping, and on paper run as they stand."""
    (folder / "driver.py").write_text(blocks["python"][number], encoding="utf-8")
    assert printed in run(folder, "driver.py")


def test_the_picture_shows_what_the_demo_prints(tmp_path: Path) -> None:
    """Its figures, the hash among them, are those of the demo as it is now, speed aside."""
    config = str(ROOT / "examples" / "rebalance.yaml")
    ran = json.loads(run(tmp_path, "-m", "ordersmith", "backtest", config, "--json", "--out", str(tmp_path)))
    picture = html.unescape((ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")).replace("\xa0", " ")
    assert f"{ran['trace_hash'][:12]}, seed {ran['seed']}, {ran['records']:,} records" in picture
    assert f"{ran['sessions']:,} sessions, {ran['bars']:,} bars" in picture
    assert f"{ran['final_equity']:,.2f}, from" in picture
