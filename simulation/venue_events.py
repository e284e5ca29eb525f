"""What happens in a broker's account by itself: humans, busts and corrections, splits and dividends, fees, the nightly close."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from ..actors.model import ZERO, Fill, Side, Terms, TimeInForce
from ..actors.ports import (
    AccountReport,
    AdjustmentCause,
    BrokerOrderState,
    Cancelled,
    CashKind,
    CashMovement,
    DividendDeclared,
    Executed,
    PositionAdjustment,
    Restated,
)
from .broker import Broker
from .broker_orders import BrokerOrder
from .faults import Fault
from .schedule import HOUR_NS, MINUTE_NS, SECOND_NS
from .timed import Timed

DAY_NS = 24 * HOUR_NS
CLOSE_NS = 20 * HOUR_NS
"""When the day's orders expire, in the day."""

CENT = Decimal("0.01")
RATIOS = (Decimal(2), Decimal(3), Decimal("1.5"), Decimal("0.5"))
CASH_KINDS = (CashKind.FEE, CashKind.INTEREST, CashKind.BORROW_FEE)
HAND_LIFE_S = (5, 1200)
"""How long a human leaves an order in the market, in seconds."""

DONE, CANCELLED, EXPIRED = BrokerOrderState.DONE, BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED


def _no_market(symbol: str, ratio: Decimal) -> None:
    """Take a split when nobody else makes the prices."""


class VenueEvents:
    """Lets one account live. `split` is called with a symbol and how many shares one becomes: for who makes the prices."""

    def __init__(self, broker: Broker) -> None:
        self.split: Callable[[str, Decimal], None] = _no_market
        self._broker = broker
        self._schedule, self._random, self._plan, self._watch = (
            broker.schedule,
            broker.random,
            broker.plan,
            broker.watch,
        )
        self._activities = 0
        self._split_ns: dict[str, int] = {}
        broker.executed = self._executed
        timed = Timed(self._schedule, self._plan)
        timed.every(Fault.MANUAL_ORDER, self._order_by_hand)
        timed.every(Fault.MANUAL_CANCEL, self._cancel_by_hand)
        timed.every(Fault.UNEXPLAINED_CASH, self._lose_cash)
        timed.every(Fault.SPLIT, self._split_some)
        timed.every(Fault.DIVIDEND, self._pay)
        self._close_later()

    # --- The nightly close -----------------------------------------------------------------------------------------------

    def _close_later(self) -> None:
        today_ns = self._schedule.now_ns % DAY_NS
        self._schedule.after((CLOSE_NS - today_ns - 1) % DAY_NS + 1, self._close)

    def _close(self) -> None:
        """Expire what was for the day."""
        for order in self._broker.open_orders():
            if order.terms.time_in_force is TimeInForce.DAY and not order.is_human:
                self._broker.end(order, EXPIRED)
        self._close_later()

    # --- Humans ------------------------------------------------------------------------------------------------------------

    def _order_by_hand(self) -> bool:
        random, broker = self._random, self._broker
        symbol = random.choice(list(broker.prices))
        side = random.choice((Side.BUY, Side.SELL))
        quantity, limit = Decimal(random.randrange(1, 21)), None
        if random.random() < 0.7:
            away = Decimal(random.randrange(-20, 101)) / 10_000
            price = broker.prices[symbol] * (1 - away if side is Side.BUY else 1 + away)
            limit = max(price.quantize(CENT, ROUND_HALF_EVEN), CENT)
        order = broker.place_by_hand(symbol, side, quantity, limit)
        until_ns = self._schedule.now_ns + random.randrange(*HAND_LIFE_S) * SECOND_NS
        self._leave(order, until_ns)
        return True

    def _leave(self, order: BrokerOrder, until_ns: int) -> None:
        """Leave a human's order alone until an instant, or until the faults are over."""
        left_ns = until_ns - self._schedule.now_ns
        if left_ns <= 0 or self._plan.quiet:
            self._broker.end(order, CANCELLED)
        elif order.is_open:
            self._schedule.after(min(left_ns, MINUTE_NS // 2), lambda: self._leave(order, until_ns))

    def _cancel_by_hand(self) -> bool:
        ours = [order for order in self._broker.open_orders() if not order.is_human]
        if ours:
            self._broker.end(self._random.choice(ours), CANCELLED, "cancelled by hand")
        return bool(ours)

    # --- Busts and corrections -------------------------------------------------------------------------------------------

    def _executed(self, order: BrokerOrder, execution: Executed) -> None:
        """Have some of the executions revised later."""
        if order.is_human:
            return
        for fault, act in ((Fault.BUST, self._bust), (Fault.CORRECTION, self._correct)):
            if self._plan.hits(fault):
                self._revise_later(order, execution, act)
                return

    def _revise_later(
        self, order: BrokerOrder, execution: Executed, act: Callable[[BrokerOrder, Executed], Executed | None]
    ) -> None:
        def due() -> None:
            split_ns = self._split_ns.get(order.symbol, 0)
            if self._plan.quiet or split_ns >= execution.fill.at_ns:
                return
            revised = act(order, execution)
            if revised is not None and revised.fill.revision == 1 and self._random.random() < 0.3:
                self._revise_later(order, revised, act)

        self._schedule.after(int(self._random.expovariate(1 / 30) * SECOND_NS), due)

    def _bust(self, order: BrokerOrder, was: Executed) -> Executed | None:
        return self.revise(order, was, ZERO, was.fill.price) if was.fill.quantity else None

    def _correct(self, order: BrokerOrder, was: Executed) -> Executed | None:
        quantity, price = was.fill.quantity, was.fill.price
        if quantity > 1 and self._random.random() < 0.3:
            quantity -= 1
        else:
            price += self._random.choice((-5, -1, 1, 5)) * CENT
        return self.revise(order, was, quantity, price) if price > 0 else None

    def revise(self, order: BrokerOrder, was: Executed, quantity: Decimal, price: Decimal) -> Executed:
        """Correct an execution, or bust it with a quantity of 0. What it leaves open of the order is gone."""
        broker, old = self._broker, was.fill
        commission = old.commission if quantity else ZERO
        fill = Fill(
            fill_key=old.fill_key,
            quantity=quantity,
            price=price,
            at_ns=old.at_ns,
            commission=commission,
            revision=old.revision + 1,
        )
        broker.events += 1
        added, notional = quantity - old.quantity, quantity * price - old.quantity * old.price
        order.filled += added
        order.notional += notional
        order.commission += commission - old.commission
        broker.change_books(order, added, notional, commission - old.commission, price)
        execution = broker.say_executed(order, was.wire_id, fill)
        if order.state is DONE and order.filled < order.terms.quantity:
            order.state = CANCELLED
            broker.tell(Cancelled(order.wire_id, "what a busted fill has left is not worked again"))
        order.keep(self._schedule.now_ns)
        return execution

    # --- Cash and corporate actions --------------------------------------------------------------------------------------

    def _lose_cash(self) -> bool:
        """Take or give cash, and tell nobody why."""
        self._move("", ZERO, self._amount())
        return True

    def _pay(self) -> bool:
        """Pay a dividend that was declared a while before, or book a fee or interest."""
        broker, random = self._broker, self._random
        held = [symbol for symbol, quantity in broker.positions.items() if quantity]
        if not held or random.random() < 0.4:
            kind, amount = random.choice(CASH_KINDS), self._amount()
            self._move("", ZERO, amount)
            self._news(CashMovement(self._activity(), kind, amount))
            return True
        symbol = random.choice(held)
        amount = broker.positions[symbol] * random.randrange(1, 200) * CENT
        self._news(DividendDeclared(self._activity(), symbol, amount))

        def pay() -> None:
            self._move("", ZERO, amount)
            self._news(CashMovement(self._activity(), CashKind.DIVIDEND, amount, symbol))

        self._schedule.after(random.randrange(1, 50) * SECOND_NS, pay)
        return True

    def _split_some(self) -> bool:
        self.split_now(self._random.choice(list(self._broker.prices)), self._random.choice(RATIOS))
        return True

    def split_now(self, symbol: str, ratio: Decimal) -> None:
        """Make `ratio` shares of one: of what is held, where a fraction is paid for, and of what is open of orders."""
        broker = self._broker
        self._split_ns[symbol] = self._schedule.now_ns
        price = max((broker.prices[symbol] / ratio).quantize(CENT, ROUND_HALF_EVEN), CENT)
        held = broker.positions.get(symbol, ZERO)
        if held:
            gained = held * ratio - held
            self._move(symbol, gained, ZERO, ratio)
            self._news(PositionAdjustment(self._activity(), AdjustmentCause.SPLIT, symbol, gained))
            fraction = broker.positions[symbol] % 1
            if fraction:
                paid = (fraction * price).quantize(CENT, ROUND_HALF_EVEN)
                self._move(symbol, -fraction, paid)
                cause = AdjustmentCause.CASH_IN_LIEU
                self._news(PositionAdjustment(self._activity(), cause, symbol, -fraction, paid))
        for order in broker.open_orders():
            if order.symbol == symbol:
                self._restate(order, ratio)
        broker.prices[symbol] = price
        self.split(symbol, ratio)

    def _restate(self, order: BrokerOrder, ratio: Decimal) -> None:
        """Change what is open of an order; what is left of it below one share is cancelled, and so is what is being replaced."""
        broker = self._broker
        left = (order.left * ratio).to_integral_value(ROUND_FLOOR)
        if not left or order.is_changing:
            broker.end(order, CANCELLED, "corporate action")
            return
        terms = Terms(
            order.filled + left,
            _scaled(order.terms.limit_price, ratio),
            _scaled(order.terms.stop_price, ratio),
        )
        was_stopped = order.stop is not None
        order.take(terms.applied_to(order.terms), left)
        order.stop = terms.stop_price if was_stopped else None
        order.keep(self._schedule.now_ns)
        broker.events += 1
        if not order.is_human:
            self._watch.accepted(order.wire_id, order.terms)
            self._news(Restated(order.wire_id, terms, f"split {ratio}:1"))

    def _move(self, symbol: str, quantity: Decimal, cash: Decimal, ratio: Decimal = Decimal(1)) -> None:
        self._broker.events += 1
        self._broker.books.move(self._schedule.now_ns, symbol, quantity, cash)
        self._watch.adjusted(symbol, quantity, cash, ratio)

    def _news(self, report: AccountReport | Restated) -> None:
        self._broker.books.news.append((self._schedule.now_ns, report))
        self._broker.tell(report)

    def _activity(self) -> str:
        self._activities += 1
        return f"{self._broker.account}-activity-{self._activities}"

    def _amount(self) -> Decimal:
        return self._random.choice((-1, -1, 1)) * self._random.randrange(5, 5000) * CENT


def _scaled(price: Decimal | None, ratio: Decimal) -> Decimal | None:
    return None if price is None else max((price / ratio).quantize(CENT, ROUND_HALF_EVEN), CENT)
