"""The dispatcher: one queue, one turn at a time, every effect after the turn. The deterministic heart; it does no I/O.

A turn that raises leaves nothing behind: what it told and recorded is truncated, its other effects are dropped. The order of turns is a
function of the inputs, their times and the seed.
"""

from __future__ import annotations

import heapq
import traceback
from collections import deque
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Any

from ..actors.actor import Actor, ActorRef, Event, Fold, Handler, Record, ReplyTo
from ..actors.errors import ActorError, ExecutorFailed
from ..actors.events import Undelivered
from ..actors.ports import Endpoint, JournalStore
from .asks import Answer, Asks
from .commit import CommitLog

QUEUE_BOUND = 1_000_000
RING_LENGTH = 256
ARITHMETIC = Context(prec=34, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


class Cell(ActorRef[Any]):
    """What stands behind an actor's address. Only a `live` one takes messages and folds records."""

    __slots__ = ("actor", "entity", "handlers", "history", "live", "runtime", "snapshot", "timers")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.actor: Any = None
        self.live = False
        self.handlers: dict[type, Handler] = {}
        self.timers: dict[str, tuple[int, Any, int]] = {}
        self.entity = False
        self.history: list[Record] = []
        self.snapshot: bytes | None = None
        self.runtime: Any = None

    def silence(self) -> None:
        """Take no more messages, fold no more records, forget all timers."""
        self.live = False
        self.handlers = {}
        self.timers.clear()


class Due:
    """A fired timer in the queue; it is delivered only if no other has taken its key since."""

    __slots__ = ("key", "number")

    def __init__(self, key: str, number: int) -> None:
        self.key = key
        self.number = number


Item = tuple[Cell, Any, int]
Route = tuple[list[tuple[Cell, Fold]], list[Cell]]


class Dispatcher:
    """The `Context` of every turn, and the pump's other side: `post` inputs, then `tick`.

    `crashed(cell, message, error)`, `history_poisoned(cell, error)` and `undeliverable(cell, message)` are set by the lifecycle.
    """

    def __init__(self, store: JournalStore, *, seed: int = 0, last: int = 0, ask_bound: int = 10_000) -> None:
        self.seed = seed
        self.now_ns = 0
        self.cells: dict[str, Cell] = {}
        self.ports: dict[str, Endpoint] = {}
        self.log = CommitLog(store, last)
        self.asks = Asks(ask_bound)
        self.ring: deque[Item] = deque(maxlen=RING_LENGTH)
        self.turns = 0
        self._queue: list[Item] = []
        self._inputs: deque[tuple[Cell, Any, int]] = deque()
        self._input_number = 0
        self._effects: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._routes: dict[type, Route] = {}
        self._heap: list[tuple[int, int, Cell, str]] = []
        self._timer_number = 0
        self._cell = Cell("outside")
        self._cause_in = 0
        self._cause_out = 0
        self._poisoned: list[tuple[Cell, Exception]] = []
        self._runtime = Cell("runtime")
        self.crashed: Callable[[Cell, Any, Exception], None]
        self.history_poisoned: Callable[[Cell, Exception], None]
        self.undeliverable: Callable[[Cell, Any], None]
        self.spawned: Callable[[str, Cell, tuple[Record, ...]], None]
        self.stop_asked: Callable[[Cell], None]
        self.readied: Callable[[Cell], None]
        self.finished: Callable[[Cell], None]
        self.watched: Callable[[Cell, Cell], None]

    # --- Context: what a turn may do -------------------------------------------------------------------------------

    def tell(self, ref: ActorRef[Any], message: Any) -> None:
        self._queue.append((ref, message, self._cause_out))  # type: ignore[arg-type]

    def record(self, event: Event) -> Record:
        log, cell = self.log, self._cell
        number = log.base + len(log.records) + 1
        record = Record(number, self.now_ns, self._cause_in, event)
        log.records.append(record)
        if cell.actor is not None:
            fold = cell.actor.folds.get(type(event))
            if fold is not None:
                fold(cell.actor, event, record)
        self._cause_out = number
        return record

    def send(self, port: str, command: Any) -> None:
        self._effects.append((self._post_out, (self.ports[port].accept, (command, self._cause_out))))

    def reply(self, to: ReplyTo | None, answer: Any) -> None:
        if to is not None:
            self._effects.append((self._reply, (to, answer)))

    def split(self, to: ReplyTo | None, parts: int) -> list[ReplyTo | None]:
        if to is None:
            return [None] * parts
        if parts == 0:
            self.reply(to, [])
            return []
        self._effects.append((self.asks.split, (to, parts)))
        return [ReplyTo(to.ask, index) for index in range(parts)]

    def set_timer(self, key: str, delay_ns: int, message: Any) -> None:
        self._effects.append((self._arm, (self._cell, key, self.now_ns + delay_ns, message, self._cause_out)))

    def cancel_timer(self, key: str) -> None:
        self._effects.append((self._disarm, (self._cell, key)))

    def spawn(self, supervisor: str, name: str, history: tuple[Record, ...] = ()) -> ActorRef[Any]:
        cell = Cell(name)
        self._effects.append((self.spawned, (supervisor, cell, history)))
        return cell

    def stop(self, ref: ActorRef[Any]) -> None:
        self._effects.append((self.stop_asked, (ref,)))

    def watch(self, ref: ActorRef[Any]) -> None:
        self._effects.append((self.watched, (ref, self._cell)))

    def find(self, name: str) -> ActorRef[Any] | None:
        return self.cells.get(name)

    def refer(self, name: str) -> ActorRef[Any]:
        try:
            return self.cells[name]
        except KeyError:
            raise ActorError(f"there is no actor {name!r}") from None

    def view(self, name: str) -> Any:
        cell = self.cells.get(name)
        return None if cell is None or cell.actor is None else cell.actor.view()

    def ready(self) -> None:
        self._effects.append((self.readied, (self._cell,)))

    def stopped(self) -> None:
        self._effects.append((self.finished, (self._cell,)))

    # --- The pump's side -------------------------------------------------------------------------------------------

    def post(self, ref: ActorRef[Any], message: Any, cause: int = 0) -> None:
        """Take an input for the next tick. Without a `cause` it is a cause of its own."""
        if not cause:
            self._input_number -= 1
            cause = self._input_number
        self._inputs.append((ref, message, cause))  # type: ignore[arg-type]

    def ask(self, ref: ActorRef[Any], request: Callable[[ReplyTo], Any], answer: Answer) -> None:
        """Post a request; `answer` is called once, after the commit it rests on. Raises Overloaded at the bound."""
        self.post(ref, request(self.asks.open(answer)))

    def next_deadline_ns(self) -> int | None:
        """Return when the next timer is due, None without timers."""
        heap = self._heap
        while heap:
            deadline, number, cell, key = heap[0]
            armed = cell.timers.get(key)
            if armed is not None and armed[0] == number:
                return deadline
            heapq.heappop(heap)
        return None

    def run(self, now_ns: int) -> None:
        """Set the time and tick until there is nothing to do at it, in the private decimal context."""
        with localcontext(ARITHMETIC):
            self.pump(now_ns)

    def pump(self, now_ns: int) -> None:
        """Like `run`, for a caller that has entered the private context (`localcontext(ARITHMETIC)`) for many of them."""
        self.now_ns = now_ns
        while self._inputs or (self._heap and self._heap[0][0] <= now_ns) or not self.log.settled:
            self._tick()
            if not self._inputs and not self.log.settled:
                return  # the store is still writing; it is asked again in a later tick

    def _tick(self) -> None:
        queue, inputs = self._queue, self._inputs
        self.log.release()
        if self._heap and self._heap[0][0] <= self.now_ns:
            self._fire()
        queue.extend(inputs)
        inputs.clear()
        self.drain()
        self.log.flush()

    def drain(self) -> None:
        """Handle queued messages until none is left."""
        queue, ring, effects = self._queue, self.ring, self._effects
        records = self.log.records
        remember = ring.append
        for item in queue:  # grows while we walk it
            cell, message, cause = item
            remember(item)
            handler = cell.handlers.get(type(message))
            if handler is None:
                self._special(cell, message, cause)
                continue
            self._cell = cell
            self._cause_in = self._cause_out = cause
            told, recorded = len(queue), len(records)
            try:
                handler(cell.actor, message)
            except BaseException as error:  # noqa: BLE001 - what is not an Exception is re-raised by abandon
                self.abandon(told, recorded, error)
                self.crashed(cell, message, error)  # type: ignore[arg-type]
                continue
            if effects or len(records) != recorded:
                self._end_turn(cell, recorded)
            if told > QUEUE_BOUND:
                raise ExecutorFailed(
                    f"{told} messages in one tick: actors feed each other; the last were\n{self.last_dispatches()}"
                )
        self.turns += len(queue)
        queue.clear()

    def turn(self, cell: Cell, act: Callable[[], Any], cause: int | None = None) -> None:
        """Run `act` as a turn of `cell`, raising what it raises after dropping what it did."""
        queue, records = self._queue, self.log.records
        self._cell = cell
        if cause is not None:
            self._cause_in = self._cause_out = cause
        told, recorded = len(queue), len(records)
        try:
            act()
        except BaseException as error:
            self.abandon(told, recorded, error)
            raise
        self._end_turn(cell, recorded)

    def abandon(self, told: int, recorded: int, error: BaseException) -> None:
        """Drop everything that the current turn did; re-raise what is not an Exception."""
        del self._queue[told:]
        del self.log.records[recorded:]
        self._effects.clear()
        if not isinstance(error, Exception):
            self._queue.clear()
            raise error

    def _end_turn(self, cell: Cell, recorded: int) -> None:
        records = self.log.records
        for index in range(recorded, len(records)):
            record = records[index]
            event = record.event
            route = self._routes.get(type(event)) or self._route(type(event))
            for other, fold in route[0]:
                if other is not cell:
                    try:
                        fold(other.actor, event, record)
                    except Exception as error:  # noqa: BLE001 - any failure of a fold means a poisoned history
                        self._poisoned.append((other, error))
            if route[1]:
                self._queue.extend([(other, event, record.number) for other in route[1]])
        if cell.entity:
            cell.history.extend(records[recorded:])
        if self._effects:
            effects = self._effects.copy()  # an effect may run turns of its own, such as on_start
            self._effects.clear()
            for apply, arguments in effects:
                apply(*arguments)
        while self._poisoned:
            self.history_poisoned(*self._poisoned.pop())

    def _route(self, kind: type) -> Route:
        """Find who folds and who reacts to events of a type, in the order in which the actors were started."""
        folds = [
            (cell, cell.actor.folds[kind])
            for cell in self.cells.values()
            if cell.live and not cell.entity and kind in cell.actor.folds
        ]
        reactions = [
            cell for cell in self.cells.values() if cell.live and not cell.entity and kind in cell.actor.reactions()
        ]
        route = self._routes[kind] = (folds, reactions)
        return route

    def forget_routes(self) -> None:
        """Find subscribers anew: actors have come, gone or been rebuilt."""
        self._routes.clear()

    # --- Effects ---------------------------------------------------------------------------------------------------

    def _post_out(self, deliver: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.log.outbox.append((self.log.last, deliver, arguments))

    def _reply(self, to: ReplyTo, value: Any) -> None:
        complete = self.asks.reply(to, value)
        if complete is not None:
            self._post_out(complete[0], (complete[1],))

    def _arm(self, cell: Cell, key: str, deadline_ns: int, message: Any, cause: int) -> None:
        self._timer_number += 1
        cell.timers[key] = (self._timer_number, message, cause)
        heapq.heappush(self._heap, (deadline_ns, self._timer_number, cell, key))

    def _disarm(self, cell: Cell, key: str) -> None:
        cell.timers.pop(key, None)

    def _fire(self) -> None:
        heap = self._heap
        while heap and heap[0][0] <= self.now_ns:
            _, number, cell, key = heapq.heappop(heap)
            armed = cell.timers.get(key)
            if armed is not None and armed[0] == number:
                self._queue.append((cell, Due(key, number), armed[2]))

    def _special(self, cell: Cell, message: Any, cause: int) -> None:
        """Handle what is in no handler table: fired timers, and messages that cannot be delivered."""
        self._cause_in = self._cause_out = cause
        if type(message) is Due:
            armed = cell.timers.get(message.key)
            if armed is None or armed[0] != message.number:
                return
            del cell.timers[message.key]
            message = armed[1]
        handler = cell.handlers.get(type(message))
        if handler is None:
            self.undeliverable(cell, message)
            return
        try:
            self.turn(cell, lambda: handler(cell.actor, message))
        except Exception as error:  # noqa: BLE001 - any exception of a handler is a crash of its actor
            self.crashed(cell, message, error)

    # --- For the lifecycle -----------------------------------------------------------------------------------------

    def state(self, event: Event) -> None:
        """Record a fact of the runtime itself."""
        self.turn(self._runtime, lambda: self.record(event))

    def state_undelivered(self, cell: Cell, message: Any) -> None:
        """Record a message that nobody takes."""
        self.state(Undelivered(cell.name, type(message).__name__))

    def rebuild(self, cell: Cell, actor: Actor[Any]) -> None:
        """Put a new incarnation behind `cell`: its state is the fold of its records. Raises what a fold raises."""
        actor.ctx = self
        if cell.entity:
            records: list[Record] = cell.history
        else:
            records = self.log.records
            if cell.snapshot is not None:
                actor.restore(cell.snapshot)
        folds = actor.folds
        for record in records:
            fold = folds.get(type(record.event))
            if fold is not None:
                fold(actor, record.event, record)
        cell.actor, cell.handlers, cell.live = actor, actor.handlers, True
        cell.incarnation += 1
        cell.timers.clear()
        if not cell.entity:
            self.forget_routes()

    def snapshot(self) -> None:
        """Snapshot all folded states and forget the records before, if the journal is settled."""
        if self.log.settled and self.log.forget():
            for cell in self.cells.values():
                if cell.live and not cell.entity:
                    cell.snapshot = cell.actor.snapshot()

    def last_dispatches(self) -> str:
        """Return the ring buffer as text, oldest first: what was dispatched to whom, and its cause."""
        return "\n".join(
            f"  {cell.name} <- {type(message).__name__} (cause {cause})" for cell, message, cause in self.ring
        )


def crash_report(dispatcher: Dispatcher, cell: Cell, message: Any, error: BaseException) -> str:
    """Return what a person needs to understand a crash: traceback, message, the last dispatches."""
    trace = "".join(traceback.format_exception(error)).rstrip()
    return f"{cell.name} crashed on {type(message).__name__}: {message!r}\n{trace}\nlast dispatches:\n{dispatcher.last_dispatches()}"


__all__ = ["ARITHMETIC", "ActorError", "Cell", "Dispatcher", "Due", "crash_report"]
