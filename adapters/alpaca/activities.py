"""What happened to the account besides its orders: Alpaca's activities as our reports, and the cursor of what was read of them.

docs.alpaca.markets, "Account Activities" (the list of types). A type that is not in the table is booked by its cash, as OTHER, and never
dropped. Activities are in no strict order and may be dated back (alpacahq/Alpaca-API#170): each read goes back behind the one before, and
the cursor has the ids of what it has seen there. What was there before the first read of all is in the account as it was adopted, and is
not told.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from ...actors.errors import BrokerProtocolError
from ...actors.model import ZERO, as_datetime
from ...actors.ports import AccountReport, AdjustmentCause, CashKind, CashMovement, PositionAdjustment
from .codec import instant_ns
from .wire import WireActivity

FILL = "FILL"
SECOND_NS = 1_000_000_000
FILL_OVERLAP_NS = 600 * SECOND_NS
FIRST_OVERLAP_NS = 86_400 * SECOND_NS
OTHER_OVERLAP = timedelta(days=7)
CANCELLED = "canceled"

CASH: dict[str, CashKind] = {
    **dict.fromkeys(("DIV", "DIVCGL", "DIVCGS", "DIVNRA", "DIVROC", "DIVTXEX", "CGD"), CashKind.DIVIDEND),
    **dict.fromkeys(("DIVFT", "DIVTW", "DIVFEE", "FEE", "CFEE", "PTC", "PTR", "DIVWH"), CashKind.FEE),
    **dict.fromkeys(("INT", "INTNRA", "INTTW", "INTPNL"), CashKind.INTEREST),
    **dict.fromkeys(("CSD", "CSW", "TRANS", "JNLC", "JNL", "ACATC", "SWP"), CashKind.TRANSFER),
}
"""Types that move cash alone. What is withheld is a fee."""

SHARES: dict[str, AdjustmentCause] = {
    **dict.fromkeys(("SPLIT", "SSP", "SSR", "DIVS"), AdjustmentCause.SPLIT),
    **dict.fromkeys(("SPIN", "SSO"), AdjustmentCause.SPINOFF),
    **dict.fromkeys(("JNLS", "ACATS"), AdjustmentCause.TRANSFER),
}
"""Types that move shares, by `qty`."""

EXCHANGES = frozenset({"NC", "SC", "MA", "REORG"})
"""Types that take shares of one symbol and give those of another, in two rows, or cash for them, in one."""

IN_LIEU = frozenset({"CIL", "MACIL"})
"""A fraction that was paid out. Its quantity, if it is negative, left the position with it."""


class Cursor(msgspec.Struct, frozen=True):
    """Up to where the activities were read: from when on the next read asks, and what of that was seen.

    `fills_after` is an instant, `others_after` a date. Ids are kept as digests: they are long.
    """

    fills_after_ns: int
    others_after: str
    fills: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class News(NamedTuple):
    """The rows that are new, and the cursor behind them."""

    fills: tuple[WireActivity, ...]
    others: tuple[WireActivity, ...]
    cursor: Cursor


def begin(now_ns: int) -> Cursor:
    """Return where the first read of all begins."""
    return Cursor(now_ns - FIRST_OVERLAP_NS, str((as_datetime(now_ns) - OTHER_OVERLAP).date()))


def cursor_from(text: str) -> Cursor | None:
    """Return the cursor that was written as `text`, None for the empty one. Raises BrokerProtocolError."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=Cursor)
    except msgspec.DecodeError as error:
        raise BrokerProtocolError(f"cursor: {text[:80]!r} is none of this port: {error}") from None


def text_of(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()


def news(
    cursor: Cursor, fills: Sequence[WireActivity], others: Sequence[WireActivity], waiting: Iterable[str] = ()
) -> News:
    """Return what of the rows read after a cursor is new. The ids that are `waiting` are not seen yet: their rows are not complete."""
    held_back = frozenset(waiting)
    seen_fills, seen_others = frozenset(cursor.fills), frozenset(cursor.others)
    times = {row.id: instant_ns(row.transaction_time, cursor.fills_after_ns) for row in fills}
    fills_after_ns = max([cursor.fills_after_ns, *(at_ns - FILL_OVERLAP_NS for at_ns in times.values())])
    newest = max([cursor.others_after, *(_day_before(row.date) for row in others if row.date)])
    waits = [row.date for row in others if row.id in held_back and row.date]
    others_after = min([newest, *(_day_before(day) for day in waits)])
    return News(
        tuple(row for row in fills if digest(row.id) not in seen_fills),
        tuple(row for row in others if digest(row.id) not in seen_others and row.id not in held_back),
        Cursor(
            fills_after_ns,
            others_after,
            tuple(sorted(digest(row.id) for row in fills if times[row.id] > fills_after_ns)),
            tuple(
                sorted(
                    digest(row.id)
                    for row in others
                    if row.id not in held_back and (not row.date or row.date >= others_after)
                )
            ),
        ),
    )


def digest(activity_id: str) -> str:
    """Return a short name of an id, the same in every process."""
    return blake2b(activity_id.encode(), digest_size=6).hexdigest()


# --- What a row says ---------------------------------------------------------------------------------------------------


class Told(NamedTuple):
    """`reports` in the order of the rows, the ids that wait for a second row, and `notes` for the log."""

    reports: tuple[AccountReport, ...] = ()
    waiting: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def told(rows: Sequence[WireActivity], held: Container[str] = ()) -> Told:
    """Return the reports of rows that are no executions. `held` are the symbols of the positions as they are after them."""
    reports: list[AccountReport] = []
    waiting: list[str] = []
    notes: list[str] = []
    open_halves: dict[tuple[str, str | None], list[WireActivity]] = {}
    for row in rows:
        if row.activity_type == FILL:
            continue
        if row.status == CANCELLED:
            notes.append(f"activity {row.id} ({row.activity_type}) was cancelled by Alpaca and is not booked")
        elif row.activity_type in EXCHANGES and row.qty and not row.net_amount:
            _pair(row, open_halves, reports, held)
        else:
            report, note = _one(row)
            reports += [report] if report is not None else []
            notes += [note] if note else []
    waiting += [row.id for rows in open_halves.values() for row in rows]
    return Told(tuple(reports), tuple(waiting), tuple(notes))


def _one(row: WireActivity) -> tuple[AccountReport | None, str]:
    kind, symbol, amount = row.activity_type, row.symbol or "", row.net_amount or ZERO
    text = row.description or kind
    if kind in SHARES and row.qty:
        price = row.price or ZERO
        return PositionAdjustment(row.id, SHARES[kind], symbol, row.qty, amount, text=text, price=price), ""
    if kind in EXCHANGES and row.qty:
        return PositionAdjustment(row.id, AdjustmentCause.LIQUIDATION, symbol, row.qty, amount, text=text), ""
    if kind in IN_LIEU and row.qty is not None and row.qty < ZERO:
        return PositionAdjustment(row.id, AdjustmentCause.CASH_IN_LIEU, symbol, row.qty, amount, text=text), ""
    known = CASH.get(kind)
    note = (
        "" if known is not None or kind in IN_LIEU else f"activity {row.id} has the unknown type {kind!r}: {text[:80]}"
    )
    if not amount:
        return None, note or f"activity {row.id} ({kind}) moves neither cash nor shares"
    return CashMovement(row.id, known or CashKind.OTHER, amount, symbol, text), note


def _pair(
    row: WireActivity,
    open_halves: dict[tuple[str, str | None], list[WireActivity]],
    reports: list[AccountReport],
    held: Container[str],
) -> None:
    """Put the shares that went and those that came together: a change of name, and a split where they are not as many."""
    halves = open_halves.setdefault((row.activity_type, row.date), [])
    quantity = row.qty or ZERO
    other = min(
        (each for each in halves if (each.qty or ZERO) * quantity < ZERO and each.symbol != row.symbol),
        key=lambda each: abs((each.qty or ZERO) + quantity),
        default=None,
    )
    if other is None:
        halves.append(row)
        return
    halves.remove(other)
    gone, come = _gone_first(other, row, held)
    before, after = -(gone.qty or ZERO), come.qty or ZERO
    cause, text = AdjustmentCause.SYMBOL_CHANGE, row.description or row.activity_type
    reports.append(
        PositionAdjustment(gone.id, cause, gone.symbol or "", -before, new_symbol=come.symbol or "", text=text)
    )
    if after != before:
        reports.append(PositionAdjustment(come.id, AdjustmentCause.SPLIT, come.symbol or "", after - before, text=text))


def _gone_first(one: WireActivity, other: WireActivity, held: Container[str]) -> tuple[WireActivity, WireActivity]:
    """Return the row of the old symbol first: the new one is what is held now. Where that does not tell, they were shares held long."""
    is_first_held, is_second_held = one.symbol in held, other.symbol in held
    if is_first_held is not is_second_held:
        return (other, one) if is_first_held else (one, other)
    return (one, other) if (one.qty or ZERO) < ZERO else (other, one)


def _day_before(day: str) -> str:
    at = as_datetime(instant_ns(f"{day[:10]}T00:00:00Z")) - OTHER_OVERLAP
    return str(at.date())
