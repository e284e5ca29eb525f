"""Matching: orders against the last quote, and against the prices along a bar.

Whoever takes pays the far side: a market order at once, a limit that the market has come to, a stop that it has touched. What
has been taken of a quote's size is gone until the next one. An order meets a quote once: what is left waits for the next.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from math import inf, isfinite

from ...actors.bars import Row
from ...actors.model import ZERO
from . import alpaca_ledger as ledger
from . import alpaca_life as life
from .alpaca_desk import Desk
from .alpaca_state import Order, Quote

IMMEDIATE = ("ioc", "fok", "opg")
"""What is not filled by the first quote that these meet is cancelled."""

SHARE = Decimal(1)
HUNDRED = 100


def match(desk: Desk, symbol: str, group: str | None = None) -> None:
    """Fill what the last quote of a symbol fills: of one group of orders, if it is given, since the others have met it."""
    met: set[str] = set()
    while True:
        waiting = (each for each in desk.open_orders(symbol) if each.armed and group in {None, each.group})
        order = next((each for each in waiting if each.id not in met), None)
        if order is None:
            return
        met.add(order.id)
        _meet(desk, order)


def _meet(desk: Desk, order: Order) -> None:
    """Let one order meet the last quote of its symbol, if there is one of this session."""
    if order.time_in_force == "cls" or not is_traded(desk, order):
        return
    quote, session = desk.quote(order.symbol), desk.session
    if order.time_in_force == "opg" and (quote is None or quote.at_ns < session.opens_ns):
        return
    if quote is not None and quote.at_ns >= session.starts_ns:
        take(desk, order)
    if order.is_open and order.time_in_force in IMMEDIATE:
        life.end(desk, order, "canceled")


def is_traded(desk: Desk, order: Order) -> bool:
    """Tell whether the market of an order is open."""
    asset = desk.state.assets.get(order.symbol)
    if asset is not None and asset.halted:
        return False
    session, now = desk.session, desk.now_ns
    return session.is_extended(now) if order.extended_hours else session.is_regular(now)


def take(desk: Desk, order: Order) -> None:
    """Take from the last quote what an order takes of it."""
    quote = desk.quote(order.symbol)
    price = None if quote is None else quote.ask if order.is_buy else quote.bid
    if quote is None or price is None or is_crossed(quote):
        return
    if order.type == "trailing_stop":
        life.follow(order, price)
    if not is_met(desk, order, price):
        return
    size = quote.ask_size if order.is_buy else quote.bid_size
    qty = _quantity(desk, order, price, size if desk.settings.limited_by_size else None)
    if not qty:
        return
    if size is not None:
        left = max(size - qty, ZERO)
        if order.is_buy:
            quote.ask_size = left
        else:
            quote.bid_size = left
    life.execute(desk, order, qty, price)


def is_crossed(quote: Quote) -> bool:
    """Tell whether a quote is one at which nobody could trade."""
    return quote.bid is not None and quote.ask is not None and quote.bid > quote.ask


def is_met(desk: Desk, order: Order, price: Decimal) -> bool:
    """Tell whether an order trades at this price; a stop that it touches is triggered."""
    if order.type in {"stop", "stop_limit", "trailing_stop"} and not order.triggered:
        stop = order.stop_price
        if stop is None or (price < stop if order.is_buy else price > stop):
            return False
        life.touch(desk, order)
    limit = order.limit_price
    return limit is None or (price <= limit if order.is_buy else price >= limit)


def _quantity(desk: Desk, order: Order, price: Decimal, size: Decimal | None) -> Decimal:
    """Return how much an order takes of a size: never more than it has left, sometimes only a part of that."""
    leaves = ledger.shares_for(order.leaves_notional, price) if order.qty is None else order.leaves
    if order.time_in_force == "fok":
        return leaves if size is None or size >= leaves else ZERO
    qty = leaves if size is None else min(leaves, size)
    if qty > SHARE and desk.chance.happens(desk.settings.partial_probability):
        part = qty * (1 + desk.chance.below(HUNDRED - 1)) / HUNDRED
        qty = max(part.quantize(SHARE, ROUND_DOWN), SHARE)
    return qty


# --- Bars ---------------------------------------------------------------------------------------------------------------


def follow_bar(desk: Desk, symbol: str, row: Row) -> None:
    """Fill along a bar: its open, then the extreme that is nearer to it, the other, the close; straight between them.

    Afterwards the quote of the symbol is the close, without a size.
    """
    opened, high, low, close, volume = row
    if not all(isfinite(price) and price > 0 for price in (opened, high, low, close)):
        return
    extremes = (low, high) if opened - low <= high - opened else (high, low)
    path = [Decimal(str(price)) for price in (opened, *extremes, close)]
    share = desk.settings.participation
    size = Decimal(str(volume)).quantize(SHARE, ROUND_DOWN) if share is not None and 0 <= volume < inf else None
    budget = None if size is None or share is None else (size * share).quantize(SHARE, ROUND_DOWN)
    budget = _print(desk, symbol, path[0], budget)
    here = path[0]
    for target in path[1:]:
        while (stop := _next_on_way(desk, symbol, here, target)) is not None:
            here = stop
            budget = _print(desk, symbol, here, budget)
        here = target
        budget = _print(desk, symbol, here, budget)
    desk.state.quotes[symbol] = Quote(at_ns=desk.now_ns, bid=here, ask=here)
    desk.state.last_prices[symbol] = here


def _print(desk: Desk, symbol: str, price: Decimal, budget: Decimal | None) -> Decimal | None:
    """Let the market be at a price, and return what is left of the bar's volume."""
    quote = Quote(at_ns=desk.now_ns, bid=price, ask=price, bid_size=budget, ask_size=budget)
    desk.state.quotes[symbol] = quote
    desk.state.last_prices[symbol] = price
    match(desk, symbol)
    if budget is None or quote.bid_size is None or quote.ask_size is None:
        return None
    return max(quote.bid_size + quote.ask_size - budget, ZERO)


def _next_on_way(desk: Desk, symbol: str, here: Decimal, target: Decimal) -> Decimal | None:
    """Return the first price, after `here` and up to `target`, at which an order waits."""
    rises = target > here
    nearest: Callable[[list[Decimal]], Decimal] = min if rises else max
    waiting = [price for order in desk.open_orders(symbol) if (price := _waits_at(order, rises)) is not None]
    ahead = [price for price in waiting if (here < price <= target if rises else target <= price < here)]
    return nearest(ahead) if ahead else None


def _waits_at(order: Order, rises: bool) -> Decimal | None:
    """Return the price at which a market that rises, or falls, meets an order."""
    if not order.armed:
        return None
    if order.type in {"stop", "stop_limit", "trailing_stop"} and not order.triggered:
        return order.stop_price if order.is_buy is rises else None
    return order.limit_price if order.is_buy is not rises else None
