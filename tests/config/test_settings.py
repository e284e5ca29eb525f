"""The schema, its defaults, and the example file that shows them."""

from __future__ import annotations

import decimal
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import yaml

from ordersmith.config import Settings, load, nanoseconds
from ordersmith.config.kinds import Section
from ordersmith.config.schema import known_paths, shapes, values
from ordersmith.config.settings import InstrumentSettings

EXAMPLE = Path(__file__).parents[2] / "examples" / "all-settings.yaml"


def keys_of(document, path=()):
    """List the path of every key of nested mappings."""
    for key, value in document.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from keys_of(value, (*path, key))


def test_example_has_every_key_in_the_order_of_the_structs():
    """The example file shows every key of the schema, none more, in the schema's order."""
    shown = list(keys_of(yaml.safe_load(EXAMPLE.read_text("utf-8"))))
    assert shown == list(known_paths())
    assert len(shown) > 45


def test_example_has_every_default():
    """Each value in the example file equals the default of its setting."""
    from_file = dict(values(load(EXAMPLE)))
    defaults = dict(values(Settings()))
    assert from_file == defaults
    assert {path: str(value) for path, value in from_file.items()} == {
        path: str(value) for path, value in defaults.items()
    }


def test_example_comments_every_setting():
    """Each line of the example that gives a value also says what it means."""
    lines = [line for line in EXAMPLE.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    values_without_comment = [line for line in lines if "#" not in line and not line.endswith(":")]
    assert values_without_comment == []


def test_every_default_passes_its_own_check():
    """A default that the loader would refuse cannot exist."""

    def check(section):
        for key, shape in shapes(type(section)).items():
            value = getattr(section, key)
            if isinstance(value, Section):
                check(value)
            elif value is None:
                assert shape.optional, key
            elif shape.check is not None:
                assert shape.check.holds(value), key

    check(Settings())


@pytest.mark.parametrize("name", ["seed", "base", "execution"])
def test_settings_cannot_be_changed(name):
    """Settings are frozen."""
    with pytest.raises(AttributeError):
        setattr(Settings(), name, None)


def test_symbol_takes_from_the_default_what_it_leaves_out():
    """A symbol's own lot stands beside the default's tick, and an unlisted symbol has the default."""
    settings = load({"instruments": {"default": {"tick": "0.05"}, "symbols": {"0700": {"lot": 100}}}})
    assert settings.instruments.of("0700") == InstrumentSettings(lot=Decimal(100), tick=Decimal("0.05"))
    assert settings.instruments.of("AAPL") == InstrumentSettings(lot=Decimal(1), tick=Decimal("0.05"))


@pytest.mark.parametrize(
    ("mode", "configured", "in_effect"),
    [("backtest", None, "0"), ("paper", None, "1"), ("backtest", 5, "5"), ("paper", 0, "0"), ("paper", "0.5", "0.5")],
)
def test_duplicate_window_follows_the_mode_unless_configured(mode, configured, in_effect):
    """Without a value the duplicate check is off in a backtest and one second otherwise."""
    settings = load({"execution": {"mode": mode}, "risk": {"duplicate_window": configured}})
    assert settings.duplicate_window == Decimal(in_effect)


@pytest.mark.parametrize(
    ("mode", "provider", "speed", "in_effect"),
    [("paper", "simulated", "max", 0), ("paper", "simulated", 1000, 1), ("paper", "alpaca", "max", 1)],
)
def test_equal_orders_at_one_instant_are_meant_where_time_stands_still(mode, provider, speed, in_effect):
    """A paper account at full speed has a backtest's window, so that it takes the same orders."""
    settings = load({"execution": {"mode": mode, "provider": provider, "paper": {"speed": speed}}})
    assert settings.duplicate_window == in_effect


def test_nanoseconds_ignore_the_decimal_context():
    """Seconds become whole nanoseconds exactly, even where the host calculates with two digits."""
    with decimal.localcontext(decimal.Context(prec=2)):
        assert nanoseconds(Decimal("86400.123456789")) == 86_400_123_456_789
        assert nanoseconds(Decimal("0.0000000019")) == 1


def test_paths_start_at_the_folder_of_the_file(tmp_path, monkeypatch):
    """A relative path is found from the configuration's folder, wherever the process was started."""
    (tmp_path / "there").mkdir()
    file = tmp_path / "there" / "config.yaml"
    file.write_text("data: {path: prices/daily.csv}\n")
    monkeypatch.chdir(tmp_path)
    settings = load("there/config.yaml")
    monkeypatch.chdir("/")
    assert settings.resolve(settings.data.path) == tmp_path / "there" / "prices" / "daily.csv"
    assert settings.resolve(str(file)) == file


def test_paths_of_a_mapping_start_at_the_current_folder(tmp_path, monkeypatch):
    """Settings without a file have the current folder as their base."""
    monkeypatch.chdir(tmp_path)
    assert load({}).base == tmp_path
    assert load({}) == msgspec.structs.replace(Settings(), base=tmp_path)
