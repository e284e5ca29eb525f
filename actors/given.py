"""What a caller hands in where a list, a mapping or one id is wanted: passed on, or refused in words before anything is done.

A text is a sequence of texts to Python and to every type checker, so `cancel_orders("a-1")` would cancel the orders "a", "-"
and "1". Such a slip has to be an error at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import OrderCommandError
from .model import Order, OrderStatus


def ids_given(ids: Iterable[str]) -> tuple[str, ...]:
    """Return client order ids that were given as a list. Raises OrderCommandError."""
    if type(ids) is not tuple and (isinstance(ids, (str, bytes, OrderStatus, Order)) or not isinstance(ids, Iterable)):
        raise OrderCommandError(f"order_ids: {_told(ids)} is not a list; give a list of ids, such as [{_id_of(ids)!r}]")
    return tuple(map(id_given, ids))


def id_given(order_id: Any) -> str:
    """Return one client order id. Raises OrderCommandError."""
    if not isinstance(order_id, str):
        raise OrderCommandError(
            f"order_id: {_told(order_id)} is not a client order id; give its text, such as {_id_of(order_id)!r}"
        )
    return order_id


def orders_given(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Return orders that were given as a list; each is looked at by `exactly`. Raises OrderCommandError."""
    if isinstance(orders, (str, bytes, Mapping)) or not isinstance(orders, Iterable):
        raise OrderCommandError(
            f"orders: {_told(orders)} is not a list; give a list of orders, such as [Order.buy('AAPL', 10)]"
        )
    return tuple(orders)


def symbol_given(symbol: Any) -> str:
    """Return one symbol. Raises OrderCommandError."""
    if not isinstance(symbol, str):
        raise OrderCommandError(f"symbol: {_told(symbol)} is not a symbol; give one text, such as 'AAPL'")
    return symbol


def by_symbol(given: Any, name: str) -> Mapping[str, Any]:
    """Return what was given as a mapping from symbols. Raises OrderCommandError."""
    if not isinstance(given, Mapping):
        raise OrderCommandError(
            f"{name}: {_told(given)} is not a mapping; give quantities by symbol, such as {{'AAPL': 10}}"
        )
    for symbol in given:
        symbol_given(symbol)
    return given


def _told(given: Any) -> str:
    """Return a value as a message shows it: a text whole, of anything long the kind."""
    text = repr(given)
    return text if isinstance(given, (str, bytes)) or len(text) <= 60 else f"this {type(given).__name__}"


def _id_of(given: Any) -> str:
    """Return the id that was probably meant."""
    match given:
        case str(text):
            return text
        case bytes(raw):
            return raw.decode("utf-8", "replace")
        case Order(client_order_id=order_id) if order_id:
            return order_id
        case OrderStatus():
            return given.client_order_id
        case [str(first), *_]:
            return first
    return "my-order-1"
