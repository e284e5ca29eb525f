"""Starting, restarting, stopping: carries out on the dispatcher's cells what `supervision.py` decides.

A crashed domain actor is rebuilt at the same instant, before the next message, and gets the message that crashed it
once more; a second crash on it makes it poison: recorded and dropped. An actor whose records cannot be folded is
quarantined, because skipping records would be worse, and that escalates. Escalation stops the failing subtree and halts
trading: a flag that the outbox itself checks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ..actors.actor import Actor, ActorDown, Record
from ..actors.errors import ActorError
from ..actors.events import ActorQuarantined, ActorRestarted, Escalated, MessagePoisoned
from ..actors.messages import Unknown
from .cell import NOBODY, Cell
from .crash_report import crash_report, order_of
from .dispatcher import Dispatcher
from .kernel import Kernel, RestartDue, ShutdownDeadline
from .supervision import Restart, Supervisor, SupervisorSpec, Verdict, backoff_ns

PERMANENT = Restart.PERMANENT  # looked up once: a member of an enum costs more than what is done with it
MAILBOX_BOUND = 100_000
REPORTS_KEPT = 100


class Lifecycle:
    """The running tree. `halted` is true after an escalation; `failure` then has its cause."""

    def __init__(self, dispatcher: Dispatcher, root: SupervisorSpec) -> None:
        self.dispatcher = dispatcher
        self.halted = False
        self.failure: BaseException | None = None
        self.reports: deque[str] = deque(maxlen=REPORTS_KEPT)
        self.down: dict[str, BaseException] = {}
        self.last_actor: dict[str, Any] = {}
        self.entity_left: Callable[[Cell], None] = lambda _: None
        self.entity_back: Callable[[Cell], None] = lambda _: None
        self.run: Callable[[Cell], Any] = _no_tasks
        self._supervisors: dict[str, Supervisor] = {}
        self._starting: deque[Cell] = deque()
        self._stopping: deque[Cell] = deque()
        self._kernel = Cell("lifecycle")
        self._kernel.actor = Kernel(self)
        self._kernel.handlers = Kernel.handlers
        d = dispatcher
        d.crashed, d.history_poisoned, d.undeliverable = self.crashed, self.history_poisoned, self.undeliverable
        d.child, d.spawned, d.stop_asked = self.child, self._spawned, self._stop
        d.readied, d.finished, d.watched, d.interrupted = self._ready, self._finished, self._watched, self.interrupted
        self._register(root)

    # --- Start -----------------------------------------------------------------------------------------------------

    def _register(self, spec: SupervisorSpec) -> None:
        """Make the cells of a subtree, in start order."""
        self._claim(spec.id)
        supervisor = self._supervisors[spec.id] = Supervisor(spec)
        for child in spec.children:
            supervisor.children[child.id] = None
            if isinstance(child, SupervisorSpec):
                self._register(child)
            else:
                self._claim(child.id)
                cell = self.dispatcher.cells[child.id] = Cell(child.id)
                cell.spec, cell.supervisor = child, supervisor
                self._starting.append(cell)

    def _claim(self, name: str) -> None:
        if name in self.dispatcher.cells or name in self._supervisors:
            raise ActorError(f"there is already an actor or supervisor {name!r}; names are unique in a tree")

    def _cells_of(self, children: Iterable[str]) -> list[Cell]:
        """Return the cells of these children, those below a child that is a supervisor included, in the order of their start."""
        names = list(children)
        for name in names:  # grows while we walk it
            supervisor = self._supervisors.get(name)
            if supervisor is not None:
                names += supervisor.children
        wanted = dict.fromkeys(names)
        return [
            cell for cell in self.dispatcher.cells.values() if cell.name in wanted or cell.supervisor.spec.id in wanted
        ]

    def start(self) -> None:
        """Start the children in order, each when the one before it is ready or gone for good."""
        while self._starting:
            cell = self._starting[0]
            if cell.status == "starting":
                cell.status = "running"
                self.incarnate(cell)
            if not cell.ready and self.dispatcher.cells.get(cell.name) is cell:
                return
            self._starting.popleft()

    @property
    def started(self) -> bool:
        """Whether every static child is ready."""
        return not self._starting

    def _ready(self, cell: Cell) -> None:
        cell.ready = True
        self.start()

    def child(self, supervisor_id: str, name: str) -> Cell:
        """Make the cell of a dynamic supervisor's child. Raises ActorError, within the turn, for one that cannot be."""
        supervisor = self._supervisors.get(supervisor_id)
        if supervisor is None or supervisor.spec.template is None:
            raise ActorError(f"there is no dynamic supervisor {supervisor_id!r} to spawn {name}")
        cell = Cell(name)
        cell.spec, cell.supervisor, cell.status, cell.ready = supervisor.spec.template, supervisor, "running", True
        return cell

    def _spawned(self, cell: Cell, history: tuple[Record, ...]) -> None:
        cell.history = list(history)
        if self.incarnate(cell) and len(history) > 1:
            self.entity_back(cell)

    def incarnate(self, cell: Cell) -> bool:
        """Build the actor from its records and run `on_start`. Return whether it lives."""
        try:
            actor: Actor[Any] = cell.spec.factory()
            self.dispatcher.rebuild(cell, actor)
        except Exception as error:  # noqa: BLE001 - whatever a factory or a fold raises
            self.history_poisoned(cell, error)
            return False
        if actor.acts_on_start and cell.status != "stopping":
            try:
                self.dispatcher.turn(cell, actor.on_start)
            except Exception as error:  # noqa: BLE001 - a crash like any other
                self.crashed(cell, None, error)
                return cell.live
        if actor.starts_ready:
            cell.ready = True
        if actor.runs:
            cell.task = self.run(cell)
        return True

    # --- Crash -----------------------------------------------------------------------------------------------------

    def crashed(self, cell: Cell, message: Any, error: Exception, attempt: int = 1) -> None:
        """Deal with a turn that raised; the dispatcher has dropped what it did."""
        dispatcher, cause = self.dispatcher, self.dispatcher.cause
        self.reports.append(crash_report(dispatcher, cell, message, error))
        received = type(message).__name__
        poison = attempt > 1
        if poison:
            dispatcher.state(MessagePoisoned(cell.name, received, repr(error), order_of(cell, message)))
            self._answer_unknown(message)
        verdict = cell.supervisor.judge(cell.name, cell.spec, dispatcher.now_ns)
        if verdict is Verdict.RESTART:
            self._tell_watchers(cell, repr(error), final=False)
            dispatcher.state(ActorRestarted(cell.name, cell.incarnation + 1, received, repr(error)))
            if message is not None and not poison:
                cell.mailbox = [(message, cause, 2), *cell.mailbox]
            if cell.spec.backoff is None:
                self._bring_back(cell)
            else:
                self._wait(cell)
            return
        self.down[cell.name] = error
        self.last_actor[cell.name] = cell.actor
        if not poison:
            self._answer_unknown(message)
        if verdict is Verdict.STOP:
            self._gone(cell, repr(error))
            return
        self._clean(cell)
        if verdict is Verdict.QUARANTINE:
            self._quarantine(cell, error)
        else:
            self._escalate(cell.supervisor, error)

    def interrupted(self, cell: Cell) -> None:
        """Make a turn unhappen that was broken off from outside, by Ctrl-C say: it is no crash, and the actor keeps its timers."""
        timers = cell.timers
        self._clean(cell)
        cell.timers = timers

    def _clean(self, cell: Cell) -> None:
        """Take back what a turn that did not end has changed by records that it made."""
        if cell.folds:
            try:
                self.dispatcher.rebuild(cell, cell.spec.factory())
            except Exception as error:  # noqa: BLE001 - then readers see what there is
                self.reports.append(crash_report(self.dispatcher, cell, None, error))

    def _bring_back(self, cell: Cell) -> None:
        """Rebuild an actor and whom its supervisor restarts with it, in order, then hand them what they have missed."""
        affected = cell.supervisor.affected(cell.name)
        cells = [cell] if affected == [cell.name] else self._cells_of(affected)
        back = [sibling for sibling in cells if sibling.status in ("running", "down", "stopping")]
        for sibling in back:
            if sibling.status == "down":
                sibling.status = "running"
            if not self.incarnate(sibling):
                break
        for sibling in back:
            if sibling.live:
                held, sibling.mailbox = sibling.mailbox, NOBODY
                for message, cause, attempt in held:
                    self._deliver(sibling, message, cause, attempt)

    def _deliver(self, cell: Cell, message: Any, cause: int, attempt: int) -> None:
        """Hand over a message that was held; a second crash on it makes it poison."""
        handler = cell.handlers.get(type(message))
        if handler is None:
            self.dispatcher.deliver((cell, message, cause))
            return
        try:
            self.dispatcher.turn(cell, lambda: handler(cell.actor, message), cause)
        except Exception as error:  # noqa: BLE001 - any exception of a handler is a crash of its actor
            self.crashed(cell, message, error, attempt)

    def _wait(self, cell: Cell) -> None:
        """Hold the actor down for its backoff; its messages wait, the one that crashed it first."""
        cell.status = "down"
        cell.silence()
        self.dispatcher.forget_routes()
        if self.dispatcher.now_ns - cell.down_ns > 2 * cell.spec.backoff.longest_ns:
            cell.attempt = 0  # it has lived long enough in between for this to be a trouble of its own
        cell.down_ns = self.dispatcher.now_ns
        delay = backoff_ns(cell.spec.backoff, self.dispatcher.seed, cell.name, cell.attempt)
        cell.attempt += 1
        self.dispatcher.turn(self._kernel, lambda: self.dispatcher.set_timer(cell.name, delay, RestartDue(cell.name)))

    def restart_due(self, name: str) -> None:
        """Bring back an actor whose backoff is over, and go on with a start that waited for it."""
        cell = self.dispatcher.cells.get(name)
        if cell is not None and cell.status == "down":
            self._bring_back(cell)
            self.start()

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
        if not self.halted:
            self.halted, self.failure = True, error
        stopped = [
            cell
            for cell in reversed(self._cells_of([supervisor.spec.id]))
            if cell.status not in ("stopped", "quarantined")
        ]
        for cell in stopped:
            cell.silence()
            cell.status = "stopped"
        self.dispatcher.forget_routes()
        self.dispatcher.state(Escalated(supervisor.spec.id, repr(error)))
        for cell in stopped:
            self._tell_watchers(cell, repr(error), final=True)
            self._give_up_on(cell)

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
            else:
                cell.mailbox = cell.mailbox or []
                cell.mailbox.append((message, self.dispatcher.cause, 1))
                return
        self.dispatcher.state_undelivered(cell, message)
        self._answer_unknown(message)

    def _give_up_on(self, cell: Cell) -> None:
        """Record what was held for an actor that is stopped, and answer who asked."""
        held, cell.mailbox = cell.mailbox, NOBODY
        for message, cause, _ in held:
            self.dispatcher.deliver((cell, message, cause))

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
        self._stopping = deque(reversed([cell for cell in self.dispatcher.cells.values() if cell.status != "stopped"]))
        self._stop_next()

    def stop_children(self, supervisor: str) -> None:
        """Stop the children of a supervisor that nobody restarts, the last one first; the rest of the tree goes on."""
        for cell in reversed(self._cells_of([supervisor])):
            self._ask_to_stop(cell)

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
        """Run `on_stop`; return whether the ladder may go on to the next."""
        if cell.status == "stopping":
            return False
        if self.dispatcher.cells.get(cell.name) is not cell:
            return True
        if cell.live and (cell.spec.shutdown_ns or cell.actor.acts_on_stop):
            if cell.spec.shutdown_ns:
                cell.status = "stopping"
            try:
                self.dispatcher.turn(cell, cell.actor.on_stop)
            except Exception as error:  # noqa: BLE001 - a stop goes on whatever a child does
                self.reports.append(crash_report(self.dispatcher, cell, "on_stop", error))
            else:
                if cell.status == "stopped":  # it said so itself, and the ladder has gone on
                    return False
                if cell.spec.shutdown_ns:
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
        if cell.spec.restart is not PERMANENT:
            self._ask_to_stop(cell)
        elif cell.status == "running":
            self.crashed(cell, None, ActorError("a permanent actor stopped"))

    def _gone(self, cell: Cell, reason: str) -> None:
        """Forget an actor that stopped for good."""
        cell.status = "stopped"
        cell.silence()
        if cell.watchers:
            self._tell_watchers(cell, reason, final=True)
        if cell.entity:
            self.entity_left(cell)
        else:
            self.dispatcher.forget_routes()
        del self.dispatcher.cells[cell.name]
        cell.supervisor.forget(cell.name)
        if cell.mailbox:
            self._give_up_on(cell)


def _no_tasks(cell: Cell) -> Any:
    raise ActorError(f"{cell.name} has a run(), and this driver runs no tasks")
