"""The circuit breaker: watches for what goes wrong, halts and resumes. Its rules are in `machines/breaker.py`."""

from __future__ import annotations

from .account_events import BooksDisagree, CashDiffers
from .actor import Actor, Record, ReplyTo, fold, handler
from .doubt_events import JournalFailed, OrderOverfilled, OrderResurfaced
from .events import Escalated, OrderInDoubt, OrderRejected, StrategyFailed, TradingStateChanged
from .machines.breaker import BreakerRules, BreakerState, HaltReason
from .messages import BreakerMessage, CooldownOver, HaltTrading, ResumeTrading
from .model import TradingState
from .ports import CommandKind

COOLDOWN = "cooldown"


class CircuitBreaker(Actor[BreakerMessage]):
    """Owns the trading state: the only actor that records a change of it."""

    state: BreakerState

    def __init__(self, rules: BreakerRules) -> None:
        self.state = BreakerState()
        self._rules = rules

    def view(self) -> BreakerState:
        """Return the trading state and why it holds."""
        return self.state

    def on_start(self) -> None:
        """Arm the cooldown that the records say is running."""
        self._arm()

    @handler
    def rejected(self, message: OrderRejected) -> None:
        if self.state.tripped(self._rules):
            count, seconds = len(self.state.rejections), self._rules.window_ns // 1_000_000_000
            text = f"{count} rejections within {seconds} s, the last of {message.client_order_id}: {message.code}"
            self._change(TradingState.HALTED, HaltReason.REPEATED_REJECTIONS, text)

    @handler
    def in_doubt(self, message: OrderInDoubt) -> None:
        if self.state.lost_sight(self._rules):
            count, seconds = len(self.state.unknowns), self._rules.window_ns // 1_000_000_000
            text = f"{count} orders in doubt within {seconds} s, the last {message.client_order_id}: {message.reason}"
            self._change(TradingState.HALTED, HaltReason.OUTCOME_UNKNOWN, text)

    @handler
    def resurfaced(self, message: OrderResurfaced) -> None:
        text = f"order {message.client_order_id} was given up and is there after all: {message.text}"
        self._alarm(HaltReason.ORDER_RESURFACED, text)

    @handler
    def overfilled(self, message: OrderOverfilled) -> None:
        text = f"{message.filled} of order {message.client_order_id} have filled, {message.ordered} were ordered"
        self._alarm(HaltReason.OVERFILL, text)

    @handler
    def books_disagree(self, message: BooksDisagree) -> None:
        held = (
            f"{message.account} holds {message.brokers} {message.symbol} at the broker and {message.ours} in our books"
        )
        self._alarm(HaltReason.POSITION_MISMATCH, held)

    @handler
    def cash_differs(self, message: CashDiffers) -> None:
        has = f"{message.account} has {message.brokers} in cash at the broker and {message.ours} in our books"
        self._alarm(HaltReason.POSITION_MISMATCH, has)

    @handler
    def journal_failed(self, message: JournalFailed) -> None:
        self._alarm(HaltReason.JOURNAL, message.text)

    @handler
    def strategy_failed(self, message: StrategyFailed) -> None:
        """Allow nothing new while nobody decides any more; what lessens risk stays allowed."""
        if self.state.trading_state is TradingState.ACTIVE:
            self._change(TradingState.REDUCING, HaltReason.STRATEGY, f"{message.strategy} raised {message.error}")

    @handler
    def cooldown_over(self, message: CooldownOver) -> None:
        if message.epoch == self.state.epoch:
            self._change(self.state.one_step_back(), HaltReason.COOLDOWN, "the cooldown is over")

    @handler
    def halt(self, message: HaltTrading) -> None:
        self._by_hand(TradingState.HALTED, message.reason, message.reply_to)

    @handler
    def resume(self, message: ResumeTrading) -> None:
        self._by_hand(TradingState.ACTIVE, message.reason, message.reply_to)

    @handler
    def escalated(self, message: Escalated) -> None:
        self._change(TradingState.HALTED, HaltReason.ESCALATION, f"{message.supervisor} gave up: {message.error}")

    def _alarm(self, reason: HaltReason, text: str) -> None:
        """Halt until a person resumes; whoever has to wait for one already waits on, for the first reason."""
        if not self.state.waits_for_person:
            self._change(TradingState.HALTED, reason, text)

    def _by_hand(self, state: TradingState, reason: str, reply_to: ReplyTo | None) -> None:
        # A halt by hand also takes over one that would have ended by itself; resuming what is active would only void approvals.
        by_itself = state is TradingState.HALTED and self.state.reason is not HaltReason.MANUAL
        if self.state.trading_state is not state or by_itself:
            self._change(state, HaltReason.MANUAL, reason)
        self.ctx.reply(reply_to, self.state.trading_state)

    def _change(self, state: TradingState, reason: HaltReason, text: str) -> None:
        self.ctx.record(self.state.change(state, reason, text))
        self._arm()

    def _arm(self) -> None:
        recovers_at_ns = self.state.recovers_at_ns(self._rules)
        if recovers_at_ns is None:
            self.ctx.cancel_timer(COOLDOWN)
        else:
            self.ctx.set_timer(COOLDOWN, max(recovers_at_ns - self.ctx.now_ns, 0), CooldownOver(self.state.epoch))

    @fold
    def _rejected(self, event: OrderRejected, record: Record) -> None:
        if not event.concluded:
            self.state.rejected(record.at_ns, self._rules)

    @fold
    def _in_doubt(self, event: OrderInDoubt, record: Record) -> None:
        if event.kind is CommandKind.NEW and not event.booted:
            self.state.unknown(record.at_ns, self._rules)

    @fold
    def _changed(self, event: TradingStateChanged, record: Record) -> None:
        self.state.changed(event, record.at_ns)
