"""What the parts of one incarnation of the port share: whom it speaks to, what it knows, and how it says what it has learned."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import anyio
import msgspec

from ...actors.errors import BrokerAuthError, BrokerError
from ...actors.model import Instrument
from ...actors.ports import CommandKind, ConnectRefused, Disconnected, OutcomeUnknown
from ...actors.snapshots import ReadDue
from ..io_actor import Line
from .courier import Courier
from .known_orders import KnownOrder, KnownOrders
from .polling import SECOND_NS, Polling
from .reads import Reads
from .telling import Teller, Told, end_of, ended, restated
from .trade_updates import Heartbeat

_LOG = logging.getLogger("ordersmith.alpaca")


def note(level: int, event: str, **fields: Any) -> None:
    """Log what a person may want to know. The host decides what becomes of it; no field ever holds a key."""
    _LOG.log(level, "%s %s", event, " ".join(f"{name}={value}" for name, value in fields.items()))


class Timing(NamedTuple):
    """Seconds. `connect_s` and `read_s` are of a request's parts, `answer_s` of the whole.

    `proof_s` is how long a cancel may take that a replacement waits for, `ready_s` how long a reading of the account waits for
    the stream and for the commands before it. `poll_s` is how often what the stream says is checked with open orders, and
    without. `grace_s` is by how much the stream may be later than a poll, and `silence_s` how long it may say nothing after
    it was later still: with the longest of the polls that is less than half a minute. `pause_s` are the first and the longest
    pause between two tries of the stream. `others_s` is how long after news of somebody else's order the
    account is read, and how long after that at the earliest it is again.
    """

    connect_s: float = 3.05
    read_s: float = 10.0
    answer_s: float = 15.0
    proof_s: float = 5.0
    ready_s: float = 3.0
    poll_s: tuple[float, float] = (5.0, 20.0)
    grace_s: float = 2.0
    silence_s: float = 5.0
    pause_s: tuple[float, float] = (1.0, 30.0)
    others_s: tuple[float, float] = (5.0, 10.0)
    heartbeat: Heartbeat = Heartbeat()


LOOK_UPS = 3
SPAN_NS = 10 * SECOND_NS
"""What was looked for in vain so often over so long is not at the broker: the same measure as the core's."""


class Absence(msgspec.Struct):
    """How often and since when an order was looked for in vain."""

    first_ns: int
    count: int = 0

    def suffices(self, now_ns: int) -> bool:
        """Whether no more need be asked."""
        return self.count >= LOOK_UPS and now_ns - self.first_ns >= SPAN_NS


class PortMemory:
    """What outlives an incarnation of the port: whether there ever was a session, the orders it has met, the symbols' rules."""

    def __init__(self) -> None:
        self.had_session = False
        self.orders = KnownOrders()
        self.instruments: dict[str, Instrument] = {}
        self.instruments_ns = 0
        self.absences: dict[str, Absence] = {}


class Session:
    """One incarnation of the port. `is_open` says that there is a session, `hears` that the stream listens."""

    def __init__(self, line: Line, memory: PortMemory, courier: Courier, timing: Timing) -> None:
        self.line = line
        self.memory = memory
        self.courier = courier
        self.timing = timing
        self.is_open = False
        self.hears = False
        self.orders = memory.orders
        self.teller = Teller(memory.orders)
        self.reads = Reads(courier, memory.orders)
        self.polling = Polling(int(timing.grace_s * SECOND_NS), int(timing.silence_s * SECOND_NS))
        self.poll_wanted = False
        self._counts_others = self._others_changed = False
        self.watch_news = anyio.Event()

    # --- The session's own state ---------------------------------------------------------------------------------------

    def lose(self, reason: str) -> None:
        """Say, once, that there is no session any more."""
        if self.is_open:
            self.is_open = False
            self.line.post(Disconnected(reason))

    def refuse(self, reason: str) -> None:
        """Say that Alpaca does not let us in: for good before the first session, an outage after it."""
        self.is_open = False
        self.line.post(Disconnected(reason) if self.memory.had_session else ConnectRefused(reason))

    def failed(self, error: BrokerError, what: str) -> None:
        """Take note of a question without an answer. A key that is refused ends the session."""
        note(logging.DEBUG, "alpaca.question_failed", what=what, error=error)
        if isinstance(error, BrokerAuthError):
            self.lose(str(error))

    def want_poll(self) -> None:
        """Have the stream checked now."""
        self.poll_wanted = True
        self.watch_news.set()

    async def count_others(self) -> None:
        """Have the account read a while after somebody else's order has changed, once for all that change meanwhile.

        What they have open is in the way of ours, or is not any more. A program that trades all day beside us must not use up
        the requests that we may make.
        """
        self._others_changed = True
        if self._counts_others:
            return
        self._counts_others = True
        soon_s, pause_s = self.timing.others_s
        try:
            while self._others_changed:
                await anyio.sleep(soon_s)
                self._others_changed = False
                self.line.post(ReadDue())
                await anyio.sleep(pause_s)
        finally:
            self._counts_others = False

    # --- Saying what was learned ---------------------------------------------------------------------------------------

    def tell(self, told: Told) -> None:
        """Post what is to be told, and set going what must be asked."""
        for report in told.reports:
            self.line.post(report)
        for fact in told.facts:
            self.polling.told(fact)
        if told.read_fills:
            self.want_poll()
        if told.read_due:
            self.line.post(ReadDue())

    def tell_found(self, known: KnownOrder, cause: int = 0) -> None:
        """Say what a look-up has proved of an order; of a status that we do not know, that it is not known."""
        found = self.teller.found(known)
        if known.is_final:
            known.is_told_ended = True
            self.polling.told(end_of(known.broker_order_id))
        for report in restated(known):
            self.line.post(report, cause)
        if found is not None:
            self.line.post(found, cause)
        elif known.state is None:
            note(logging.WARNING, "alpaca.status_unknown", wire_id=known.wire_id, status=known.order.status)

    def tell_gone(self, known: KnownOrder) -> None:
        """Say what became of an order that a poll has found to be over: it ended, or somebody replaced it and it works on."""
        known.is_told_ended = True
        last = self.orders.by_wire_id.get(known.wire_id, known)
        if last is known:
            self._tell_ended(known)
        else:
            self.tell_found(last)

    def _tell_ended(self, known: KnownOrder) -> None:
        state = known.state
        if state is not None and self.teller.found(known) is not None:
            for report in restated(known):
                self.line.post(report)
            self.line.post(ended(known, state, "found by a poll"))

    async def look_up(self, broker_order_id: str) -> None:
        """Ask for an order, and say what is proved of it; somebody may have replaced it in the dashboard."""
        try:
            order = await self.reads.order(broker_order_id)
            known = None if order is None else await self.reads.follow(order)
        except BrokerError as error:
            self.failed(error, "look-up")
            self.line.post(ReadDue())
            return
        if known is None:
            return
        if known.state is None:
            self.line.post(OutcomeUnknown(known.wire_id, CommandKind.NEW, f"it has the status {known.order.status!r}"))
        self.tell_found(known)
