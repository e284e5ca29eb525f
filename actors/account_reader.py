"""How a broker connection reads its account: asks, repairs what the answer shows, judges the books by it.

What to repair and what to make of the rest is decided in `machines/reconcile.py` and `machines/session.py`. Each step is a
message of its own, so that what was told in the step before is written down.
"""

from __future__ import annotations

from abc import abstractmethod

from .account_events import AccountRead, ExternalOrderGone, ExternalOrderSeen, ReadFailed, SymbolJudged
from .actor import Actor, M, handler
from .events import SessionOpened
from .machines.order import OrderMachine
from .machines.position import Ledger
from .machines.reconcile import Beliefs, external_of, reconcile
from .machines.session import Phase, Session, backoff_ns, judge
from .messages import BrokerReport, CommandRefused
from .ports import OrderAbsent, StatusRequest
from .snapshots import (
    AccountSnapshot,
    AnswerDue,
    JudgeBooks,
    NotOurs,
    ReadAccount,
    ReadDue,
    Reconcile,
    ResolveSymbol,
    SnapshotFailed,
    SyncAccount,
)

READ = "read the account"
SECOND_READ_NS = 1_000_000_000
VERDICTS = ("adopt", "release")


class AccountReader(Actor[M]):
    """The part of a broker connection that reads and judges the account. Without `_answer_ns` an answer has no deadline."""

    state: Session
    _account: str
    _port: str
    _reconcile_ns: int | None
    _answer_ns: int | None

    @abstractmethod
    def report(self, message: BrokerReport) -> None:
        """Tell a report to its order."""

    def _read(self) -> None:
        """Read the account as of now: by way of a message, so that what was told before is sent before."""
        self.ctx.tell(self.ctx.refer("connection/" + self._account), ReadAccount(self._as_of()))
        if self._answer_ns is not None:
            self.ctx.set_timer(READ, self._answer_ns, AnswerDue())

    def _as_of(self) -> int:
        """Return the number of the last record about the session, the books or an open order."""
        numbers = [machine.last_record for machine in self._open_orders()]
        return max(self.state.marked, self._books().last_record, *numbers)

    def _books(self) -> Ledger:
        books: Ledger = self.ctx.view("positions")
        return books

    def _open_orders(self) -> tuple[OrderMachine, ...]:
        """Return the orders of the account that hold exposure and were not lost."""
        open_orders = self.ctx.view("risk_gate").exposure.open
        machines = [
            self.ctx.view("order/" + name) for name, held in open_orders.items() if held.account == self._account
        ]
        return tuple(machine for machine in machines if machine is not None)

    @handler
    def read_due(self, message: ReadDue) -> None:
        if self.state.is_open:
            self._read()

    @handler
    def read(self, message: ReadAccount) -> None:
        if self.state.is_open:
            self.ctx.send(self._port, SyncAccount(message.as_of, self.state.cursor, self.ctx.now_ns))

    @handler
    def answer_due(self, message: AnswerDue) -> None:
        if self.state.is_open:
            self._read_failed(f"no answer within {(self._answer_ns or 0) / 1e9:g} s")

    @handler
    def snapshot_failed(self, message: SnapshotFailed) -> None:
        if self.state.is_open:
            self._read_failed(message.reason)

    def _read_failed(self, reason: str) -> None:
        """Take note, and read again later: that nothing was read does not mean that there is nothing."""
        self.ctx.record(ReadFailed(self._account, reason))
        self.ctx.set_timer(READ, backoff_ns(self.state.failures), ReadDue())

    @handler
    def account_read(self, message: AccountSnapshot) -> None:
        """Judge it after what was reported before it, which takes a turn of its order."""
        self.ctx.tell(self.ctx.refer("connection/" + self._account), Reconcile(message))

    @handler
    def reconcile(self, message: Reconcile) -> None:
        """Tell the orders what they do not know, ask for those that are missing; what is left is judged after that."""
        snapshot, ctx = message.snapshot, self.ctx
        if not self.state.is_open:
            return
        was_overtaken = self._is_overtaken(snapshot)
        repairs = reconcile(self._beliefs(), snapshot)
        for report in repairs.reports:
            self.report(report)
        for wire_id in repairs.asks:
            ctx.send(self._port, StatusRequest(wire_id, ctx.now_ns))
        for order in repairs.seen:
            ctx.record(ExternalOrderSeen(self._account, order))
        for broker_order_id in repairs.gone:
            ctx.record(ExternalOrderGone(self._account, broker_order_id))
        if was_overtaken:
            ctx.set_timer(READ, SECOND_READ_NS, ReadDue())
        else:
            ctx.tell(ctx.refer("connection/" + self._account), JudgeBooks(snapshot))

    def _is_overtaken(self, snapshot: AccountSnapshot) -> bool:
        """Whether facts came since it was asked for, by which it cannot be judged."""
        return max(self.state.marked, self._books().last_record) > snapshot.as_of

    def _beliefs(self) -> Beliefs:
        ctx = self.ctx
        return Beliefs(
            self._open_orders(),
            lambda order_id: ctx.view("order/" + order_id),
            self._books().accounts.get(self._account),
            self.state.externals,
            self.state.phase is Phase.SYNCING,
        )

    @handler
    def judge(self, message: JudgeBooks) -> None:
        """Compare the books; where they are settled, the session is ready."""
        snapshot, ctx = message.snapshot, self.ctx
        if not self.state.is_open:
            return
        if self.state.marked > snapshot.as_of:  # another read was judged in between
            ctx.set_timer(READ, SECOND_READ_NS, ReadDue())
            return
        repairs = reconcile(self._beliefs(), snapshot)
        judgement = judge(self.state, self._account, repairs.differences, snapshot.as_of)
        for event in judgement.events:
            ctx.record(event)
        if judgement.agrees:
            for wire_id in repairs.absent:
                self.report(OrderAbsent(wire_id, True, snapshot.asked_ns))
        if judgement.settled:
            self._read_well(snapshot)
        else:
            ctx.set_timer(READ, SECOND_READ_NS, ReadDue())

    def _read_well(self, snapshot: AccountSnapshot) -> None:
        state, ctx = self.state, self.ctx
        if state.failures or snapshot.cursor != state.cursor:
            ctx.record(AccountRead(self._account, snapshot.cursor))
        if state.phase is Phase.SYNCING:
            assert state.capabilities is not None
            ctx.record(SessionOpened(self._account, snapshot.cash, snapshot.positions, state.capabilities))
            ctx.ready()
        if self._reconcile_ns is not None:
            ctx.set_timer(READ, self._reconcile_ns, ReadDue())
        else:
            ctx.cancel_timer(READ)

    # --- What a person decides, and what is not ours ---------------------------------------------------------------------

    @handler
    def resolve(self, message: ResolveSymbol) -> None:
        """Write down what a person has decided about a disagreement; the next read carries it out."""
        symbol, verdict, frozen = message.symbol, message.verdict, self.state.frozen
        if symbol not in frozen:
            known = ", ".join(name or "cash" for name in frozen) or "none"
            text = f"symbol: {symbol or 'cash'} of account {self._account} is not in dispute; those that are: {known}"
            self.ctx.reply(message.reply_to, CommandRefused(text))
        elif verdict not in VERDICTS:
            text = f"verdict: {verdict!r} is not known; give one of {', '.join(VERDICTS)}"
            self.ctx.reply(message.reply_to, CommandRefused(text))
        else:
            self.ctx.record(SymbolJudged(self._account, symbol, verdict, message.reason))
            self.ctx.reply(message.reply_to, True)
            if self.state.is_open:
                self._read()

    @handler
    def not_ours(self, message: NotOurs) -> None:
        order = external_of(message.found)
        if self.state.externals.get(order.broker_order_id) != order:
            self.ctx.record(ExternalOrderSeen(self._account, order))
