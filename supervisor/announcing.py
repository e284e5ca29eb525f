"""What an embedded executor says aloud by itself: facts that no answer to a call brings, and that a person must not miss.

The service logs every record. An executor logs almost none, since whoever embeds it reads `events()`, or the answers to its
calls. But what needs a person is said even if nobody reads: all that the service logs as an error. And two warnings are, since
they come long after the call that they are about has answered: a session that is lost, so that nothing new is sent until there
is another, and a target that is given up, so that a position that was to be closed stays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ..actors import events
from ..actors.actor import Event, Record
from .event_lines import event_level, event_line, is_quiet
from .live import LiveRuntime

WARNINGS: frozenset[type[Event]] = frozenset({events.TargetDropped, events.SessionClosed})
"""The events that are logged although they are no more than a warning."""

log = logging.getLogger("ordersmith")


class Announcer:
    """Logs what is announced as it becomes durable. Whoever followed the runtime's commits before goes on doing so."""

    def __init__(self, runtime: LiveRuntime) -> None:
        self._runtime = runtime
        self._next = runtime.on_committed
        runtime.on_committed = self._committed

    def _committed(self, number: int) -> None:
        records = self._runtime.core.dispatcher.log
        for record in records.records[records.durable - records.base : number - records.base]:
            if is_quiet(type(record.event)):
                continue
            level = event_level(record.event)
            if level == "error":
                log.error("%s", " ".join(_words(record)))
            elif level == "warning" and type(record.event) in WARNINGS:
                log.warning("%s", " ".join(_words(record)))
        self._next(number)


def _words(record: Record) -> Iterator[str]:
    """Yield the name of the line and its fields, as the service's log has them."""
    line = event_line(record)
    yield line.event
    yield from (f"{name}={value!r}" if " " in str(value) else f"{name}={value}" for name, value in line.fields.items())
