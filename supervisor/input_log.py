"""The input log of a session: all that came into the core, tick by tick, beside the journal (`journal.record: inputs`).

What a core does is a function of these inputs, of the journal that it began with, and of its plan; so they can be replayed
(`replay.py`). The log is no part of the commit: nothing waits for it, a crash costs its last second, and when it cannot be
written there is a warning and trading goes on. It grows with everything that comes in, bars included, and nothing removes it:
each boot of a journal makes one of its own, `<journal>.inputs-<boot>`, which only its owner can read.

First comes a `Header`, then a `Beginning`, then `[now_ns, inputs]` for each tick, and None after an orderly end.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import msgspec

from .. import actors
from ..actors.errors import JournalError
from ..actors.events import Booted
from ..adapters.frame_file import End, FrameReader, FrameWriter
from ..adapters.input_codec import InputCodec, UnknownType, kinds_in
from ..adapters.journal_files import beside
from ..adapters.journal_format import Head
from ..config import Settings
from . import inputs as _inputs
from .backlog import speed_of
from .inputs import Input
from .recovery import Memory, state_format
from .tree import Plan

if TYPE_CHECKING:
    from .core import Core

FORMAT = 1
"""Of the frames. A program reads this one."""

MAGIC = b"ordersmith inputs\n"

PRICES = frozenset({"market", "shown"})
"""Fields of a plan that are the core's own prices."""

AS_DATA: dict[str, Callable[[Any], Any]] = {
    "port": lambda _: True,
    "feed": lambda _: True,
    "backlog": lambda backlog: (speed_of(backlog),),
}
"""Fields of a plan that are no data, and what is written of them.

What port and feed said is among the inputs, and the backlog is the core's.
"""

log = logging.getLogger("ordersmith")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a log is of. `kinds` are the names of the types in it; `settings` is JSON, for people, and without secrets."""

    format: int
    ordersmith: str
    python: str
    state_format: str
    boot: int
    after: int
    link: bytes
    seed: int
    settings: str
    settings_digest: str
    kinds: list[str]


class StrategySource(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted strategy: its class, the digest of its file, and the settings that it was loaded by, if it was."""

    name: str
    kind: str
    digest: str
    path: str | None
    parameters: dict[str, Any]
    base: str


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """What a core is made of, but for the journal's records: they come after the states as of the record `number`."""

    now_ns: int
    booted: Booted
    plan: dict[str, Any]
    strategies: tuple[StrategySource, ...]
    number: int
    states: dict[str, bytes]


class LoggedStore(Protocol):
    """What an input log needs of the journal's store, once that is open."""

    path: Path

    @property
    def head(self) -> Head: ...


@cache
def kinds() -> Mapping[str, type]:
    """Return all types that an input can be made of."""
    ours = {f"input_log.{kind.__name__}": kind for kind in (StrategySource, Beginning)}
    return kinds_in(actors, _inputs) | ours


def path_of(journal: Path, boot: int) -> Path:
    """Return where the inputs of a boot are written."""
    return beside(journal, f".inputs-{boot}")


# --- Write -------------------------------------------------------------------------------------------------------------


class InputLog:
    """Writes the inputs of one session. `settings` are those it runs by; `loaded` says that its strategy is the one they name."""

    def __init__(
        self,
        store: LoggedStore,
        settings: Settings | None = None,
        *,
        loaded: bool = False,
        warn: Callable[[str], object] = log.error,
    ) -> None:
        self._store = store
        self._settings = settings
        self._loaded = loaded
        self._warn = warn
        self._codec = InputCodec(kinds())
        self._writer: FrameWriter | None = None

    def begin(self, core: Core, now_ns: int, booted: Booted, memory: Memory) -> None:
        """Make the file and write down what the core is made of. Raises JournalError if that is not possible."""
        head, settings = self._store.head, as_json(self._settings)
        header = Header(
            format=FORMAT,
            ordersmith=booted.version,
            python=platform.python_version(),
            state_format=state_format(),
            boot=booted.boot,
            after=head.number,
            link=head.link,
            seed=core.dispatcher.seed,
            settings=settings,
            settings_digest=hashlib.sha256(settings.encode()).hexdigest()[:16],
            kinds=self._codec.names,
        )
        beginning = Beginning(
            now_ns=now_ns,
            booted=booted,
            plan=terms_of(core.plan),
            strategies=tuple(self._source(name, strategy) for name, strategy in core.plan.strategies),
            number=memory.number,
            states=memory.states,
        )
        path = path_of(self._store.path, booted.boot)
        try:
            encoded = self._codec.encode(beginning)
            self._writer = FrameWriter(path, MAGIC, self._warn)
        except FileExistsError:
            raise JournalError(
                f"{path}: there is an input log of this boot already, of another journal of this name; move it away"
            ) from None
        except OSError as error:
            raise JournalError(f"{path}: the input log cannot be made: {error.strerror}") from error
        except UnknownType as error:
            raise JournalError(f"the session cannot be written down: {error}") from error
        self._writer.add(msgspec.msgpack.encode(header))
        self._writer.add(encoded)

    def tick(self, now_ns: int, inputs: list[Input]) -> None:
        """Write down what a tick takes in, before it does."""
        if self._writer is None:
            return
        try:
            self._writer.add(self._codec.encode([now_ns, inputs]))
        except (UnknownType, OverflowError) as error:
            self._warn(f"no more inputs are written down: {error}")
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """Write what is not written yet, and that this is the end."""
        if self._writer is not None:
            self._writer.add(self._codec.encode(None))
            self._writer.close()
            self._writer = None

    def _source(self, name: str, strategy: Any) -> StrategySource:
        kind = type(strategy)
        named = self._settings.strategy if self._loaded and self._settings is not None else None
        return StrategySource(
            name=name,
            kind=kind.__qualname__,
            digest=source_digest(kind),
            path=None if named is None else named.path,
            parameters={} if named is None else named.parameters,
            base="" if self._settings is None else str(self._settings.base.absolute()),
        )


def as_json(settings: Settings | None) -> str:
    """Return settings as they are in effect; of a secret, only where it comes from."""
    return msgspec.json.encode(settings, enc_hook=str).decode()


def terms_of(plan: Plan) -> dict[str, Any]:
    """Return what a plan says, as data."""
    names = [name for name in plan.__struct_fields__ if name != "strategies" and name not in PRICES]
    terms = {name: getattr(plan, name) for name in names}
    return terms | {name: said(terms[name]) for name, said in AS_DATA.items() if terms[name] is not None}


def source_digest(kind: type) -> str:
    """Return what tells whether the file of a class is the same, "" for a class without one."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""
    except OSError:
        return ""


# --- Read --------------------------------------------------------------------------------------------------------------


class Tick(NamedTuple):
    """What one tick took in, and when."""

    number: int
    now_ns: int
    inputs: list[Input]


class InputLogReader:
    """An input log, read from its beginning. `complete` and `fault` say, after the last tick, how it ended."""

    def __init__(self, path: Path) -> None:
        """Read what the log is of. Raises JournalError for what is none, or of another format."""
        self.path = path
        self.complete = False
        self.fault = ""
        self._frames = FrameReader(path, MAGIC)
        self._payloads = self._frames.__iter__()
        try:
            with path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise JournalError(f"{path}: this is not an input log of Ordersmith; name another file")
            first = next(self._payloads, None)
        except OSError as error:
            raise JournalError(f"{path}: it cannot be read: {error.strerror}") from error
        self.header = self._header(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._payloads.close()

    def _header(self, data: bytes | None) -> Header:
        if data is None:
            raise JournalError(f"{self.path}: {self._ending()}: not even its beginning can be read")
        version = msgspec.msgpack.decode(data, type=dict[str, Any]).get("format")
        if version != FORMAT:
            raise JournalError(
                f"{self.path}: the log has format {version}, this version of Ordersmith reads {FORMAT}; "
                "use the version that wrote it"
            )
        return msgspec.msgpack.decode(data, type=Header)

    def read(self) -> tuple[Beginning, Iterator[Tick]]:
        """Return what the core was made of, and the ticks as far as they can be read. To be called once, as what it reads is.

        Raises JournalError where there is no beginning; UnknownType in place of what this version does not know.
        """
        codec = InputCodec.for_table(self.header.kinds, kinds())
        data = next(self._payloads, None)
        if data is None:
            raise JournalError(f"{self.path}: {self._ending()}: it ends before the first tick")
        return codec.decode(data), self._ticks(codec)

    def _ticks(self, codec: InputCodec) -> Iterator[Tick]:
        for number, data in enumerate(self._payloads, 1):
            tick = codec.decode(data)
            if tick is None:
                self.complete = True
                return
            yield Tick(number, *tick)
        if self._frames.end is End.DAMAGED:
            self.fault = self._ending()

    def _ending(self) -> str:
        return ENDINGS[self._frames.end or End.WHOLE].format(position=self._frames.position)


ENDINGS = {
    End.WHOLE: "it has no end: the session was killed, or goes on",
    End.TORN: "its end is torn at byte {position}: the session was killed",
    End.DAMAGED: "it was changed or damaged at byte {position}, and cannot be read from there on",
}
