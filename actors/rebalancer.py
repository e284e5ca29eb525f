"""The rebalancer: pursues target positions with one order a symbol at a time.

Its decisions are in `machines/rebalance.py`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple, TypeVar

import msgspec

from .actor import Actor, Record, ReplyTo, fold, handler
from .events import (
    REACHED,
    CancelReason,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrderRestated,
    PositionAdjusted,
    TargetDropped,
    TargetOrdered,
    TargetsSet,
)
from .machines.exposure import AccountRisk, SymbolRisk
from .machines.order import OrderMachine
from .machines.rebalance import Holding, Target, make_order, plan_step, scaled
from .messages import (
    CancelOrders,
    ChildClosed,
    Flatten,
    LookAgain,
    RebalancerMessage,
    SetTargets,
    SubmitOrders,
)
from .model import CLOSED_STATES, ZERO, Order, Purpose, Side, TimeInForce
from .ports import AdjustmentCause, MarketData
from .refusals import refuse

V = TypeVar("V")

NAME = "rebalancer"
LOOK_AGAIN_NS = 100_000_000
TRY_AGAIN = frozenset({CancelReason.EXPIRED.value})
"""Ends of an order after which the rest of its target is ordered again: its day was over."""


class Working(msgspec.Struct, frozen=True):
    """Our open order in a symbol, with the signed quantity that it was made for and the plan that it was made under.

    `untouched` until a first fill.
    """

    client_order_id: str
    quantity: Decimal
    plan: str
    untouched: bool = True


class Failure(NamedTuple):
    """Why an order ended for good: the code, and what was said."""

    client_order_id: str
    reason: str
    text: str


class RebalancerState(msgspec.Struct):
    """Targets by symbol, our open order by symbol and back, symbols that wait for a flatten's cancels since when, counters for ids.

    `failed` has the symbols whose order ended for good, and why, until their targets are dropped.
    """

    targets: dict[str, Target] = msgspec.field(default_factory=dict)
    working: dict[str, Working] = msgspec.field(default_factory=dict)
    symbols: dict[str, str] = msgspec.field(default_factory=dict)
    clearing: dict[str, int] = msgspec.field(default_factory=dict)
    failed: dict[str, Failure] = msgspec.field(default_factory=dict)
    plans: int = 0
    orders: int = 0


class Rebalancer(Actor[RebalancerMessage]):
    """Turns targets into orders, and orders again what is still missing."""

    state: RebalancerState

    def __init__(self, market: MarketData, account: str, id_prefix: str, time_in_force: TimeInForce) -> None:
        self.state = RebalancerState()
        self._market = market
        self._account = account
        self._id_prefix = id_prefix
        self._time_in_force = time_in_force

    def on_start(self) -> None:
        """Go on looking for what a flatten waits for."""
        if self.state.clearing:
            self._look_later()

    # --- Requests ------------------------------------------------------------------------------------------------------

    @handler
    def set_targets(self, message: SetTargets) -> None:
        bad = [f"{symbol}: {quantity}" for symbol, quantity in message.targets.items() if not quantity.is_finite()]
        if bad:
            refuse(self.ctx, message.reply_to, "targets", f"targets must be finite numbers, not {', '.join(bad)}")
            return
        targets = dict(message.targets)
        if message.close_others:
            for symbol in (*self._risk().symbols, *self.state.targets):
                if symbol not in targets and (
                    self._holding(symbol).position or symbol in self.state.targets or symbol in self.state.working
                ):
                    targets[symbol] = ZERO
        plan = f"{NAME}:{self.state.plans + 1}"
        self.ctx.record(TargetsSet(plan, targets, message.purpose, message.strategy))
        self._advance(message.reply_to)

    @handler
    def flatten(self, message: Flatten) -> None:
        exposure = self.ctx.view("risk_gate").exposure
        open_ids = tuple(exposure.open)
        symbols = {
            symbol: ZERO
            for symbol, risk in self._risk().symbols.items()
            if risk.position or risk.open_buy or risk.open_sell
        }
        self.ctx.record(
            TargetsSet(f"{NAME}:{self.state.plans + 1}", symbols, Purpose.LIQUIDATION, "", cancel_first=bool(open_ids))
        )
        if open_ids:
            self.ctx.tell(self.ctx.refer("desk"), CancelOrders(open_ids))
            self._advance(None)
            self._look_later()
            self.ctx.reply(message.reply_to, [])
        else:
            self._advance(message.reply_to)

    @handler
    def look_again(self, message: LookAgain) -> None:
        self._advance(None)
        if self.state.clearing and any(self._open_elsewhere(symbol) for symbol in self.state.clearing):
            self._look_later()

    def _look_later(self) -> None:
        """Look again after LOOK_AGAIN_NS, then twice that, and so on: the times follow from when the flatten was, whoever was rebuilt."""
        since = max(self.state.clearing.values(), default=self.ctx.now_ns)
        waited, wait = self.ctx.now_ns - since, LOOK_AGAIN_NS
        while wait <= waited:
            wait *= 2
        self.ctx.set_timer("look", wait - waited, LookAgain())

    @handler
    def child_closed(self, message: ChildClosed) -> None:
        self._advance(None)

    # --- Steps ---------------------------------------------------------------------------------------------------------

    def _advance(self, reply_to: ReplyTo | None) -> None:
        """Take the next step towards all targets."""
        # All that failed, not only the one we are told of: several orders may have ended since the last step.
        for symbol, failure in list(self.state.failed.items()):
            self._drop(symbol, failure)
        pursued = {
            symbol: target
            for symbol, target in self.state.targets.items()
            if symbol not in self.state.clearing or not self._open_elsewhere(symbol)
        }
        holdings = {symbol: self._holding(symbol) for symbol in pursued}
        power = self.ctx.view("risk_gate").buying_power(self._account)
        step = plan_step(pursued, holdings, power)
        for symbol in step.reached:
            self.ctx.record(TargetDropped(pursued[symbol].plan, symbol, REACHED))
        stale = tuple(
            self.state.working[symbol].client_order_id for symbol in step.cancel if not self._cancelling(symbol)
        )
        if stale:
            self.ctx.tell(self.ctx.refer("desk"), CancelOrders(stale))
        orders = tuple(self._order(symbol, quantity) for symbol, quantity in step.send.items())
        if orders:
            self.ctx.tell(self.ctx.refer("desk"), SubmitOrders(orders, fresh=True, reply_to=reply_to))
        else:
            self.ctx.reply(reply_to, [])

    def _drop(self, symbol: str, failure: Failure) -> None:
        """Give up a target that is not reached, and say what of it is missing."""
        target, held = self.state.targets[symbol], self._holding(symbol).position
        missing = target.quantity - held
        order_id, reason, text = failure
        self.ctx.record(TargetDropped(target.plan, symbol, reason, held, missing, order_id, text))

    def _order(self, symbol: str, quantity: Decimal) -> Order:
        target = self.state.targets[symbol]
        order_id = f"{self._id_prefix}{self.state.orders + 1}"
        self.ctx.record(TargetOrdered(target.plan, symbol, order_id, quantity))
        return make_order(
            symbol,
            quantity,
            client_order_id=order_id,
            time_in_force=self._time_in_force,
            account=self._account,
            strategy=target.strategy,
            purpose=target.purpose,
            parent=target.plan,
        )

    def _risk(self) -> AccountRisk:
        account: AccountRisk = self.ctx.view("risk_gate").exposure.look(self._account)
        return account

    def _machine(self, symbol: str) -> OrderMachine | None:
        working = self.state.working.get(symbol)
        machine: OrderMachine | None = None if working is None else self.ctx.view("order/" + working.client_order_id)
        return machine

    def _holding(self, symbol: str) -> Holding:
        risk = self._risk().symbols.get(symbol) or SymbolRisk()
        working = self.state.working.get(symbol)
        rest = None if working is None else working.quantity
        machine = self._machine(symbol)
        if machine is not None and machine.is_closed:
            rest = None  # completed by what the broker made of it
        elif machine is not None:
            left = machine.order.quantity - machine.filled_quantity
            rest = left if machine.order.side is Side.BUY else -left
        price = self._market.last_price(symbol) or ZERO
        return Holding(risk.position, risk.open_buy - risk.open_sell, price, rest)

    def _open_elsewhere(self, symbol: str) -> bool:
        """Whether orders are open in the symbol that are not ours."""
        exposure = self.ctx.view("risk_gate").exposure
        return any(
            held.symbol == symbol and order_id not in self.state.symbols for order_id, held in exposure.open.items()
        )

    def _cancelling(self, symbol: str) -> bool:
        machine = self._machine(symbol)
        return machine is not None and machine.cancel != "no"

    # --- Fold ----------------------------------------------------------------------------------------------------------

    @fold
    def _set(self, event: TargetsSet, record: Record) -> None:
        self.state.plans += 1
        for symbol, quantity in event.targets.items():
            self.state.targets.pop(symbol, None)
            self.state.targets[symbol] = Target(quantity, event.plan, event.purpose, event.strategy)
            self.state.clearing.pop(symbol, None)
            self.state.failed.pop(symbol, None)
            if event.cancel_first:
                self.state.clearing[symbol] = record.at_ns

    @fold
    def _dropped(self, event: TargetDropped, record: Record) -> None:
        target = self.state.targets.get(event.symbol)
        if target is not None and target.plan == event.plan:
            del self.state.targets[event.symbol]
            self.state.clearing.pop(event.symbol, None)
            self.state.failed.pop(event.symbol, None)

    @fold
    def _ordered(self, event: TargetOrdered, record: Record) -> None:
        self.state.orders += 1
        self.state.working[event.symbol] = Working(event.client_order_id, event.quantity, event.plan)
        self.state.symbols[event.client_order_id] = event.symbol

    @fold
    def _filled(self, event: OrderFilled, record: Record) -> None:
        symbol = self.state.symbols.get(event.client_order_id)
        if symbol is None:
            return
        if event.state in CLOSED_STATES:
            self._closed(event.client_order_id)
            return
        working = self.state.working.get(symbol)
        if working is not None and working.untouched and working.client_order_id == event.client_order_id:
            self.state.working[symbol] = msgspec.structs.replace(working, untouched=False)

    @fold
    def _adjusted(self, event: PositionAdjusted, record: Record) -> None:
        """A split multiplies what is wanted of its symbol; another name moves it."""
        if event.account != self._account:
            return
        state, symbol = self.state, event.symbol
        if event.cause is AdjustmentCause.SPLIT and symbol in state.targets:
            state.targets[symbol] = scaled(state.targets[symbol], event.ratio)
        elif event.cause is AdjustmentCause.SYMBOL_CHANGE:
            new = event.new_symbol
            _move(state.targets, symbol, new)
            _move(state.working, symbol, new)
            _move(state.clearing, symbol, new)
            _move(state.failed, symbol, new)
            for order_id, named in state.symbols.items():
                if named == symbol:
                    state.symbols[order_id] = new

    @fold
    def _restated(self, event: OrderRestated, record: Record) -> None:
        """Of an order that is all of a target, and has not filled, the target follows: nothing is held that a split would tell of."""
        symbol = self.state.symbols.get(event.client_order_id)
        working = None if symbol is None else self.state.working.get(symbol)
        if symbol is None or working is None or working.client_order_id != event.client_order_id:
            return
        total = event.terms.quantity if working.quantity > ZERO else -event.terms.quantity
        target = self.state.targets.get(symbol)
        if target is not None and working.untouched and target.quantity == working.quantity:
            self.state.targets[symbol] = msgspec.structs.replace(target, quantity=total)
        self.state.working[symbol] = msgspec.structs.replace(working, quantity=total)

    @fold
    def _ended(self, event: OrderCancelled | OrderRejected | OrderDenied, record: Record) -> None:
        if event.client_order_id not in self.state.symbols:
            return  # by far the most are of nobody's targets
        working = self._closed(event.client_order_id)
        if working is None:
            return
        symbol, order = working
        target = self.state.targets.get(symbol)
        if target is not None and target.plan == order.plan and (failure := _failure(event)).reason not in TRY_AGAIN:
            self.state.failed[symbol] = failure

    def _closed(self, order_id: str) -> tuple[str, Working] | None:
        """Forget our open order; return its symbol and what we knew of it."""
        symbol = self.state.symbols.pop(order_id, None)
        working = None if symbol is None else self.state.working.get(symbol)
        if symbol is None or working is None or working.client_order_id != order_id:
            return None
        del self.state.working[symbol]
        return symbol, working


def _move(by_symbol: dict[str, V], symbol: str, new: str) -> None:
    """Move an entry to another symbol, unless that has one."""
    if symbol in by_symbol:
        by_symbol.setdefault(new, by_symbol.pop(symbol))


def _failure(event: OrderCancelled | OrderRejected | OrderDenied) -> Failure:
    order_id = event.client_order_id
    if isinstance(event, OrderCancelled):
        return Failure(order_id, event.reason.value, event.text)
    if isinstance(event, OrderRejected):
        return Failure(order_id, event.code, event.text)
    return Failure(order_id, event.denial.code, event.denial.text)
