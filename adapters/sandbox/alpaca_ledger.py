"""Cash and positions, what open orders claim of both, and the account and position rows made of them.

Claims are counted once for a group of orders of which one alone can fill: the legs of an OCO, and an order with the one that
replaces it, of which the larger counts (docs.alpaca.markets, "Replace order by ID").
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal

from ...actors.model import ZERO
from .alpaca_desk import Desk
from .alpaca_json import average, moment, number, percent
from .alpaca_state import ARITHMETIC, Holding, Json, Order

CENT = Decimal("0.01")
ATOM = Decimal("0.000000001")
"""The least quantity: nine decimals."""

ENTRY_STEP = Decimal("0.000000000001")
SHORT_ROOM = Decimal("1.03")
"""A short sale claims 3 % more than the ask, if its limit is not higher: docs.alpaca.markets, "Placing Orders"."""


# --- Moving -------------------------------------------------------------------------------------------------------------


def trade(desk: Desk, symbol: str, signed_qty: Decimal, price: Decimal) -> None:
    """Move cash and a position by a trade: positive for a buy."""
    state = desk.state
    state.cash -= signed_qty * price
    state.last_prices[symbol] = price
    holding = state.holdings.setdefault(symbol, Holding())
    before, after = holding.qty, holding.qty + signed_qty
    grows = not before or (before > ZERO) is (signed_qty > ZERO)
    if grows:
        _rebase(holding)
        holding.cost += abs(signed_qty) * price
        holding.basis += abs(signed_qty)
    elif after and (after > ZERO) is not (before > ZERO):  # through zero: what is left is new
        holding.cost, holding.basis = abs(after) * price, abs(after)
    holding.qty = after
    _forget_if_flat(desk, symbol)


def move(desk: Desk, symbol: str, change: Decimal, cost: Decimal = ZERO) -> None:
    """Move a position by shares that nobody traded: what they cost is added, nothing of the rest changes."""
    holding = desk.state.holdings.setdefault(symbol, Holding())
    _rebase(holding)
    holding.qty += change
    holding.cost += cost
    holding.basis = abs(holding.qty)
    _forget_if_flat(desk, symbol)


def _rebase(holding: Holding) -> None:
    """Let the basis be the position, at the same average price."""
    size = abs(holding.qty)
    if holding.basis != size:
        holding.cost = ARITHMETIC.divide(holding.cost * size, holding.basis) if holding.basis else ZERO
        holding.basis = size


def _forget_if_flat(desk: Desk, symbol: str) -> None:
    if not desk.state.holdings[symbol].qty:
        del desk.state.holdings[symbol]


# --- Prices -------------------------------------------------------------------------------------------------------------


def mark(desk: Desk, symbol: str) -> Decimal:
    """Return what a share is valued at: its last price, else what it cost."""
    price = desk.state.last_prices.get(symbol)
    holding = desk.holding(symbol)
    if price is None:
        return average(holding.cost, holding.basis) if holding.basis else ZERO
    return price


def far_side(desk: Desk, symbol: str, is_buy: bool) -> Decimal | None:
    """Return the price that a market order would get, None where nothing is known."""
    quote = desk.quote(symbol)
    side = None if quote is None else quote.ask if is_buy else quote.bid
    return side if side is not None else desk.state.last_prices.get(symbol)


# --- Claims -------------------------------------------------------------------------------------------------------------


def quantity_claimed(desk: Desk, symbol: str, *, apart_from: str = "") -> Decimal:
    """Return how much of a position open orders are to close, but for one group of them."""
    orders = [each for each in desk.open_orders(symbol) if each.group != apart_from and _claims_quantity(each)]
    return _greatest_of_groups((each, shares(desk, each)) for each in orders)


def value_claimed(desk: Desk, *, apart_from: str = "") -> Decimal:
    """Return the buying power that open orders take, but for one group of them."""
    orders = [each for each in desk.open_orders() if each.group != apart_from and opens(each)]
    return _greatest_of_groups((each, value(desk, each)) for each in orders)


def opens(order: Order) -> bool:
    """Tell whether an order opens a position, or adds to one."""
    return order.position_intent.endswith("to_open")


def _claims_quantity(order: Order) -> bool:
    waits_for_entry = order.role in {"take_profit", "stop_loss"} and not order.armed and not order.queued
    return order.position_intent.endswith("to_close") and (not waits_for_entry or order.order_class == "oco")


def _greatest_of_groups(claims: Iterable[tuple[Order, Decimal]]) -> Decimal:
    greatest: dict[str, Decimal] = {}
    for order, claim in claims:
        greatest[order.group] = max(claim, greatest.get(order.group, ZERO))
    return sum(greatest.values(), ZERO)


def shares(desk: Desk, order: Order) -> Decimal:
    """Return how many shares an order has still to trade: of a notional one, at the market's price."""
    if order.notional is None:
        return order.leaves
    price = order.limit_price or far_side(desk, order.symbol, order.is_buy)
    return shares_for(order.leaves_notional, price) if price else ZERO


def shares_for(amount: Decimal, price: Decimal) -> Decimal:
    """Return how many shares an amount of money buys, to nine decimals."""
    return max(ARITHMETIC.divide(amount, price).quantize(ATOM, ROUND_DOWN, ARITHMETIC), ZERO)


def value(desk: Desk, order: Order) -> Decimal:
    """Return the buying power that an opening order takes: zero for one whose price nobody knows yet."""
    if order.notional is not None:
        return order.leaves_notional
    price = order.limit_price or order.stop_price
    market = far_side(desk, order.symbol, is_buy=True)
    if not order.is_buy:
        price = max(price or ZERO, (market or ZERO) * SHORT_ROOM)
    return order.leaves * (price or market or ZERO)


# --- The account --------------------------------------------------------------------------------------------------------


def market_values(desk: Desk) -> tuple[Decimal, Decimal]:
    """Return what the long and the short positions are worth; the latter is negative."""
    values = [holding.qty * mark(desk, symbol) for symbol, holding in desk.state.holdings.items()]
    return sum((each for each in values if each > ZERO), ZERO), sum((each for each in values if each < ZERO), ZERO)


def equity(desk: Desk) -> Decimal:
    return desk.state.cash + sum(market_values(desk), ZERO)


def buying_power(desk: Desk, *, apart_from: str = "") -> Decimal:
    """Return what opening orders may still take: cash in a cash account, else a multiple of equity less all positions."""
    claimed = value_claimed(desk, apart_from=apart_from)
    if desk.settings.multiplier == 1:
        return max(desk.state.cash - claimed, ZERO)
    return max(_margin_power(desk, desk.settings.multiplier) - claimed, ZERO)


def _margin_power(desk: Desk, multiplier: int) -> Decimal:
    long, short = market_values(desk)
    return equity(desk) * multiplier - long + short


def account_row(desk: Desk) -> Json:
    """Return what GET /v2/account answers, without the day-trading fields that Alpaca removed on 2026-07-06."""
    state, settings, flags = desk.state, desk.settings, desk.state.flags
    long, short = market_values(desk)
    claimed = value_claimed(desk)
    margin = settings.multiplier > 1
    reg_t = max(_margin_power(desk, 2) - claimed, ZERO) if margin else buying_power(desk)
    initial = (long - short) / 2 if margin else long
    maintenance = (long - short) * 3 / 10 if margin else ZERO
    amounts = {
        "buying_power": buying_power(desk),
        "regt_buying_power": reg_t,
        "non_marginable_buying_power": max(state.cash - claimed, ZERO),
        "options_buying_power": max(state.cash - claimed, ZERO),
        "cash": state.cash,
        "accrued_fees": ZERO,
        "portfolio_value": equity(desk),
        "equity": equity(desk),
        "last_equity": state.last_equity,
        "long_market_value": long,
        "short_market_value": short,
        "position_market_value": long - short,
        "initial_margin": initial,
        "maintenance_margin": maintenance,
        "last_maintenance_margin": maintenance,
        "sma": ZERO,
    }
    return {
        "id": state.account_id,
        "account_number": state.account_number,
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "multiplier": str(settings.multiplier),
        "created_at": moment(state.created_ns),
        "trading_blocked": flags.trading_blocked,
        "transfers_blocked": flags.transfers_blocked,
        "account_blocked": flags.account_blocked,
        "trade_suspended_by_user": flags.trade_suspended_by_user,
        "shorting_enabled": flags.shorting_enabled and margin,
        **{name: number(amount) for name, amount in amounts.items()},
    }


def position_row(desk: Desk, symbol: str) -> Json:
    """Return a position as Alpaca shows it: the quantity, the value and the cost of a short one are negative."""
    holding, asset = desk.holding(symbol), desk.state.assets[symbol]
    sign = 1 if holding.qty > ZERO else -1
    price = mark(desk, symbol)
    entry = average(holding.cost, holding.basis, ENTRY_STEP)
    cost = (
        ARITHMETIC.divide(holding.cost * abs(holding.qty), holding.basis).quantize(ENTRY_STEP, context=ARITHMETIC)
        * sign
    )
    market_value = holding.qty * price
    gain = market_value - cost
    lastday = desk.state.day_prices.get(symbol, price)
    today = (price - lastday) * holding.qty
    free = abs(holding.qty) - quantity_claimed(desk, symbol)
    return {
        "asset_id": asset.id,
        "symbol": symbol,
        "exchange": asset.terms.exchange,
        "asset_class": "us_equity",
        "asset_marginable": asset.terms.marginable,
        "qty": number(holding.qty),
        "qty_available": number(max(free, ZERO) * sign),
        "avg_entry_price": number(entry),
        "side": "long" if sign > 0 else "short",
        "market_value": number(market_value),
        "cost_basis": number(cost),
        "unrealized_pl": number(gain),
        "unrealized_plpc": percent(gain, abs(cost)),
        "unrealized_intraday_pl": number(today),
        "unrealized_intraday_plpc": percent(today, abs(lastday * holding.qty)),
        "current_price": number(price),
        "lastday_price": number(lastday),
        "change_today": percent(price - lastday, lastday),
    }
