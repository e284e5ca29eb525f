"""The front door: submit, cancel, replace, status. Spawns one actor an order and finds it again.

Orders that are closed stay in memory until `KEPT_CLOSED` more have closed; after that their records in the store answer
for them. They leave in groups of `LEAVING_AT_ONCE`, so that what is the same for all is done once. What a request still
waits for travels inside its messages, so the desk holds no open question of its own.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import msgspec

from .actor import Actor, ActorRef, Record, ReplyTo, fold, handler
from .doubt_events import OrderResolved
from .doubt_messages import BringBack, RecoverOrder, RecoverOrders, ResolveOrder
from .events import (
    ActorQuarantined,
    Arrival,
    MessagePoisoned,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderRestated,
    OrderSubmitted,
    Undelivered,
)
from .machines.order import OrderMachine
from .machines.resolution import outcome, refusal
from .messages import (
    CancelLeg,
    CancelOrder,
    CancelOrders,
    ChangeOrder,
    CheckOrder,
    DeskMessage,
    GetOrderStatus,
    HistoryFound,
    LateReport,
    LookUpOrder,
    Recheck,
    ReplaceOrder,
    SubmitOrders,
)
from .model import CLOSED_STATES, ID_ACCEPTED, ID_FORM, Order
from .ports import BrokerOrderState, MarketData, OrderFound
from .quotes import as_price
from .refusals import refuse
from .snapshots import NotOurs

KEPT_CLOSED = 1000
LEAVING_AT_ONCE = 100

Closing = OrderFilled | OrderCancelled | OrderRejected | OrderDenied | OrderReplaced | OrderRestated
"""What may close an order."""


class DeskState(msgspec.Struct):
    """Closed orders still in memory, oldest first; those that leave it with the next order; the quarantined ones."""

    closed: dict[str, None] = msgspec.field(default_factory=dict)
    leaving: list[str] = msgspec.field(default_factory=list)
    quarantined: dict[str, None] = msgspec.field(default_factory=dict)


class Desk(Actor[DeskMessage]):
    """Takes requests about orders by id."""

    state: DeskState

    def __init__(self, market: MarketData, default_account: str) -> None:
        self.state = DeskState()
        self._market = market
        self._default_account = default_account
        self._guests: list[str] = []

    # --- Submit --------------------------------------------------------------------------------------------------------

    @handler
    def submit(self, message: SubmitOrders) -> None:
        orders, reply_to = message.orders, message.reply_to
        slots = None if reply_to is None else iter(self.ctx.split(reply_to, len(orders)))
        for order in orders:
            slot = None if slots is None else next(slots)
            if not order.account:
                order = msgspec.structs.replace(order, account=self._default_account)
            if message.fresh:
                self._take(order, slot)
            elif ID_FORM.fullmatch(order.client_order_id):
                self._take_once(order, slot)
            else:
                text = f"client_order_id {order.client_order_id!r}: {ID_ACCEPTED}"
                refuse(self.ctx, slot, order.client_order_id, text)

    def _take_once(self, order: Order, slot: ReplyTo | None) -> None:
        """Take an order whose id may have been used before; the same terms again are answered with the first order."""
        known = self._machine(order.client_order_id)
        if known is None:
            then = SubmitOrders((order,), reply_to=slot)
            self.ctx.tell(self.ctx.refer("journal"), LookUpOrder(order.client_order_id, then))
        else:
            self._answer_again(known, order, slot)

    def _take(self, order: Order, slot: ReplyTo | None) -> None:
        ctx, order_id, market = self.ctx, order.client_order_id, self._market
        if self.state.leaving or self._guests:
            self._let_go()
        arrival = Arrival(ctx.now_ns, market.last_price(order.symbol))
        if market.quotes and (quote := market.quotes.get(order.symbol)) is not None:
            arrival = Arrival(arrival.at_ns, arrival.last, as_price(quote.bid), as_price(quote.ask))
        record = ctx.record(OrderSubmitted(order_id, order, arrival))
        ctx.spawn("orders", "order/" + order_id, (record,))
        ctx.tell(ctx.refer("risk_gate"), CheckOrder(order, slot))

    def _answer_again(self, known: OrderMachine, order: Order, slot: ReplyTo | None) -> None:
        if known.terms == order:
            self.ctx.reply(slot, known.status())
        else:
            text = f"client_order_id {order.client_order_id!r} was used before with other terms: {known.terms}; use a new id"
            refuse(self.ctx, slot, order.client_order_id, text)

    # --- Cancel, replace, status ---------------------------------------------------------------------------------------

    @handler
    def cancel(self, message: CancelOrders) -> None:
        ids, reply_to = message.client_order_ids, message.reply_to
        slots = None if reply_to is None else iter(self.ctx.split(reply_to, len(ids)))
        for order_id in ids:
            slot = None if slots is None else next(slots)
            order = self._find(order_id)
            if order is None:
                self._look_up(order_id, CancelOrders((order_id,), slot))
            else:
                self._cancel_one(order_id, order, slot)

    def _cancel_one(self, order_id: str, order: ActorRef[object], slot: ReplyTo | None) -> None:
        if order_id in self.state.quarantined:
            # Its actor takes no commands, but what is open at the broker can always be cancelled.
            machine: OrderMachine | None = self.ctx.view(order.name)
            if machine is None:
                refuse(
                    self.ctx, slot, order_id, f"order {order_id}: its records cannot be read; cancel it at the broker"
                )
            else:
                self.ctx.tell(self.ctx.refer("connection/" + machine.order.account), CancelLeg(machine.wire_id))
                self.ctx.reply(slot, True)
        else:
            self.ctx.tell(order, CancelOrder(slot))

    @handler
    def replace(self, message: ReplaceOrder) -> None:
        order = self._find(message.client_order_id)
        if order is None:
            self._look_up(message.client_order_id, message)
        elif message.client_order_id in self.state.quarantined:
            text = f"order {message.client_order_id} is quarantined; it can only be cancelled"
            refuse(self.ctx, message.reply_to, message.client_order_id, text)
        else:
            self.ctx.tell(order, ChangeOrder(message.change, message.reply_to))

    @handler
    def status(self, message: GetOrderStatus) -> None:
        ids = message.client_order_ids
        for order_id, slot in zip(ids, self.ctx.split(message.reply_to, len(ids)), strict=True):
            machine = self._machine(order_id)
            if machine is not None:
                self.ctx.reply(slot, machine.status(quarantined=order_id in self.state.quarantined))
            elif slot is not None:
                self._look_up(order_id, GetOrderStatus((order_id,), slot))

    # --- Orders that have left memory ----------------------------------------------------------------------------------

    @handler
    def late_report(self, message: LateReport) -> None:
        order = self._find(message.client_order_id)
        if order is None:
            self._look_up(message.client_order_id, message)
        else:
            self.ctx.tell(order, message.report)

    @handler
    def history_found(self, message: HistoryFound) -> None:
        order_id, then, history = message.client_order_id, message.then, message.history
        known = self._machine(order_id) or (OrderMachine.fold(history) if history else None)
        order = self._find(order_id)  # it may have come while the store was read: submitted in the turn that cancels it
        match then:
            case CancelOrders(reply_to=slot) if order is not None:
                self._cancel_one(order_id, order, slot)
            case ReplaceOrder() if order is not None:
                self.ctx.tell(self.ctx.refer("desk"), then)
            case SubmitOrders(orders=(terms,), reply_to=slot):
                if known is None:
                    self._take(terms, slot)
                else:
                    self._answer_again(known, terms, slot)
            case CancelOrders(reply_to=slot):
                self.ctx.reply(slot, False)
            case ReplaceOrder(reply_to=slot):
                what = "is not known" if known is None else f"cannot be replaced: it is {known.state}"
                refuse(self.ctx, slot, order_id, f"order {order_id} {what}")
            case GetOrderStatus(reply_to=slot):
                self.ctx.reply(slot, None if known is None else known.status())
            case _:
                self._bring_back(then, known, order, history)

    def _bring_back(
        self,
        then: BringBack | ResolveOrder | LateReport,
        known: OrderMachine | None,
        order: ActorRef[object] | None,
        history: tuple[Record, ...],
    ) -> None:
        """Look after an order again for what is to be done about it, or because a closed one stays in memory for a while."""
        if known is None:
            if not isinstance(then, LateReport):
                refuse(self.ctx, then.reply_to, then.client_order_id, f"order {then.client_order_id} is not known")
            elif isinstance(then.report, OrderFound) and then.report.state is BrokerOrderState.WORKING:
                self.ctx.tell(self.ctx.refer("connection/" + self._default_account), NotOurs(then.report))
            else:
                self.ctx.record(Undelivered("order/" + then.client_order_id, type(then.report).__name__))
            return
        why = refusal(known, then.word, quarantined=False) if isinstance(then, ResolveOrder) and order is None else None
        if why is not None and isinstance(then, ResolveOrder):
            refuse(self.ctx, then.reply_to, then.client_order_id, why)
            return
        is_wanted = not isinstance(then, BringBack) or known.may_be_open or then.client_order_id in self.state.closed
        if order is None and is_wanted:
            order = self.ctx.spawn("orders", "order/" + then.client_order_id, history)
            if isinstance(then, LateReport):
                self._guests.append(then.client_order_id)  # it may have come back for nothing
        if not isinstance(then, BringBack):
            self.ctx.tell(self.ctx.refer("desk"), then)
            return
        if order is not None and known.may_be_open:
            self.ctx.tell(order, Recheck())
        self.ctx.reply(then.reply_to, known.status())

    def _look_up(self, order_id: str, then: Any) -> None:
        self.ctx.tell(self.ctx.refer("journal"), LookUpOrder(order_id, then))

    # --- Trouble -------------------------------------------------------------------------------------------------------

    @handler
    def poisoned(self, message: MessagePoisoned) -> None:
        """Find out where an order stands that lost a message to a crash."""
        kind, _, name = message.actor.partition("/")
        order = self._find(message.client_order_id or (name if kind == "order" else ""))
        if order is not None:
            self.ctx.tell(order, Recheck())

    @handler
    def recover(self, message: RecoverOrders) -> None:
        """Tell every order that may be open that the process has ended since: those named, and all that hold exposure."""
        open_ids = self.ctx.view("risk_gate").exposure.open
        for order_id in dict.fromkeys((*message.client_order_ids, *open_ids)):
            order = self._find(order_id)
            if order is not None and order_id not in self.state.quarantined:
                self.ctx.tell(order, RecoverOrder())

    @handler
    def resolve(self, message: ResolveOrder) -> None:
        """Carry out a person's word: by the order's actor, or, if that takes no messages, here."""
        order_id = message.client_order_id
        order = self._find(order_id)
        if order is None:
            self._look_up(order_id, message)
        elif order_id not in self.state.quarantined:
            self.ctx.tell(order, message)
        else:
            self._resolve_quarantined(message, order)

    def _resolve_quarantined(self, message: ResolveOrder, order: ActorRef[object]) -> None:
        """Write down what follows for an order in quarantine, end its actor, and read back what it is now."""
        order_id = message.client_order_id
        machine = self._machine(order_id)
        word = message.word
        if machine is None:  # its history cannot be folded, so nothing can be said about it
            why: str | None = f"order {order_id} cannot be read from the journal; verify the journal first"
        else:
            why = refusal(machine, word, quarantined=True)
        if machine is None or why is not None:
            refuse(self.ctx, message.reply_to, order_id, why or "")
            return
        for event in outcome(machine, word, self.ctx.now_ns):
            self.ctx.record(event)
        self.ctx.stop(order)
        self._look_up(order_id, BringBack(order_id, message.reply_to))

    # --- Helpers -------------------------------------------------------------------------------------------------------

    def _find(self, order_id: str) -> ActorRef[object] | None:
        return self.ctx.find("order/" + order_id)

    def _machine(self, order_id: str) -> OrderMachine | None:
        machine: OrderMachine | None = self.ctx.view("order/" + order_id)
        return machine

    def _let_go(self) -> None:
        """Stop the order actors that have been closed for long, still are, and hold nothing; stopping one that is gone does nothing."""
        ctx = self.ctx
        held = ctx.view("risk_gate").exposure.open
        for order_id in (*self.state.leaving, *self._guests):
            name = "order/" + order_id
            machine: OrderMachine | None = ctx.view(name)
            if machine is not None and machine.is_closed and order_id not in held:
                ctx.stop(ctx.refer(name))
        self._guests = []

    # --- Fold ----------------------------------------------------------------------------------------------------------

    @fold
    def _submitted(self, event: OrderSubmitted, record: Record) -> None:
        """Whoever was leaving has been stopped in the turn that took this order."""
        if self.state.leaving:
            self.state.leaving = []

    @fold
    def _closed(self, event: Closing, record: Record) -> None:
        """Count an order that has closed as the youngest of them, and let the oldest leave once there are enough for a group."""
        if isinstance(event, OrderFilled):
            if event.state not in CLOSED_STATES:
                return
        elif isinstance(event, (OrderReplaced, OrderRestated)) and not event.closes:
            return
        closed, order_id = self.state.closed, event.client_order_id
        if order_id in closed:
            del closed[order_id]  # it has closed before
        closed[order_id] = None
        if len(closed) >= KEPT_CLOSED + LEAVING_AT_ONCE:
            oldest = list(islice(closed, LEAVING_AT_ONCE))
            for each in oldest:
                del closed[each]
            self.state.leaving += oldest

    @fold
    def _quarantined(self, event: ActorQuarantined, record: Record) -> None:
        kind, _, name = event.actor.partition("/")
        if kind == "order":
            self.state.quarantined[name] = None

    @fold
    def _resolved(self, event: OrderResolved, record: Record) -> None:
        self.state.quarantined.pop(event.client_order_id, None)
