"""Asks Alpaca now and then what has filled and what is open, and so finds out what the stream did not say, and whether it speaks at all."""

from __future__ import annotations

import logging

import anyio

from ...actors.errors import BrokerAuthError, BrokerError
from ...actors.ports import BrokerOrderState
from ...actors.snapshots import ReadDue
from .codec import fill_key, instant_ns
from .known_orders import KnownOrder
from .polling import SECOND_NS
from .session import Absence, Session, note
from .stream_keeper import StreamKeeper
from .telling import end_of, restated, stands_beside
from .wire import WireActivity, WireOrder, with_exits

OVERLAP_NS = 120 * SECOND_NS
NO_LIFE = -1
FAILURES = 3
"""After so many polls in a row without an answer there is no session."""


class Watch:
    """The polls of one incarnation. `begin` is called with each session."""

    def __init__(self, session: Session, stream: StreamKeeper) -> None:
        self._session = session
        self._stream = stream
        self._after_ns = 0
        self._judged_life = NO_LIFE
        self._failures = 0
        self._polled_ns = 0
        self._absences: dict[str, Absence] = {}
        self._rows: dict[str, tuple[WireActivity, KnownOrder]] = {}
        self._ended: dict[str, KnownOrder] = {}

    def begin(self) -> None:
        """Begin anew: what happened before is told by the reading of the account."""
        self._after_ns = self._session.line.now_ns - OVERLAP_NS
        self._judged_life, self._failures = NO_LIFE, 0
        self._session.polling.restart()
        self._session.want_poll()

    async def run(self) -> None:
        """Poll until cancelled."""
        session = self._session
        while True:
            await self._wait()
            if session.is_open:
                self._tell_missed()
                if session.poll_wanted or session.line.now_ns >= self._next_ns():
                    session.poll_wanted = False
                    await self._poll()
                    self._polled_ns = session.line.now_ns

    async def _wait(self) -> None:
        """Wait for a session, and in it until a poll is due or wanted, or what one saw should have been told by now."""
        session = self._session
        session.watch_news = anyio.Event()
        if session.is_open and session.poll_wanted:
            return
        if not session.is_open:
            await session.watch_news.wait()
            return
        due_ns, next_ns = session.polling.due_ns(), self._next_ns()
        until_ns = next_ns if due_ns is None else min(due_ns, next_ns)
        with anyio.move_on_after(max(until_ns - session.line.now_ns, 0) / SECOND_NS):
            await session.watch_news.wait()

    def _next_ns(self) -> int:
        """Return when the next poll is due: sooner with open orders, unless the rate limit is short."""
        session = self._session
        with_orders_s, quiet_s = session.timing.poll_s
        times = session.courier.budget.slower(session.line.now_ns)
        seconds = min(with_orders_s * times, quiet_s) if session.orders.working() else quiet_s
        return self._polled_ns + int(seconds * SECOND_NS)

    async def _poll(self) -> None:
        session, life = self._session, self._stream.life
        # what happened before the stream was up, or while it is down, counts against nobody
        is_judged = session.hears and life == self._judged_life
        try:
            working = session.orders.working()
            listed = {each.id: each for order in await session.reads.open_orders() for each in with_exits(order)}
            await session.reads.sort_out(listed.values())
            for order in listed.values():  # a later leg that works says that the one before it is not the order's end
                if order.id not in session.orders.by_id:
                    await session.reads.learn(order)
                elif session.orders.is_lessened(order):
                    await self._lessened(order)
                self._is_there(session.orders.by_id.get(order.id))
            rows = await session.reads.fills(self._after_ns)
            await session.reads.attribute(row.order_id for row in rows if row.order_id)
            gone = [known for known in working if known.broker_order_id not in listed and not known.is_told_ended]
            gone = [known for known in gone if not session.orders.waits_beside(known, listed)]
            ended = [known for known in gone if await self._has_ended(known)]
            if not is_judged:  # those that an earlier process had: they were over when this one met them
                ended += [known for known in session.orders.working() if _was_over(known) and known not in ended]
        except BrokerError as error:
            session.failed(error, "poll")
            self._failures += 1
            if self._failures >= FAILURES and not isinstance(error, BrokerAuthError):
                session.lose(f"Alpaca does not answer: {error}")
            return
        self._failures = 0
        self._see(rows, ended)
        if not (is_judged and session.hears and self._stream.life == life):
            self._judged_life = life
            self._tell_facts((*self._rows, *self._ended))

    async def _lessened(self, order: WireOrder) -> None:
        """Say what is left of an exit beside one that has filled in part; a stream that has said so says it again."""
        known = await self._session.reads.learn(order)
        for report in () if known is None else restated(known):
            self._session.line.post(report)

    async def _has_ended(self, known: KnownOrder) -> bool:
        order: WireOrder | None = await self._session.reads.order(known.broker_order_id)
        if order is None:
            self._is_not_there(known)
            return False
        self._is_there(known)
        last = await self._session.reads.follow(order)
        return last is not None and known.is_final

    def _is_not_there(self, known: KnownOrder) -> None:
        """Count polls that Alpaca answers with 404, as for all orders of a paper account that was reset.

        Once they suffice no poll asks for it any more, and the core is to ask, and to decide: nothing is told of it here.
        """
        order_id, now_ns = known.broker_order_id, self._session.line.now_ns
        absence = self._absences.setdefault(order_id, Absence(now_ns))
        absence.count += 1
        if absence.suffices(now_ns):
            known.is_told_ended = True
            text = "Alpaca lists it no more and answers 404 for it, as after a reset of a paper account; polls ask for it no more"
            note(logging.WARNING, "alpaca.order_gone", wire_id=known.wire_id, broker_order_id=order_id, text=text)
            self._session.line.post(ReadDue())

    def _is_there(self, known: KnownOrder | None) -> None:
        """Look after an order again that Alpaca shows after all."""
        if known is not None and self._absences.pop(known.broker_order_id, None) is not None and not known.is_final:
            known.is_told_ended = False

    def _see(self, rows: list[WireActivity], ended: list[KnownOrder]) -> None:
        """Compare with what was told. A fill that is told differently is corrected at once."""
        session = self._session
        polling, now_ns = session.polling, session.line.now_ns
        for row in rows:
            known = session.orders.by_id.get(row.order_id or "")
            if known is None or row.cum_qty is None:
                continue
            fact = fill_key(known.broker_order_id, row.cum_qty)
            execution = known.executions.get(row.cum_qty)
            if not polling.knows(fact):
                self._rows[fact] = (row, known)
            elif execution is not None and not execution.revision and execution.quantity != row.qty:
                report = session.teller.row(row, known, now_ns)
                if report is not None:
                    session.line.post(report)
        for known in ended:
            fact = end_of(known.broker_order_id)
            if polling.knows(fact):
                continue
            if stands_beside(known) and known.state is not BrokerOrderState.DONE:
                # the stream does not say that one is cancelled beside one that fills: alpacahq/alpaca-py#198
                polling.told(fact)
                session.tell_gone(known)
            else:
                self._ended[fact] = known
        polling.saw((*self._rows, *self._ended), now_ns)
        times = [instant_ns(row.transaction_time) - OVERLAP_NS for row in rows]
        self._after_ns = max([self._after_ns, *times])

    def _tell_missed(self) -> None:
        """Tell what the stream did not, and give the stream up once that happens again, or it says nothing more."""
        session = self._session
        knows = session.polling.knows
        self._rows = {fact: row for fact, row in self._rows.items() if not knows(fact)}
        self._ended = {fact: known for fact, known in self._ended.items() if not knows(fact)}
        missed = session.polling.missed(session.line.now_ns)
        if missed.facts:
            note(logging.WARNING, "alpaca.stream_missed", facts=missed.facts)
            self._tell_facts(missed.facts)
            session.line.post(ReadDue())
        if missed.is_mute:
            note(logging.WARNING, "alpaca.stream_mute", text="it is opened anew")
            self._stream.drop("mute: polls saw what it did not say, and it has said nothing since")

    def _tell_facts(self, facts: tuple[str, ...]) -> None:
        session = self._session
        for fact in facts:
            session.polling.told(fact)
            row = self._rows.pop(fact, None)
            ended = self._ended.pop(fact, None)
            report = None if row is None else session.teller.row(*row, session.line.now_ns)
            if report is not None and row is not None:
                for terms in restated(row[1]):
                    session.line.post(terms)
                session.line.post(report)
                self._note_whole(row[1])
            if ended is not None:
                session.tell_gone(ended)

    def _note_whole(self, known: KnownOrder) -> None:
        """A filled order of which every execution is told has no end left to tell: its silence counts against nobody."""
        if known.state is BrokerOrderState.DONE and known.covered >= known.order.filled:
            known.is_told_ended = True
            self._session.polling.told(end_of(known.broker_order_id))


def _was_over(known: KnownOrder) -> bool:
    """Whether an order is over for certain, without a further look at it: none took its place."""
    return known.is_final and not known.order.replaced_by
