"""Between the core's port and the broker: commands on their way out, their answers on their way back.

What the port says is true or is nothing: a command of which nobody knows is `OutcomeUnknown`, never refused. Commands are
written in the order in which they came. What was written arrives, most of the time, whatever becomes of the session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from types import NoneType
from typing import Any, Protocol

from ..actors.model import OrderType, TimeInForce
from ..actors.ports import (
    Accepted,
    CancelRequest,
    Capabilities,
    Command,
    Connect,
    Disconnect,
    Disconnected,
    NewOrder,
    Replaced,
    ReplaceRequest,
    Report,
    StatusRequest,
)
from ..actors.snapshots import AccountSnapshot, SnapshotFailed, SyncAccount
from ..adapters.io_actor import what_became_of
from ..adapters.simulated.sending import not_to_be_sent
from .broker import Broker
from .faults import Fault, FaultPlan
from .oracle.watch import Watch
from .reads import Reads
from .schedule import SECOND_NS, Schedule
from .session import TRAVEL_NS, Session, late

CAPABILITIES = Capabilities(
    order_types=(OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT),
    times_in_force=(TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC),
)
SESSION = (Connect, Disconnect)
ORDERS = (NewOrder, CancelRequest, ReplaceRequest)
GOOD = (Accepted, Replaced, NoneType)
"""Answers by which the broker has done what was asked; to a cancel it says nothing at first."""

LONGEST_TRAVEL_S = 2.0
"""How late a command can arrive that was written; `reads.py` says what that is good for."""

UNANSWERED_NS = 10 * SECOND_NS
"""How long the port waits for an answer before it says that there is none."""


class Line(Protocol):
    """The process's side of one incarnation of the port. A dead one drops everything."""

    @property
    def now_ns(self) -> int:
        """The time of the process's clock, by which deadlines are."""

    def post(self, report: Report, cause: int = 0) -> None: ...

    def epoch(self) -> int | None: ...

    def standstill(self) -> str: ...

    def done(self, command: Command) -> None: ...


class Flight:
    """A command that was written. `is_lost`: no answer to it will come. `is_over`: nobody waits for one any more."""

    __slots__ = ("cause", "command", "is_lost", "is_over", "line", "number")

    def __init__(self, number: int, line: Line, command: Any, cause: int) -> None:
        self.number, self.line, self.command, self.cause = number, line, command, cause
        self.is_over = self.is_lost = False


class Wire:
    """Carries the commands of one port after the other to one broker."""

    def __init__(self, schedule: Schedule, random: Random, plan: FaultPlan, broker: Broker, watch: Watch) -> None:
        self.told = 0
        self.session = Session(schedule, random, plan, broker, watch, self._post, self._session_lost)
        self._schedule, self._random, self._plan, self._broker, self._watch = schedule, random, plan, broker, watch
        self._reads = Reads(schedule, random, plan, broker)
        self._line: Line | None = None
        self._flights: dict[int, Flight] = {}
        self._number = 0
        self._held: deque[tuple[Command, int]] = deque()
        self._holds = False
        self._arrivals: dict[type, Callable[[Flight], None]] = {
            NewOrder: self._new,
            CancelRequest: self._cancel,
            ReplaceRequest: self._replace,
            StatusRequest: self._status,
            SyncAccount: self._sync,
            Connect: self._connect,
        }

    @property
    def connected(self) -> bool:
        """Whether the port has a session, as it sees it."""
        return self.session.is_open

    def open(self, line: Line) -> None:
        """Begin another incarnation of the port."""
        self.close()
        self._line = line

    def close(self) -> None:
        """End the incarnation: what waits is never written, what comes back comes to nobody."""
        self._line, self._holds = None, False
        self._held.clear()
        for flight in self._flights.values():
            flight.is_over = True
        self._flights.clear()
        self.session.close()

    # --- Out ---------------------------------------------------------------------------------------------------------------

    def take(self, command: Command, cause: int) -> None:
        """Write a command, or hold it and all that come after it until the broker's pace allows it."""
        if self._line is None:
            return
        if self._holds:
            self._held.append((command, cause))
        elif type(command) not in SESSION and self._plan.hits(Fault.RATE_LIMITED):
            if self._random.random() < 0.5:
                self._refuse(self._line, command, cause, "429 too many requests")
            else:
                self._hold(self._line, command, cause)
        else:
            self._write(self._line, command, cause)

    def _hold(self, line: Line, command: Command, cause: int) -> None:
        self._holds = True
        self._held.append((command, cause))
        self._schedule.after(int(self._random.uniform(0.2, 12) * SECOND_NS), lambda: self._let_go(line))

    def _let_go(self, line: Line) -> None:
        if line is not self._line:
            return
        self._holds = False
        while self._held:
            self._write(line, *self._held.popleft())

    def _write(self, line: Line, command: Any, cause: int) -> None:
        refusal = not_to_be_sent(command, line.epoch(), line.now_ns, line.standstill())
        if refusal is not None:
            self._say(line, refusal, cause)
            line.done(command)
        elif type(command) is Disconnect:
            self.session.end("requested")
            line.done(command)
        elif not self.session.is_open and type(command) is not Connect:
            self._refuse(line, command, cause, "there is no session")
        else:
            self._send(line, command, cause)

    def _refuse(self, line: Line, command: Any, cause: int, reason: str) -> None:
        """Say that a command was certainly not written."""
        report: Report | None = what_became_of(command, in_hand=False, reason=reason)
        if type(command) is SyncAccount:
            report = SnapshotFailed(command.as_of, reason)
        if report is not None:
            self._say(line, report, cause)
        line.done(command)

    def _send(self, line: Line, command: Any, cause: int) -> None:
        """Write a command. It arrives, as a rule; whether its answer does is another question."""
        random, kind = self._random, type(command)
        self._number += 1
        flight = Flight(self._number, line, command, cause)
        self._flights[flight.number] = flight
        if kind in ORDERS:
            self._watch.written(command)
        travel_ns = random.randrange(*TRAVEL_NS)
        arrives = True
        if self._plan.hits(Fault.DELAYED):
            travel_ns = int(random.uniform(0.05, LONGEST_TRAVEL_S) * SECOND_NS)
        if kind is not Connect and self.session.is_half_open:
            arrives = random.random() < 0.5
        elif self._plan.hits(Fault.ANSWER_LOST):
            arrives = random.random() < 0.75
            self._lose(flight)
        arrive = self._arrivals[kind] if arrives else self._vanish
        self._schedule.after(travel_ns, lambda: arrive(flight))

    def _lose(self, flight: Flight) -> None:
        """Let no answer come back. Half of the time the port says so after a while."""
        flight.is_lost = True
        if self._random.random() < 0.5:
            self._schedule.after(UNANSWERED_NS, lambda: self._give_up(flight, "no answer within 10 s"))
        else:
            self._end(flight)

    def _vanish(self, flight: Flight) -> None:
        """A command was lost on its way: the broker never gets it, so what it was to make never is."""
        command = flight.command
        if type(command) is NewOrder:
            self._watch.ended(command.wire_id, "rejected")
        elif type(command) is ReplaceRequest:
            self._watch.ended(command.new_wire_id, "rejected")

    # --- At the broker -----------------------------------------------------------------------------------------------------

    def _new(self, flight: Flight) -> None:
        command: NewOrder = flight.command
        answer = self._broker.place(command.wire_id, command.order)
        order = self._broker.find(command.wire_id)
        late_ns = 0
        if order is not None and order.filled and self._plan.hits(Fault.FILL_BEFORE_ACK):
            late_ns = int(self._random.uniform(0.1, 3) * SECOND_NS)
        self._answer_order(flight, answer, late_ns)

    def _cancel(self, flight: Flight) -> None:
        self._answer_order(flight, self._broker.cancel(flight.command.wire_id))

    def _replace(self, flight: Flight) -> None:
        command: ReplaceRequest = flight.command
        self._broker.replace(
            command.wire_id, command.new_wire_id, command.terms, lambda report: self._answer_order(flight, report)
        )

    def _status(self, flight: Flight) -> None:
        self._answer(flight, self._reads.status(flight.command))

    def _sync(self, flight: Flight) -> None:
        if self.session.is_foreign:
            self._answer(flight, SnapshotFailed(flight.command.as_of, "not allowed to read this account"))
        else:
            self._reads.sync(flight.command, lambda report: self._answer(flight, report))

    def _connect(self, flight: Flight) -> None:
        if flight.is_lost or flight.is_over:
            return
        refusal = self.session.refusal()
        if refusal is not None:
            self._answer(flight, Disconnected(refusal))
        else:
            self._end(flight)
            self.session.open(CAPABILITIES)

    # --- Back --------------------------------------------------------------------------------------------------------------

    def _answer_order(self, flight: Flight, report: Report | None, late_ns: int = 0) -> None:
        """Bring back what the broker said of an order, or something that says nothing."""
        hits, is_good = self._plan.hits, isinstance(report, GOOD)
        reason = ""
        if is_good and hits(Fault.ERROR_AFTER_ACCEPT):
            reason = "504 gateway timeout"
        elif is_good and hits(Fault.FALSE_REJECTION):
            reason = "10349 order time in force was changed by a preset"
        elif hits(Fault.UNKNOWN_CODE):
            reason = "code 99917 is not known"
        if reason:
            report = what_became_of(flight.command, in_hand=True, reason=reason)
        self._answer(flight, report, late_ns)

    def _answer(self, flight: Flight, report: Report | None, late_ns: int = 0) -> None:
        if flight.is_over or flight.is_lost or self.session.is_half_open:
            return
        delay_ns = late_ns + self._random.randrange(*TRAVEL_NS)
        if self._plan.hits(Fault.DELAYED):
            delay_ns += late(self._random)
        self._schedule.after(delay_ns, lambda: self._deliver(flight, report))

    def _deliver(self, flight: Flight, report: Report | None) -> None:
        if flight.is_over:
            return
        self._end(flight)
        if report is None:
            return
        self._say(flight.line, report, flight.cause)
        if self._plan.hits(Fault.DUPLICATED):
            number = self.session.number
            self._schedule.after(late(self._random), lambda: self._say_again(number, flight, report))

    def _say_again(self, number: int, flight: Flight, report: Report) -> None:
        if number == self.session.number:
            self._say(flight.line, report, flight.cause)

    def _give_up(self, flight: Flight, reason: str) -> None:
        """Say that nobody knows what became of a command."""
        if flight.is_over:
            return
        self._end(flight)
        report = what_became_of(flight.command, in_hand=True, reason=reason)
        if report is not None:
            self._say(flight.line, report, flight.cause)

    def _end(self, flight: Flight) -> None:
        """The port does not wait for an answer any more."""
        if not flight.is_over:
            flight.is_over = True
            del self._flights[flight.number]
            flight.line.done(flight.command)

    def _session_lost(self) -> None:
        """No answer comes to what was asked in a session that is gone; of some of it the port says so."""
        for flight in list(self._flights.values()):
            if self._random.random() < 0.5:
                self._give_up(flight, "the session was lost")
            else:
                self._end(flight)

    def _post(self, report: Report) -> None:
        if self._line is not None:
            self._say(self._line, report, 0)

    def _say(self, line: Line, report: Report, cause: int) -> None:
        self.told += 1
        if type(report) is AccountSnapshot:
            for news in self.session.untold_news():
                self.told += 1
                line.post(news, cause)
            self._watch.snapshot_told()
        line.post(report, cause)
