"""When a running core is remembered, and that the writing of it holds nobody up."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio

from ..actors.errors import JournalError
from .recovery import state_format

if TYPE_CHECKING:
    from .commit import CommitLog
    from .live_parts import LiveStore

log = logging.getLogger("ordersmith")

SAVE_S = 5.0
"""How long the end waits for a snapshot that is being written: one less is no loss."""


class SnapshotKeeper:
    """Keeps a snapshot every so many records, one at a time."""

    def __init__(self, store: LiveStore, every: int) -> None:
        self.remembered = 0  # the last record that a snapshot holds, or was to hold
        self._store, self._every = store, every
        self._idle = anyio.Event()
        self._idle.set()

    def is_due(self, records: CommitLog) -> bool:
        """Tell whether the core should be remembered now."""
        return records.settled and records.last - self.remembered > self._every and self._idle.is_set()

    def is_overdue(self, records: CommitLog) -> bool:
        """Tell whether so much has come since that the journal must be let catch up, for nothing settles while more comes."""
        return len(records.records) > 4 * self._every and records.writing and not records.failing

    def begin(self, number: int) -> None:
        """Take note that a snapshot as of this record is on its way."""
        self.remembered = number
        self._idle = anyio.Event()

    async def keep(self, number: int, states: Mapping[str, bytes]) -> None:
        """Write it. A failure is told and harms nothing."""
        try:
            await self._store.save_snapshots(number, states, state_format())
        except JournalError as error:
            log.warning("no snapshot was kept: %s", error)
        finally:
            self._idle.set()

    async def finish(self, *, at_once: bool) -> None:
        """Wait a little for one that is being written."""
        with anyio.move_on_after(0 if at_once else SAVE_S):
            await self._idle.wait()
