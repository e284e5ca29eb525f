"""What an actor is: state that is a fold of the journal, and handlers that decide, one message at a time.

An actor declares the union of messages that it receives and has one `@handler` for each; a member without a handler is
an error when the class is made. A handler runs to completion (a *turn*) and nothing that it does is seen by anybody
before it returns: if it raises, the turn never happened.

State changes only in `@fold` methods, which take records. An actor's own records are folded at once, everybody else's
at the end of the turn that recorded them, before the next message is handled: so at the start of every turn every
actor's state is the fold of the whole journal, and an actor rebuilt from the records cannot be told from one that never
crashed. A handler for an *event* is a reaction: the record arrives as a message, after all folds of it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from .errors import ActorError

M = TypeVar("M")
F = TypeVar("F", bound=Callable[..., Any])

_ENCODER = msgspec.msgpack.Encoder()

Handler = Callable[[Any, Any], None]
Fold = Callable[[Any, Any, "Record"], None]


class Event(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """A durable fact. Past tense; new fields go to the end and have defaults."""


class OrderEvent(Event, frozen=True):
    """Something that happened to an order."""

    client_order_id: str


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event with its number, its time, and what caused it: a record's number, or minus the number of an input of this boot."""

    number: int
    at_ns: int
    cause: int
    event: Any


class ReplyTo(msgspec.Struct, frozen=True, gc=False):
    """Where the answer to a request goes: part `index` of an open ask."""

    ask: int
    index: int = 0


class ActorRef(Generic[M]):
    """A stable address: it stays valid while the actor behind it is restarted. Made by the runtime only."""

    incarnation = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Context(Protocol):
    """What a turn may do. Effects are applied when the turn returns, and not at all if it raises."""

    now_ns: int

    def tell(self, ref: ActorRef[M], message: M) -> None:
        """Send `message`; it is handled after this turn."""

    def record(self, event: Event) -> Record:
        """State a fact: append it to the journal, fold it here now and elsewhere when the turn ends."""

    def send(self, port: str, command: Any) -> None:
        """Hand `command` to a port once everything recorded until the end of this turn is durable."""

    def reply(self, to: ReplyTo | None, answer: Any) -> None:
        """Answer a request, equally after the commit. None (nobody asked) is allowed."""

    def split(self, to: ReplyTo | None, parts: int) -> list[ReplyTo | None]:
        """Make the answer a list of `parts` answers, each replied to on its own; none is an empty list at once."""

    def set_timer(self, key: str, delay_ns: int, message: Any) -> None:
        """Deliver `message` to this actor after `delay_ns`. A timer of the same key is replaced and never delivered."""

    def cancel_timer(self, key: str) -> None:
        """Forget a timer: it is not delivered, even if it has already fired."""

    def spawn(self, supervisor: str, name: str, history: tuple[Record, ...] = ()) -> ActorRef[Any]:
        """Start a child of a dynamic supervisor, its state the fold of `history`."""

    def stop(self, ref: ActorRef[Any]) -> None:
        """Stop an actor for good."""

    def watch(self, ref: ActorRef[Any]) -> None:
        """Receive `ActorDown` when `ref` stops, crashes or is quarantined."""

    def find(self, name: str) -> ActorRef[Any] | None:
        """Return the running or quarantined actor of that name."""

    def refer(self, name: str) -> ActorRef[Any]:
        """Return the actor of that name; raise ActorError if there is none."""

    def view(self, name: str) -> Any:
        """Return what the actor of that name shows to readers, None if there is none.

        Reading changes nothing and is never stale.
        """

    def ready(self) -> None:
        """Say that this actor has finished starting; for actors with `starts_ready = False`."""

    def stopped(self) -> None:
        """Say that this actor has finished stopping, before its shutdown deadline."""


class ActorDown(msgspec.Struct, frozen=True):
    """The watched actor went down. `final` is false if it is being restarted."""

    name: str
    reason: str
    final: bool


def handler(method: F) -> F:
    """Mark the method that handles the message type of its argument's annotation."""
    method.__ordersmith__ = "handler"  # type: ignore[attr-defined]
    return method


def fold(method: F) -> F:
    """Mark the method that folds records of the event type (or union) of its first argument's annotation."""
    method.__ordersmith__ = "fold"  # type: ignore[attr-defined]
    return method


def members(annotation: Any) -> Iterable[type]:
    """Yield the members of a union, the one type itself, or nothing for Never."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        yield from typing.get_args(annotation)
    elif annotation is not typing.Never:
        yield annotation


def _taken_by(cls: type, method: Any) -> Any:
    """Return the annotation of what a handler or fold takes."""
    parameters = list(method.__code__.co_varnames)[1 : method.__code__.co_argcount]
    hints = typing.get_type_hints(method)
    if not parameters or parameters[0] not in hints:
        raise ActorError(
            f"{cls.__name__}.{method.__name__} must annotate the type of its first argument: it says what is taken"
        )
    return hints[parameters[0]]


class Actor(Generic[M]):
    """Base of all actors; subclass as `Actor[TheirMessages]`.

    `entity` actors live one per thing (an order): they fold only their own records. All others are rebuilt from
    `state`, a msgspec Struct, as of the last snapshot, and the records since. Whether a class overrides `on_start` and
    `on_stop`, and has a `run`, is noted when it is made: most have none of them, and there is an actor for every order.
    """

    handlers: ClassVar[dict[type, Handler]] = {}
    folds: ClassVar[dict[type, Fold]] = {}
    entity: ClassVar[bool] = False
    starts_ready: ClassVar[bool] = True
    acts_on_start: ClassVar[bool] = False
    acts_on_stop: ClassVar[bool] = False
    runs: ClassVar[bool] = False

    ctx: Context
    state: Any = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.handlers, cls.folds = dict(cls.handlers), dict(cls.folds)
        seen: set[tuple[str, type]] = set()
        for name, method in vars(cls).items():
            role = getattr(method, "__ordersmith__", None)
            if role is None:
                continue
            table: dict[type, Any] = cls.handlers if role == "handler" else cls.folds
            for kind in members(_taken_by(cls, method)):
                if (role, kind) in seen:
                    raise ActorError(f"{cls.__name__}.{name}: there is already a {role} for {kind.__name__}")
                seen.add((role, kind))
                table[kind] = method
        cls._check_union()
        cls.acts_on_start = cls.on_start is not Actor.on_start
        cls.acts_on_stop = cls.on_stop is not Actor.on_stop
        cls.runs = hasattr(cls, "run")

    @classmethod
    def _check_union(cls) -> None:
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is not Actor or isinstance(typing.get_args(base)[0], TypeVar):
                continue
            declared = set(members(typing.get_args(base)[0]))
            unhandled = sorted(kind.__name__ for kind in declared - cls.handlers.keys())
            undeclared = sorted(kind.__name__ for kind in cls.handlers.keys() - declared)
            if unhandled:
                raise ActorError(f"{cls.__name__} receives {', '.join(unhandled)} and has no @handler for it")
            if undeclared:
                raise ActorError(
                    f"{cls.__name__} handles {', '.join(undeclared)}, which its message union does not name"
                )

    def reactions(self) -> Iterable[type]:
        """Return the event types that arrive here as messages."""
        return [kind for kind in self.handlers if issubclass(kind, Event)]

    def on_start(self) -> None:
        """Run as a turn when an incarnation begins: arm timers from the folded state."""

    def on_stop(self) -> None:
        """Run as a turn when the actor is asked to stop. With a shutdown deadline, `ctx.stopped()` ends the wait."""

    def view(self) -> Any:
        """Return what readers may look at; never anything that they could change."""
        return None

    def snapshot(self) -> bytes:
        """Return the folded state, encoded."""
        return _ENCODER.encode(self.state)

    def restore(self, snapshot: bytes) -> None:
        """Take back a folded state."""
        self.state = msgspec.msgpack.decode(snapshot, type=type(self.state))
