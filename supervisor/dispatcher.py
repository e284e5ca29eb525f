"""The dispatcher: one queue, one turn at a time, every effect after the turn. The deterministic heart; it does no I/O.

A turn that raises leaves nothing behind: what it told and recorded is truncated, its other effects are dropped. The
order of turns is a function of the inputs, their times and the seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, DivisionByZero, InvalidOperation, Overflow, localcontext
from itertools import islice
from operator import length_hint
from typing import Any

from ..actors.actor import Actor, ActorRef, Event, Record, ReplyTo
from ..actors.errors import ActorError, ExecutorFailed
from ..actors.events import Undelivered
from ..actors.ports import Endpoint, JournalStore
from .asks import Answer, Asks
from .cell import NOTHING, Cell, Cells, Item, Route
from .commit import CommitLog
from .timers import Due, Timers

QUEUE_BOUND = 1_000_000
RING_LENGTH = 256
ARITHMETIC = Context(prec=34, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


class Dispatcher:
    """The `Context` of every turn, and the pump's other side: `post` inputs, then `tick`.

    `crashed(cell, message, error)`, `history_poisoned(cell, error)` and `undeliverable(cell, message)` are set by the
    lifecycle.
    """

    __slots__ = (
        "_cause",
        "_effects",
        "_fresh",
        "_input_number",
        "_inputs",
        "_item",
        "_number",
        "_poisoned",
        "_queue",
        "_records",
        "_routes",
        "_runtime",
        "_walk",
        "asks",
        "cells",
        "child",
        "crashed",
        "find",
        "finished",
        "history_poisoned",
        "interrupted",
        "log",
        "now_ns",
        "ports",
        "readied",
        "refer",
        "ring",
        "seed",
        "spawned",
        "stop_asked",
        "timers",
        "undeliverable",
        "watched",
    )

    def __init__(self, store: JournalStore, *, seed: int = 0, last: int = 0, ask_bound: int = 10_000) -> None:
        self.seed = seed
        self.now_ns = 0
        self.cells = cells = Cells()
        self.find: Callable[[str], ActorRef[Any] | None] = cells.get
        self.refer: Callable[[str], ActorRef[Any]] = cells.__getitem__
        self.ports: dict[str, Endpoint] = {}
        self.log = CommitLog(store, last)
        self.asks = Asks(ask_bound)
        self.ring: deque[Item] = deque(maxlen=RING_LENGTH)
        self._queue: list[Item] = []
        self._inputs: deque[tuple[Cell, Any, int]] = deque()
        self._input_number = 0
        self._effects: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._routes: dict[type, Route] = {}  # of records that orders make; every other actor's cell has its own
        self.timers = Timers()
        self._walk = iter(self._queue)
        self._runtime = Cell("runtime")
        self._item: Item = (self._runtime, None, 0)
        self._cause = 0
        self._number = last
        self._fresh: list[Record] = []
        self._records = self.log.records
        self._poisoned: list[tuple[Cell, Exception]] = []
        self.crashed: Callable[[Cell, Any, Exception], None]
        self.history_poisoned: Callable[[Cell, Exception], None]
        self.undeliverable: Callable[[Cell, Any], None]
        self.interrupted: Callable[[Cell], None]
        self.child: Callable[[str, str], Cell]
        self.spawned: Callable[[Cell, tuple[Record, ...]], None]
        self.stop_asked: Callable[[Cell], None]
        self.readied: Callable[[Cell], None]
        self.finished: Callable[[Cell], None]
        self.watched: Callable[[Cell, Cell], None]

    # --- Context: what a turn may do -------------------------------------------------------------------------------

    def tell(self, ref: ActorRef[Any], message: Any) -> None:
        self._queue.append((ref, message, self._cause))  # type: ignore[arg-type]

    def record(self, event: Event) -> Record:
        cell, _, cause = self._item
        self._number = self._cause = number = self._number + 1  # the cause of what this turn tells from here on
        record = Record(number, self.now_ns, cause, event)
        self._fresh.append(record)
        fold = cell.folds.get(type(event))
        if fold is not None:
            fold(cell.actor, event, record)
        return record

    def send(self, port: str, command: Any) -> None:
        self._effects.append((self._post_out, (self.ports[port].accept, (command, self._cause))))

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
        self._effects.append((self.timers.arm, (self._item[0], key, self.now_ns + delay_ns, message, self._cause)))

    def cancel_timer(self, key: str) -> None:
        self._effects.append((self.timers.disarm, (self._item[0], key)))

    def spawn(self, supervisor: str, name: str, history: tuple[Record, ...] = ()) -> ActorRef[Any]:
        if name in self.cells:
            raise ActorError(f"there is already an actor {name!r}; names are unique in a tree")
        cell = self.cells[name] = self.child(supervisor, name)  # at once: this turn's next spawn must not have the name
        self._effects.append((self.spawned, (cell, history)))
        return cell

    def stop(self, ref: ActorRef[Any]) -> None:
        self._effects.append((self.stop_asked, (ref,)))

    def watch(self, ref: ActorRef[Any]) -> None:
        self._effects.append((self.watched, (ref, self._item[0])))

    def view(self, name: str) -> Any:
        cell = self.cells.get(name)
        return None if cell is None or cell.actor is None else cell.actor.view()

    def ready(self) -> None:
        self._effects.append((self.readied, (self._item[0],)))

    def stopped(self) -> None:
        self._effects.append((self.finished, (self._item[0],)))

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

    def run(self, now_ns: int) -> None:
        """Set the time and tick until there is nothing to do at it, in the private decimal context."""
        with localcontext(ARITHMETIC):
            self.pump(now_ns)

    def pump(self, now_ns: int) -> None:
        """Like `run`, for a caller that has entered the private context (`localcontext(ARITHMETIC)`) for many of them.

        With a store that is still writing it returns, and goes on when it is called again after the store's answer.
        """
        self.now_ns = now_ns
        queue, inputs, heap, log = self._queue, self._inputs, self.timers.heap, self.log
        outbox, is_volatile = log.outbox, log.is_volatile
        if outbox:
            log.release()
        while True:
            if heap and heap[0][0] <= now_ns:
                queue += self.timers.fire(now_ns)
            if inputs:
                queue += inputs
                inputs.clear()
            if queue:
                self.drain()
            if outbox or not is_volatile:
                log.flush()
            if not inputs and not (heap and heap[0][0] <= now_ns):
                return

    def drain(self) -> None:
        """Handle queued messages until none is left."""
        queue, effects, fresh = self._queue, self._effects, self._fresh
        self._walk = walk = iter(queue)  # the queue grows while we walk it
        try:
            for item in islice(walk, QUEUE_BOUND):
                self._item = item
                cell, message, self._cause = item
                try:
                    handler = cell.handlers[type(message)]
                except KeyError:
                    handler = None
                if handler is None:
                    self.deliver(item)
                    continue
                told = len(queue)
                try:
                    handler(cell.actor, message)
                except BaseException as error:  # noqa: BLE001 - what is not an Exception is re-raised by abandon
                    self.abandon(told, error)
                    self.crashed(cell, message, error)  # type: ignore[arg-type]
                    continue
                if fresh or effects:
                    self._end_turn(cell)
            if length_hint(walk):
                raise ExecutorFailed(
                    f"more than {QUEUE_BOUND} messages in one tick: actors feed each other; the last were\n"
                    f"{self.last_dispatches()}"
                )
        except BaseException:  # what was handled is not handled again
            handled = len(queue) - length_hint(walk)
            self.ring.extend(queue[:handled])
            del queue[:handled]
            raise
        self.ring.extend(queue)
        queue.clear()

    def turn(self, cell: Cell, act: Callable[[], Any], cause: int | None = None) -> None:
        """Run `act` as a turn of `cell`, raising what it raises after dropping what it did."""
        if cause is None:
            cause = self._cause
        self._item = (cell, act, cause)
        self._cause = cause
        told = len(self._queue)
        try:
            act()
        except BaseException as error:
            self.abandon(told, error)
            raise
        self._end_turn(cell)

    def abandon(self, told: int, error: BaseException) -> None:
        """Drop everything that the current turn did; re-raise what is not an Exception."""
        del self._queue[told:]
        self._number -= len(self._fresh)
        self._fresh.clear()
        for apply, arguments in self._effects:
            if apply is self.spawned:
                del self.cells[arguments[0].name]
        self._effects.clear()
        self._cause = self.cause
        if not isinstance(error, Exception):
            self.interrupted(self._item[0])
            raise error

    def _end_turn(self, cell: Cell) -> None:
        """Let the turn be seen: fold its records everywhere, tell who reacts to them, apply its effects."""
        fresh = self._fresh
        if fresh:
            routes = self._routes if cell.entity else cell.routes
            for record in fresh:
                event = record.event
                folds, reactions = routes.get(type(event)) or self._route(cell, type(event))
                for fold in folds:
                    try:
                        fold(event, record)
                    except Exception as error:  # noqa: BLE001 - any failure of a fold means a poisoned history
                        self._poisoned.append((self._cell_of(fold), error))
                for other in reactions:
                    self._queue.append((other, event, record.number))
            self._records += fresh
            if cell.entity:
                cell.history += fresh
            fresh.clear()
        effects = self._effects
        if len(effects) == 1:
            apply, arguments = effects.pop()
            apply(*arguments)
        elif effects:
            several = effects.copy()  # an effect may run turns of its own, such as on_start
            effects.clear()
            for apply, arguments in several:
                apply(*arguments)
        if self._poisoned:
            poisoned, self._poisoned = self._poisoned, []
            for other, failure in poisoned:
                self.history_poisoned(other, failure)

    def _route(self, cell: Cell, kind: type) -> Route:
        """Find who folds and who reacts to what `cell` records of a type, in the order in which the actors were started.

        Its own fold has had it.
        """
        cells = [other for other in self.cells.values() if other.live and not other.entity]
        folds = [other.folds[kind].__get__(other.actor) for other in cells if kind in other.folds and other is not cell]
        route = folds, [other for other in cells if kind in other.actor.reactions()]
        if cell.entity:
            self._routes[kind] = route
        elif cell.live:
            cell.routes = {**cell.routes, kind: route}
        return route

    def _cell_of(self, fold: Callable[[Any, Record], None]) -> Cell:
        actor = fold.__self__  # type: ignore[attr-defined]
        return next(cell for cell in self.cells.values() if cell.actor is actor)

    def forget_routes(self) -> None:
        """Find subscribers anew: actors have come, gone or been rebuilt."""
        self._routes.clear()
        for cell in self.cells.values():
            cell.routes = NOTHING

    # --- Effects ---------------------------------------------------------------------------------------------------

    def _post_out(self, deliver: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.log.outbox.append((self._number, deliver, arguments))

    def _reply(self, to: ReplyTo, value: Any) -> None:
        complete = self.asks.reply(to, value)
        if complete is not None:
            self._post_out(complete[0], (complete[1],))

    def deliver(self, item: Item) -> None:
        """Handle what is in no handler table: fired timers, and messages that cannot be delivered."""
        cell, message, cause = self._item = item
        self._cause = cause
        if type(message) is Due:
            message = self.timers.take(cell, message)
            if message is None:
                return
        handler = cell.handlers.get(type(message))
        if handler is None:
            self.undeliverable(cell, message)
            return
        try:
            self.turn(cell, lambda: handler(cell.actor, message), cause)
        except Exception as error:  # noqa: BLE001 - any exception of a handler is a crash of its actor
            self.crashed(cell, message, error)

    # --- For the lifecycle -----------------------------------------------------------------------------------------

    @property
    def cause(self) -> int:
        """What caused the message at hand: a record's number, or minus the number of an input."""
        return self._item[2]

    @property
    def at_work(self) -> Item:
        """The message at hand, or the last one."""
        return self._item

    def state(self, event: Event) -> None:
        """Record a fact of the runtime itself."""
        self.turn(self._runtime, lambda: self.record(event))

    def state_undelivered(self, cell: Cell, message: Any) -> None:
        """Record a message that nobody takes."""
        self.state(Undelivered(cell.name, type(message).__name__))

    def rebuild(self, cell: Cell, actor: Actor[Any]) -> None:
        """Put a new incarnation behind `cell`: its state is the fold of its records. Raises what a fold raises."""
        actor.ctx = self
        folds = actor.folds
        cell.entity = is_entity = actor.entity  # known also of one whose records cannot be folded
        if not is_entity and cell.snapshot is not None:
            actor.restore(cell.snapshot)
        for record in cell.history if is_entity else self.log.records:
            fold = folds.get(type(record.event))
            if fold is not None:
                fold(actor, record.event, record)
        cell.actor, cell.handlers, cell.folds, cell.live = actor, actor.handlers, folds, True
        cell.incarnation += 1
        cell.timers = NOTHING
        if not is_entity:
            self.forget_routes()

    def snapshot(self) -> None:
        """Snapshot all folded states and forget the records before, if the journal is settled and nobody still has to fold them."""
        cells = [cell for cell in self.cells.values() if not cell.entity]
        if any(cell.status in ("starting", "down") for cell in cells) or not (self.log.settled and self.log.forget()):
            return
        for cell in cells:
            if cell.live:
                cell.snapshot = cell.actor.snapshot()

    def last_dispatches(self) -> str:
        """Return the last dispatches as text, oldest first: what was handled by whom, and its cause."""
        handled = [*self.ring, *self._queue[: len(self._queue) - length_hint(self._walk)]]
        return "\n".join(
            f"  {cell.name} <- {type(message).__name__} (cause {cause})"
            for cell, message, cause in handled[-RING_LENGTH:]
        )
