"""A toy tree to test the actor system in: puppets that do what a message says, and stores that answer when they are told to.

The lives of all puppets are written into one diary as they happen: `a starts`, `a hears hello`, `a stops`, `a learns b down`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ordersmith.actors.actor import Actor, ActorDown, Event, Record, ReplyTo, fold, handler
from ordersmith.actors.errors import JournalError
from ordersmith.actors.ports import JournalStore
from ordersmith.adapters.memory_journal import MemoryJournal
from ordersmith.supervisor.dispatcher import Dispatcher
from ordersmith.supervisor.lifecycle import Lifecycle
from ordersmith.supervisor.supervision import ChildSpec, RestartStrategy, SupervisorSpec

Act = Callable[["Puppet"], Any]


class Counted(Event, frozen=True):
    """A toy fact: `name` was counted up by `by`."""

    name: str
    by: int = 1


class Broken(Event, frozen=True):
    """A toy fact that a puppet named in `victims` cannot fold."""

    victims: tuple[str, ...]


class Hear(msgspec.Struct, frozen=True):
    """A message without consequences but an entry in the diary."""

    text: str


class Do(msgspec.Struct, frozen=True):
    """Do `act` as a turn; `text` is what the diary calls it."""

    act: Act
    text: str = ""
    reply_to: ReplyTo | None = None
    client_order_id: str = ""


class Strange(msgspec.Struct, frozen=True):
    """A message that no puppet handles."""

    reply_to: ReplyTo | None = None


class Counts(msgspec.Struct):
    """What a puppet folds: sums by name, and the numbers of all records that it has seen."""

    sums: dict[str, int] = msgspec.field(default_factory=dict)
    numbers: list[int] = msgspec.field(default_factory=list)


class Puppet(Actor[Hear | Do | ActorDown]):
    """Does what it is told. `starting` and `stopping` are what it does in `on_start` and `on_stop`."""

    state: Counts

    def __init__(self, name: str, diary: list[str], starting: Act | None = None, stopping: Act | None = None) -> None:
        self.state = Counts()
        self.name = name
        self.diary = diary
        self.starting = starting
        self.stopping = stopping

    def on_start(self) -> None:
        self.diary.append(f"{self.name} starts")
        if self.starting is not None:
            self.starting(self)

    def on_stop(self) -> None:
        self.diary.append(f"{self.name} stops")
        if self.stopping is not None:
            self.stopping(self)

    def view(self) -> Counts:
        return self.state

    @handler
    def hear(self, message: Hear) -> None:
        self.diary.append(f"{self.name} hears {message.text}")

    @handler
    def do(self, message: Do) -> None:
        if message.text:
            self.diary.append(f"{self.name} does {message.text}")
        message.act(self)

    @handler
    def down(self, message: ActorDown) -> None:
        self.diary.append(f"{self.name} learns {message.name} {'gone' if message.final else 'down'}")

    @fold
    def _counted(self, event: Counted, record: Record) -> None:
        self.state.sums[event.name] = self.state.sums.get(event.name, 0) + event.by
        self.state.numbers.append(record.number)

    @fold
    def _broken(self, event: Broken, record: Record) -> None:
        self.state.numbers.append(record.number)
        if self.name in event.victims:
            raise ValueError(f"{self.name} cannot fold record {record.number}")

    # --- In few words --------------------------------------------------------------------------------------------------

    def say(self, to: str, text: str) -> None:
        self.ctx.tell(self.ctx.refer(to), Hear(text))

    def count(self, by: int = 1) -> Record:
        return self.ctx.record(Counted(self.name, by))


class PuppetEntity(Puppet):
    """A puppet that folds its own records only."""

    entity = True


class SlowPuppet(Puppet):
    """A puppet that says itself when it is ready."""

    starts_ready = False


class Fails:
    """Raises the first `times` times that it is called, then returns None."""

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.left = times
        self.calls = 0
        self.error = error

    def __call__(self, puppet: object = None) -> None:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error or ValueError(f"failure {self.calls}")


class LateStore:
    """A store that answers a batch when `commit` is called."""

    volatile = False

    def __init__(self) -> None:
        self.kept = MemoryJournal()
        self.batches: list[tuple[int, ...]] = []
        self._answers: list[tuple[int, Callable[[int], None]]] = []

    def append(self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]) -> None:
        self.batches.append(tuple(range(first, first + len(ends))))
        self.kept.append(first, data, ends, lambda number: self._answers.append((number, committed)))

    def commit(self) -> None:
        """Say that the oldest batch without an answer is durable."""
        number, committed = self._answers.pop(0)
        committed(number)

    @property
    def busy(self) -> int:
        """How many batches have no answer."""
        return len(self._answers)

    def history(self, client_order_id: str) -> list[bytes]:
        return self.kept.history(client_order_id)

    def read(self, after: int = 0) -> list[bytes]:
        return list(self.kept.read(after))


class FailingStore(LateStore):
    """A store whose disk is full from the batch number `fails_at` on."""

    def __init__(self, fails_at: int = 1) -> None:
        super().__init__()
        self.fails_at = fails_at

    def append(self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]) -> None:
        if len(self.batches) + 1 >= self.fails_at:
            raise JournalError("the disk is full")
        super().append(first, data, ends, committed)
        self.commit()


class Sink:
    """A port that writes down what is released to it."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.causes: list[int] = []

    def accept(self, command: Any, cause: int) -> None:
        self.taken.append(command)
        self.causes.append(cause)


class ToyTree:
    """A dispatcher and a lifecycle over puppets, with the port `out` and one diary for all."""

    def __init__(self, store: JournalStore | None = None, seed: int = 0, ask_bound: int = 10_000) -> None:
        self.diary: list[str] = []
        self.answers: list[Any] = []
        self.dispatcher = Dispatcher(store or MemoryJournal(), seed=seed, ask_bound=ask_bound)
        self.out = self.dispatcher.ports["out"] = Sink()
        self.lifecycle: Lifecycle

    def child(
        self,
        name: str,
        starting: Act | None = None,
        stopping: Act | None = None,
        kind: type[Puppet] = Puppet,
        **spec: Any,
    ) -> ChildSpec:
        """Return the spec of a puppet."""
        return ChildSpec(id=name, factory=lambda: kind(name, self.diary, starting, stopping), **spec)

    def grow(self, *children: ChildSpec | SupervisorSpec | str, **spec: Any) -> ToyTree:
        """Start these children, names for plain puppets, under one supervisor."""
        made = tuple(self.child(child) if isinstance(child, str) else child for child in children)
        self.lifecycle = Lifecycle(self.dispatcher, SupervisorSpec(id=spec.pop("id", "root"), children=made, **spec))
        self.lifecycle.start()
        self.run()
        return self

    def run(self, now_ns: int | None = None) -> None:
        self.dispatcher.run(self.dispatcher.now_ns if now_ns is None else now_ns)

    def post(self, name: str, act: Act | str, text: str = "") -> None:
        """Post something to do, or to hear, for the next tick."""
        self.dispatcher.post(self.dispatcher.refer(name), Hear(act) if isinstance(act, str) else Do(act, text))

    def do(self, name: str, act: Act | str, text: str = "") -> None:
        """Post it and run at the present time."""
        self.post(name, act, text)
        self.run()

    def ask(self, name: str, act: Callable[[Puppet, ReplyTo], Any]) -> None:
        """Ask; what is answered is in `answers`."""
        self.dispatcher.ask(
            self.dispatcher.refer(name),
            lambda to: Do(lambda puppet: act(puppet, to), reply_to=to),
            self.answers.append,
        )

    def puppet(self, name: str) -> Puppet:
        puppet: Puppet = self.dispatcher.cells[name].actor
        return puppet

    def status(self, name: str) -> str:
        status: str = self.dispatcher.cells[name].status
        return status

    def sums(self, name: str) -> dict[str, int]:
        return self.puppet(name).state.sums

    @property
    def records(self) -> list[Record]:
        return list(self.dispatcher.log.records)

    @property
    def events(self) -> list[Any]:
        return [record.event for record in self.records]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def starts(self) -> list[str]:
        """The names of the puppets that have started, again and again, in order."""
        return [entry.split()[0] for entry in self.diary if entry.endswith(" starts")]

    def heard(self, name: str) -> list[str]:
        return [entry.removeprefix(f"{name} hears ") for entry in self.diary if entry.startswith(f"{name} hears ")]


def rest_for_one(id: str, *children: ChildSpec | SupervisorSpec) -> SupervisorSpec:  # noqa: A002 - the spec's own word
    return SupervisorSpec(id=id, strategy=RestartStrategy.REST_FOR_ONE, children=children)
