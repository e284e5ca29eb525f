"""What the settings mean to the parts of a run: no key is without an effect."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ordersmith.adapters.simulated.rules import ExchangeRules
from ordersmith.config import Settings, load
from ordersmith.config.schema import values
from ordersmith.supervisor.from_settings import exchange_rules, limits

BACKTEST = "execution.backtest"
OTHER_VALUES = {
    "slippage.fraction": "0.001",
    "slippage.fixed": "0.02",
    "commission.preset": "ib_fixed",
    "commission.per_order": "1",
    "commission.per_share": "0.005",
    "commission.fraction": "0.001",
    "commission.minimum": "1",
    "commission.maximum": "0.01",
    "regulatory_fees": "true",
    "impact.coefficient": "1",
    "impact.volatility_sessions": "60",
    "latency.submit": "0.1",
    "latency.cancel": "0.2",
    "fill": "close",
    "limit_fill": "touch",
    "path": "adaptive",
    "same_bar_exits": "false",
    "outside_session": "refuse",
    "opg_cutoff": "0",
    "cls_cutoff": "0",
    "participation": "null",
    "price_increment": "0.01",
    "adjust_orders_for_dividends": "false",
    "account.type": "margin",
    "account.cash": "5000",
    "account.initial_margin": "0.6",
    "account.short_initial_margin": "1.5",
    "account.maintenance_margin": "0.3",
    "account.margin_call": "liquidate",
    "account.borrow_rate": "0.03",
    "account.settlement_days": "2",
}


def rules_with(*overrides):
    return exchange_rules(load({}, [f"{BACKTEST}.{override}" for override in overrides]))


def test_every_key_is_tried():
    """The table above has every setting of the simulated exchange."""
    assert list(OTHER_VALUES) == [".".join(path) for path, _ in values(Settings().execution.backtest)]


@pytest.mark.parametrize("key", OTHER_VALUES)
def test_no_setting_of_the_exchange_is_dead(key):
    """Each setting alone changes the rules of the exchange."""
    assert rules_with(f"{key}={OTHER_VALUES[key]}") != exchange_rules(Settings())


def test_defaults_of_the_settings_are_those_of_the_exchange():
    """An exchange made without settings is the one that the default settings describe."""
    assert exchange_rules(Settings()) == ExchangeRules()


@pytest.mark.parametrize("preset", ["alpaca", "ib_fixed", "ib_tiered"])
def test_preset_is_a_price_list(preset):
    """A preset sets what the broker charges, and nothing else."""
    rules = rules_with(f"commission={preset}")
    changed = {key for key in rules.__struct_fields__ if getattr(rules, key) != getattr(ExchangeRules(), key)}
    assert changed == (
        set() if preset == "alpaca" else {"commission_per_share", "commission_minimum", "commission_maximum"}
    )


def test_times_become_nanoseconds():
    """Seconds of the settings are whole nanoseconds for the exchange."""
    rules = rules_with("latency=0.25", "opg_cutoff=60", "cls_cutoff=0.5")
    assert (rules.latency_submit_ns, rules.latency_cancel_ns) == (250_000_000, 250_000_000)
    assert (rules.opg_cutoff_ns, rules.cls_cutoff_ns) == (60_000_000_000, 500_000_000)


@pytest.mark.parametrize(
    ("kind", "days", "later"), [("cash", 0, False), ("cash", 2, True), ("margin", 0, False), ("margin", 2, False)]
)
def test_gate_waits_for_settlement_in_cash_accounts(kind, days, later):
    """The gate keeps unsettled money back where the account does."""
    settings = load({}, [f"{BACKTEST}.account={{type: {kind}, settlement_days: {days}}}"])
    assert limits(settings).settles_later is later


def test_gate_knows_the_margin_of_short_positions():
    """What a short sale needs is the same to the gate and to the exchange."""
    settings = load({}, [f"{BACKTEST}.account={{type: margin, short_initial_margin: 1.5}}"])
    assert limits(settings).short_initial_margin == exchange_rules(settings).short_initial_margin == Decimal("1.5")


@pytest.mark.parametrize(
    ("execution", "says"),
    [
        ({}, "only symbols that have bars are"),
        ({"mode": "paper", "provider": "simulated"}, "only symbols that have bars are"),
        (
            {"mode": "paper", "provider": "simulated", "market_data": "alpaca"},
            "the broker's list of symbols does not have it",
        ),
        ({"mode": "paper", "provider": "alpaca"}, "the broker's list of symbols does not have it"),
    ],
)
def test_a_denial_says_which_symbols_this_mode_trades(execution, says):
    """Who names a symbol that is not traded is told where the list of those that are comes from, in the mode that runs."""
    assert limits(load({"execution": execution})).tradable.startswith(says)
