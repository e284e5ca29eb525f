"""What is looked at immediately before a command would be written to the exchange, and what is said of one that is not."""

from __future__ import annotations

from typing import Any

from ...actors.ports import CommandKind, NewOrder, NotSent, ReplaceRequest

ADDS_RISK = frozenset({NewOrder, ReplaceRequest})


HALTED = "trading was halted"


def not_to_be_sent(command: Any, epoch: int | None, now_ns: int, standstill: str = HALTED) -> NotSent | None:
    """Say why the command must not be written at `now_ns` under this trading epoch, None when it may be.

    `epoch` is None while nothing may be sent, and `standstill` says why. Only what adds risk is held back.
    """
    if type(command) not in ADDS_RISK:
        return None
    if epoch != command.trading_epoch:
        return of_another_epoch(command, epoch, standstill)
    return too_late(command, now_ns) if now_ns > command.not_after_ns else None


def of_another_epoch(command: NewOrder | ReplaceRequest, epoch: int | None, standstill: str = HALTED) -> NotSent:
    """Say that trading is not as it was when the command was approved."""
    changed = "the trading state changed after the order was approved"
    return _not_sent(command, (standstill or HALTED) if epoch is None else changed)


def too_late(command: NewOrder | ReplaceRequest, now_ns: int) -> NotSent:
    """Say that the command's deadline has passed."""
    deadline_ns = command.not_after_ns
    return _not_sent(command, f"{now_ns - deadline_ns} ns after its deadline {deadline_ns}")


def _not_sent(command: NewOrder | ReplaceRequest, reason: str) -> NotSent:
    if isinstance(command, NewOrder):
        return NotSent(command.wire_id, CommandKind.NEW, reason)
    return NotSent(command.new_wire_id, CommandKind.REPLACE, reason)
