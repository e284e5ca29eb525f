"""What happens by itself as time goes by: orders begin to work, are cancelled, replaced, and expire; a session closes."""

from __future__ import annotations

from collections.abc import Callable

from . import alpaca_ledger as ledger
from . import alpaca_life as life
from .alpaca_desk import Desk
from .alpaca_matching import match, take
from .alpaca_orders import put_in_place
from .alpaca_state import Order


def advance(desk: Desk, now_ns: int) -> None:
    """Let everything happen that is due until now, in its order. Time that goes back stands still."""
    while (due := desk.next_due(now_ns)) is not None:
        desk.state.now_ns = max(desk.state.now_ns, due.at_ns)
        if due.what == "day":
            _close_day(desk, now_ns)
        else:
            order = desk.state.orders[due.order_id]
            if order.is_open:
                HAPPENS[due.what](desk, order)
    desk.state.now_ns = max(desk.state.now_ns, now_ns)


def arrange_close_of_day(desk: Desk, after_ns: int) -> None:
    """Arrange for the next close of a session."""
    session = desk.hours.at(after_ns)
    if session.closes_ns <= after_ns:
        session = desk.hours.at(session.ends_ns)
    desk.arrange(session.closes_ns, "day")


def _close_day(desk: Desk, now_ns: int) -> None:
    """Remember what the account is worth at the close; days that nobody has seen pass as one."""
    _mark_day(desk)
    arrange_close_of_day(desk, now_ns)


def close_session(desk: Desk) -> None:
    """End the session now, whatever the hours say: its orders for the close trade, its other orders of the day expire."""
    for order in desk.open_orders():
        if order.is_open and order.time_in_force == "cls":
            _trade_at_close(desk, order)
        elif order.is_open and order.time_in_force != "gtc" and not order.queued:
            life.end(desk, order, "expired")
    _mark_day(desk)


def _mark_day(desk: Desk) -> None:
    desk.state.last_equity = ledger.equity(desk)
    desk.state.day_prices = {symbol: ledger.mark(desk, symbol) for symbol in desk.state.holdings}


def _arm(desk: Desk, order: Order) -> None:
    if order.armed or order.replaces is not None:
        return
    life.arm(desk, order)
    match(desk, order.symbol, group=order.group)


def _cancel(desk: Desk, order: Order) -> None:
    life.end(desk, order, "canceled")


def _replace(desk: Desk, order: Order) -> None:
    put_in_place(desk, order)
    match(desk, order.symbol, group=order.group)


def _expire(desk: Desk, order: Order) -> None:
    """End a DAY order with its session, and a GTC order that is too old."""
    if order.expires_ns is not None and desk.now_ns >= order.expires_ns:
        life.end(desk, order, "canceled" if order.time_in_force == "gtc" else "expired")


def _trade_at_close(desk: Desk, order: Order) -> None:
    """Let an order for the close have the last quote of its session."""
    quote, closing = desk.quote(order.symbol), desk.hours.at(desk.now_ns - 1)
    asset = desk.state.assets.get(order.symbol)
    is_halted = asset is not None and asset.halted
    if quote is not None and quote.at_ns >= closing.opens_ns and not is_halted and order.armed:
        take(desk, order)
    if order.is_open:
        life.end(desk, order, "canceled")


HAPPENS: dict[str, Callable[[Desk, Order], None]] = {
    "arm": _arm,
    "cancel": _cancel,
    "replace": _replace,
    "expire": _expire,
    "close": _trade_at_close,
}
