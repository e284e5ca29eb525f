"""The risk gate: no order leaves without its approval, and only this file makes one.

An approval is recorded, and so reserves its exposure, before it is answered. `machines/risk.py` decides what passes,
`machines/exposure.py` keeps what is reserved.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from .account_events import BooksDisagree, ExternalOrderGone, ExternalOrderSeen, SessionConnected, SymbolReleased
from .actor import Actor, Record, fold, handler
from .doubt_events import OrderReserved
from .events import (
    Booted,
    CashMoved,
    CashSettled,
    Denial,
    DividendAccrued,
    Escalated,
    OrderApproved,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    OrderRestated,
    PositionAdjusted,
    SessionClosed,
    SessionOpened,
    TradingStateChanged,
)
from .machines.breaker import HaltReason, halt_words
from .machines.broker_rules import resting
from .machines.exposure import Exposure, usable
from .machines.order_checks import intent_key
from .machines.risk import Case, Limits, checks_under, review, worst_margin
from .messages import (
    ApprovedOrder,
    CheckOrder,
    CheckReplace,
    GateMessage,
    GetAccountInfo,
    OrderPassed,
    OrderRefused,
    ReplaceDenied,
    ReplacePassed,
)
from .model import ZERO, AccountInfo, Order, TradingState
from .ports import Instruments, MarketData

VALIDITY_NS = 10_000_000_000
ONE_AT_A_TIME = Denial("REPLACE_PENDING", "another replacement of the order was approved and has no answer yet", {})


class GateState(msgspec.Struct):
    """What the gate folds. `halted` says in words why trading is not active, and how it goes on."""

    exposure: Exposure = msgspec.field(default_factory=Exposure)
    trading_state: TradingState = TradingState.ACTIVE
    epoch: int = 0
    halted: str = ""


class RiskGate(Actor[GateMessage]):
    """Checks orders and replacements, one at a time, against the worst case of everything approved before.

    `backlog` says at an instant how many records are not durable yet, and how old the oldest of them is in nanoseconds.
    """

    state: GateState

    def __init__(
        self,
        limits: Limits,
        instruments: Instruments,
        market: MarketData,
        account: str,
        backlog: Callable[[int], tuple[int, int]] | None = None,
        validity_ns: int = VALIDITY_NS,
    ) -> None:
        settles_later = limits.settles_later and limits.account_type == "cash"
        self.state = GateState(Exposure(settles_later=settles_later))
        self._limits = limits
        falls_behind = backlog is not None
        self._checks = checks_under(limits, journal_falls_behind=falls_behind, broker_has_rules=False)
        self._checks_with_rules = checks_under(limits, journal_falls_behind=falls_behind)
        self._backlog = backlog
        self._validity_ns = validity_ns
        self._instruments = instruments
        self._market = market
        self._default_account = account
        self._view = GateView(self)

    def view(self) -> GateView:
        """Return what may be read of the gate: the same object until the state is restored."""
        view = self._view
        if view.exposure is not self.state.exposure:
            self._view = view = GateView(self)
        return view

    # --- Checks --------------------------------------------------------------------------------------------------------

    @handler
    def check(self, message: CheckOrder) -> None:
        order, ctx = message.order, self.ctx
        order_id = order.client_order_id
        case = self._case(order, order.quantity)
        denial = review(case, self._checks if case.resting is None else self._checks_with_rules)
        sender = ctx.refer("order/" + order_id)
        if denial is not None:
            ctx.tell(sender, OrderRefused(denial, message.reply_to))
            return
        intent = intent_key(order) if self._limits.duplicate_window_ns else ""
        ctx.record(
            OrderApproved(
                order_id,
                order.account,
                order.symbol,
                order.side,
                order.quantity,
                case.price,
                False,
                intent,
            )
        )
        ctx.tell(sender, OrderPassed(self._approve(order), message.reply_to))

    @handler
    def check_replace(self, message: CheckReplace) -> None:
        old = message.order
        new, quantity = message.terms.applied_to(old), message.terms.quantity
        held = self.state.exposure.open.get(old.client_order_id)
        remaining = max(quantity - message.filled_quantity, ZERO) if quantity.is_finite() else ZERO
        open_quantity, cost = (ZERO, ZERO) if held is None else held.held()
        case = self._case(new, max(remaining - open_quantity, ZERO), remaining=remaining, held=cost)
        checks = self._checks if case.resting is None else self._checks_with_rules
        denial = ONE_AT_A_TIME if held is not None and held.offered is not None else review(case, checks)
        sender = self.ctx.refer("order/" + old.client_order_id)
        if denial is not None:
            self.ctx.tell(sender, ReplaceDenied(denial, message.reply_to))
            return
        self.ctx.record(
            OrderApproved(new.client_order_id, new.account, new.symbol, new.side, new.quantity, case.price, True)
        )
        self.ctx.tell(sender, ReplacePassed(self._approve(new), message.reply_to))

    def _case(self, order: Order, delta: Decimal, remaining: Decimal | None = None, held: Decimal = ZERO) -> Case:
        symbol, state, exposure, last_price = order.symbol, self.state, self.state.exposure, self._market.last_price
        account = exposure.accounts.get(order.account) or exposure.look(order.account)
        case = Case(
            order,
            delta,
            self._instruments.get(symbol),
            last_price(symbol),
            last_price,
            account,
            state.trading_state,
            self._limits,
            self.ctx.now_ns,
            remaining,
            held,
            self._backlog,
            self._market,
        )
        if account.capabilities is not None and account.capabilities.rules:
            case.resting = resting(exposure, order, self.ctx.view)
        if state.halted:
            case.halted = state.halted
        return case

    def _approve(self, order: Order) -> ApprovedOrder:
        return ApprovedOrder(order, self.ctx.now_ns + self._validity_ns, self.state.epoch)

    # --- Account -------------------------------------------------------------------------------------------------------

    @handler
    def account_info(self, message: GetAccountInfo) -> None:
        self.ctx.reply(message.reply_to, self.info(self._default_account))

    def buying_power(self, name: str, market: MarketData | None = None) -> Decimal:
        """Return what new orders of an account may still cost, open orders taken off."""
        account, limits = self.state.exposure.look(name), self._limits
        last_price = (market or self._market).last_price
        if limits.account_type == "cash":
            return max(account.spendable, ZERO)
        if not limits.sides_differ:
            equity, gross = account.stakes(last_price)
            return max(equity / limits.initial_margin - gross, ZERO)
        covered = account.equity(last_price)
        for symbol, risk in account.symbols.items():
            covered -= worst_margin(risk, usable(last_price(symbol)), limits)
        return max(covered / limits.initial_margin, ZERO)

    def info(self, name: str, market: MarketData | None = None) -> AccountInfo:
        """Return the balances of an account at last prices, those of `market` for who must not see newer ones."""
        account = self.state.exposure.look(name)
        last_price = (market or self._market).last_price
        booked = self.ctx.view("positions").accounts.get(name)
        return AccountInfo(
            account=name,
            cash=account.cash,
            equity=account.equity(last_price),
            buying_power=self.buying_power(name, market),
            gross_exposure=account.gross(last_price),
            realized_pnl=sum((holding.realized_pnl for holding in booked.holdings.values()), ZERO) if booked else ZERO,
            commission=booked.commission if booked else ZERO,
            trading_state=self.state.trading_state,
            accrued=account.accrued,
            unsettled=account.unsettled,
        )

    # --- Fold ----------------------------------------------------------------------------------------------------------

    @fold
    def _session_opened(self, event: SessionOpened, record: Record) -> None:
        self.state.exposure.session_opened(event)

    @fold
    def _session_ended(self, event: SessionClosed | SessionConnected, record: Record) -> None:
        self.state.exposure.session_ended(event)

    @fold
    def _booted(self, event: Booted, record: Record) -> None:
        self.state.exposure.booted()

    @fold
    def _books_disagree(self, event: BooksDisagree, record: Record) -> None:
        self.state.exposure.books_disagree(event)

    @fold
    def _symbol_released(self, event: SymbolReleased, record: Record) -> None:
        self.state.exposure.symbol_released(event)

    @fold
    def _external_seen(self, event: ExternalOrderSeen, record: Record) -> None:
        self.state.exposure.external_seen(event)

    @fold
    def _external_gone(self, event: ExternalOrderGone, record: Record) -> None:
        self.state.exposure.external_gone(event)

    @fold
    def _approved(self, event: OrderApproved, record: Record) -> None:
        self.state.exposure.approved(event, record.at_ns)

    @fold
    def _reserved(self, event: OrderReserved, record: Record) -> None:
        self.state.exposure.reserved(event)

    @fold
    def _filled(self, event: OrderFilled, record: Record) -> None:
        self.state.exposure.filled(event)

    @fold
    def _closed(self, event: OrderCancelled | OrderRejected | OrderDenied, record: Record) -> None:
        self.state.exposure.closed(event)

    @fold
    def _replaced(self, event: OrderReplaced, record: Record) -> None:
        self.state.exposure.replaced(event)

    @fold
    def _restated(self, event: OrderRestated, record: Record) -> None:
        self.state.exposure.restated(event)

    @fold
    def _cash_moved(self, event: CashMoved, record: Record) -> None:
        self.state.exposure.cash_moved(event)

    @fold
    def _dividend_accrued(self, event: DividendAccrued, record: Record) -> None:
        self.state.exposure.dividend_accrued(event)

    @fold
    def _cash_settled(self, event: CashSettled, record: Record) -> None:
        self.state.exposure.cash_settled(event)

    @fold
    def _position_adjusted(self, event: PositionAdjusted, record: Record) -> None:
        self.state.exposure.position_adjusted(event)

    @fold
    def _replace_refused(self, event: OrderReplaceRefused, record: Record) -> None:
        self.state.exposure.replace_refused(event)

    @fold
    def _trading_state(self, event: TradingStateChanged, record: Record) -> None:
        state = self.state
        state.trading_state, state.epoch = event.state, event.epoch
        state.halted = "" if event.state is TradingState.ACTIVE else halt_words(event.reason, event.text)

    @fold
    def _escalated(self, event: Escalated, record: Record) -> None:
        self.state.trading_state = TradingState.HALTED
        self.state.halted = halt_words(HaltReason.ESCALATION, f"{event.supervisor} gave up: {event.error}")


class GateView:
    """What others read of the gate: exposure, trading state, balances."""

    __slots__ = ("_gate", "buying_power", "exposure", "info")

    def __init__(self, gate: RiskGate) -> None:
        self._gate = gate
        self.exposure = gate.state.exposure
        self.buying_power = gate.buying_power
        self.info = gate.info

    @property
    def trading_state(self) -> TradingState:
        return self._gate.state.trading_state
