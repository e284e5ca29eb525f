"""The broker of the small model: one account, one order for two shares, and every answer that it may give to a command."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from ..actors.model import Fill, Side
from ..actors.ports import (
    Accepted,
    BrokerOrderState,
    BrokerPosition,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Connect,
    Connected,
    Disconnect,
    Executed,
    NewOrder,
    OrderAbsent,
    OrderFound,
    Rejected,
    Report,
    StatusRequest,
)
from ..actors.snapshots import AccountSnapshot, SnapshotFailed, SyncAccount
from ..adapters.simulated.terms import CAPABILITIES
from .small_core import ACCOUNT, CASH, PRICE, QUANTITY, SYMBOL, WIRE_ID

BROKERS_ID = "b"


class Truth(msgspec.Struct, frozen=True):
    """What is so at the broker. `state` is "" while it does not know the order; `fills` are the quantities, oldest first."""

    is_connected: bool
    state: str = ""
    fills: tuple[int, ...] = ()

    @property
    def filled(self) -> int:
        """How much was executed."""
        return sum(self.fills)

    @property
    def is_working(self) -> bool:
        """Whether the order is live."""
        return self.state == BrokerOrderState.WORKING


Outcome = tuple[Truth, tuple[Report, ...]]


def answers(truth: Truth, command: Any) -> tuple[Outcome, ...]:
    """Return all that the broker may make of a command, the usual first; a broker without a session tells nothing."""
    made = _ANSWERS[type(command)](truth, command)
    return tuple((after, reports if after.is_connected else ()) for after, reports in made)


def movements(truth: Truth) -> tuple[Outcome, ...]:
    """Return what may happen at the broker by itself: one share is filled, or both at once."""
    if not truth.is_working:
        return ()
    left = QUANTITY - truth.filled
    return tuple(_filled(truth, quantity) for quantity in range(1, left + 1))


def _filled(truth: Truth, quantity: int) -> Outcome:
    state = BrokerOrderState.DONE if truth.filled + quantity == QUANTITY else BrokerOrderState.WORKING
    after = msgspec.structs.replace(truth, state=state.value, fills=(*truth.fills, quantity))
    report = executions(after)[-1]
    return after, (report,) if after.is_connected else ()


def executions(truth: Truth) -> tuple[Executed, ...]:
    """Return the executions; of one order for two shares there is never more than one way to number them."""
    made: list[Executed] = []
    cumulative = 0
    for number, quantity in enumerate(truth.fills):
        cumulative += quantity
        fill = Fill(fill_key=f"e{number}", quantity=Decimal(quantity), price=PRICE, at_ns=0)
        made.append(Executed(WIRE_ID, fill, Decimal(cumulative)))
    return tuple(made)


def found(truth: Truth) -> OrderFound:
    """Return what the broker says of the order when it is asked."""
    filled = truth.filled
    return OrderFound(
        WIRE_ID,
        BROKERS_ID,
        BrokerOrderState(truth.state),
        Decimal(filled),
        PRICE if filled else None,
        symbol=SYMBOL,
        side=Side.BUY,
        open_quantity=Decimal(QUANTITY - filled if truth.is_working else 0),
        limit_price=PRICE,
    )


def _connect(truth: Truth, command: Connect) -> tuple[Outcome, ...]:
    return ((msgspec.structs.replace(truth, is_connected=True), (Connected(ACCOUNT, CAPABILITIES),)),)


def _place(truth: Truth, command: NewOrder) -> tuple[Outcome, ...]:
    """Take the order or refuse it; one whose id is known is not taken again, and a port must not call that a rejection."""
    if truth.state:
        return ((truth, ()),)
    working = msgspec.structs.replace(truth, state=BrokerOrderState.WORKING.value)
    rejected = msgspec.structs.replace(truth, state=BrokerOrderState.REJECTED.value)
    return (
        (working, (Accepted(WIRE_ID, BROKERS_ID),)),
        (rejected, (Rejected(WIRE_ID, "NO", "not taken"),)),
    )


def _cancel(truth: Truth, command: CancelRequest) -> tuple[Outcome, ...]:
    """Cancel what is left, or refuse: what has ended always, what works now and then, too."""
    refused = (truth, (CancelRefused(WIRE_ID, "NO", "not now"),))
    if not truth.is_working:
        return (refused,)
    cancelled = msgspec.structs.replace(truth, state=BrokerOrderState.CANCELLED.value)
    return (cancelled, (Cancelled(WIRE_ID),)), refused


def _look_up(truth: Truth, command: StatusRequest) -> tuple[Outcome, ...]:
    report = found(truth) if truth.state else OrderAbsent(command.wire_id, asked_ns=command.asked_ns)
    return ((truth, (report,)),)


def _read(truth: Truth, command: SyncAccount) -> tuple[Outcome, ...]:
    return (truth, (snapshot(truth, command),)), (truth, (SnapshotFailed(command.as_of, "not all of it came"),))


def snapshot(truth: Truth, command: SyncAccount) -> AccountSnapshot:
    """Return the whole account as it is now. Every execution is told again, as of a broker that takes no cursor."""
    filled = Decimal(truth.filled)
    positions = (BrokerPosition(SYMBOL, filled, PRICE),) if filled else ()
    orders = (found(truth),) if truth.is_working else ()
    cash = CASH - filled * PRICE
    return AccountSnapshot(command.as_of, cash, positions, orders, executions(truth), asked_ns=command.asked_ns)


def _disconnect(truth: Truth, command: Disconnect) -> tuple[Outcome, ...]:
    return ((msgspec.structs.replace(truth, is_connected=False), ()),)


_ANSWERS: dict[type, Callable[[Truth, Any], tuple[Outcome, ...]]] = {
    Connect: _connect,
    Disconnect: _disconnect,
    NewOrder: _place,
    CancelRequest: _cancel,
    StatusRequest: _look_up,
    SyncAccount: _read,
}
