"""New orders, cancels and questions: each is sent once, and of each is said what is certain of it, and no more."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ...actors.errors import BrokerError
from ...actors.model import Purpose
from ...actors.ports import (
    Accepted,
    BrokerOrderState,
    CancelRefused,
    CancelRequest,
    CommandKind,
    NewOrder,
    NotSent,
    OrderAbsent,
    OutcomeUnknown,
    Rejected,
    Report,
    StatusRequest,
)
from ..simulated.sending import not_to_be_sent
from .answers import Answer, Unanswered, Unsent, Verdict, verdict_on_cancel, verdict_on_order
from .budget import Priority
from .known_orders import KnownOrder
from .order_classes import body_of, objection_to, objection_to_names, wire_ids
from .polling import SECOND_NS
from .session import Absence, Session
from .wire import WireOrder, decode

ENTRIES = frozenset({Purpose.ENTRY, Purpose.CHILD})
SOON_S = 2.0


class OrderCommands:
    """Carries them out for one incarnation. `under_way` are the new orders that wait for their answer.

    `replacing` are the legs that are being replaced, and whether a cancel was asked for meanwhile. A new order waits here for
    `held_s` at most, for the rate limit or for those before it: whoever hears nothing of it for longer would believe it sent.
    """

    def __init__(self, session: Session, held_s: float) -> None:
        self._session = session
        self._held_ns = int(held_s * SECOND_NS)
        self.under_way: dict[str, anyio.Event] = {}
        self.replacing: dict[str, bool] = {}

    # --- New -----------------------------------------------------------------------------------------------------------

    def expect(self, command: NewOrder) -> None:
        """Take note of an order before it is sent, so that a cancel right behind it waits for the answer."""
        self.under_way.update(dict.fromkeys(wire_ids(command), anyio.Event()))

    async def new(self, command: NewOrder, cause: int) -> None:
        """Send an order that is expected, with its exits if it has some: what becomes of the sending is said of each of them."""
        try:
            await self._new(command, cause)
        finally:
            for name in wire_ids(command):
                done = self.under_way.pop(name, None)
                if done is not None:
                    done.set()

    async def _new(self, command: NewOrder, cause: int) -> None:
        session, line, names = self._session, self._session.line, wire_ids(command)

        def objection() -> str | None:
            withheld = not_to_be_sent(command, line.epoch(), line.now_ns, line.standstill())
            return None if withheld is None else withheld.reason

        why = objection()
        if why is not None:
            self._each(names, lambda name: NotSent(name, CommandKind.NEW, why), cause)
            return
        broken = objection_to(command) or objection_to_names(names, session.orders)
        if broken is not None:
            self._each(names, lambda name: Rejected(name, broken.code, broken.text), cause)
            return
        for name in names:
            session.orders.asked(name)
        priority = Priority.ENTRY if command.order.purpose in ENTRIES else Priority.EXIT
        until_ns = min(command.not_after_ns, line.now_ns + self._held_ns)
        outcome = await session.courier.post(body_of(command), priority, objection, until_ns)
        if isinstance(outcome, Unsent):
            self._each(names, lambda name: NotSent(name, CommandKind.NEW, outcome.reason), cause)
        elif isinstance(outcome, Unanswered):
            self._each(names, lambda name: OutcomeUnknown(name, CommandKind.NEW, outcome.reason), cause)
        else:
            self._answered(command, outcome, cause)

    def _each(self, names: tuple[str, ...], said: Callable[[str], Report], cause: int) -> None:
        """Say the same of each of these orders."""
        for name in names:
            self._session.line.post(said(name), cause)

    def _answered(self, command: NewOrder, answer: Answer, cause: int) -> None:
        session, names = self._session, wire_ids(command)
        verdict = verdict_on_order(answer, command.wire_id)
        if verdict is Verdict.TAKEN:
            known = session.orders.learn(decode(answer.body, WireOrder, "POST /orders"))
            session.watch_news.set()
            if known is not None and known.state is BrokerOrderState.REJECTED:
                self._each(names, lambda name: Rejected(name, "REJECTED", "rejected by Alpaca as it was taken"), cause)
            else:
                self._each(names, self._taken, cause)
        elif verdict is Verdict.REFUSED:
            code, text = str(answer.code or answer.status), answer.refusal or answer.text
            self._each(names, lambda name: Rejected(name, code, text), cause)
            key_refused(session, answer)
        else:
            reason = f"Alpaca answered {answer.text}"
            self._each(names, lambda name: OutcomeUnknown(name, CommandKind.NEW, reason), cause)

    def _taken(self, name: str) -> Report:
        """Return what the answer says of one of the orders that it is about."""
        known = self._session.orders.by_wire_id.get(name)
        if known is None:
            return OutcomeUnknown(name, CommandKind.NEW, "Alpaca's answer does not show this exit")
        return Accepted(name, known.broker_order_id)

    # --- Cancel --------------------------------------------------------------------------------------------------------

    async def cancel(self, command: CancelRequest, cause: int) -> None:
        """Ask for a cancel. That it was taken is no news: the stream, or a poll, says that it is cancelled."""
        session, wire_id = self._session, command.wire_id
        if wire_id in self.replacing:
            self.replacing[wire_id] = True
        try:
            known = await self.known(wire_id)
        except BrokerError as error:
            session.failed(error, "cancel")
            session.line.post(NotSent(wire_id, CommandKind.CANCEL, str(error)), cause)
            return
        if known is None:
            text = "Alpaca does not know the order"
            session.line.post(CancelRefused(wire_id, "404", text), cause)
            return
        if session.courier.waits("DELETE", f"/orders/{known.broker_order_id}"):
            return  # the cancel that waits for the rate limit answers for both
        outcome = await session.courier.cancel(known.broker_order_id)
        if isinstance(outcome, Unsent):
            session.line.post(NotSent(wire_id, CommandKind.CANCEL, outcome.reason), cause)
        elif isinstance(outcome, Unanswered):
            session.line.post(OutcomeUnknown(wire_id, CommandKind.CANCEL, outcome.reason), cause)
        else:
            self._cancel_answered(known, wire_id, outcome, cause)

    def _cancel_answered(self, known: KnownOrder, wire_id: str, answer: Answer, cause: int) -> None:
        post = self._session.line.post
        match verdict_on_cancel(answer):
            case Verdict.REFUSED if known.order.status == "pending_cancel":
                text = "Alpaca is cancelling it already"
                post(OutcomeUnknown(wire_id, CommandKind.CANCEL, text), cause)
            case Verdict.TAKEN if not self._session.hears:
                self._session.want_poll()  # nobody else would say that it is cancelled
            case Verdict.REFUSED:
                post(CancelRefused(wire_id, str(answer.code or answer.status), answer.refusal or answer.text), cause)
                key_refused(self._session, answer)
            case Verdict.LIMITED:
                post(NotSent(wire_id, CommandKind.CANCEL, f"Alpaca answered {answer.text}"), cause)
            case Verdict.UNKNOWN:
                post(OutcomeUnknown(wire_id, CommandKind.CANCEL, f"Alpaca answered {answer.text}"), cause)

    async def known(self, wire_id: str) -> KnownOrder | None:
        """Return the order that a leg is now, looked up where it must be; None if Alpaca does not know it. Raises BrokerError."""
        session = self._session
        known = session.orders.by_wire_id.get(wire_id)
        if known is None and wire_id in self.under_way:
            with anyio.move_on_after(SOON_S):
                await self.under_way[wire_id].wait()
            known = session.orders.by_wire_id.get(wire_id)
        if known is not None and known.broker_order_id:
            return known
        order = await session.reads.by_wire_id(wire_id, Priority.EXIT)
        return None if order is None else await session.reads.follow(order)

    # --- Questions -----------------------------------------------------------------------------------------------------

    async def status(self, command: StatusRequest, cause: int) -> None:
        """Ask for an order by our id. No answer proves nothing, and nothing is said then: it is asked again."""
        session, wire_id = self._session, command.wire_id
        session.orders.asked(wire_id)
        if session.reads.waits_for(wire_id):
            return  # nothing is proved yet, and it is asked again
        try:
            order = await session.reads.by_wire_id(wire_id)
            known = None if order is None else await session.reads.follow(order)
        except BrokerError as error:
            session.failed(error, "status")
            return
        if order is None:
            self._absent(wire_id)
            session.line.post(OrderAbsent(wire_id, asked_ns=command.asked_ns), cause)
            return
        session.memory.absences.pop(wire_id, None)
        if known is not None:
            session.tell_found(known, cause)

    def _absent(self, wire_id: str) -> None:
        """Count a look-up in vain. Once they suffice, the leg before it may be said to be over."""
        session = self._session
        if wire_id in self.under_way:
            return
        now_ns, absences = session.line.now_ns, session.memory.absences
        absence = absences.setdefault(wire_id, Absence(now_ns))
        absence.count += 1
        if absence.suffices(now_ns):
            del absences[wire_id]
            session.orders.never_was(wire_id)


def key_refused(session: Session, answer: Answer) -> None:
    """End the session where an answer says that the key is not taken: a refusal of an order has a code."""
    if answer.status == 401 or (answer.status == 403 and answer.code is None):
        session.lose(f"Alpaca refused the key: {answer.text}")
