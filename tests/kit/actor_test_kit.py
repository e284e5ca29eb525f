"""One actor by itself: deliver a message, see what came out. No dispatcher, no tree."""

from __future__ import annotations

from typing import Any

import msgspec

from ordersmith.actors.actor import Actor, ActorRef, Event, Record, ReplyTo
from ordersmith.actors.errors import ActorError


class Outcome(msgspec.Struct):
    """All that one turn did, in order within each kind."""

    told: list[tuple[str, Any]] = []
    recorded: list[Event] = []
    sent: list[tuple[str, Any]] = []
    replied: list[tuple[ReplyTo, Any]] = []
    timers: dict[str, tuple[int, Any]] = {}
    cancelled_timers: list[str] = []
    spawned: list[tuple[str, str]] = []
    stopped: list[str] = []
    watched: list[str] = []
    split: list[tuple[ReplyTo, int]] = []
    said: list[str] = []

    def told_to(self, name: str) -> list[Any]:
        return [message for to, message in self.told if to == name]


class RecordingContext:
    """A `Context` that carries nothing out. Actors exist once they are referred to; `views` are what they show."""

    def __init__(self, views: dict[str, Any] | None = None, absent: tuple[str, ...] = ()) -> None:
        self.now_ns = 0
        self.cause = -1
        self.views = views or {}
        self.absent = absent
        self.outcome = Outcome()
        self.journal: list[Record] = []
        self.actor: Actor[Any] | None = None

    def tell(self, ref: ActorRef[Any], message: Any) -> None:
        self.outcome.told.append((ref.name, message))

    def record(self, event: Event) -> Record:
        record = Record(len(self.journal) + 1, self.now_ns, self.cause, event)
        self.journal.append(record)
        self.outcome.recorded.append(event)
        self.apply(record)
        return record

    def apply(self, record: Record) -> None:
        assert self.actor is not None
        fold = self.actor.folds.get(type(record.event))
        if fold is not None:
            fold(self.actor, record.event, record)

    def send(self, port: str, command: Any) -> None:
        self.outcome.sent.append((port, command))

    def reply(self, to: ReplyTo | None, answer: Any) -> None:
        if to is not None:
            self.outcome.replied.append((to, answer))

    def split(self, to: ReplyTo | None, parts: int) -> list[ReplyTo | None]:
        if to is None:
            return [None] * parts
        self.outcome.split.append((to, parts))
        return [ReplyTo(to.ask, index) for index in range(parts)]

    def set_timer(self, key: str, delay_ns: int, message: Any) -> None:
        self.outcome.timers[key] = (self.now_ns + delay_ns, message)

    def cancel_timer(self, key: str) -> None:
        self.outcome.timers.pop(key, None)
        self.outcome.cancelled_timers.append(key)

    def spawn(self, supervisor: str, name: str, history: tuple[Record, ...] = ()) -> ActorRef[Any]:
        self.outcome.spawned.append((supervisor, name))
        return ActorRef(name)

    def stop(self, ref: ActorRef[Any]) -> None:
        self.outcome.stopped.append(ref.name)

    def watch(self, ref: ActorRef[Any]) -> None:
        self.outcome.watched.append(ref.name)

    def find(self, name: str) -> ActorRef[Any] | None:
        return None if name in self.absent else ActorRef(name)

    def refer(self, name: str) -> ActorRef[Any]:
        ref = self.find(name)
        if ref is None:
            raise ActorError(f"there is no actor {name!r}")
        return ref

    def view(self, name: str) -> Any:
        return self.views.get(name)

    def ready(self) -> None:
        self.outcome.said.append("ready")

    def stopped(self) -> None:
        self.outcome.said.append("stopped")


class ActorTestKit:
    """Holds one actor. `history` are events that it has folded before; `views` and `absent` are its surroundings."""

    def __init__(
        self,
        actor: Actor[Any],
        *history: Event,
        views: dict[str, Any] | None = None,
        absent: tuple[str, ...] = (),
    ) -> None:
        self.actor = actor
        self.context = RecordingContext(views, absent)
        self.context.actor = actor
        actor.ctx = self.context
        for event in history:
            self.context.record(event)
        self.context.outcome = Outcome()

    def deliver(self, message: Any, now_ns: int | None = None) -> Outcome:
        """Deliver one message and return what came out of its turn. Raises what the handler raises."""
        if type(message) not in self.actor.handlers:
            raise AssertionError(f"{type(self.actor).__name__} does not receive {type(message).__name__}")
        return self._turn(lambda: self.actor.handlers[type(message)](self.actor, message), now_ns)

    def start(self) -> Outcome:
        return self._turn(self.actor.on_start, None)

    def stop(self) -> Outcome:
        return self._turn(self.actor.on_stop, None)

    def learn(self, event: Event) -> None:
        """Let the actor fold somebody else's record."""
        self.context.record(event)

    def _turn(self, act: Any, now_ns: int | None) -> Outcome:
        if now_ns is not None:
            self.context.now_ns = now_ns
        self.context.outcome = Outcome()
        act()
        return self.context.outcome
