"""The unit for systemd and the container file: an ordinary user, few rights, an orderly stop, no secrets, and paths that agree."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from ordersmith.config import Settings, load
from ordersmith.supervisor import cli
from ordersmith.supervisor.run_needs import missing_for_run

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "service"
CONFIG = "/etc/ordersmith/config.yaml"
STATE = "/var/lib/ordersmith"
SECRET = re.compile(r"key|secret|token|passw|credential", re.IGNORECASE)


def unit_of(text):
    """Return the settings of a unit by section and name, each a list of its values in order."""
    found, section = defaultdict(lambda: defaultdict(list)), ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found[section][name].append(value)
    return found


def stages_of(text):
    """Return the instructions of a container file as (word, arguments), one list a stage."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    stages = []
    for line in filter(None, joined.splitlines()):
        word, _, arguments = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, arguments))
    return stages


UNIT = unit_of((FOLDER / "ordersmith.service").read_text("utf-8"))
SERVICE = UNIT["Service"]
STAGES = stages_of((FOLDER / "Containerfile").read_text("utf-8"))
IMAGE = STAGES[-1]


def last(word):
    return [arguments for name, arguments in IMAGE if name == word][-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User", "ordersmith"),
        ("Group", "ordersmith"),
        ("StateDirectory", "ordersmith"),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("RestrictSUIDSGID", "yes"),
        ("RestrictNamespaces", "yes"),
        ("LockPersonality", "yes"),
        ("ProtectProc", "invisible"),
        ("LimitCORE", "0"),
        ("KillSignal", "SIGTERM"),
        ("KillMode", "mixed"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("Restart", "on-failure"),
        ("ExecStart", f"/opt/ordersmith/bin/ordersmith run {CONFIG}"),
    ],
)
def test_unit_has_few_rights_and_an_orderly_stop(name, value):
    """The unit runs as an ordinary user that may write its state only, and is stopped by the signal that stops it in order."""
    assert SERVICE[name] == [value]


def test_unit_does_not_restart_what_a_restart_does_not_mend():
    """The status of a wrong configuration is one that the unit does not restart after, and too many crashes end the trying."""
    assert SERVICE["RestartPreventExitStatus"] == [str(cli.main(["check", "there-is-no-such-file.yaml"]))]
    assert int(UNIT["Unit"]["StartLimitBurst"][0]) * int(SERVICE["RestartSec"][0]) < int(
        UNIT["Unit"]["StartLimitIntervalSec"][0]
    )


def test_unit_is_killed_later_than_it_stops():
    """The orderly stop has its time, in the example and by default, before systemd or the container's runtime kills."""
    asked = re.search(r"--stop-timeout (\d+)", (FOLDER / "Containerfile").read_text("utf-8"))
    for settings in (Settings(), load(FOLDER / "config.yaml")):
        for killed in (SERVICE["TimeoutStopSec"][0], asked[1]):
            assert Decimal(killed) >= settings.service.stop_within * 2


def test_unit_lets_the_libraries_start():
    """Where no memory may become executable, polars is told not to try."""
    assert "POLARS_SKIP_CPU_CHECK=1" in SERVICE["Environment"]


def test_neither_file_holds_a_secret():
    """Keys come from a file that the root user reads or from outside the container, never from the unit or the image."""
    assert [value for value in SERVICE["Environment"] if SECRET.search(value)] == []
    assert SERVICE["EnvironmentFile"] == ["-/etc/ordersmith/keys"]
    instructions = [instruction for stage in STAGES for instruction in stage]
    assert [arguments for word, arguments in instructions if SECRET.search(arguments)] == []
    assert {word for word, _ in instructions} <= {
        "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "STOPSIGNAL", "ENTRYPOINT", "CMD"
    }  # fmt: skip


def test_container_runs_as_an_ordinary_user():
    """The last user of the image is one without a shell, made before, and owns the state alone."""
    assert last("USER") == "ordersmith"
    words = [word for word, _ in IMAGE]
    assert "RUN" not in words[words.index("USER") :]
    (made,) = [arguments for word, arguments in IMAGE if word == "RUN"]
    assert "--uid 10001" in made
    assert "nologin ordersmith" in made
    assert f"--owner ordersmith --group ordersmith --mode 0700 {STATE}" in made
    assert last("VOLUME") == STATE


def test_container_gets_the_signals():
    """The program is the container's first process, without a shell between, and SIGTERM is what stops it."""
    assert last("STOPSIGNAL") == "SIGTERM"
    assert json.loads(last("ENTRYPOINT")) + json.loads(last("CMD")) == ["ordersmith", "run", CONFIG]


def test_container_holds_the_package_and_nothing_else():
    """From the project come the folders of the package and what its installation reads; the image gets only what was installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = {name.split(".")[1] for name in project["tool"]["setuptools"]["packages"] if "." in name}
    copied = [shlex.split(arguments) for word, arguments in STAGES[0] if word == "COPY"]
    folders = {words[0] for words in copied if len(words) == 2}
    assert folders == packages
    assert all(words[1] == f"./{words[0]}" for words in copied if len(words) == 2)
    (files,) = [words[:-1] for words in copied if len(words) > 2]
    assert set(files) == {
        "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "py.typed", *(path.name for path in ROOT.glob("*.py"))
    }  # fmt: skip
    assert [arguments for word, arguments in IMAGE if word == "COPY"] == [
        "--from=build /opt/ordersmith /opt/ordersmith"
    ]


def test_container_is_built_from_pinned_versions():
    """Both stages begin with the same slim image, and the constraints file says which versions are installed."""
    assert {stage[0][1].split(" AS ")[0] for stage in STAGES} == {"python:3.12-slim"}
    (installed,) = [arguments for word, arguments in STAGES[0] if word == "RUN"]
    assert "pip install --no-cache-dir --constraint constraints.txt '.[backtest]'" in installed


@pytest.mark.parametrize("folder", [None, "/var/lib/private/ordersmith"])
def test_service_writes_its_state_where_it_may(monkeypatch, folder):
    """The example's configuration can be run, and all that it writes lies in the directory that systemd or the volume gives."""
    for name in ("ORDERSMITH_DATA", "ORDERSMITH_STRATEGY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    if folder is not None:
        monkeypatch.setenv("STATE_DIRECTORY", folder)
    settings = load(FOLDER / "config.yaml")
    assert missing_for_run(settings) == []
    for path in (settings.journal.path, settings.execution.paper.file):
        assert settings.resolve(path).parent == Path(folder or STATE)


def test_paper_example_is_the_demo_on_a_paper_account():
    """The paper example differs from the demo only in what paper trading needs, so that its orders are those of the backtest."""
    paper, demo = (load(ROOT / "examples" / name) for name in ("paper.yaml", "rebalance.yaml"))
    assert missing_for_run(paper) == []
    assert (paper.execution.mode, paper.execution.provider) == ("paper", "simulated")
    assert paper.execution.backtest == demo.execution.backtest
    for section in ("risk", "breaker", "instruments", "data", "strategy", "seed"):
        assert getattr(paper, section) == getattr(demo, section)
