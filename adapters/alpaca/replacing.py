"""Replaces an order by cancelling it, proving what it filled, and sending a new one for the rest.

Alpaca's own replacement takes the quantity that is asked for in full when the order fills meanwhile (alpacahq/Alpaca-API#165), so that an
order for 10, replaced by one for 12, may buy 22. Here nothing is sent before the leg before it is proved to be over.
"""

from __future__ import annotations

from contextlib import suppress

import anyio

from ...actors.errors import BrokerError
from ...actors.model import ZERO
from ...actors.ports import (
    BrokerOrderState,
    Cancelled,
    CommandKind,
    NotSent,
    OutcomeUnknown,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
)
from ..simulated.sending import not_to_be_sent
from .answers import Answer, Unanswered, Unsent, Verdict, verdict_on_cancel, verdict_on_order
from .budget import Priority
from .codec import next_leg_body
from .known_orders import GROUPS, KnownOrder
from .order_commands import OrderCommands, key_refused
from .rules import BAD_TERMS
from .session import Session
from .telling import end_of
from .wire import WireOrder, decode

LOOK_S = 0.25
TOGETHER = (
    "it belongs to a bracket, OCO or OTO: to cancel it for a new one would cancel the others, and leave the position"
    " without its exits; cancel it, and place them anew once that is done"
)


class Replacement:
    """One replacement."""

    def __init__(self, session: Session, commands: OrderCommands, command: ReplaceRequest, cause: int) -> None:
        self._session = session
        self._commands = commands
        self._command = command
        self._cause = cause

    async def run(self) -> None:
        """Carry it out."""
        session, command = self._session, self._command
        why = self._objection()
        if why is not None:
            self._not_sent(why)
            return
        try:
            known = await self._commands.known(command.wire_id)
        except BrokerError as error:
            session.failed(error, "replace")
            self._not_sent(str(error))
            return
        if known is None:
            self._refuse("404", "Alpaca does not know the order")
            return
        if known.order.order_class in GROUPS:
            self._refuse(BAD_TERMS, TOGETHER)
            return
        session.orders.asked(command.new_wire_id)  # from here on the end of the leg before is not the order's
        done = self._commands.under_way[command.new_wire_id] = anyio.Event()
        self._commands.replacing[command.wire_id] = False
        try:
            if await self._cancel(known) and await self._is_over(known):
                await self._go_on(known)
        finally:
            self._commands.under_way.pop(command.new_wire_id, None)
            self._commands.replacing.pop(command.wire_id, None)
            done.set()

    async def _cancel(self, known: KnownOrder) -> bool:
        """Ask for the cancel; return whether the leg may be over by it."""
        if known.is_final:
            return await self._was_over(known)
        outcome = await self._session.courier.cancel(known.broker_order_id)
        if isinstance(outcome, Unsent):
            self._give_up()
            self._not_sent(outcome.reason)
            return False
        if isinstance(outcome, Unanswered):
            return True
        match verdict_on_cancel(outcome):
            case Verdict.LIMITED:
                self._give_up()
                self._not_sent(f"Alpaca answered {outcome.text}")
                return False
            case Verdict.REFUSED:
                return await self._is_refused(known, outcome)
        return True

    async def _is_refused(self, known: KnownOrder, answer: Answer) -> bool:
        """Look why it cannot be cancelled, and say so."""
        await self._look(known)
        if known.is_final:
            return await self._was_over(known)
        self._give_up()
        self._refuse(str(answer.code or answer.status), answer.refusal or answer.text)
        key_refused(self._session, answer)
        return False

    async def _was_over(self, known: KnownOrder) -> bool:
        """Say what the leg came to without us; return False, as nothing takes its place.

        Whoever cancelled it wanted none, and one that was replaced in the dashboard works on under another id.
        """
        if known.order.replaced_by:
            self._give_up()
            self._refuse("REPLACED", "somebody replaced it at Alpaca")
            await self._session.look_up(known.broker_order_id)
        elif known.state is BrokerOrderState.DONE:
            self._is_filled()
        else:
            self._end(known, "it was over before it could be replaced")
        return False

    async def _is_over(self, known: KnownOrder) -> bool:
        """Wait for the proof that the leg is over; without one the new leg is never sent."""
        seconds = self._session.timing.proof_s
        with anyio.move_on_after(seconds):
            while not _is_proved(known):
                await self._look(known)
                if not _is_proved(known):
                    await anyio.sleep(LOOK_S)
        if _is_proved(known):
            return True
        self._give_up()
        reason = f"the leg before it was not over within {seconds:g} s, so it was not sent"
        self._session.line.post(OutcomeUnknown(self._command.new_wire_id, CommandKind.REPLACE, reason), self._cause)
        return False

    async def _look(self, known: KnownOrder) -> None:
        session = self._session
        with suppress(BrokerError):
            order = await session.reads.order(known.broker_order_id, Priority.EXIT)
            if order is not None:
                await session.reads.learn(order)

    async def _go_on(self, known: KnownOrder) -> None:
        """Send the rest, the leg before being over."""
        command = self._command
        if known.order.replaced_by:
            await self._was_over(known)
            return
        if known.state is BrokerOrderState.DONE:
            self._is_filled()
            return
        rest = command.terms.quantity - known.cumulative
        why = self._objection() if rest > ZERO else "what has filled is all that the new terms ask for"
        if known.state is not BrokerOrderState.CANCELLED:
            why = f"it is {known.state}"
        if why is not None:
            self._end(known, why)
            return
        body = next_leg_body(known.order, command.terms, rest, command.new_wire_id)
        outcome = await self._session.courier.post(body, Priority.EXIT, self._objection, command.not_after_ns)
        if isinstance(outcome, Unsent):
            self._end(known, outcome.reason)
        elif isinstance(outcome, Unanswered):
            self._unknown(outcome.reason)
        else:
            self._answered(known, outcome)

    def _answered(self, known: KnownOrder, answer: Answer) -> None:
        session, command = self._session, self._command
        match verdict_on_order(answer, command.new_wire_id):
            case Verdict.TAKEN:
                order = decode(answer.body, WireOrder, "POST /orders")
                after = session.orders.learn(order)
                if after is not None:
                    session.orders.complete(after)
                session.watch_news.set()
                known.is_told_ended = True
                session.polling.told(end_of(known.broker_order_id))
                session.line.post(Replaced(command.new_wire_id, order.id, command.terms), self._cause)
            case Verdict.REFUSED:
                code = answer.code or answer.status
                self._end(known, f"cancelled, and its replacement was refused: {code} {answer.refusal or answer.text}")
                key_refused(session, answer)
            case _:
                self._unknown(f"Alpaca answered {answer.text}")

    # --- What is said --------------------------------------------------------------------------------------------------

    def _objection(self) -> str | None:
        command, line = self._command, self._session.line
        withheld = not_to_be_sent(command, line.epoch(), line.now_ns, line.standstill())
        if withheld is not None:
            return withheld.reason
        return "a cancel was asked for meanwhile" if self._commands.replacing.get(command.wire_id) else None

    def _is_filled(self) -> None:
        self._give_up()
        self._refuse("FILLED", "the order was filled before it could be replaced")
        self._session.want_poll()

    def _give_up(self) -> None:
        """Take note that the new leg is not sent, now and later: the leg before it is the order again."""
        self._session.orders.never_was(self._command.new_wire_id)

    def _end(self, known: KnownOrder, why: str) -> None:
        """Say that the order is over: the leg before is, and no new one was sent."""
        session = self._session
        self._give_up()
        if known.state is BrokerOrderState.CANCELLED and known.covered >= known.order.filled:
            known.is_told_ended = True
            session.polling.told(end_of(known.broker_order_id))
            session.line.post(Cancelled(known.wire_id, why), self._cause)
        else:
            session.tell_found(known, self._cause)
            session.want_poll()

    def _not_sent(self, reason: str) -> None:
        self._session.line.post(NotSent(self._command.new_wire_id, CommandKind.REPLACE, reason), self._cause)

    def _refuse(self, code: str, text: str) -> None:
        self._session.line.post(ReplaceRefused(self._command.new_wire_id, code, text), self._cause)

    def _unknown(self, reason: str) -> None:
        report = OutcomeUnknown(self._command.new_wire_id, CommandKind.REPLACE, reason)
        self._session.line.post(report, self._cause)


def _is_proved(known: KnownOrder) -> bool:
    """Whether the leg is over, and what has filled over all legs is known."""
    return known.is_final and known.earlier is not None
