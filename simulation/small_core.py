"""The process of the small model: the real actors, restored for one tick and folded back, with no dispatcher between them.

A tick is what the dispatcher makes of one input: the message and whatever it leads to, until nothing is left to do. Since an
actor's state is the fold of its records, a tick is a pure function of the folded state, the timers, the time and the
message. So each is run once, and its outcome is looked up ever after: that is what makes millions of states affordable.

The order's actor, its machine, the risk gate, the connection with its session and the positions are the product's. The desk
is stood in for: it would take one order, and tell it of a boot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec

from ..actors.actor import Actor, ActorRef, Event, Record, ReplyTo
from ..actors.broker_connection import BrokerConnection
from ..actors.doubt_messages import RecoverOrder
from ..actors.errors import ActorError
from ..actors.events import Arrival, Booted, OrderSubmitted
from ..actors.machines.order import OrderMachine
from ..actors.machines.order_changes import Pending
from ..actors.machines.position import Ledger
from ..actors.machines.risk import Limits
from ..actors.machines.session import Session
from ..actors.messages import CheckOrder, LateReport
from ..actors.model import Instrument, Order
from ..actors.order_watch import WatchedOrder
from ..actors.positions import Positions
from ..actors.quotes import Quote
from ..actors.risk_gate import GateState, RiskGate

T = TypeVar("T", bound=Hashable)

SECOND_NS = 1_000_000_000
ACCOUNT = "main"
CONNECTION = "connection/main"
GATE = "risk_gate"
POSITIONS = "positions"
ORDER_ID = "o"
ORDER = "order/o"
WIRE_ID = "o.0"
SYMBOL = "A"
QUANTITY = 2
PRICE = Decimal(10)
CASH = Decimal(1000)
BEGIN_NS = SECOND_NS
VALID_NS = 2 * SECOND_NS
ANSWER_NS = 4 * SECOND_NS
RECONCILE_NS = 60 * SECOND_NS
NO_TIMERS = 0
LIMITS = Limits()

Timer = tuple[int, str, str, Any]
"""Its deadline, whose it is, its key, and its message."""


class Submit(msgspec.Struct, frozen=True):
    """The desk takes the order, and tells the gate."""


class Boot(msgspec.Struct, frozen=True):
    """A new process begins on what was durable."""


class Interned(Generic[T]):
    """Things by a number each, in the order in which they were met."""

    def __init__(self) -> None:
        self.things: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, thing: T) -> int:
        """Return the number of a thing, a new one if it was never met."""
        known = self._numbers.get(thing)
        if known is None:
            known = self._numbers[thing] = len(self.things)
            self.things.append(thing)
        return known


class Folded(msgspec.Struct):
    """What the records of one process add up to."""

    order: OrderMachine | None
    session: Session
    ledger: Ledger
    gate: GateState

    def numbers(self) -> tuple[int, int, int]:
        """Return the record numbers that a read of the account is compared with."""
        order = 0 if self.order is None else self.order.last_record
        return order, self.session.marked, self.ledger.last_record

    def renumber(self, order: int, marked: int, ledger: int) -> None:
        """Take other numbers that stand in the same order."""
        if self.order is not None:
            self.order.last_record = order
        self.session.marked, self.ledger.last_record = marked, ledger

    def tidy(self) -> None:
        """Forget what decides nothing any more, so that states which cannot be told apart by what they do are one."""
        self.ledger.version = 0
        order = self.order
        if order is None:
            return
        order.submitted_ns = order.updated_ns = 0
        order.text = ""
        if order.new is not Pending.ASKED:
            order.new_ns = 0
        if order.cancel is not Pending.ASKED:
            order.cancel_ns = 0


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(Folded)


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """What became of one tick. `problem` is what no tick may ever do."""

    folded: int
    timers: int
    commands: tuple[int, ...]
    recorded: bool
    problem: str


class SmallContext:
    """One tick: the actors as they were folded, the messages between them, and what the tick leads to."""

    def __init__(self, folded: Folded, timers: tuple[Timer, ...], now_ns: int) -> None:
        self.now_ns = now_ns
        self.timers = list(timers)
        self.commands: list[Any] = []
        self.recorded: list[Record] = []
        self.problem = ""
        self._queue: deque[tuple[str, Any]] = deque()
        self._number = max(folded.numbers())
        self._at_work = ""
        self.actors = _actors(folded)
        for actor in self.actors.values():
            actor.ctx = self

    def run(self, name: str, message: Any) -> None:
        """Handle a message, and all that it leads to."""
        self._queue.append((name, message))
        while self._queue and not self.problem:
            self._at_work, message = self._queue.popleft()
            first = len(self.recorded)
            try:
                self._handle(message)
            except Exception as error:  # noqa: BLE001 - whatever an actor raises is a finding
                self.problem = f"{self._at_work} raised {type(error).__name__} at {type(message).__name__}: {error}"
            for record in self.recorded[first:]:
                for other, actor in self.actors.items():
                    if other != self._at_work:
                        _fold(actor, record)

    def _handle(self, message: Any) -> None:
        if type(message) is Boot:
            self._boot()
        elif type(message) is Submit:
            self._submit()
        elif type(message) is LateReport:
            self.problem = f"I2: nobody knows the order of {type(message.report).__name__}"
        else:
            actor = self.actors[self._at_work]
            actor.handlers[type(message)](actor, message)

    def _submit(self) -> None:
        """Do what the desk does of an order."""
        order = Order.buy(SYMBOL, QUANTITY, limit_price=PRICE, client_order_id=ORDER_ID, account=ACCOUNT)
        self.record(OrderSubmitted(ORDER_ID, order, Arrival(0, PRICE)))
        self.tell(self.refer(GATE), CheckOrder(order, None))

    def _boot(self) -> None:
        """Begin like a core does: write that down, start the actors, and tell the orders that the process has ended."""
        self.record(Booted(0, "", "", ""))
        for name in (CONNECTION, ORDER):
            if self.find(name) is not None:
                self._at_work = name
                self.actors[name].on_start()
        if self.find(ORDER) is not None:
            self.tell(self.refer(ORDER), RecoverOrder())

    def folded(self) -> Folded:
        """Return what everything adds up to now."""
        return _folded(self.actors)

    # --- Context -------------------------------------------------------------------------------------------------------

    def tell(self, ref: ActorRef[Any], message: Any) -> None:
        self._queue.append((ref.name, message))

    def record(self, event: Event) -> Record:
        self._number += 1
        record = Record(self._number, self.now_ns, 0, event)
        self.recorded.append(record)
        actor = self.actors.get(self._at_work)
        if actor is not None:
            _fold(actor, record)
        return record

    def send(self, port: str, command: Any) -> None:
        self.commands.append(command)

    def reply(self, to: ReplyTo | None, answer: Any) -> None:
        """Nobody in the model asks."""

    def split(self, to: ReplyTo | None, parts: int) -> list[ReplyTo | None]:
        return [None] * parts

    def set_timer(self, key: str, delay_ns: int, message: Any) -> None:
        self.cancel_timer(key)
        self.timers.append((self.now_ns + delay_ns, self._at_work, key, message))
        self.timers.sort(key=lambda timer: timer[0])  # stable: of one instant the one that was armed first

    def cancel_timer(self, key: str) -> None:
        self.timers = [timer for timer in self.timers if timer[1:3] != (self._at_work, key)]

    def spawn(self, supervisor: str, name: str, history: tuple[Record, ...] = ()) -> ActorRef[Any]:
        raise ActorError(f"{name}: nothing in the model spawns")

    def stop(self, ref: ActorRef[Any]) -> None:
        raise ActorError(f"{ref.name}: nothing in the model stops an actor")

    def watch(self, ref: ActorRef[Any]) -> None:
        raise ActorError(f"{ref.name}: nothing in the model watches an actor")

    def find(self, name: str) -> ActorRef[Any] | None:
        return None if name == ORDER and self._machine() is None else ActorRef(name)

    def refer(self, name: str) -> ActorRef[Any]:
        return ActorRef(name)

    def view(self, name: str) -> Any:
        return self._machine() if name == ORDER else self.actors[name].view()

    def ready(self) -> None:
        """Nobody in the model waits for it."""

    def stopped(self) -> None:
        """Nobody in the model waits for it."""

    def _machine(self) -> OrderMachine | None:
        order = self.actors[ORDER]
        assert isinstance(order, WatchedOrder)
        return order.machine if hasattr(order, "machine") else None


def _actors(folded: Folded) -> dict[str, Actor[Any]]:
    """Return the actors, each with its folded state."""
    order, connection = WatchedOrder(ANSWER_NS), BrokerConnection(ACCOUNT, RECONCILE_NS, ANSWER_NS, ACCOUNT)
    if folded.order is not None:
        order.machine = folded.order
    connection.state = folded.session
    positions = Positions(_Market(), ACCOUNT)
    positions.state = folded.ledger
    gate = RiskGate(LIMITS, _Instruments(), _Market(), ACCOUNT, validity_ns=VALID_NS)
    gate.state = folded.gate
    return {GATE: gate, CONNECTION: connection, ORDER: order, POSITIONS: positions}


def _folded(actors: dict[str, Actor[Any]]) -> Folded:
    machine = getattr(actors[ORDER], "machine", None)
    return Folded(machine, actors[CONNECTION].state, actors[POSITIONS].state, actors[GATE].state)


def _fold(actor: Actor[Any], record: Record) -> None:
    fold = actor.folds.get(type(record.event))
    if fold is not None:
        fold(actor, record.event, record)


class _Market:
    quotes: Mapping[str, Quote] = MappingProxyType({})

    def last_price(self, symbol: str) -> Decimal | None:
        return PRICE

    def seen_ns(self, symbol: str) -> int | None:
        return None


class _Instruments:
    def get(self, symbol: str) -> Instrument | None:
        return Instrument()


class SmallCore:
    """All ticks that were ever run, by what they began with. Folded states, timers and messages go by numbers."""

    def __init__(self) -> None:
        self.states: Interned[bytes] = Interned()
        self.timers: Interned[tuple[Timer, ...]] = Interned()
        self.words: Interned[Any] = Interned()
        self._ticks: dict[tuple[int, int, int, str, int], Ticked] = {}
        self._renumbered: dict[tuple[int, tuple[int, ...]], tuple[int, dict[int, int]]] = {}
        self._orders: dict[int, bool] = {}
        self._intended: dict[int, bool] = {}
        self.timers.number(())

    @property
    def ticks(self) -> int:
        """How many different ticks the actors have run."""
        return len(self._ticks)

    def state(self, number: int) -> Folded:
        """Return a folded state by its number."""
        return DECODER.decode(self.states.things[number])

    def number_of(self, folded: Folded) -> int:
        """Return the number of a folded state."""
        return self.states.number(ENCODER.encode(folded))

    def knows_order(self, folded: int) -> bool:
        """Whether the order was submitted, as of a folded state."""
        known = self._orders.get(folded)
        if known is None:
            known = self._orders[folded] = self.state(folded).order is not None
        return known

    def knows_wire_id(self, folded: int) -> bool:
        """Whether the intent to send the order was recorded, as of a folded state."""
        known = self._intended.get(folded)
        if known is None:
            order = self.state(folded).order
            known = self._intended[folded] = order is not None and order.wire_id == WIRE_ID
        return known

    def tick(self, folded: int, timers: int, now_ns: int, actor: str, word: int) -> Ticked:
        """Return what an actor's receiving a message leads to."""
        key = (folded, timers, now_ns, actor, word)
        known = self._ticks.get(key)
        if known is None:
            known = self._ticks[key] = self._run(folded, timers, now_ns, actor, self.words.things[word])
        return known

    def fire(self, folded: int, timers: int) -> tuple[int, Ticked]:
        """Return when the next timer is due, and what it leads to."""
        (deadline_ns, actor, _, message), *rest = self.timers.things[timers]
        left = self.timers.number(tuple(rest))
        return deadline_ns, self.tick(folded, left, deadline_ns, actor, self.words.number(message))

    def next_deadline_ns(self, timers: int) -> int | None:
        """Return when the next timer is due."""
        armed = self.timers.things[timers]
        return armed[0][0] if armed else None

    def _run(self, folded: int, timers: int, now_ns: int, actor: str, message: Any) -> Ticked:
        context = SmallContext(self.state(folded), self.timers.things[timers], now_ns)
        context.run(actor, message)
        after = context.folded()
        problem = context.problem or self._kept_something(folded, context, after)
        after.tidy()
        return Ticked(
            self.number_of(after),
            self.timers.number(tuple(context.timers)),
            tuple(map(self.words.number, context.commands)),
            bool(context.recorded),
            problem,
        )

    def _kept_something(self, folded: int, context: SmallContext, after: Folded) -> str:
        """Tell if the actors are not what the records make of them (I11)."""
        actors = _actors(self.state(folded))
        for record in context.recorded:
            for actor in actors.values():
                _fold(actor, record)
        same = ENCODER.encode(_folded(actors)) == ENCODER.encode(after)
        return "" if same else "I11: the actors are not what their records add up to"

    def renumber(self, folded: int, as_of: tuple[int, ...]) -> tuple[int, dict[int, int]]:
        """Return the state with its record numbers made as small as their order allows, and the new number of each old one.

        Of a number only matters whether it is above another one, and above those that a read was `as_of`.
        """
        key = (folded, as_of)
        known = self._renumbered.get(key)
        if known is None:
            state = self.state(folded)
            numbers = state.numbers()
            ranks = {number: rank for rank, number in enumerate(sorted({0, *numbers, *as_of}))}
            state.renumber(*(ranks[number] for number in numbers))
            known = self._renumbered[key] = (self.number_of(state), ranks)
        return known


def first_state() -> Folded:
    """Return a process before its first boot."""
    return Folded(None, Session(), Ledger(), GateState())
