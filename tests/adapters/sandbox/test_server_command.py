"""`ordersmith sandbox` as people run it: a process, its words, its signals, its end."""

from __future__ import annotations

import argparse
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from alpaca_sandbox_kit import sandbox_process

from ordersmith.actors.errors import ConfigError, DataError
from ordersmith.adapters.sandbox import command
from ordersmith.adapters.sandbox.fault_kinds import KINDS, NAMES
from ordersmith.adapters.sandbox.fault_profile import FaultRule, load_profile
from ordersmith.config import load
from ordersmith.config.yaml_reader import read

STORM = Path(__file__).resolve().parents[3] / "examples" / "alpaca-storm.yaml"
PROFILE = """\
seed: 7
quiet_first: 0
faults:
  - {kind: 500, rate: 1, method: GET, path: /v2/clock}
  - {kind: drop_frame, event: fill, rate: 0.05}
  - {kind: mute, per_hour: 12, seconds: 40}
"""


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(required=True))
    return parser.parse_args(["sandbox", "--alpaca", "0", *words])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(number: signal.Signals) -> None:
    """It runs until it gets a signal, and then ends with 0."""
    with sandbox_process() as sandbox:
        assert float(sandbox.alpaca("GET", "/v2/account")["cash"]) == 100000
        assert sandbox.stop(number) == 0


def test_an_account_outlives_a_kill(tmp_path: Path) -> None:
    """What was answered before a kill is there after it, at the same port."""
    words = ("--account", "account.json", "--cash", "5000", "--speed", "100")
    with sandbox_process(*words, cwd=tmp_path) as sandbox:
        order = sandbox.submit(symbol="AAPL", qty="3", side="buy", client_order_id="before")
        sandbox.wait_for(lambda client: client.orders()[0]["status"] == "filled")
        port = sandbox.port
        assert sandbox.stop(signal.SIGKILL) == -signal.SIGKILL
    with sandbox_process(*words, cwd=tmp_path, port=port) as sandbox:
        assert sandbox.orders(client_order_id="before")[0]["id"] == order["id"]
        assert sandbox.alpaca("GET", "/v2/positions/AAPL")["qty"] == "3"
        assert sandbox.stop() == 0


def test_the_example_of_a_profile_has_everything() -> None:
    """It can be loaded, uses every key, and says of every kind what it does, with the seconds that it lasts by default."""
    text = STORM.read_text("utf-8")
    profile = load_profile(STORM)
    used = {name for rule in profile.faults for name in rule.__struct_fields__ if getattr(rule, name) is not None}
    assert used == set(FaultRule.__struct_fields__)
    assert (profile.seed, profile.quiet_first > 0) == (7, True)
    told = dict(re.findall(r"^#   (\w+) {2,}(\S.*)$", text, re.MULTILINE))
    assert sorted(told) == sorted(NAMES)
    for name, kind in KINDS.items():
        seconds = re.findall(r"\[(\d+)\]", told[name])
        assert seconds == ([] if kind.seconds is None else [f"{kind.seconds:g}"]), name


def test_help_names_the_example_of_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    """Who reads of --faults learns where there is one with every key."""
    with pytest.raises(SystemExit):
        parsed("--help")
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "--faults PROFILE a YAML file with faults and how often they strike; every key: examples/alpaca-storm.yaml"
        in told
    )
    assert STORM.is_file()


def test_a_profile_is_in_force_from_the_start(tmp_path: Path) -> None:
    """Faults of a profile strike as its rules say."""
    (tmp_path / "faults.yaml").write_text(PROFILE)
    with sandbox_process("--faults", "faults.yaml", cwd=tmp_path) as sandbox:
        assert [rule["kind"] for rule in sandbox.admin("GET", "/faults")["standing"]] == ["500", "drop_frame", "mute"]
        status, _, _ = sandbox.http(
            "GET", "/v2/clock", **{"APCA-API-KEY-ID": sandbox.key, "APCA-API-SECRET-KEY": sandbox.secret}
        )
        assert status == 500


def test_what_it_prints_is_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed lines are settings that load, with the sandbox's addresses and keys."""
    from ordersmith.adapters.sandbox.sandbox_config import addresses

    for kind in ("paper", "live"):
        config = command._config(parsed("--kind", kind))
        text = command._as_text(config, addresses(8399))
        lines = text[text.index("execution:") : text.index("Faults")]
        settings = load(read(lines).value)
        assert settings.execution.mode == kind
        assert settings.execution.alpaca.paper == (kind == "paper")
        assert settings.execution.alpaca.api_key.reveal() == config.key
        assert settings.execution.alpaca.api_secret.reveal() == config.secret
        assert settings.execution.alpaca.stream_url == "ws://127.0.0.1:8399/stream"
        assert settings.execution.alpaca.data_stream_url == "ws://127.0.0.1:8399/v2/iex"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--alpaca", "70000"), "from 0 to 65535"),
        (("--speed", "0"), "0.001 to 1000000"),
        (("--speed", "nan"), "0.001 to 1000000"),
        (("--cash", "-1"), "an amount"),
        (("--partial-fills", "1"), "from 0 up to"),
        (("--kind", "demo"), "paper"),
        (("--rate-limit", "x"), "whole number"),
    ],
)
def test_wrong_words_are_explained(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is not accepted ends with 2 and says what would be."""
    with pytest.raises(SystemExit) as ended:
        parsed(*words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("profile", "lines"),
    [
        ("faults:\n  - {kind: 505}\n", ['faults.yaml:2: faults[0].kind: found "505"; accepted: 504_before_accept']),
        ("faults: {kind: mute}\n", ["faults.yaml:1: faults: found a section"]),
        ("sede: 1\nquiet_first: -1\n", ["faults.yaml:1: sede", "faults.yaml:2: quiet_first: found -1"]),
        ("faults:\n- {kind: mute, rate: 0.1}\n- {rate: 0.1}\n", ["faults[0].rate", "faults[1].kind: is missing"]),
        ("faults: [\n", ["faults.yaml:"]),
    ],
)
def test_a_wrong_profile_is_explained(tmp_path: Path, profile: str, lines: list[str]) -> None:
    """A profile is refused with the line, the field and what would be accepted, everything at once."""
    (tmp_path / "faults.yaml").write_text(profile)
    with pytest.raises(ConfigError) as refused:
        command.sandbox_command(parsed("--faults", str(tmp_path / "faults.yaml")))
    for line in lines:
        assert line in str(refused.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A profile, data or words that cannot be are errors of who started it."""
    with pytest.raises(ConfigError, match="cannot be read"):
        command.sandbox_command(parsed("--faults", str(tmp_path / "none.yaml")))
    with pytest.raises(DataError):
        command.sandbox_command(parsed("--data", str(tmp_path / "none.csv")))
    with pytest.raises(ConfigError, match="leave one of the two out"):
        command.sandbox_command(parsed("--data", str(tmp_path), "--symbols", "A"))


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the web server's library is not installed the command names the extra that has it."""
    import builtins

    true_import: Any = builtins.__import__

    def without_aiohttp(name: str, *rest: Any, **more: Any) -> Any:
        if name.endswith("alpaca_server"):
            raise ModuleNotFoundError("No module named 'aiohttp'")
        return true_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_aiohttp)
    with pytest.raises(ConfigError, match=r"ordersmith\[sandbox\]"):
        command.sandbox_command(parsed())
