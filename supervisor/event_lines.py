"""Which facts the service logs, at which level and under which name: a table of the journal's events.

An order's life is `info`, what was refused or is not as it should be a `warning`, and what a person must look at an
`error`. The names are constants of the form `noun.verb_past`; what differs from one event to the next are the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

import msgspec

from ..actors import account_events as account
from ..actors import doubt_events as doubt
from ..actors import events
from ..actors.actor import Record
from ..actors.model import TradingState, as_datetime
from ..actors.ports import CashKind
from ..config.describing import number_text

Level = str | Callable[[Any], str]


class Line(NamedTuple):
    """A line of the log: `debug`, `info`, `warning` or `error`, the event's name, and plain values by name."""

    level: str
    event: str
    fields: dict[str, Any]


def event_line(record: Record) -> Line:
    """Return what the log says of a record. An event that the table does not know is a warning, not lost."""
    event = record.event
    name = _LINES[type(event)][1] if type(event) in _LINES else f"unknown.{type(event).__name__}"
    fields = {"record": record.number, "at": as_datetime(record.at_ns).isoformat()}
    fields.update((key, _plain(value)) for key, value in _told(event))
    return Line(event_level(event), name, fields)


def event_level(event: Any) -> str:
    """Return the level of an event's line: for whoever need not make the line."""
    level = _LINES[type(event)][0] if type(event) in _LINES else "warning"
    return level if isinstance(level, str) else level(event)


def is_quiet(kind: type) -> bool:
    """Whether no event of a type is ever more than information."""
    return kind in _LINES and _LINES[kind][0] in ("debug", "info")


def _state_level(event: events.TradingStateChanged) -> str:
    return {TradingState.ACTIVE: "info", TradingState.REDUCING: "warning"}.get(event.state, "error")


def _closed_level(event: events.SessionClosed) -> str:
    return "info" if event.reason == "requested" else "warning"


def _dropped_level(event: events.TargetDropped) -> str:
    return "info" if event.is_reached else "warning"


def _suspicion_level(event: account.BooksSuspected) -> str:
    return "warning" if event.differences else "info"


def _cash_level(event: events.CashMoved) -> str:
    return "warning" if event.kind is CashKind.OTHER else "info"


_LINES: Mapping[type, tuple[Level, str]] = {
    events.OrderSubmitted: ("info", "order.submitted"),
    events.OrderApproved: ("debug", "risk.approved"),
    events.OrderDenied: ("warning", "risk.denied"),
    events.OrderIntended: ("debug", "order.intended"),
    events.OrderAccepted: ("info", "order.accepted"),
    events.OrderRejected: ("warning", "order.rejected"),
    events.OrderFilled: ("info", "order.filled"),
    events.OrderCancelRequested: ("info", "order.cancel_requested"),
    events.OrderCancelled: ("info", "order.cancelled"),
    events.OrderCancelRefused: ("warning", "order.cancel_refused"),
    events.OrderReplaceRequested: ("info", "order.replace_requested"),
    events.OrderReplaced: ("info", "order.replaced"),
    events.OrderReplaceRefused: ("warning", "order.replace_refused"),
    events.OrderRestated: ("warning", "order.restated"),
    events.OrderInDoubt: ("error", "order.doubted"),
    doubt.OrderNotFound: ("warning", "order.not_found"),
    doubt.OrderFoundAgain: ("info", "order.found_again"),
    doubt.OrderNeedsPerson: ("error", "order.escalated"),
    doubt.OrderResurfaced: ("error", "order.resurfaced"),
    doubt.OrderReserved: ("warning", "order.reserved"),
    doubt.OrderOverfilled: ("error", "order.overfilled"),
    doubt.OrderResolved: ("info", "order.resolved"),
    account.SessionConnected: ("info", "connection.opened"),
    events.SessionOpened: ("info", "connection.ready"),
    events.SessionClosed: (_closed_level, "connection.lost"),
    account.SessionRefused: ("error", "connection.refused"),
    account.SessionDenied: ("error", "connection.denied"),
    account.ReadFailed: ("warning", "account.read_failed"),
    account.AccountRead: ("debug", "account.read"),
    account.BooksSuspected: (_suspicion_level, "books.suspected"),
    account.BooksDisagree: ("error", "books.disagreed"),
    account.CashDiffers: ("error", "cash.disagreed"),
    account.SymbolJudged: ("info", "symbol.judged"),
    account.SymbolReleased: ("info", "symbol.released"),
    account.ExternalOrderSeen: ("warning", "external_order.seen"),
    account.ExternalOrderGone: ("info", "external_order.gone"),
    events.CashMoved: (_cash_level, "cash.moved"),
    events.PositionAdjusted: ("info", "position.adjusted"),
    events.DividendAccrued: ("info", "dividend.accrued"),
    events.CashSettled: ("debug", "cash.settled"),
    events.MarginCalled: ("error", "margin.called"),
    events.TargetsSet: ("info", "targets.set"),
    events.TargetOrdered: ("debug", "target.ordered"),
    events.TargetDropped: (_dropped_level, "target.dropped"),
    events.TradingStateChanged: (_state_level, "trading_state.changed"),
    doubt.JournalFailed: ("error", "journal.failed"),
    events.Booted: ("info", "core.booted"),
    events.ActorRestarted: ("error", "actor.restarted"),
    events.MessagePoisoned: ("error", "message.poisoned"),
    events.ActorQuarantined: ("error", "actor.quarantined"),
    events.StrategyFailed: ("error", "strategy.failed"),
    events.Escalated: ("error", "supervisor.escalated"),
    events.CommandIgnored: ("warning", "command.ignored"),
    events.Undelivered: ("warning", "message.undelivered"),
}

_OPENED = frozenset({"order", "fill", "terms", "denial"})
"""Parts whose own fields are told in their place."""
_LEFT_OUT: Mapping[type | None, frozenset[str]] = {
    None: frozenset({"arrival", "capabilities"}),
    # What one fill was, not what it changes in the totals.
    events.OrderFilled: frozenset({"quantity", "notional", "commission", "cumulative"}),
}


def _told(event: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an event that say something: neither empty nor left at their default."""
    left_out = _LEFT_OUT[None] | _LEFT_OUT.get(type(event), frozenset())
    for name, default in _fields(event.__class__):
        value = getattr(event, name)
        if name in left_out or value is None or value in ("", default):
            continue
        if name in _OPENED and isinstance(value, msgspec.Struct):
            yield from _told(value)
        else:
            yield name, value


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in msgspec.structs.fields(kind))


def _plain(value: Any) -> Any:
    """Return a value as a log shows it: exact numbers as text, words without their type."""
    match value:
        case Enum():
            return value.value
        case Decimal():
            return number_text(value) if value.is_finite() else str(value)
        case msgspec.Struct():
            return {key: _plain(part) for key, part in _told(value)}
        case Mapping():
            return {str(key): _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case _:
            return value
