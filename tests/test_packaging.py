"""The package as others get it: the wheel, and a clone in a folder whose name is no identifier.

The clone is installed as `make demo` installs it, into an environment of its own that borrows the libraries of the one that
runs these tests, so that nothing is downloaded. A finished clone is made once and shared: its tests only read it, or write
under `out/`.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_SHIPPED = {"tests", "benchmarks", "examples"}
# What a make or a shell above us would hand down and a stranger's shell does not have.
HANDED_DOWN = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VENV", "PYTHON", "ARGS", "PYTHONPATH", "VIRTUAL_ENV"}
DEMO_SECONDS = 10


class Clone(NamedTuple):
    """A clone of the project, and the environment that it is installed in."""

    root: Path
    environment: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, or else of the system, in the clone; its output is shown when it fails."""
        bin_folder = self.environment / "bin"
        clean = {name: value for name, value in os.environ.items() if name not in HANDED_DOWN}
        first = str(bin_folder / command[0]) if (bin_folder / command[0]).exists() else command[0]
        ran = subprocess.run(
            [first, *command[1:]], cwd=self.root, env=clean, capture_output=True, text=True, check=False
        )
        assert not check or ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
        return ran


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Clone the project into `a-b.c` and install it there."""
    folder = tmp_path_factory.mktemp("clones")
    made = Clone(folder / "a-b.c", folder / "environment")
    _clone_to(made.root)
    venv.create(made.environment, with_pip=False, symlinks=True)
    # Only the folders of the libraries: the .pth file in them that leads to the outer checkout is not read from here.
    ours = sysconfig.get_path("purelib", vars={"base": str(made.environment)})
    theirs = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    Path(ours, "borrowed.pth").write_text("\n".join(theirs), encoding="utf-8")
    options = "--quiet --ignore-installed --no-deps --no-build-isolation --no-warn-script-location".split()
    made.run("python", "-m", "pip", "install", *options, "--editable", ".")
    (made.environment / ".installed-backtest").touch()
    return made


def _clone_to(folder: Path) -> None:
    """Clone what is committed; where the tree holds more than that, or is no repository, copy the tree instead."""
    status = ["git", "-C", str(ROOT), "status", "--porcelain"]
    if shutil.which("git"):
        asked = subprocess.run(status, capture_output=True, text=True, check=False)
        if asked.returncode == 0 and not asked.stdout.strip():
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
            return
    shutil.copytree(ROOT, folder, symlinks=True, ignore=_ignored)


def _ignored(folder: str, names: list[str]) -> set[str]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    patterns = [".git", *(line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#"))]
    matching = {name for name in names for pattern in patterns if fnmatch.fnmatchcase(name, pattern)}
    return matching | {name for name in names if Path(folder, name, "pyvenv.cfg").exists()}


@pytest.fixture(scope="module")
def wheel(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    clone.run("python", "-m", "pip", "wheel", *options, ".")
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """The wheel has every module of the tree and the type marker, no tests, no benchmarks, no examples."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not _ignored(str(ROOT), [path.name])]
    shipped = [folder for folder in folders if folder.name not in NOT_SHIPPED and not folder.name.startswith(".")]
    modules = [*ROOT.glob("*.py"), *(module for folder in shipped for module in folder.rglob("*.py"))]
    expected = {f"ordersmith/{path.relative_to(ROOT).as_posix()}" for path in [*modules, ROOT / "py.typed"]}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


def test_the_wheel_says_what_pyproject_says(wheel: zipfile.ZipFile) -> None:
    """Name, version, licence, Python and the command arrive in the wheel's metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stem = f"ordersmith-{project['version']}.dist-info"
    metadata = HeaderParser().parsestr(wheel.read(f"{stem}/METADATA").decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    assert "ordersmith = ordersmith.__main__:main" in wheel.read(f"{stem}/entry_points.txt").decode()
    assert b"Apache License" in wheel.read(f"{stem}/licenses/LICENSE")


def test_a_clone_of_any_name_imports_itself(clone: Clone) -> None:
    """In a folder named a-b.c the installed package is that folder, from wherever Python is started."""
    for start in (clone.root, clone.environment):
        code = f"import os; os.chdir({str(start)!r}); import ordersmith.actors.model as m; print(m.__file__)"
        where = clone.run("python", "-c", code).stdout.strip()
        assert Path(where).resolve() == (clone.root / "actors" / "model.py").resolve()


def test_a_clone_of_any_name_runs_its_tests(clone: Clone) -> None:
    """In a folder named a-b.c pytest runs the clone's tests on the clone's package."""
    itself = "tests/test_house.py::test_the_tests_run_on_this_checkout"
    ran = clone.run("python", "-m", "pytest", "--quiet", itself, "tests/config")
    assert " passed" in ran.stdout


def test_the_command_answers(clone: Clone) -> None:
    """The command and `python -m` print the same help, and it names the backtest."""
    by_name, by_module = clone.run("ordersmith", "--help"), clone.run("python", "-m", "ordersmith", "--help")
    assert by_name.stdout == by_module.stdout
    assert "backtest" in by_name.stdout


def test_the_demo_runs_from_a_fresh_clone_in_ten_seconds(clone: Clone) -> None:
    """Installation aside, `make demo` takes under ten seconds, installs nothing again and leaves its outputs."""
    began = time.perf_counter()
    ran = clone.run("make", "demo", f"VENV={clone.environment}")
    seconds = time.perf_counter() - began
    assert "Installing" not in ran.stdout
    assert "out/demo" in ran.stdout
    for name in ("orders.csv", "fills.csv", "equity.csv", "journal.jsonl"):
        assert len((clone.root / "out" / "demo" / name).read_text(encoding="utf-8").splitlines()) > 1, name
    assert seconds < DEMO_SECONDS


def test_a_changed_requirement_is_installed(clone: Clone) -> None:
    """Make installs again when pyproject.toml or constraints.txt is newer than the last installation, and only then."""
    ask = ("make", "--question", "install", f"VENV={clone.environment}")
    assert clone.run(*ask).returncode == 0
    later = time.time() + 5
    for name in ("pyproject.toml", "constraints.txt"):
        before = (clone.root / name).stat()
        os.utime(clone.root / name, (later, later))
        assert clone.run(*ask, check=False).returncode == 1, name
        os.utime(clone.root / name, (before.st_atime, before.st_mtime))


def test_an_old_python_is_refused_in_words(clone: Clone, tmp_path: Path) -> None:
    """With a Python that is too old make says what it found, what it needs and how to name another."""
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.1 && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    ran = clone.run("make", "demo", f"PYTHON={old}", f"VENV={tmp_path / 'environment'}", check=False)
    assert ran.returncode != 0
    for words in ("needs Python 3.11 or newer", "Python 3.9.1", "make demo PYTHON="):
        assert words in ran.stderr
    assert not (tmp_path / "environment").exists()


def test_every_target_is_explained(clone: Clone) -> None:
    """`make` alone lists every target that a person may call."""
    text = (clone.root / "Makefile").read_text(encoding="utf-8")
    (phony,) = [line.split()[1:] for line in text.splitlines() if line.startswith(".PHONY:")]
    listed = [line.split()[1] for line in clone.run("make").stdout.splitlines()]
    assert sorted(listed) == sorted(phony)


def test_the_same_python_runs_the_clone(clone: Clone) -> None:
    """The clone's environment is made of the interpreter that runs these tests, so every supported Python is tried."""
    found = clone.run("python", "-c", "import sys; print(sys.version)").stdout.strip()
    assert found == sys.version.strip()
