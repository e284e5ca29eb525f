"""A slow exchange that is as plain as the rules can be written, to compare the simulated exchange with.

It knows no price order, no running totals and no Decimal: it works on one list, sums anew whenever it needs a sum, calculates with
fractions, and follows a bar cent by cent. All its orders' prices are whole cents.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, isnan
from types import SimpleNamespace
from typing import Any

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Fill, Instrument, Order, OrderType, Purpose, TimeInForce
from ordersmith.actors.ports import (
    Accepted,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Executed,
    Expired,
    NewOrder,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
)
from ordersmith.adapters.simulated.exchange import ExchangeRules

CENT = Fraction(1, 100)
WAITING_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
ONCE = (TimeInForce.IOC, TimeInForce.FOK, TimeInForce.OPG)
AUCTIONS = (TimeInForce.OPG, TimeInForce.CLS)


def exact(value: Any) -> Any:
    return None if value is None else Fraction(repr(value) if isinstance(value, float) else str(value))


def money(value: Fraction) -> Any:
    from decimal import Decimal

    return Decimal(value.numerator) / Decimal(value.denominator)


class NaiveExchange:
    """The rules of the simulated exchange, as directly as they can be written."""

    def __init__(self, rules: ExchangeRules, instruments: dict[str, Instrument]) -> None:
        self.rules = rules
        self.instruments = instruments
        self.cash = exact(rules.cash)
        self.positions = dict.fromkeys(instruments, Fraction(0))
        self.closes: dict[str, Fraction] = {}
        self.first_prices: dict[str, Fraction] = {}
        self.orders: list[Any] = []  # all there ever were, in order of arrival
        self.bars: Bars | None = None
        self.began_ns = 0  # when the session's first bar did
        self.budgets: dict[str, Any] = {}
        self.paths: dict[str, list[Fraction]] = {}
        self.rests: dict[str, Any] = {}  # by symbol, the sign of the last entry and the path from there on
        self.legs = 0

    def open(self) -> list[Any]:
        return [order for order in self.orders if order.state == "open"]

    def named(self, wire_id: str) -> Any:
        return next((order for order in self.orders if wire_id in order.legs), None)

    # --- What the account can carry

    def buying_power(self, without: Any = None) -> Fraction:
        orders = [order for order in self.open() if order is not without]
        if self.rules.account_type == "cash":
            return self.cash - sum(self.claim(order) for order in orders if order.sign > 0)
        equity = self.cash + sum(held * self.closes.get(symbol, 0) for symbol, held in self.positions.items())
        exposure = sum(self.worst(symbol, orders) * self.mark(symbol) for symbol in self.instruments)
        return equity / exact(self.rules.initial_margin) - exposure

    def mark(self, symbol: str) -> Fraction:
        return self.closes.get(symbol, self.first_prices.get(symbol, Fraction(0)))

    def claim(self, order: Any) -> Fraction:
        due = 0 if order.fills else exact(self.rules.commission)
        return (order.quantity - order.filled) * order.claim_price + due

    def worst(self, symbol: str, orders: list[Any]) -> Fraction:
        held = self.positions[symbol]
        buys, sells = (
            sum((o.quantity - o.filled for o in orders if (o.symbol, o.sign) == (symbol, sign)), Fraction(0))
            for sign in (1, -1)
        )
        return max(abs(held + buys), abs(held - sells))

    def worst_price(self, order: Any) -> Fraction | None:
        last = self.closes.get(order.symbol)
        if order.limit is not None:
            return order.limit
        if order.asked.stop_price is not None:
            return exact(order.asked.stop_price) if last is None else max(exact(order.asked.stop_price), last)
        if last is not None and order.sign > 0 and order.asked.order_type is OrderType.TRAILING_STOP:
            return last + self.trail(order, last)
        return last

    def refusal(self, order: Any, replaced: Any = None) -> str | None:
        asked = order.asked
        if order.quantity <= 0 or order.quantity % exact(self.instruments[order.symbol].lot):
            return "BAD_QUANTITY"
        prices = (asked.limit_price, asked.stop_price, asked.trail_amount, asked.trail_percent)
        if any(price is not None and price <= 0 for price in prices):
            return "BAD_PRICE"
        if replaced is not None and order.triggered:
            was = replaced.asked
            if prices[1:] != (was.stop_price, was.trail_amount, was.trail_percent):
                return "TOO_LATE"
        if replaced is not None and order.quantity <= order.filled:
            return "TOO_LATE"
        if order.claim_price is None:
            return "NO_MARKET_DATA"
        others = [each for each in self.open() if each is not replaced]
        if self.rules.account_type == "margin":
            increase = self.worst(order.symbol, [*others, order]) - self.worst(order.symbol, self.open())
            price = self.closes.get(order.symbol) or self.mark(order.symbol) or order.claim_price
            return "INSUFFICIENT_BUYING_POWER" if increase > 0 and increase * price > self.buying_power() else None
        if order.sign > 0:
            less = replaced is not None and self.claim(order) <= self.claim(replaced)
            return "INSUFFICIENT_BUYING_POWER" if not less and self.claim(order) > self.buying_power(replaced) else None
        selling = sum(o.quantity - o.filled for o in [*others, order] if (o.symbol, o.sign) == (order.symbol, -1))
        return "SHORT_SALE_NOT_ALLOWED" if selling > self.positions[order.symbol] else None

    # --- Commands

    def handle(self, command: Any, now_ns: int) -> list[Any]:
        return {NewOrder: self.new, CancelRequest: self.cancel, ReplaceRequest: self.replace}[type(command)](
            command, now_ns
        )

    def new(self, command: NewOrder, now_ns: int) -> list[Any]:
        asked = command.order
        order = SimpleNamespace(
            symbol=asked.symbol, sign=1 if asked.side == "BUY" else -1, quantity=exact(asked.quantity), filled=Fraction(0),
            asked=asked, limit=exact(asked.limit_price), legs=[command.wire_id], arrived_ns=now_ns, state="open", fills=0,
            triggered=False, peak=self.closes.get(asked.symbol), in_force=asked.time_in_force,
            not_before=self.bars.session + 1 if self.bars else -1,
        )  # fmt: skip
        order.claim_price = self.worst_price(order)
        code = self.refusal(order)
        if code is not None:
            order.state = "rejected"
            self.orders.append(order)
            return [Rejected(command.wire_id, code, "")]
        self.place(order)
        reports: list[Any] = [Accepted(command.wire_id, order.broker_id)]
        if self.bars and self.bars.end_ns == now_ns and order.symbol in self.bars.rows:
            self.exit_in_the_same_bar(order, now_ns, reports)
            if self.rules.fill == "close" and len(reports) == 1 and order.in_force not in AUCTIONS:
                self.at_the_close(order, now_ns, reports)
        return reports

    def at_the_close(self, order: Any, now_ns: int, reports: list[Any]) -> None:
        held = self.positions[order.symbol]
        assert self.bars is not None
        self.at_one_price(order, exact(self.bars.rows[order.symbol][3]), now_ns, reports)
        if self.positions[order.symbol] != held:
            self.rests.pop(order.symbol, None)  # nothing comes after the close

    def exit_in_the_same_bar(self, order: Any, now_ns: int, reports: list[Any]) -> None:
        held = self.positions[order.symbol]
        waits = order.in_force in (TimeInForce.DAY, TimeInForce.GTC) and order.asked.order_type != "MARKET"
        if not (self.rules.same_bar_exits and waits and held * order.sign < 0 and order.symbol in self.rests):
            return
        if order.asked.purpose in (Purpose.EXIT, Purpose.PROTECTIVE):
            _, path = self.rests.pop(order.symbol)
            rests = dict(self.rests)
            order.peak = path[0]
            if self.at_one_price(order, path[0], now_ns, reports):
                self.follow([order], path, now_ns, reports)
            self.rests = rests  # the first exit has met it

    def place(self, order: Any) -> None:
        self.legs += 1
        order.broker_id = f"main-{self.legs}"
        self.orders.append(order)
        self.first_prices.setdefault(order.symbol, order.claim_price)

    def cancel(self, command: CancelRequest, now_ns: int) -> list[Any]:
        order = self.named(command.wire_id)
        if order is None:
            return [CancelRefused(command.wire_id, "UNKNOWN_ORDER", "")]
        if order.state != "open" or order.legs[-1] != command.wire_id:
            return [CancelRefused(command.wire_id, "TOO_LATE", "")]
        order.state = "cancelled"
        return [Cancelled(command.wire_id)]

    def replace(self, command: ReplaceRequest, now_ns: int) -> list[Any]:
        order = self.named(command.wire_id)
        if order is None:
            return [ReplaceRefused(command.new_wire_id, "UNKNOWN_ORDER", "")]
        if order.state != "open" or order.legs[-1] != command.wire_id:
            return [ReplaceRefused(command.new_wire_id, "TOO_LATE", "")]
        asked = command.terms.applied_to(order.asked)
        terms = {
            "quantity": exact(asked.quantity),
            "limit": exact(asked.limit_price),
            "arrived_ns": now_ns,
            "asked": asked,
        }
        changed = SimpleNamespace(**{**vars(order), **terms, "not_before": self.bars.session + 1 if self.bars else -1})
        changed.claim_price = self.worst_price(changed)
        code = self.refusal(changed, order)
        if code is not None:
            return [ReplaceRefused(command.new_wire_id, code, "")]
        self.orders.remove(order)
        changed.legs = [*order.legs, command.new_wire_id]
        self.place(changed)
        return [Replaced(command.new_wire_id, changed.broker_id, command.terms)]

    # --- Bars

    def on_bars(self, bars: Bars) -> list[Any]:
        reports: list[Any] = []
        before, self.bars = self.bars, bars
        if before is not None and before.session != bars.session and not before.closes_session:
            self.expire(before, reports)
        if before is None or before.session != bars.session:
            self.began_ns = bars.start_ns
        self.budgets = {symbol: self.budget(symbol, row[4]) for symbol, row in bars.rows.items()}
        self.rests = {}
        working = [order.symbol for order in self.open() if self.may_trade(order) or self.is_for_this_close(order)]
        live = [
            o for o in self.open() if o.arrived_ns <= bars.start_ns and self.may_trade(o) and self.is_touched(o, bars)
        ]
        waiting = [o for o in live if self.at_one_price(o, exact(bars.rows[o.symbol][0]), bars.start_ns, reports)]
        self.paths = {symbol: self.path(symbol, row, waiting) for symbol, row in bars.rows.items()}
        self.rests = {symbol: (sign, self.paths[symbol]) for symbol, (sign, _) in self.rests.items()}
        for symbol in dict.fromkeys(order.symbol for order in waiting):
            self.follow([o for o in waiting if o.symbol == symbol], self.paths[symbol], bars.end_ns, reports)
        self.rests = {symbol: rest for symbol, rest in self.rests.items() if working.count(symbol) == 1}
        self.closes.update({symbol: exact(row[3]) for symbol, row in bars.rows.items()})
        if bars.closes_session:
            for order in [o for o in self.open() if o.in_force is TimeInForce.CLS and o.symbol in bars.rows]:
                self.at_the_close(order, bars.end_ns, reports)
            self.expire(bars, reports)
        return reports

    def is_touched(self, order: Any, bars: Bars) -> bool:
        """Tell whether the bar comes by what the order waits for; many wait for nothing."""
        if order.symbol not in bars.rows:
            return False
        _, high, low, _ = (exact(price) for price in bars.rows[order.symbol][:4])
        waits = order.in_force in (TimeInForce.DAY, TimeInForce.GTC)
        if not waits or order.asked.order_type is OrderType.TRAILING_STOP:
            return True
        stop = self.stop(order)
        if stop is not None:
            return bool(high >= stop if order.sign > 0 else low <= stop)
        return bool(order.limit is None or (low <= order.limit if order.sign > 0 else high >= order.limit))

    def may_trade(self, order: Any) -> bool:
        assert self.bars is not None
        if order.in_force is TimeInForce.OPG:
            return bool(self.bars.session >= order.not_before and order.arrived_ns <= self.began_ns)
        return order.in_force is not TimeInForce.CLS

    def is_for_this_close(self, order: Any) -> bool:
        assert self.bars is not None
        return order.in_force is TimeInForce.CLS and self.bars.closes_session

    def expire(self, bars: Bars, reports: list[Any]) -> None:
        for order in self.open():
            of_today = order.in_force in (TimeInForce.DAY, TimeInForce.CLS)
            if order.in_force is TimeInForce.OPG:
                of_today = bars.session >= order.not_before and order.arrived_ns <= self.began_ns
            if of_today and order.arrived_ns < bars.end_ns:
                order.state = "expired"
                reports.append(Expired(order.legs[-1]))

    def budget(self, symbol: str, volume: float) -> Fraction | None:
        if self.rules.participation is None or isnan(volume):
            return None
        lot = exact(self.instruments[symbol].lot)
        return exact(self.rules.participation) * exact(volume) // lot * lot

    # --- Prices

    def trail(self, order: Any, mark: Fraction) -> Fraction:
        asked = order.asked
        return exact(asked.trail_amount) if asked.trail_amount else mark * exact(asked.trail_percent) / 100

    def stop(self, order: Any) -> Fraction | None:
        """Return where the order's stop stands, None for one that has none left."""
        if order.triggered or order.asked.order_type not in WAITING_STOPS:
            return None
        if order.asked.stop_price is not None:
            return exact(order.asked.stop_price)
        cents = (order.peak + order.sign * self.trail(order, order.peak)) / CENT
        return (ceil(cents) if order.sign > 0 else floor(cents)) * CENT

    def at_one_price(self, order: Any, price: Fraction, at_ns: int, reports: list[Any]) -> bool:
        """Do what becomes of an order where the market is at `price`, and tell whether it still waits."""
        stop = self.stop(order)
        if stop is not None:
            if (price - stop) * order.sign < 0:
                if order.asked.order_type is OrderType.TRAILING_STOP:
                    order.peak = min(order.peak, price) if order.sign > 0 else max(order.peak, price)
                return True
            order.triggered = True
        good = order.limit is None or (order.limit - price) * order.sign >= 0
        once = order.in_force in ONCE or order.in_force is TimeInForce.CLS
        left, budget = order.quantity - order.filled, self.budgets.get(order.symbol)
        if good and not (order.in_force is TimeInForce.FOK and budget is not None and budget < left):
            self.execute(order, self.slipped(order, price), price, at_ns, reports)
        if once and order.state == "open":
            order.state = "expired" if order.in_force in AUCTIONS else "cancelled"
            kind = Expired if order.in_force in AUCTIONS else Cancelled
            reports.append(kind(order.legs[-1]))
        return not good and not once

    def path(self, symbol: str, row: Any, waiting: list[Any]) -> list[Fraction]:
        opened, high, low, close = (exact(price) for price in row[:4])
        held = self.positions[symbol]
        side = next((order.sign for order in waiting if order.symbol == symbol), 1)
        low_first = held > 0 if held else side < 0
        if self.rules.path == "optimistic":
            low_first = not low_first
        if self.rules.path == "adaptive":
            low_first = abs(opened - low) <= abs(high - opened)
        return [opened, low, high, close] if low_first else [opened, high, low, close]

    def follow(self, waiting: list[Any], path: list[Fraction], at_ns: int, reports: list[Any]) -> None:
        place = path[0]
        for index, to in enumerate(path[1:], 1):
            way = 1 if to > place else -1
            for cents in self.cents_between(place, to, way):
                for order in list(waiting):
                    if self.meets(order, cents * CENT, to, way, at_ns, reports, path[index:]):
                        waiting.remove(order)
            for order in waiting:
                if self.stop(order) is not None and order.asked.order_type is OrderType.TRAILING_STOP:
                    order.peak = min(order.peak, to) if order.sign > 0 else max(order.peak, to)
            place = to

    def cents_between(self, place: Fraction, to: Fraction, way: int) -> list[int]:
        if way > 0:
            return list(range(ceil(place / CENT), floor(to / CENT) + 1))
        return list(range(floor(place / CENT), ceil(to / CENT) - 1, -1))

    def meets(
        self, order: Any, price: Fraction, to: Fraction, way: int, at_ns: int, reports: list[Any], rest: list[Fraction]
    ) -> bool:
        """Do what becomes of an order when the market comes by `price` on its way, and tell whether it is through with the bar."""
        stop = self.stop(order)
        held = self.positions[order.symbol]
        if stop is not None:
            if way != order.sign or price != stop:
                return False
            order.triggered = True
            if order.limit is not None and (order.limit - price) * order.sign < 0:
                return False
            self.execute(order, self.slipped(order, price), price, at_ns, reports)
        else:
            through = (to - price) * way > 0 or self.rules.limit_fill == "touch"
            if way == order.sign or price != order.limit or not through:
                return False
            self.execute(order, order.limit, order.limit, at_ns, reports)
        if (self.positions[order.symbol] - held) * self.positions[order.symbol] > 0:
            self.rests[order.symbol] = (order.sign, [price, *rest])
        return True

    def slipped(self, order: Any, reference: Fraction) -> Fraction:
        steps = reference * (1 + order.sign * exact(self.rules.slippage)) / exact(self.rules.price_increment)
        price = (ceil(steps) if order.sign > 0 else floor(steps)) * exact(self.rules.price_increment)
        if order.limit is None:
            return price
        return min(price, order.limit) if order.sign > 0 else max(price, order.limit)

    def execute(self, order: Any, price: Fraction, reference: Fraction, at_ns: int, reports: list[Any]) -> None:
        budget = self.budgets[order.symbol]
        left = order.quantity - order.filled
        quantity = left if budget is None else min(left, budget)
        if not quantity:
            return
        if budget is not None:
            self.budgets[order.symbol] = budget - quantity
        commission = 0 if order.fills else exact(self.rules.commission)
        order.fills += 1
        order.filled += quantity
        self.cash -= order.sign * quantity * price + commission
        self.positions[order.symbol] += order.sign * quantity
        assert self.bars is not None
        if at_ns == self.bars.start_ns and self.positions[order.symbol] * order.sign > 0:
            self.rests[order.symbol] = (order.sign, [])  # the whole path, once that is known
        fill = Fill(
            fill_key=f"{order.broker_id}:{order.filled}",
            quantity=money(quantity),
            price=money(price),
            at_ns=at_ns,
            commission=money(Fraction(commission)),
            slippage=money((price - reference) * order.sign * quantity),
        )
        reports.append(Executed(order.legs[-1], fill, money(order.filled)))
        if order.filled == order.quantity:
            order.state = "filled"


__all__ = ["NaiveExchange", "Order", "exact", "money"]
