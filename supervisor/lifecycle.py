"""Starting, restarting, stopping: carries out on the dispatcher's cells what `supervision.py` decides.

A crashed domain actor is rebuilt at the same instant, before the next message, and gets the message that crashed it once more; a second
crash on it makes it poison: recorded and dropped. An actor whose records cannot be folded is quarantined, because skipping records would
be worse, and that escalates. Escalation stops the failing subtree and halts trading: a flag that the outbox itself checks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from ..actors.actor import Actor, ActorDown, Record, handler
from ..actors.errors import ActorError
from ..actors.events import ActorQuarantined, ActorRestarted, Escalated, MessagePoisoned
from ..actors.messages import Unknown
from .dispatcher import NOBODY, Cell, Dispatcher, crash_report
from .supervision import ChildSpec, Restart, Supervisor, SupervisorSpec, Verdict, backoff_ns

MAILBOX_BOUND = 100_000
REPORTS_KEPT = 100


class RestartDue(msgspec.Struct, frozen=True):
    """Timer: the backoff of an actor is over."""

    actor: str


class ShutdownDeadline(msgspec.Struct, frozen=True):
    """Timer: an actor has not stopped in time."""

    actor: str


class Lifecycle:
    """The running tree. `halted` is true after an escalation; `failure` then has its cause."""

    def __init__(self, dispatcher: Dispatcher, root: SupervisorSpec) -> None:
        self.dispatcher = dispatcher
        self.halted = False
        self.failure: BaseException | None = None
        self.reports: deque[str] = deque(maxlen=REPORTS_KEPT)
        self.down: dict[str, BaseException] = {}
        self.last_actor: dict[str, Any] = {}
        self.entity_left: Callable[[Cell], None] = lambda cell: None
        self.entity_back: Callable[[Cell], None] = lambda cell: None
        self._supervisors: dict[str, Supervisor] = {}
        self._subtrees: dict[str, list[str]] = {}
        self._starting: deque[Cell] = deque()
        self._stopping: deque[Cell] = deque()
        self._kernel = Cell("lifecycle")
        self._kernel.actor = _Kernel(self)
        self._kernel.handlers = _Kernel.handlers
        d = dispatcher
        d.crashed, d.history_poisoned, d.undeliverable = self.crashed, self.history_poisoned, self.undeliverable
        d.spawned, d.stop_asked, d.readied, d.finished, d.watched = (
            self._spawned,
            self._stop,
            self._ready,
            self._finished,
            self._watched,
        )
        d.may_spawn = self.may_spawn
        self._register(root)

    # --- Start -----------------------------------------------------------------------------------------------------

    def _register(self, spec: SupervisorSpec) -> list[str]:
        """Make the cells of a subtree, in start order; return their names."""
        supervisor = self._supervisors[spec.id] = Supervisor(spec)
        names: list[str] = []
        for child in spec.children:
            if isinstance(child, SupervisorSpec):
                supervisor.children[child.id] = None
                names += self._register(child)
            else:
                supervisor.children[child.id] = None
                self._starting.append(self._add(Cell(child.id), child, supervisor))
                names.append(child.id)
        self._subtrees[spec.id] = names
        return names

    def _add(self, cell: Cell, spec: ChildSpec, supervisor: Supervisor) -> Cell:
        if cell.name in self.dispatcher.cells:
            raise ActorError(f"there is already an actor {cell.name!r}; names are unique in a tree")
        cell.spec, cell.supervisor = spec, supervisor
        self.dispatcher.cells[cell.name] = cell
        return cell

    def start(self) -> None:
        """Start the children in order, each when the one before it is ready."""
        while self._starting:
            cell = self._starting[0]
            if cell.status == "starting":
                cell.status = "running"
                if not self._incarnate(cell):
                    return
                if type(cell.actor).starts_ready:
                    cell.ready = True
            if not cell.ready:
                return
            self._starting.popleft()

    @property
    def started(self) -> bool:
        """Whether every static child is ready."""
        return not self._starting

    def _ready(self, cell: Cell) -> None:
        cell.ready = True
        self.start()

    def _spawned(self, supervisor_id: str, cell: Cell, history: tuple[Record, ...]) -> None:
        supervisor = self._supervisors[supervisor_id]
        cell.spec, cell.supervisor = supervisor.spec.template, supervisor
        cell.history = list(history)
        self.dispatcher.cells[cell.name] = cell
        cell.status, cell.ready = "running", True
        if self._incarnate(cell) and len(history) > 1:
            self.entity_back(cell)

    def _incarnate(self, cell: Cell) -> bool:
        """Build the actor from its records and run `on_start`. Return whether it lives."""
        try:
            actor: Actor[Any] = cell.spec.factory()
            cell.entity = actor.entity
            self.dispatcher.rebuild(cell, actor)
        except Exception as error:  # noqa: BLE001 - whatever a factory or a fold raises
            self.history_poisoned(cell, error)
            return False
        if type(actor).on_start is not Actor.on_start and cell.status != "stopping":
            try:
                self.dispatcher.turn(cell, actor.on_start)
            except Exception as error:  # noqa: BLE001 - a crash like any other
                self.crashed(cell, None, error)
                return cell.live
        return True

    def may_spawn(self, supervisor_id: str, name: str) -> None:
        """Raise ActorError, within the turn, for a child that cannot be spawned."""
        supervisor = self._supervisors.get(supervisor_id)
        if supervisor is None or supervisor.spec.template is None:
            raise ActorError(f"there is no dynamic supervisor {supervisor_id!r} to spawn {name}")

    # --- Crash -----------------------------------------------------------------------------------------------------

    def crashed(self, cell: Cell, message: Any, error: Exception, attempt: int = 1) -> None:
        """Deal with a turn that raised; the dispatcher has dropped what it did."""
        dispatcher = self.dispatcher
        self.reports.append(crash_report(dispatcher, cell, message, error))
        received = type(message).__name__
        poison = attempt > 1
        if poison:
            dispatcher.state(MessagePoisoned(cell.name, received, repr(error), _order_of(cell, message)))
            self._answer_unknown(message)
        verdict = cell.supervisor.judge(cell.name, cell.spec, dispatcher.now_ns)
        if verdict is Verdict.RESTART:
            self._tell_watchers(cell, repr(error), final=False)
            if cell.spec.backoff is not None:
                self._wait(cell, message, error, poison=poison)
            else:
                self._restart(cell, message, error, poison=poison)
            return
        self.down[cell.name] = error
        self.last_actor[cell.name] = cell.actor
        if not poison:
            self._answer_unknown(message)
        if verdict is Verdict.QUARANTINE:
            self._quarantine(cell, error)
        elif verdict is Verdict.STOP:
            self._gone(cell, repr(error))
        else:
            self._escalate(cell.supervisor, error)

    def _restart(self, cell: Cell, message: Any, error: BaseException, *, poison: bool) -> None:
        """Rebuild the crashed actor and whom its supervisor restarts with it, then deliver the message once more."""
        received = type(message).__name__
        self.dispatcher.state(ActorRestarted(cell.name, cell.incarnation + 1, received, repr(error)))
        for name in self._restarted_with(cell):
            sibling = self.dispatcher.cells[name]
            if sibling.status in ("running", "down", "stopping") and not self._incarnate(sibling):
                return
        if message is None or poison:
            return
        handler = cell.handlers.get(type(message))
        if handler is None:
            return
        try:
            self.dispatcher.turn(cell, lambda: handler(cell.actor, message))
        except Exception as again:  # noqa: BLE001 - the second crash makes the message poison
            self.crashed(cell, message, again, attempt=2)

    def _restarted_with(self, cell: Cell) -> list[str]:
        names: list[str] = []
        for child in cell.supervisor.affected(cell.name):
            names += self._subtrees.get(child, [child])
        return names

    def _wait(self, cell: Cell, message: Any, error: BaseException, *, poison: bool) -> None:
        """Hold the actor down for its backoff; its messages wait, the one that crashed it first."""
        cell.status = "down"
        cell.mailbox = [] if poison or message is None else [message]
        cell.silence()
        self.dispatcher.forget_routes()
        self.dispatcher.state(ActorRestarted(cell.name, cell.incarnation + 1, type(message).__name__, repr(error)))
        delay = backoff_ns(cell.spec.backoff, self.dispatcher.seed, cell.name, cell.attempt)
        cell.attempt += 1
        self.dispatcher.turn(self._kernel, lambda: self.dispatcher.set_timer(cell.name, delay, RestartDue(cell.name)))

    def restart_due(self, name: str) -> None:
        """Bring back an actor whose backoff is over, and hand it what it missed."""
        cell = self.dispatcher.cells.get(name)
        if cell is None or cell.status != "down":
            return
        cell.status = "running"
        held, cell.mailbox = cell.mailbox, NOBODY
        if self._incarnate(cell):
            for message in held:
                self.dispatcher.tell(cell, message)

    def history_poisoned(self, cell: Cell, error: Exception) -> None:
        """Quarantine an actor whose records cannot be folded, and escalate."""
        self.reports.append(crash_report(self.dispatcher, cell, None, error))
        self.down[cell.name] = error
        self._quarantine(cell, error)
        if not cell.entity:
            self._escalate(cell.supervisor, error)

    def _quarantine(self, cell: Cell, error: BaseException) -> None:
        cell.status = "quarantined"
        cell.silence()
        self.dispatcher.forget_routes()
        self.dispatcher.state(ActorQuarantined(cell.name, repr(error)))
        self._tell_watchers(cell, repr(error), final=True)

    def _escalate(self, supervisor: Supervisor, error: BaseException) -> None:
        """Give up on a supervisor's children: stop them and halt trading."""
        if self.halted:
            return
        self.halted, self.failure = True, error
        names = self._subtrees[supervisor.spec.id]
        for cell in reversed(self.dispatcher.cells.values()):
            if cell.live and (cell.supervisor is supervisor or cell.name in names):
                cell.silence()
                cell.status = "stopped"
        self.dispatcher.forget_routes()
        self.dispatcher.state(Escalated(supervisor.spec.id, repr(error)))

    def crash(self, name: str, error: Exception) -> None:
        """Crash an actor between turns: it is rebuilt, and nothing is delivered again."""
        self.crashed(self.dispatcher.cells[name], None, error)

    # --- Undeliverable ---------------------------------------------------------------------------------------------

    def undeliverable(self, cell: Cell, message: Any) -> None:
        """Keep what an actor that is down will get when it is back; record what nobody takes."""
        if cell.status == "down":
            if len(cell.mailbox) >= MAILBOX_BOUND:
                self._escalate(
                    cell.supervisor, ActorError(f"{cell.name} is down and {MAILBOX_BOUND} messages wait for it")
                )
                return
            cell.mailbox.append(message)
            return
        self.dispatcher.state_undelivered(cell, message)
        self._answer_unknown(message)

    def _answer_unknown(self, message: Any) -> None:
        to = getattr(message, "reply_to", None) or getattr(getattr(message, "then", None), "reply_to", None)
        if to is not None:
            self.dispatcher.turn(self._kernel, lambda: self.dispatcher.reply(to, Unknown()))

    def _tell_watchers(self, cell: Cell, reason: str, *, final: bool) -> None:
        for watcher in cell.watchers:
            self.dispatcher.tell(watcher, ActorDown(cell.name, reason, final))

    def _watched(self, cell: Cell, watcher: Cell) -> None:
        if cell.status in ("stopped", "quarantined"):
            self.dispatcher.tell(watcher, ActorDown(cell.name, "already down", final=True))
        elif watcher not in cell.watchers:
            cell.watchers = [*cell.watchers, watcher]

    # --- Stop ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the whole tree in reverse order of start: ask, wait until the deadline, then drop."""
        self._stopping = deque(
            reversed([cell for cell in self.dispatcher.cells.values() if cell.status != "stopped"])
        )
        self._stop_next()

    @property
    def stopped(self) -> bool:
        """Whether `stop` has stopped every actor."""
        return not self._stopping

    def _stop_next(self) -> None:
        while self._stopping:
            if not self._ask_to_stop(self._stopping[0]):
                return
            self._stopping.popleft()

    def _ask_to_stop(self, cell: Cell) -> bool:
        """Run `on_stop`; return whether the actor is gone."""
        if cell.status == "stopping":
            return False
        if cell.live and (cell.spec.shutdown_ns or type(cell.actor).on_stop is not Actor.on_stop):
            try:
                self.dispatcher.turn(cell, cell.actor.on_stop)
            except Exception as error:  # noqa: BLE001 - a stop goes on whatever a child does
                self.reports.append(crash_report(self.dispatcher, cell, "on_stop", error))
            else:
                if cell.spec.shutdown_ns:
                    cell.status = "stopping"
                    deadline = ShutdownDeadline(cell.name)
                    self.dispatcher.turn(
                        self._kernel, lambda: self.dispatcher.set_timer(cell.name, cell.spec.shutdown_ns, deadline)
                    )
                    return False
        self._gone(cell, "stopped")
        return True

    def _finished(self, cell: Cell) -> None:
        """An actor that was asked to stop has stopped, in time or by its deadline."""
        if cell.status != "stopping":
            return
        self.dispatcher.turn(self._kernel, lambda: self.dispatcher.cancel_timer(cell.name))
        self._gone(cell, "stopped")
        if self._stopping and self._stopping[0] is cell:
            self._stopping.popleft()
            self._stop_next()

    def deadline_passed(self, name: str) -> None:
        """Drop an actor that has not stopped in time."""
        cell = self.dispatcher.cells.get(name)
        if cell is not None:
            self.reports.append(f"{name} did not stop within its deadline and was dropped")
            self._finished(cell)

    def _stop(self, cell: Cell) -> None:
        """An actor asked for this one to be stopped; a permanent child that stops is restarted."""
        if cell.status == "stopped":
            return
        if cell.spec.restart is Restart.PERMANENT:
            self._restart(cell, None, ActorError("a permanent actor stopped"), poison=False)
        else:
            self._ask_to_stop(cell)

    def _gone(self, cell: Cell, reason: str) -> None:
        """Forget an actor that stopped for good."""
        cell.status = "stopped"
        cell.silence()
        self._tell_watchers(cell, reason, final=True)
        if cell.entity:
            self.entity_left(cell)
        else:
            self.dispatcher.forget_routes()
        del self.dispatcher.cells[cell.name]
        cell.supervisor.forget(cell.name)


def _order_of(cell: Cell, message: Any) -> str:
    """Return the id of the order that a message is about: its actor's, or the one that the message names."""
    if cell.entity:
        return cell.name.partition("/")[2]
    for part in (message, getattr(message, "order", None), getattr(getattr(message, "approved", None), "order", None)):
        order_id: str = getattr(part, "client_order_id", "")
        if order_id:
            return order_id
    return str(getattr(message, "wire_id", "")).rpartition(".")[0]


class _Kernel(Actor[RestartDue | ShutdownDeadline]):
    """Receives the lifecycle's own timers."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle

    @handler
    def restart_due(self, message: RestartDue) -> None:
        self.lifecycle.restart_due(message.actor)

    @handler
    def shutdown_deadline(self, message: ShutdownDeadline) -> None:
        self.lifecycle.deadline_passed(message.actor)
