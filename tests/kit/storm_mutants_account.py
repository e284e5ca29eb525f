"""Bugs of the account: the session, what is read of the broker's account, the books, and what the gate lets through."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from storm_mutants_orders import ignored
from storm_mutants_planting import Patch, mutant

from ordersmith.actors.account_reader import AccountReader
from ordersmith.actors.broker_connection import EVENT_OF, BrokerConnection
from ordersmith.actors.circuit_breaker import CircuitBreaker
from ordersmith.actors.events import OrderInDoubt, SessionOpened
from ordersmith.actors.machines import account_checks, reconcile, risk, session
from ordersmith.actors.machines.breaker import BreakerState
from ordersmith.actors.machines.exposure import Exposure, Reservation
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.machines.risk import Case
from ordersmith.actors.model import ZERO, Position, Side
from ordersmith.actors.ports import Cancelled, Connected
from ordersmith.actors.risk_gate import RiskGate
from ordersmith.actors.snapshots import AccountSnapshot, Reconcile
from ordersmith.simulation.world import LIMITS

ACCOUNT = "main"
TIGHT = {"LIMITS": msgspec.structs.replace(LIMITS, max_position_quantity=Decimal(100))}
"""A world in which orders often would go beyond what may be held."""


def positions_of(books: Any) -> tuple[Position, ...]:
    """Return our own books in the words of a broker."""
    held = [(symbol, holding) for symbol, holding in books.holdings.items() if holding.quantity]
    return tuple(
        Position(account=ACCOUNT, symbol=symbol, quantity=each.quantity, average_price=each.cost / each.quantity)
        for symbol, each in held
    )


# --- The session -----------------------------------------------------------------------------------------------------


@mutant("a session is ready as soon as it is connected")
def ready_at_connect(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def connected(self: Any, message: Connected) -> None:
            before(self, message)
            books = self._books().accounts.get(self._account)
            if books is not None and self.state.phase is session.Phase.SYNCING:
                held = positions_of(books)
                self.ctx.record(SessionOpened(self._account, books.cash, held, message.capabilities))
                self.ctx.ready()

        return connected

    patch.method(BrokerConnection, "connected", wrap)


@mutant("a session that is lost is taken to go on")
def disconnect_ignored(patch: Patch) -> None:
    patch.method(BrokerConnection, "disconnected", ignored)


@mutant("a session for another account is taken")
def session_of_another_account_used(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def connected(self: Any, message: Connected) -> None:
            before(self, msgspec.structs.replace(message, account=self._expected_account))

        return connected

    patch.method(BrokerConnection, "connected", wrap)


# --- Reads -----------------------------------------------------------------------------------------------------------


@mutant("a read that failed counts as one that found nothing new")
def unknown_read_as_empty(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def snapshot_failed(self: Any, message: Any) -> None:
            books = self._books().accounts.get(self._account)
            if books is None:
                before(self, message)
                return
            nothing = AccountSnapshot(
                as_of=message.as_of,
                cash=books.cash,
                positions=positions_of(books),
                orders=(),
                executions=(),
                cursor=self.state.cursor,
                externals=(),
                asked_ns=self.ctx.now_ns,
            )
            self.ctx.tell(self.ctx.refer("connection/" + self._account), Reconcile(nothing))

        return snapshot_failed

    patch.method(AccountReader, "snapshot_failed", wrap)


@mutant("one read is enough to freeze a symbol")
def one_read_freezes(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def judge(state: Any, account: Any, differences: Any, as_of: Any) -> Any:
            found = tuple(differences)
            return before(msgspec.structs.replace(state, suspected=found), account, found, as_of)

        return judge

    patch.function(session.judge, wrap)


@mutant("recovery skips the executions of a read")
def executions_of_reads_skipped(patch: Patch) -> None:
    patch.function(reconcile._executions, lambda before: lambda beliefs, snapshot: ([], {}))


@mutant("an order that the account does not list counts as cancelled")
def unlisted_order_read_as_cancelled(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def repairs_of(beliefs: Any, snapshot: Any) -> Any:
            repairs = before(beliefs, snapshot)
            gone = [Cancelled(wire_id, "not listed") for wire_id in repairs.absent]
            return msgspec.structs.replace(repairs, reports=(*repairs.reports, *gone))

        return repairs_of

    patch.function(reconcile.reconcile, wrap)


@mutant(
    "open orders in the account that are not ours are not counted",
    profile="hurricane",
    faults=("OLD_JOURNAL", "MANUAL_ORDER"),
)
def external_orders_ignored(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        return lambda beliefs, snapshot: msgspec.structs.replace(before(beliefs, snapshot), seen=())

    patch.function(reconcile.reconcile, wrap)
    patch.method(AccountReader, "not_ours", ignored)


@mutant("orders that are not ours count for ever", faults=("MANUAL_ORDER", "PARTIAL_FILL"))
def external_orders_never_leave(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        return lambda beliefs, snapshot: msgspec.structs.replace(before(beliefs, snapshot), gone=())

    patch.function(reconcile.reconcile, wrap)


# --- Books -----------------------------------------------------------------------------------------------------------


@mutant(
    "what happens to the account is booked as often as it is told",
    profile="hurricane",
    faults=("DUPLICATED", "DIVIDEND", "SPLIT"),
)
def activity_booked_twice(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def book(self: Any, message: Any) -> None:
            self.ctx.record(EVENT_OF[type(message.report)](self._account, *msgspec.structs.astuple(message.report)))

        return book

    patch.method(BrokerConnection, "book", wrap)


@mutant("the books forget commissions")
def commission_not_booked(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def fill(self: Any, event: Any) -> None:
            before(self, event)
            self.accounts[event.account].cash += event.commission

        return fill

    patch.method(Ledger, "fill", wrap)


# --- The gate --------------------------------------------------------------------------------------------------------


def without(patch: Patch, *unwanted: Any) -> None:
    """Have the gate run without a check."""

    def wrap(before: Any) -> Any:
        def checks_under(limits: Any, **switches: bool) -> Any:
            table = before(limits, **switches)
            return {
                purpose: tuple(each for each in checks if each not in unwanted) for purpose, checks in table.items()
            }

        return checks_under

    patch.function(risk.checks_under, wrap)


@mutant("orders pass while trading is halted")
def halt_does_not_stop_entries(patch: Patch) -> None:
    without(patch, risk.trading_state)


@mutant("a halt leaves approvals as they are")
def halt_keeps_the_epoch(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def change(self: Any, state: Any, reason: Any, text: str) -> Any:
            return msgspec.structs.replace(before(self, state, reason, text), epoch=self.epoch)

        return change

    patch.method(BreakerState, "change", wrap)


@mutant("exits may go beyond flat")
def exit_may_flip(patch: Patch) -> None:
    without(patch, risk.exit_flips)


@mutant("prices that are none are traded on")
def bad_ticks_accepted(patch: Patch) -> None:
    without(patch, risk.market_data)


@mutant("books that disagree are written down, and traded on")
def mismatch_logged_and_ignored(patch: Patch) -> None:
    without(patch, account_checks.symbol_frozen)
    patch.method(CircuitBreaker, "books_disagree", ignored)
    patch.method(CircuitBreaker, "cash_differs", ignored)


@mutant("positions have no limit", world=TIGHT)
def position_limit_off(patch: Patch) -> None:
    without(patch, risk.position)


@mutant("an order in doubt holds no exposure", world=TIGHT)
def exposure_of_doubt_dropped(patch: Patch) -> None:
    def released(self: Any, event: OrderInDoubt, record: Any) -> None:
        self.state.exposure._release(event.client_order_id)

    patch.item(RiskGate.folds, OrderInDoubt, released)


@mutant("a gate that begins anew knows no open orders", world=TIGHT)
def open_orders_forgotten_at_boot(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def booted(self: Any) -> None:
            before(self)
            for order_id in list(self.open):
                self._release(order_id)

        return booted

    patch.method(Exposure, "booted", wrap)


@mutant("sells that are open already do not count", world=TIGHT)
def pending_sells_not_counted(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def worst_after(self: Any) -> Decimal:
            worst: Decimal = before(self)
            if self.order.side is Side.SELL:
                held = self.symbol.position
                self._worst = worst = held - self.delta
                self._reduces = held > ZERO and worst >= ZERO
            return worst

        return worst_after

    patch.method(Case, "worst_after", wrap)


@mutant("a replacement reserves its own terms only, while the order still works on the old ones", world=TIGHT)
def replacement_reserves_new_terms_only(patch: Patch) -> None:
    def wrap(before: Any) -> Any:
        def held(self: Any) -> Any:
            offered = self.offered
            return before(self) if offered is None else (offered.remaining, offered.remaining * offered.price)

        return held

    patch.method(Reservation, "held", wrap)


@mutant(
    "the gate reserves for an open order what it was before a split",
    profile="hurricane",
    faults=("SPLIT", "PARTIAL_FILL"),
    world=TIGHT,
)
def split_not_applied_to_open_orders(patch: Patch) -> None:
    patch.method(Exposure, "restated", ignored)


@mutant("a journal that fails does not halt trading")
def store_failure_does_not_halt(patch: Patch) -> None:
    patch.method(CircuitBreaker, "journal_failed", ignored)
