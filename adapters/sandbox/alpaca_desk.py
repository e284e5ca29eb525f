"""The desk: memory, chance, hours and settings together, and the events that it tells of orders."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from decimal import Decimal

from ...actors.model import ZERO
from .alpaca_chance import Chance
from .alpaca_hours import SECOND_NS, Hours, Session, hours_of, local_time
from .alpaca_json import moment, number, order_row
from .alpaca_refusal import absent, malformed
from .alpaca_settings import BrokerSettings, Listed
from .alpaca_state import Asset, Due, Holding, Json, Order, Quote, State

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Desk:
    """What every part of the broker works on."""

    def __init__(self, settings: BrokerSettings, now_ns: int) -> None:
        self.settings = settings
        self.hours: Hours = hours_of(settings.hours, settings.sessions)
        self.use(State(now_ns=now_ns, created_ns=now_ns, cash=settings.cash, last_equity=settings.cash))
        state = self.state
        state.account_id = self.chance.id()
        prefix = "PA" if settings.kind == "paper" else ""
        state.account_number = settings.account_number or f"{prefix}{self.chance.below(9 * 10**8) + 10**8}"
        for listed in settings.listed:
            self.list_asset(listed)

    def use(self, state: State) -> None:
        """Go on from another memory."""
        self.state = state
        self.chance = Chance(self.settings.seed, state)

    # --- Looking things up ---------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        return self.state.now_ns

    @property
    def session(self) -> Session:
        """The session that is under way, or the next one."""
        return self.hours.at(self.state.now_ns)

    def order(self, order_id: str) -> Order:
        """Return an order; the refusal of Alpaca where there is none."""
        order = self.state.orders.get(order_id)
        if order is None and not UUID.fullmatch(order_id):
            raise malformed(f"invalid order id: {order_id!r}; give a UUID")
        if order is None:
            raise absent(f"order not found for {order_id}")
        return order

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the open orders, of one symbol if it is given, in the order of their arrival."""
        found = (self.state.orders[order_id] for order_id in self.state.open_ids)
        return sorted((each for each in found if symbol in {None, each.symbol}), key=lambda each: each.number)

    def group(self, order: Order) -> Iterator[Order]:
        """Yield the other open orders of an order's group."""
        for other in self.open_orders(order.symbol):
            if other.group == order.group and other is not order:
                yield other

    def successor(self, order: Order) -> Order | None:
        """Return the order that is about to replace this one."""
        return next((each for each in self.group(order) if each.replaces == order.id), None)

    def holding(self, symbol: str) -> Holding:
        return self.state.holdings.get(symbol) or Holding()

    def held(self, symbol: str) -> Decimal:
        """Return the position in a symbol: negative for a short one."""
        return self.holding(symbol).qty

    def quote(self, symbol: str) -> Quote | None:
        return self.state.quotes.get(symbol)

    # --- Assets --------------------------------------------------------------------------------------------------------

    def list_asset(self, listed: Listed) -> Asset:
        """List a stock."""
        asset = Asset(id=self.chance.id(), terms=listed)
        self.state.assets[listed.symbol] = asset
        self.state.symbols_by_id[asset.id] = listed.symbol
        return asset

    def asset(self, symbol_or_id: str) -> Asset | None:
        """Return an asset by its symbol or id, None if it is not listed."""
        symbol = self.state.symbols_by_id.get(symbol_or_id, symbol_or_id)
        asset = self.state.assets.get(symbol)
        if (
            asset is None
            and self.settings.lists_anything
            and symbol.isascii()
            and symbol.isupper()
            and len(symbol) <= 8
        ):
            return self.list_asset(Listed(symbol=symbol, name=symbol))
        return asset

    # --- Later ---------------------------------------------------------------------------------------------------------

    def arrange(self, at_ns: int, what: str, order_id: str = "") -> None:
        """Let something happen at a time."""
        heapq.heappush(self.state.due, Due(at_ns=at_ns, number=self.chance.number(), what=what, order_id=order_id))

    def next_due(self, until_ns: int) -> Due | None:
        """Take what is due next, None if nothing is until then."""
        due = self.state.due
        return heapq.heappop(due) if due and due[0].at_ns <= until_ns else None

    def activity_id(self, at_ns: int) -> str:
        """Return the id of an activity, which begins with its time in New York to the millisecond."""
        unique = self.chance.id()
        if self.settings.activities_in_order:
            unique = f"{self.chance.number():08x}{unique[8:]}"
        return f"{local_time(at_ns):%Y%m%d%H%M%S}{at_ns % SECOND_NS // 1_000_000:03d}::{unique}"

    # --- Telling -------------------------------------------------------------------------------------------------------

    def tell(self, order: Order, event: str, *, execution_id: str | None = None, **fields: str | None) -> Json:
        """Put an event of an order into the stream of trade updates, with the order as it is now."""
        order.updated_ns = self.now_ns
        update: Json = {
            "event": event,
            "execution_id": execution_id or self.chance.id(),
            "timestamp": moment(self.now_ns),
            "order": order_row(order),
            **fields,
        }
        self.state.updates.append(update)
        return update

    def tell_fill(
        self, order: Order, event: str, execution_id: str, qty: Decimal, price: Decimal, **more: str | None
    ) -> Json:
        """Put an event into the stream that moved the position."""
        position = number(self.held(order.symbol) or ZERO)
        numbers = {"price": number(price), "qty": number(qty), "position_qty": position}
        return self.tell(order, event, execution_id=execution_id, **numbers, **more)
