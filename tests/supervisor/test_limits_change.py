"""Limits that are read again: tighter at once, looser only with a restart, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith import Settings
from ordersmith.config import load, nanoseconds
from ordersmith.config.schema import shapes
from ordersmith.config.settings import BreakerSettings, RiskSettings
from ordersmith.supervisor.limits_change import LOOSENESS, change, tightest

PAPER = {"execution": {"mode": "paper", "provider": "simulated"}}


def read(*overrides):
    return load(PAPER, overrides)


def changed(was, now):
    """Return the change from one override to another, either None for the default."""
    return change(*(read(*filter(None, [override])) for override in (was, now)))


# Tighter, then looser.
PAIRS = [
    ("risk.max_order_quantity=10", "risk.max_order_quantity=10.5"),
    ("risk.max_order_notional=1", "risk.max_order_notional=2"),
    ("risk.max_position_quantity=1", "risk.max_position_quantity=2"),
    ("risk.max_gross_exposure=99999999", "risk.max_gross_exposure=100000000"),
    ("risk.price_collar=0.05", "risk.price_collar=0.06"),
    ("risk.price_collar=1", "risk.price_collar=null"),
    ("risk.duplicate_window=2", "risk.duplicate_window=1"),
    ("risk.duplicate_window=0.001", "risk.duplicate_window=0"),
    ("risk.duplicate_window=null", "risk.duplicate_window=0.5"),
    ("risk.duplicate_window=1.5", "risk.duplicate_window=null"),
    ("breaker.rejections=1", "breaker.rejections=2"),
    ("breaker.window=61", "breaker.window=60"),
    ("breaker.cooldown=301", "breaker.cooldown=300"),
    ("breaker.cooldown=null", "breaker.cooldown=1000000"),
]


@pytest.mark.parametrize(("tight", "loose"), PAIRS)
def test_tighter_is_taken_and_looser_waits(tight, loose):
    """Of each limit it is known which of two values forbids more, and only that one is taken over."""
    path = tight.split("=")[0]
    tightening, loosening = changed(loose, tight), changed(tight, loose)
    assert (list(tightening.tightened), list(tightening.loosened), tightening.other) == ([path], [], [])
    assert (list(loosening.tightened), list(loosening.loosened), loosening.other) == ([], [path], [])
    for result in (tightening, loosening):
        assert (result.limits, result.breaker_rules) == (
            changed(tight, tight).limits,
            changed(tight, tight).breaker_rules,
        )


def test_the_table_knows_every_limit():
    """A limit that is new in the settings needs its line in the table, and each line is tried above."""
    known = {f"risk.{key}" for key in shapes(RiskSettings)} | {f"breaker.{key}" for key in shapes(BreakerSettings)}
    assert set(LOOSENESS) == known == {tight.split("=")[0] for tight, _ in PAIRS}


def test_a_default_written_out_is_no_change():
    """A value that is written in another way, or that the mode gives anyway, changes nothing."""
    result = changed(None, "risk={duplicate_window: 1.0, max_order_notional: 1e6, price_collar: 0.10}")
    assert (result.tightened, result.loosened, result.other) == ({}, {}, [])
    assert list(result.lines()) == [("info", "nothing has changed")]


def test_the_mode_that_runs_decides_what_a_default_means():
    """A file that names another mode now does not switch off the duplicate check of the mode that runs."""
    result = change(read(), load({}))
    assert (result.tightened, result.loosened) == ({}, {})
    assert result.other == ["execution.mode", "execution.provider"]
    assert result.limits.duplicate_window_ns == 1_000_000_000


def test_what_is_no_limit_is_named_and_ignored():
    """Everything else that has changed is told by path, secrets without their values, and nothing of it is taken over."""
    old = read()
    new = load(
        {
            **PAPER,
            "execution": {**PAPER["execution"], "alpaca": {"api_key": "PKVERYSECRET"}, "reconcile_every": None},
            "data": {"symbols": ["B"]},
            "instruments": {"symbols": {"A": {"lot": 100}, "B": {"tick": 1}}},
            "strategy": {"parameters": {"deep": {"x": 1}}},
            "risk": {"max_order_quantity": 5},
            "seed": 7,
        }
    )
    result = change(old, new)
    assert result.other == [
        "execution.alpaca.api_key",
        "execution.reconcile_every",
        "instruments.symbols",
        "data.symbols",
        "strategy.parameters",
        "seed",
    ]
    assert result.settings == read("risk.max_order_quantity=5")
    assert "PKVERYSECRET" not in str(list(result.lines()))


def test_lines_say_what_holds_now():
    """The log gets a line for each limit, with both values, and one for all that is ignored."""
    result = changed("risk.max_order_notional=500000", "risk={max_order_notional: 600000, price_collar: 0.05}")
    assert list(result.lines()) == [
        ("info", "risk.price_collar: 0.1 → 0.05, from now on"),
        ("warning", "risk.max_order_notional: stays 500000; 600000 is looser and needs a restart"),
    ]
    assert list(changed("seed=1", "breaker.cooldown=null").lines()) == [
        ("info", "breaker.cooldown: 300 → null, from now on"),
        ("warning", "ignored until a restart, since only tighter limits are taken over: seed"),
    ]


amounts = st.decimals(min_value=Decimal("0.001"), max_value=10**6, places=3)
limits_settings = st.builds(
    RiskSettings,
    max_order_quantity=amounts,
    max_order_notional=amounts,
    max_position_quantity=amounts,
    max_gross_exposure=amounts,
    price_collar=st.none() | st.decimals(min_value=Decimal("0.001"), max_value=1, places=3),
    duplicate_window=st.none() | st.just(Decimal(0)) | amounts,
)
rules_settings = st.builds(
    BreakerSettings, rejections=st.integers(1, 10**6), window=amounts, cooldown=st.none() | amounts
)
any_settings = st.builds(Settings, risk=limits_settings, breaker=rules_settings, execution=st.just(read().execution))


@given(any_settings, any_settings)
def test_the_tightest_allows_nothing_that_either_refuses(one, other):
    """Whichever was first, each limit after the change is at least as tight as both, and reading the same again changes nothing."""
    result = change(one, other)
    held, rules = result.limits, result.breaker_rules
    for settings in (one, other):
        risk, breaker = settings.risk, settings.breaker
        assert held.max_order_quantity <= risk.max_order_quantity
        assert held.max_order_notional <= risk.max_order_notional
        assert held.max_position_quantity <= risk.max_position_quantity
        assert held.max_gross_exposure <= risk.max_gross_exposure
        assert risk.price_collar is None or held.price_collar <= risk.price_collar
        assert held.duplicate_window_ns >= nanoseconds(settings.duplicate_window)
        assert rules.rejections <= breaker.rejections
        assert rules.window_ns >= nanoseconds(breaker.window)
        assert rules.cooldown_ns is None or (
            breaker.cooldown is not None and rules.cooldown_ns >= nanoseconds(breaker.cooldown)
        )
    assert not change(result.settings, other).tightened
    assert change(tightest(one, other), tightest(other, one)).settings == result.settings
