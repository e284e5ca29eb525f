"""What an embedded executor says while its `async with` waits for a broker: which one, where, the last error, and that it goes on.

The service logs every record, so that each try is seen. An executor logs none of them, and a wait without a word looks as if the
program hung.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import chain, repeat
from urllib.parse import urlsplit, urlunsplit

import anyio

from ..actors.account_events import ReadFailed
from ..actors.events import Booted, SessionClosed
from .core import Core
from .live_plan import LiveSystem

PAUSES_S = (3.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds before the first line, the second, and so on; the last one is that before all others."""

log = logging.getLogger("ordersmith")


async def tell_of_waiting(system: LiveSystem) -> None:
    """Log a warning after a while, then more and more rarely, until cancelled."""
    began_s = anyio.current_time()
    for pause_s in chain(PAUSES_S, repeat(PAUSES_S[-1])):
        await anyio.sleep(pause_s)
        log.warning("%s", waiting_words(system, anyio.current_time() - began_s))


def waiting_words(system: LiveSystem, waited_s: float) -> str:
    """Return what is waited for, in a sentence."""
    from .logs import hide, secrets_of  # a program whose broker is there needs no log of a service

    execution, address = system.settings.execution, system.broker.address
    core: Core | None = getattr(system.runtime, "core", None)  # it is made when the journal has been opened
    waited = f"the executor has waited {waited_s:.0f} s for"
    if core is None:
        return f"{waited} the journal {system.journal.path}, which is being opened and read"
    at = f" at {without_user(address)}" if address else ""
    text = (
        f"{waited} the broker ({execution.provider}, {execution.mode}){at}: {last_trouble(core)}; it goes on trying, and opens as "
        "soon as there is an answer. To give up, cancel the `async with`, or put a timeout around it"
    )
    return hide(secrets_of(system.settings))(text)


def last_trouble(core: Core) -> str:
    """Return why there is no session, by the last record of this boot that says so."""
    return next(_reasons(core), "there was no answer yet")


def _reasons(core: Core) -> Iterator[str]:
    """Yield the reasons, the last one first."""
    for record in reversed(core.dispatcher.log.records):
        match record.event:
            case Booted():
                return
            case SessionClosed(account=account, reason=reason) if account == core.plan.account:
                yield reason
            case ReadFailed(account=account, reason=reason) if account == core.plan.account:
                yield f"the account could not be read: {reason}"


def without_user(address: str) -> str:
    """Return an address without a name and a password that stand in it."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
