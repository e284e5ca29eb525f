"""What holds in every state of the small model, and what must hold once everything has come to rest.

It is judged by the broker's truth: an order that is closed in our books has ended there, for the reason that we say; nothing
is booked that was not executed; what the broker has is durable with us. At rest our books are the broker's, or a person was
called.
"""

from __future__ import annotations

from decimal import Decimal

from ..actors.machines.exposure import SymbolRisk
from ..actors.machines.order import OrderMachine
from ..actors.machines.order_changes import Pending
from ..actors.machines.order_table import Proof
from ..actors.model import OrderState
from ..actors.ports import BrokerOrderState, CommandKind, NewOrder
from .small_broker import BROKERS_ID, Truth, executions
from .small_core import ACCOUNT, CASH, PRICE, QUANTITY, SYMBOL, Folded
from .small_state import State
from .small_world import SmallWorld

NOT_THERE = (Proof.NOT_FOUND, Proof.NOT_SENT, Proof.DENIED)

PROVED_BY = {
    Proof.CANCELLED: BrokerOrderState.CANCELLED,
    Proof.EXPIRED: BrokerOrderState.EXPIRED,
    Proof.REJECTED: BrokerOrderState.REJECTED,
}

SHOWN_AS = {
    "": (OrderState.CANCELLED, OrderState.REJECTED),
    BrokerOrderState.WORKING.value: (OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED),
    BrokerOrderState.CANCELLED.value: (OrderState.CANCELLED,),
    BrokerOrderState.REJECTED.value: (OrderState.REJECTED,),
    BrokerOrderState.DONE.value: (OrderState.FILLED,),
}


class SmallRules:
    """Judges states. What does not depend on what is on its way is judged once for each pair of books and truth."""

    def __init__(self, world: SmallWorld) -> None:
        self._world = world
        self._judged: dict[tuple[int, int, bool], str] = {}

    def broken(self, state: State) -> str:
        """Return what is wrong with a state, "" if nothing is."""
        is_coming = self._is_coming(state)
        books = (state.folded, state.durable, *(folded for folded, _ in state.waiting))
        for number, folded in enumerate(books):
            key = (folded, state.truth, is_coming)
            wrong = self._judged.get(key)
            if wrong is None:
                truth = self._world.truths.things[state.truth]
                wrong = self._judged[key] = books_are_wrong(self._world.core.state(folded), truth, is_coming=is_coming)
            if wrong:
                return wrong if number == 0 else f"{wrong} (in what is written down)"
        if self._world.truths.things[state.truth].state and not self._world.core.knows_wire_id(state.durable):
            return "I2: the broker has an order, and no durable intent says so"
        return "I1: the new order was written more than once" if state.written > 1 else ""

    def unsettled(self, state: State) -> str:
        """Return why a state is not one of rest, "" if it is."""
        if state.waiting or state.port or state.wire or state.reports:
            return "something is under way"
        return not_at_rest(self._world.core.state(state.folded), self._world.truths.things[state.truth])

    def _is_coming(self, state: State) -> bool:
        words = self._world.core.words.things
        return any(isinstance(words[word], NewOrder) for word in state.wire)


def books_are_wrong(folded: Folded, truth: Truth, *, is_coming: bool) -> str:
    """Return what our books say that is not so. `is_coming`: the order was written and has not arrived yet."""
    order = folded.order
    if order is None:
        return ""
    if folded.session.frozen:
        return f"I6: the books are said to disagree: {folded.session.frozen}"
    if order.resurfaced:
        return "I2: the order was given up, and then it was there"
    return (
        _wrongly_closed(order, truth, is_coming=is_coming)
        or _wrongly_filled(folded, order, truth)
        or _not_reserved(folded, truth, is_coming=is_coming)
    )


def _wrongly_closed(order: OrderMachine, truth: Truth, *, is_coming: bool) -> str:
    """Return how an order is closed that is not."""
    if order.proof in NOT_THERE and (truth.state or is_coming):
        return f"I2: the order is {order.proof} with us, and at the broker it is {truth.state or 'about to arrive'}"
    wanted = PROVED_BY.get(order.proof)
    has_all = (
        order.filled_quantity >= order.order.quantity
    )  # then that nothing of it works any more may be told so, too
    if wanted is not None and truth.state != wanted and not (has_all and not truth.is_working):
        return f"I2: the order is {order.proof} with us, and at the broker it is {truth.state or 'not known'}"
    if order.is_closed and truth.is_working:
        return f"I2: the order is closed with us ({order.state}), and works at the broker"
    return ""


def _wrongly_filled(folded: Folded, order: OrderMachine, truth: Truth) -> str:
    """Return what is booked that was not executed."""
    filled = order.filled_quantity
    if filled > truth.filled:
        return f"I3: {filled} are booked, and {truth.filled} were executed"
    executed = {execution.fill.fill_key: execution.fill.quantity for execution in executions(truth)}
    for key, fill in order.fills.items():
        if executed.get(key) != fill.quantity:
            return f"I3: fill {key} of {fill.quantity} is booked, and was not executed"
    account = folded.ledger.accounts[ACCOUNT]
    held = account.holdings[SYMBOL].quantity if SYMBOL in account.holdings else Decimal(0)
    if held != filled or account.cash != CASH - filled * PRICE:
        return f"I3: {filled} are filled, and the position is {held} with {account.cash} in cash"
    return ""


def _not_reserved(folded: Folded, truth: Truth, *, is_coming: bool) -> str:
    """Return what may still be filled and is counted nowhere."""
    if not truth.is_working and not is_coming:
        return ""
    counted = folded.gate.exposure.accounts[ACCOUNT].symbols.get(SYMBOL, SymbolRisk())
    worst = counted.position + counted.open_buy
    return f"I7: {QUANTITY} may be filled, and the gate counts with {worst}" if worst < QUANTITY else ""


def not_at_rest(folded: Folded, truth: Truth) -> str:
    """Return how our books and the broker differ once nothing is under way, unless a person was called."""
    order = folded.order
    if order is None:
        return "I2: the broker has an order that we do not know" if truth.state else ""
    if order.doubt is not None and order.doubt.person_called:
        return ""
    if order.in_doubt:
        return "I18: the order is in doubt, and nobody was called"
    if order.state not in SHOWN_AS[truth.state]:
        return f"I2: the order is {order.state} with us, and at the broker it is {truth.state or 'not known'}"
    if order.filled_quantity != truth.filled:
        return f"I3: {order.filled_quantity} of {QUANTITY} are booked, and {truth.filled} were executed"
    if truth.is_working and order.broker_order_id != BROKERS_ID:
        return "I2: the order works, and we do not know that"
    asked = [kind for kind in CommandKind if order.question(kind) is not Pending.NO]
    return f"I18: {asked[0]} has no answer" if asked else ""
