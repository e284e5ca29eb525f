"""What a live runtime is put together from: the store, the log of inputs, and what tells one boot from another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from ..actors.ports import FallibleStore

if TYPE_CHECKING:
    from ..actors.events import Booted
    from .core import Core
    from .inputs import Input
    from .recovery import Memory


class LiveStore(FallibleStore, Protocol):
    """A journal store with tasks of its own; `adapters.sqlite_journal.SqliteJournal` is one."""

    @property
    def boot(self) -> int: ...
    @property
    def head(self) -> object: ...
    async def open(self) -> None: ...
    async def run(self) -> None: ...
    async def close(self, deadline_s: float = ...) -> bool: ...
    async def resume(self, wait_s: float = ...) -> None: ...
    async def reaches(self, number: int) -> None: ...
    def load_snapshots(self, format_: str) -> tuple[int, dict[str, bytes]]: ...
    async def save_snapshots(self, number: int, states: Mapping[str, bytes], format_: str) -> None: ...


class InputLog(Protocol):
    """Where the inputs of a session are written down; see `input_log.py`."""

    def begin(self, core: Core, now_ns: int, booted: Booted, memory: Memory) -> None: ...
    def tick(self, now_ns: int, inputs: list[Input]) -> None: ...
    def close(self) -> None: ...


class Boot(msgspec.Struct, frozen=True):
    """What a boot is told apart by: its ids begin with `instance` and `epoch`."""

    instance: str
    epoch: str
    version: str
