"""What may be written to the wire: once (I1), after its intent (I8), reconciled (I9), armed (I13), not halted (I14), not given up (I19).

The port looks at the trading epoch immediately before it writes, so what was stated by then binds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...actors.account_events import SessionConnected, SessionRefused
from ...actors.doubt_events import JournalFailed
from ...actors.events import Booted, Escalated, SessionClosed, SessionOpened, TradingStateChanged
from ...actors.messages import SubmitOrders
from ...actors.model import Order, Purpose, TradingState
from ...actors.ports import CancelRequest, NewOrder, ReplaceRequest
from .broker_truth import BrokerTruth, client_id_of
from .journal import Journal
from .violations import Violations
from .watch import Written

STOPPED_BY_A_HALT = frozenset({Purpose.ENTRY, Purpose.CHILD, Purpose.EXIT})

COOLDOWN = "COOLDOWN"
MENDS = frozenset({"REPEATED_REJECTIONS", COOLDOWN})
"""Why trading may be restricted so that time alone ends it; all else waits for a person."""


class Sends:
    """Looks at everything that is written."""

    def __init__(self, account: str, journal: Journal, truth: BrokerTruth, violations: Violations) -> None:
        self.wire_ids: dict[str, None] = {}
        self._account, self._journal, self._truth, self._violations = account, journal, truth, violations
        self._reported = ""
        self._was_read = False
        self._is_ready = False
        self._given_up = self._must_halt_for = ""
        self._state, self._epoch, self._reason = TradingState.ACTIVE, 0, ""
        self._asked_again: dict[str, None] = {}
        self._doubled: dict[str, int] = {}
        self.on_stated: dict[type, Callable[[Any], None]] = {
            TradingStateChanged: self._state_changed,
            SessionOpened: self._opened,
            SessionClosed: self._not_ready,
            SessionConnected: self._not_ready,
            SessionRefused: self._not_ready,
            Booted: self._not_ready,
            Escalated: self._escalated,
            JournalFailed: self._journal_failed,
        }

    # --- What holds --------------------------------------------------------------------------------------------------------

    def session(self, up: bool, account: str) -> None:
        """Take in that the port's session has opened or is lost: whatever was reconciled is so no more."""
        self._reported = account if up else ""
        self._was_read = self._is_ready = False

    def snapshot_told(self) -> None:
        self._was_read = True

    def booted(self) -> None:
        """Begin with what the journal holds."""
        self._is_ready, self._given_up, self._must_halt_for = False, "", ""
        self._state, self._epoch = self._journal.trading_state, self._journal.epoch
        self._reason = self._journal.reason

    def submitted(self, request: SubmitOrders) -> None:
        """Remember the ids that a caller gives again after the journal has lost them: nobody could know them."""
        if not request.fresh:
            for order in request.orders:
                if isinstance(order, Order) and order.client_order_id in self._journal.lost:
                    self._asked_again[order.client_order_id] = None

    def _state_changed(self, event: TradingStateChanged) -> None:
        if event.reason == COOLDOWN and self._reason not in MENDS:
            self._violations.add("I14", f"{self._state} for {self._reason} was ended by a cooldown")
        self._state, self._epoch, self._reason = event.state, event.epoch, event.reason
        if event.state is TradingState.HALTED:
            self._must_halt_for = ""

    def _opened(self, event: SessionOpened) -> None:
        self._is_ready = self._was_read

    def _not_ready(self, event: Any) -> None:
        self._is_ready = False

    def _escalated(self, event: Escalated) -> None:
        self._given_up = event.supervisor

    def _journal_failed(self, event: JournalFailed) -> None:
        if self._state is not TradingState.HALTED:
            self._must_halt_for = event.text

    def turned(self) -> None:
        """Judge a turn of the pump that has ended: whatever must halt trading has done so by now."""
        if self._must_halt_for and not self._given_up:
            self._violations.add("I14", f"the journal failed ({self._must_halt_for}) and trading is {self._state}")
        self._must_halt_for = ""

    # --- What is written -----------------------------------------------------------------------------------------------------

    def written(self, command: Written) -> None:
        """Judge a command that has left."""
        if self._reported != self._account:
            where = f"a session of account {self._reported!r}" if self._reported else "no session"
            self._violations.add(
                "I13", f"{_name(command)} was written in {where}; it is armed for {self._account!r} only"
            )
        if type(command) is CancelRequest:
            return
        wire_id = command.wire_id if type(command) is NewOrder else command.new_wire_id  # type: ignore[union-attr]
        self._once(wire_id, command)
        self._intended(wire_id, command)
        self._allowed(command)

    def _once(self, wire_id: str, command: Written) -> None:
        order_id = client_id_of(wire_id)
        if wire_id in self.wire_ids:
            is_excused = order_id in self._asked_again or (
                type(command) is ReplaceRequest and order_id in self._journal.lost
            )
            if not is_excused:
                self._violations.add("I1", f"leg {wire_id} was written twice")
        self.wire_ids[wire_id] = None

    def _intended(self, wire_id: str, command: Written) -> None:
        intent = self._journal.intents.get(wire_id)
        if intent is None:
            self._violations.add("I8", f"{_name(command)} was written and no durable record intends it")
        elif type(command) is NewOrder and intent != command.order:
            self._violations.add("I8", f"leg {wire_id} was written as {command.order}, intended was {intent}")
        elif type(command) is ReplaceRequest and intent != command.terms:
            self._violations.add("I8", f"leg {wire_id} was written with {command.terms}, intended was {intent}")
        order = self._journal.orders.get(client_id_of(wire_id))
        if intent is not None and order is not None and not order.approved:
            self._violations.add("I8", f"{_name(command)} was written and no durable record approves it")

    def _allowed(self, command: Any) -> None:
        if not self._is_ready:
            self._violations.add(
                "I9", f"{_name(command)} was written before the session was reconciled (read: {self._was_read})"
            )
        if command.trading_epoch != self._epoch:
            text = (
                f"{_name(command)} was approved in trading epoch {command.trading_epoch} and written in {self._epoch}"
            )
            self._violations.add("I14", text)
        elif self._state is TradingState.HALTED and self._purpose(command) in STOPPED_BY_A_HALT:
            self._violations.add(
                "I14", f"{_name(command)} ({self._purpose(command)}) was written while trading is HALTED"
            )
        late_ns = self._violations.clock() - command.not_after_ns
        if late_ns > 0:  # whoever has looked for it since its deadline may have given it up
            self._violations.add("I2", f"{_name(command)} was written {late_ns / 1e9:.3f} s after its deadline")
        if self._given_up:
            self._violations.add("I19", f"{_name(command)} was written after supervisor {self._given_up} had given up")

    def _purpose(self, command: Any) -> Purpose:
        if type(command) is NewOrder:
            return command.order.purpose
        order = self._journal.orders.get(client_id_of(command.new_wire_id))
        return Purpose.CANCEL if order is None else order.order.purpose

    # --- What works at the broker --------------------------------------------------------------------------------------------

    def accepted(self, wire_id: str) -> None:
        """Take note of an order of which more than one leg works; a replaced leg may end an instant later."""
        order_id = client_id_of(wire_id)
        if len(self._truth.order(order_id).working) > 1:
            self._doubled.setdefault(order_id, self._violations.clock())

    def look_for_doubled(self) -> None:
        """State which orders have two legs that worked at once for longer than an instant."""
        if not self._doubled:
            return
        now_ns = self._violations.clock()
        for order_id, since_ns in list(self._doubled.items()):
            legs = self._truth.order(order_id).working
            if len(legs) < 2:
                del self._doubled[order_id]
            elif since_ns < now_ns:
                del self._doubled[order_id]
                self._violations.add("I1", f"order {order_id} works at the broker more than once: {', '.join(legs)}")


def _name(command: Any) -> str:
    wire_id = command.new_wire_id if type(command) is ReplaceRequest else command.wire_id
    return f"{type(command).__name__} {wire_id}"
