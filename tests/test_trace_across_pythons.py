"""The comparison of traces behind `make trace`: what it calls equal, what it calls broken, and which interpreters it takes."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).with_name("trace_across_pythons.py")))
Trace = SCRIPT["Trace"]


@pytest.mark.parametrize(
    ("traces", "is_wrong", "words"),
    [
        ([Trace("3.11.9", "aa"), Trace("3.12.1", "aa")], False, "One trace on 2 Pythons"),
        ([Trace("3.11.9", "aa")], False, "Only Python 3.11.9"),
        ([Trace("3.11.9", "aa"), Trace("3.12.1", "bb")], True, "2 different traces"),
        ([Trace("3.11.9", "aa"), Trace("3.12.1", failure="Traceback")], True, "failed on Python 3.12.1"),
        ([Trace("3.11.9", failure="no trace_hash")], True, "failed on Python 3.11.9"),
        ([], True, "No Python"),
    ],
)
def test_only_equal_traces_pass(traces: list, is_wrong: bool, words: str) -> None:
    """Different hashes, a failed run and no interpreter at all are failures; one interpreter is not."""
    wrong, verdict = SCRIPT["judge"](traces)
    assert wrong == is_wrong
    assert words in verdict


def test_an_interpreter_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shim on PATH without an interpreter behind it, and one of another version, are not taken for the version asked for."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    shim = tmp_path / f"python{version}"
    shim.write_text("#!/bin/sh\necho not installed >&2\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    other = tmp_path / "python3.5"
    other.symlink_to(sys.executable)
    assert SCRIPT["find_interpreter"](version) is None
    assert SCRIPT["find_interpreter"]("3.5") is None


def test_the_newest_patch_release_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among pyenv's releases of one version the newest comes first, by number and not by letter."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    for release in ("3.12.9", "3.12.10", "3.1.2"):
        interpreter = tmp_path / "versions" / release / "bin" / "python"
        interpreter.parent.mkdir(parents=True)
        interpreter.touch()
    assert [Path(path).parts[-3] for path in SCRIPT["candidates"]("3.12")] == ["3.12.10", "3.12.9"]
