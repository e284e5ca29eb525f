"""What the settings mean to the parts of a run: the simulated exchange, the gate, the breaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..actors.machines.breaker import BreakerRules
from ..actors.machines.risk import Limits
from ..actors.model import ZERO, Instrument
from ..adapters.simulated.commissions import PRESETS
from ..adapters.simulated.rules import ExchangeRules
from ..config import Settings, nanoseconds
from ..config.backtest_settings import CommissionSettings
from .price_source import is_live


def instruments_of(settings: Settings, symbols: Sequence[str]) -> dict[str, Instrument]:
    """Return the lot and the tick of each symbol."""
    rules = {symbol: settings.instruments.of(symbol) for symbol in symbols}
    return {symbol: Instrument(lot=rule.lot, tick=rule.tick) for symbol, rule in rules.items()}


def exchange_rules(settings: Settings) -> ExchangeRules:
    """Return how the simulated exchange fills, what it charges, and the account that it keeps."""
    backtest = settings.execution.backtest
    account, impact = backtest.account, backtest.impact
    return ExchangeRules(
        slippage=backtest.slippage.fraction,
        slippage_fixed=backtest.slippage.fixed,
        **_commission(backtest.commission),
        regulatory_fees=backtest.regulatory_fees,
        impact=impact.coefficient,
        impact_sessions=impact.volatility_sessions,
        fill=backtest.fill,
        limit_fill=backtest.limit_fill,
        path=backtest.path,
        same_bar_exits=backtest.same_bar_exits,
        outside_session=backtest.outside_session,
        opg_cutoff_ns=nanoseconds(backtest.opg_cutoff),
        cls_cutoff_ns=nanoseconds(backtest.cls_cutoff),
        latency_submit_ns=nanoseconds(backtest.latency.submit),
        latency_cancel_ns=nanoseconds(backtest.latency.cancel),
        participation=backtest.participation,
        price_increment=backtest.price_increment,
        adjust_orders_for_dividends=backtest.adjust_orders_for_dividends,
        account_type=account.type,
        cash=account.cash,
        initial_margin=account.initial_margin,
        short_initial_margin=account.short_initial_margin,
        maintenance_margin=account.maintenance_margin,
        margin_call=account.margin_call,
        borrow_rate=account.borrow_rate,
        settlement_days=account.settlement_days,
    )


def _commission(commission: CommissionSettings) -> dict[str, Any]:
    if commission.preset is not None:
        return dict(PRESETS[commission.preset])
    return {
        "commission": commission.per_order,
        "commission_per_share": commission.per_share,
        "commission_fraction": commission.fraction,
        "commission_minimum": commission.minimum or ZERO,
        "commission_maximum": commission.maximum,
    }


def limits(settings: Settings) -> Limits:
    """Return what the gate allows."""
    risk, account = settings.risk, settings.execution.backtest.account
    return Limits(
        max_order_quantity=risk.max_order_quantity,
        max_order_notional=risk.max_order_notional,
        max_position_quantity=risk.max_position_quantity,
        max_gross_exposure=risk.max_gross_exposure,
        price_collar=risk.price_collar,
        duplicate_window_ns=nanoseconds(settings.duplicate_window),
        account_type=account.type,
        initial_margin=account.initial_margin,
        short_initial_margin=account.short_initial_margin,
        settles_later=account.type == "cash" and account.settlement_days > 0,
        stale_after_ns=nanoseconds(settings.data.stale_after) if is_live(settings) else None,
        tradable=_tradable(settings),
    )


def _tradable(settings: Settings) -> str:
    """Return which symbols are traded with these prices, as a denial says it."""
    if is_live(settings):
        return "the broker's list of symbols does not have it: check how it is written there (BRK.B, not BRK-B)"
    return Limits().tradable


def breaker_rules(settings: Settings) -> BreakerRules:
    """Return when trading halts by itself."""
    rules = settings.breaker
    return BreakerRules(
        rejections=rules.rejections,
        window_ns=nanoseconds(rules.window),
        cooldown_ns=None if rules.cooldown is None else nanoseconds(rules.cooldown),
    )
