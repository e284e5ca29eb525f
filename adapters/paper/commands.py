"""Commands from the runtime to a paper account, and what it says back: the same for a port on bars and one on quotes."""

from __future__ import annotations

from typing import Any

from ..crash_points import crash_point
from ..io_actor import Line
from ..simulated.sending import not_to_be_sent
from .account import PaperAccount
from .venue import Said

Got = tuple[Any, int]
"""A command and its cause."""


async def take(account: PaperAccount, line: Line, got: Got) -> None:
    """Take a command, and with it all that wait: they are made durable together, before what comes of them is told."""
    taken: list[Got] = []
    more: Got | None = got
    while more is not None:
        taken.append(more)
        line.hold(more[0])
        more = await line.receive_until(line.now_ns)
    epoch, now_ns, standstill = line.epoch(), line.now_ns, line.standstill()
    entries = [(command, cause, not_to_be_sent(command, epoch, now_ns, standstill)) for command, cause in taken]
    tell(line, await account.handle(entries, now_ns))
    for command, _ in taken:
        line.done(command)


def tell(line: Line, said: list[Said]) -> None:
    """Post what the account says, which is durable."""
    for report, cause in said:
        line.post(report, cause)
    if said:
        crash_point("paper:posted")
