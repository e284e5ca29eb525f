"""A broker port that stands before the simulated exchange and answers as brokers do: late, twice, not at all, or not yet."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from decimal import Decimal
from typing import Any

import msgspec

from ordersmith.actors.model import Terms
from ordersmith.actors.ports import (
    AdjustmentCause,
    CancelRefused,
    CancelRequest,
    CashKind,
    CashMovement,
    CommandKind,
    DividendDeclared,
    Executed,
    MarginDeficit,
    NotSent,
    OutcomeUnknown,
    PositionAdjustment,
    Rejected,
    Restated,
    SaleSettled,
)
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount
from ordersmith.adapters.simulated.broker import SimulatedBroker
from ordersmith.supervisor.backtest import Backtest


class ScriptedPort:
    """Stands before the simulated exchange. What it is told to do to a command, it does once."""

    def __init__(self, backtest: Backtest) -> None:
        self._exchange = backtest.exchange
        self.commands: list[Any] = []
        self.executed: dict[str, Executed] = {}
        self._post = backtest.dispatcher.post
        self._connection = backtest.dispatcher.cells["connection/main"]
        self._held: list[Callable[[], Any]] = []
        self._hold = False
        self._slow: tuple[str, ...] = ("slow-cancel", "partial")
        self._broker = SimulatedBroker(
            backtest.exchange,
            self._from_exchange,
            self._connection,
            lambda: backtest.dispatcher.now_ns,
            backtest._epoch_now,
        )
        self._tricks: dict[tuple[str, str], Callable[[Any, int], Any]] = {
            ("ReplaceRequest", "slow-replace"): self._answer_later,
            ("NewOrder", "slow-accept"): self._answer_later,
            ("NewOrder", "doubt"): self._lose_answer,
            ("NewOrder", "absent"): self._lose,
            **{("NewOrder", name): self._lose for name in ("resolved", "unknown-1", "unknown-2")},
            ("NewOrder", "lost"): lambda c, n: None,
            ("NewOrder", "not-sent"): lambda c, n: self.say(NotSent(c.wire_id, CommandKind.NEW, "no line"), n),
            ("CancelRequest", "unknown-cancel"): self._lose,
            ("CancelRequest", "unsent-cancel"): lambda c, n: self.say(
                NotSent(c.wire_id, CommandKind.CANCEL, "no line"), n
            ),
            ("CancelRequest", "refused-cancel"): lambda c, n: self.say(CancelRefused(c.wire_id, "BUSY", "not now"), n),
            ("ReplaceRequest", "unsent-replace"): lambda c, n: self.say(
                NotSent(c.new_wire_id, CommandKind.REPLACE, "no line"), n
            ),
            **{("StatusRequest", name): lambda c, n: None for name in ("slow-cancel", "partial", "slow-replace")},
            **{("NewOrder", name): self._refuse for name in ("refused", "refused-1", "refused-2", "refused-3")},
        }
        original = backtest.exchange.on_bars
        backtest.exchange.on_bars = lambda bars: self._twice(original(bars))  # type: ignore[method-assign]

    def accept(self, command: Any, cause: int) -> None:
        self.commands.append(command)
        base_id = getattr(command, "wire_id", "").rpartition(".")[0]
        if isinstance(command, SyncAccount):
            self.say(self._as_told(command), cause)
            return
        if isinstance(command, CancelRequest) and base_id in self._slow:
            self._later(command, cause)  # however often it is asked
            return
        trick = self._tricks.pop((type(command).__name__, base_id), self._broker.accept)
        trick(command, cause)

    def _as_told(self, command: SyncAccount) -> AccountSnapshot:
        """Return the exchange's account with its orders as the reports that were let out have told."""
        account = self._exchange.snapshot(command.as_of, command.asked_ns)
        orders = tuple(
            msgspec.structs.replace(found, wire_id=f"{base_id}.0")
            if self._held and (base_id := found.wire_id.rpartition(".")[0]) == "slow-replace"
            else found
            for found in account.orders
        )
        return msgspec.structs.replace(account, orders=orders)

    def say(self, report: Any, cause: int = 0) -> None:
        self._post(self._connection, report, cause)

    def release(self) -> None:
        """Let out what was held, and know at last which orders were never written."""
        self._slow = ()
        held, self._held = self._held, []
        for act in held:
            act()
        for name in ("absent", "lost", "unknown-1", "unknown-2"):
            self.say(NotSent(f"{name}.0", CommandKind.NEW, "found in the line's log"))

    def correct(self, name: str) -> None:
        """Let the broker correct the price of an order's fill long after, and repeat it."""
        told = self.executed[name]
        cheaper = msgspec.structs.replace(told.fill, price=told.fill.price - 1, revision=1)
        self._exchange._account.cash += cheaper.quantity
        for fill in (told.fill, cheaper, cheaper, told.fill):
            self.say(msgspec.structs.replace(told, fill=fill))

    def adjust(self) -> None:
        """Tell, twice, of everything that happens to an account without an order: of shares that we never ordered, spun off."""
        spun, cash = "SPUN", AdjustmentCause.CASH_IN_LIEU
        self._exchange._account.cash += Decimal(3)
        reports = (
            PositionAdjustment("1", AdjustmentCause.LIQUIDATION, spun, Decimal(4), Decimal(-40)),
            DividendDeclared("2", spun, Decimal(2)),
            PositionAdjustment("3", AdjustmentCause.SPLIT, spun, Decimal(4)),
            PositionAdjustment("4", AdjustmentCause.SYMBOL_CHANGE, spun, Decimal(-8), new_symbol="NEW"),
            CashMovement("5", CashKind.DIVIDEND, Decimal(2), "NEW"),
            CashMovement("6", CashKind.BORROW_FEE, Decimal(-1), "NEW"),
            PositionAdjustment("7", cash, "NEW", Decimal(-8), Decimal(42)),
            SaleSettled("8", Decimal(0)),
            MarginDeficit("9", Decimal(1), Decimal(2), False, "not enough"),
            Restated("restated.0", Terms(Decimal(12), Decimal(5)), "adjusted"),
        )
        for report in reports:
            self.say(report)
            self.say(copy(report))

    def _twice(self, reports: list[Any]) -> list[Any]:
        """Pass on what the exchange says of a bar; `twice` is told twice what was filled."""
        said = []
        for report in reports:
            base_id = report.wire_id.rpartition(".")[0]
            if isinstance(report, Executed):
                self.executed[base_id] = report
            said += [report, copy(report)] if base_id == "twice" else [report]
        return said

    def _from_exchange(self, ref: Any, report: Any, cause: int) -> None:
        if self._hold:
            self._held.append(lambda: self.say(report, cause))
        else:
            self.say(report, cause)

    def _later(self, command: Any, cause: int) -> None:
        self._held.append(lambda: self._broker.accept(command, cause))

    def _answer_later(self, command: Any, cause: int) -> None:
        self._hold = True
        self._broker.accept(command, cause)
        self._hold = False

    def _lose(self, command: Any, cause: int) -> None:
        kind = CommandKind.NEW if type(command).__name__ == "NewOrder" else CommandKind.CANCEL
        self.say(OutcomeUnknown(command.wire_id, kind, "time-out"), cause)

    def _lose_answer(self, command: Any, cause: int) -> None:
        self._hold, held = True, self._held
        self._held = []
        self._broker.accept(command, cause)
        self._hold, self._held = False, held
        self.say(OutcomeUnknown(command.wire_id, CommandKind.NEW, "time-out"), cause)

    def _refuse(self, command: Any, cause: int) -> None:
        self._exchange._orders.reject(command.wire_id.rpartition(".")[0], command.wire_id)
        self.say(Rejected(command.wire_id, "NO", "not today"), cause)
