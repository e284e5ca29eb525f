"""A plain value in place of a section: what it stands for, and how it goes together with fields of the section."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ordersmith.config import describe, digest, load
from ordersmith.config.backtest_settings import (
    BacktestSettings,
    CommissionSettings,
    ImpactSettings,
    LatencySettings,
    SlippageSettings,
)
from ordersmith.config.kinds import Section
from ordersmith.config.schema import shapes


def backtest_of(*overrides):
    return load({}, [f"execution.backtest.{override}" for override in overrides]).execution.backtest


@pytest.mark.parametrize(
    ("written", "section"),
    [
        ("slippage=0.001", SlippageSettings(fraction=Decimal("0.001"))),
        ("slippage='0.001'", SlippageSettings(fraction=Decimal("0.001"))),
        ("slippage={fixed: 0.02}", SlippageSettings(fixed=Decimal("0.02"))),
        ("slippage=", SlippageSettings()),
        ("commission=1", CommissionSettings(per_order=Decimal(1))),
        ("commission=ib_tiered", CommissionSettings(preset="ib_tiered")),
        ("commission={per_share: 0.005, minimum: 1}", CommissionSettings(per_share=Decimal("0.005"), minimum=Decimal(1))),
        ("impact=null", ImpactSettings()),
        ("impact=0.8", ImpactSettings(coefficient=Decimal("0.8"))),
        ("impact={coefficient: 1, volatility_sessions: 60}", ImpactSettings(coefficient=Decimal(1), volatility_sessions=60)),
        ("latency=0.5", LatencySettings(submit=Decimal("0.5"), cancel=Decimal("0.5"))),
        ("latency={cancel: 1}", LatencySettings(cancel=Decimal(1))),
    ],
)  # fmt: skip
def test_plain_value_stands_for_its_field(written, section):
    """A number or a word in place of a section sets the section's field of that sort; a section sets what it names."""
    assert getattr(backtest_of(written), written.split("=")[0]) == section


def test_shorthand_reads_the_environment(monkeypatch):
    """A plain value may come from an environment variable, as any setting may."""
    monkeypatch.setenv("BROKER_PRICES", "ib_fixed")
    monkeypatch.setenv("SLIPPAGE", "0.002")
    settings = load({"execution": {"backtest": {"commission": "${BROKER_PRICES}", "slippage": "${SLIPPAGE}"}}})
    assert settings.execution.backtest.commission.preset == "ib_fixed"
    assert settings.execution.backtest.slippage.fraction == Decimal("0.002")


def test_override_of_one_field_joins_a_plain_value():
    """`--set` of one field keeps what the file's plain value stands for."""
    settings = load(
        {"execution": {"backtest": {"slippage": 0.001, "latency": "0.5"}}},
        ["execution.backtest.slippage.fixed=0.02", "execution.backtest.latency.cancel=0"],
    )
    assert settings.execution.backtest.slippage == SlippageSettings(fraction=Decimal("0.001"), fixed=Decimal("0.02"))
    assert settings.execution.backtest.latency == LatencySettings(submit=Decimal("0.5"), cancel=Decimal(0))


def test_override_with_a_plain_value_replaces_the_section():
    """`--set` of the section's own path leaves nothing of what the file had there."""
    settings = load(
        {"execution": {"backtest": {"commission": {"per_share": "0.005", "minimum": 1}}}},
        ["execution.backtest.commission=ib_fixed"],
    )
    assert settings.execution.backtest.commission == CommissionSettings(preset="ib_fixed")


def test_shorthand_and_section_are_the_same_settings():
    """However it is written, the digest and the description are one."""
    short, long = (
        load({}, ["execution.backtest.slippage=0.001"]),
        load({}, ["execution.backtest.slippage.fraction=0.001"]),
    )
    assert (digest(short), describe(short)) == (digest(long), describe(long))


def test_problem_of_a_plain_value_has_the_line_of_its_key(tmp_path):
    """What is wrong with a plain value is told where it is written, once, though it stands for two fields."""
    file = tmp_path / "config.yaml"
    file.write_text("execution:\n  backtest:\n    latency: -1\n")
    with pytest.raises(ValueError, match=r"latency") as caught:
        load(file)
    assert (
        str(caught.value)
        == f"{file}:3: execution.backtest.latency: found -1; accepted: a number of seconds from 0 to 3600"
    )


def test_every_shorthand_names_fields_of_its_section():
    """A shorthand cannot name a field that is not there."""
    with_shorthand = []
    for key, shape in shapes(BacktestSettings).items():
        if isinstance(shape.kind, type) and issubclass(shape.kind, Section) and shape.kind.shorthand:
            with_shorthand.append(key)
            assert set(shape.kind.shorthand) <= set(shapes(shape.kind))
    assert with_shorthand == ["slippage", "commission", "impact", "latency"]
