"""What becomes of a command that is refused: an answer to who waits for one, else a record, so that it is never lost."""

from __future__ import annotations

from .actor import Context, ReplyTo
from .events import CommandIgnored
from .messages import CommandRefused


def refuse(ctx: Context, to: ReplyTo | None, about: str, text: str) -> None:
    """Refuse a command about the order `about`, or about something else that has a name."""
    if to is None:
        ctx.record(CommandIgnored(about, text))
    else:
        ctx.reply(to, CommandRefused(text))
