"""What to tell the core of what Alpaca says: reports, and what must be asked first. Pure.

Facts may come in any order and more than once, by the stream, from activities, by look-ups. What does not fit together is not told but
looked up: an execution that overlaps another one, an event without a name that we know.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from ...actors.model import ZERO
from ...actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    Executed,
    Expired,
    OrderFound,
    Rejected,
    Report,
    Restated,
)
from .codec import executed, fill_key, instant_ns, is_amount
from .known_orders import GROUPS, Execution, KnownOrder, KnownOrders
from .statuses import ENDS, MEANING_OF, Meaning
from .wire import WireActivity, WireUpdate

WORKING = BrokerOrderState.WORKING


class Told(NamedTuple):
    """`reports` for the core. `facts` are those that are settled by them. `look_up` is an order to ask for by Alpaca's id.

    With `read_fills` the activities are to be read at once, and with `read_due` the whole account.
    """

    reports: tuple[Report, ...] = ()
    facts: tuple[str, ...] = ()
    look_up: str = ""
    read_fills: bool = False
    read_due: bool = False


NOTHING_TOLD = Told()


def end_of(broker_order_id: str) -> str:
    """Return the name of the fact that an order has ended."""
    return f"end:{broker_order_id}"


class Teller:
    """Tells of orders whose earlier legs are known (`KnownOrders.complete`)."""

    def __init__(self, orders: KnownOrders) -> None:
        self.orders = orders
        self._tell: dict[Meaning, Callable[[WireUpdate, KnownOrder, int], Told]] = {
            Meaning.WORKS: self._works,
            Meaning.EXECUTED: self._executed,
            Meaning.ENDED: self._ended,
            Meaning.REPLACED: self._replaced,
            Meaning.CANCEL_REFUSED: self._cancel_refused,
            Meaning.RESTATED: self._restated,
            Meaning.BUSTED: self._busted,
            Meaning.CORRECTED: self._corrected,
            Meaning.LOOK_UP: self._look_up,
            Meaning.NOTHING: self._nothing,
        }

    def update(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        """Return what to tell of an event of the stream."""
        return self._tell[MEANING_OF.get(update.event, Meaning.LOOK_UP)](update, known, now_ns)

    def row(self, row: WireActivity, known: KnownOrder, now_ns: int) -> Executed | None:
        """Return what to tell of an execution among the activities, None for a row that does not say which one it is.

        The activities are the broker's books: where they differ from what the stream said, the fill is corrected.
        """
        cumulative, quantity, price = row.cum_qty, row.qty, row.price
        if not (is_amount(cumulative) and is_amount(quantity) and is_amount(price)):
            return None
        assert cumulative is not None
        assert quantity is not None
        assert price is not None
        at_ns = instant_ns(row.transaction_time, now_ns)
        execution = known.executions.get(cumulative)
        if execution is None:
            execution = known.executions[cumulative] = Execution(quantity, price)
        elif not execution.revision and (execution.quantity, execution.price) != (quantity, price):
            execution.quantity, execution.price, execution.revision = quantity, price, 1
        return executed(known, cumulative, execution, at_ns)

    def found(self, known: KnownOrder) -> OrderFound | None:
        """Return what a look-up has proved, None when that is nothing: an unknown status, or a leg in whose place another may be."""
        state = known.state
        if state is None or known.earlier is None:
            return None
        if state not in (WORKING, BrokerOrderState.DONE) and self.orders.is_superseded(known.leg):
            return None
        return known.found(state)

    # --- Events --------------------------------------------------------------------------------------------------------

    def _works(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        return Told((Accepted(known.wire_id, known.broker_order_id),))

    def _executed(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        cumulative, quantity, price = update.order.filled_qty, update.qty, update.price
        if not (is_amount(cumulative) and is_amount(quantity) and is_amount(price)):
            return _doubtful(known)
        assert cumulative is not None
        assert quantity is not None
        assert price is not None
        execution_id = update.execution_id or ""
        execution = known.executions.get(cumulative)
        if execution is None:
            if known.overlaps(cumulative, quantity):
                return _doubtful(known)
            execution = known.executions[cumulative] = Execution(quantity, price, 0, execution_id)
        elif not execution.quantity and execution_id not in ("", execution.execution_id):
            execution.quantity, execution.price = quantity, price  # filled anew, after a bust
            execution.revision, execution.execution_id = execution.revision + 1, execution_id
        elif not execution.revision and execution.quantity != quantity:
            return _doubtful(known)
        execution.execution_id = execution.execution_id or execution_id
        if execution_id:
            self.orders.by_execution_id.setdefault(execution_id, (known.broker_order_id, cumulative))
        at_ns = instant_ns(update.timestamp or update.at, now_ns)
        facts = [fill_key(known.broker_order_id, cumulative)]
        is_whole = known.covered >= known.order.filled
        if is_whole and known.state is BrokerOrderState.DONE:
            known.is_told_ended = True
            facts.append(end_of(known.broker_order_id))
        report = executed(known, cumulative, execution, at_ns)
        looks = not is_whole or ends_group(known)
        return Told((*restated(known), report), tuple(facts), read_fills=looks)

    def _ended(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        state = ENDS[update.event]
        known.is_told_ended = True
        facts = (end_of(known.broker_order_id),)
        is_short = known.covered < known.order.filled
        if self.orders.is_superseded(known.leg):
            return Told((), facts, read_fills=is_short)
        looks = is_short or ends_group(known)
        return Told((ended(known, state, update.reason or ""),), facts, read_fills=looks)

    def _replaced(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        """Somebody replaced the order in the dashboard: it goes on under another id."""
        known.is_told_ended = known.is_final  # the event may speak of either of the two
        facts = (end_of(known.broker_order_id),) if known.is_final else ()
        if known.order.order_class in GROUPS:  # what took its place may be the exit beside it
            return Told((), facts, look_up=known.broker_order_id)
        return Told((), facts, look_up=update.order.replaced_by or known.broker_order_id)

    def _cancel_refused(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        return Told((CancelRefused(known.wire_id, update.event, update.reason or "Alpaca refused the cancel"),))

    def _restated(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        return Told((Restated(known.wire_id, known.terms(), update.reason or "restated by Alpaca"),))

    def _busted(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        return self._revised(update, known, now_ns, ZERO, None)

    def _corrected(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        if not (is_amount(update.qty) and is_amount(update.price)):
            return _unexplained(known)
        return self._revised(update, known, now_ns, update.qty or ZERO, update.price)

    def _revised(
        self, update: WireUpdate, known: KnownOrder, now_ns: int, quantity: Decimal, price: Decimal | None
    ) -> Told:
        """Tell of a fill that was taken back or changed, once: the event says which execution it was."""
        self.orders.revised(update.order)
        places = self.orders.by_execution_id
        before, after = update.previous_execution_id or update.execution_id or "", update.execution_id or ""
        place = places.get(before) or places.get(after)
        if place is None or place[0] != known.broker_order_id:
            return _unexplained(known)
        execution = known.executions[place[1]]
        if (execution.quantity, execution.price) != (quantity, price or execution.price):
            execution.quantity, execution.price = quantity, price or execution.price
            execution.revision += 1
        if after:
            places[after] = place
        at_ns = instant_ns(update.timestamp or update.at, now_ns)
        report = executed(known, place[1], execution, at_ns)
        earlier = report.cumulative_quantity - place[1]
        told = Executed(report.wire_id, report.fill, earlier + known.order.filled)
        return Told((told,), read_due=True)

    def _look_up(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        return Told(look_up=known.broker_order_id)

    def _nothing(self, update: WireUpdate, known: KnownOrder, now_ns: int) -> Told:
        return NOTHING_TOLD


def ends_group(known: KnownOrder) -> bool:
    """Whether an order is over that others hang on or stand beside: what it does to them the stream does not always say."""
    return known.is_final and known.order.order_class in GROUPS


def stands_beside(known: KnownOrder) -> bool:
    """Whether it is one of two exits, of which Alpaca cancels the one when the other fills. Of an OCO the order itself is one."""
    return known.is_exit or known.order.order_class == "oco"


def restated(known: KnownOrder) -> tuple[Restated, ...]:
    """Return the terms of an order that somebody else may have changed, none for any other; told twice they change nothing.

    A person may have replaced it in the dashboard, and Alpaca lessens an exit by what the one beside it has filled.
    """
    if known.is_exit and not known.order.replaces and known.order.qty != known.whole:
        return (Restated(known.wire_id, known.terms(), "as Alpaca works it beside the other exit"),)
    if not known.order.replaces:
        return ()
    return (Restated(known.wire_id, known.terms(), "somebody replaced it at Alpaca"),)


def ended(known: KnownOrder, state: BrokerOrderState, text: str = "") -> Report:
    """Return the report of an order's end. With fills that nobody has told they count at once, and come one by one later."""
    wire_id = known.wire_id
    if known.covered < known.order.filled:
        return known.found(state)
    if state is BrokerOrderState.CANCELLED:
        return Cancelled(wire_id, text)
    if state is BrokerOrderState.EXPIRED:
        return Expired(wire_id)
    if state is BrokerOrderState.REJECTED:
        return Rejected(wire_id, "REJECTED", text or "rejected after it was accepted")
    return known.found(state)


def _doubtful(known: KnownOrder) -> Told:
    """An execution that cannot be as it was told: the activities say what has filled."""
    return Told(read_fills=True, look_up=known.broker_order_id)


def _unexplained(known: KnownOrder) -> Told:
    """A fill was taken back that we do not know: the order says what is left, and the account what it holds."""
    return Told(look_up=known.broker_order_id, read_due=True)
