"""The checks of where an account stands: its session, its books, and the journal behind it. The rest is in `risk.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..events import Denial
from ..model import ZERO, Purpose, Side

if TYPE_CHECKING:
    from .risk import Case

BEHIND_RECORDS = 10_000
BEHIND_NS = 200_000_000
NEW_RISK = (Purpose.ENTRY, Purpose.CHILD)


def broker_session(case: Case) -> Denial | None:
    if case.account.connected:
        return None
    return Denial("NOT_CONNECTED", "the broker's session is not ready; orders pass once it is", {})


def journal_behind(case: Case) -> Denial | None:
    if case.backlog is None:
        return None
    records, age_ns = case.backlog(case.now_ns)
    if records < BEHIND_RECORDS and age_ns < BEHIND_NS:
        return None
    return Denial(
        "JOURNAL_BEHIND",
        f"{records} records are not durable yet, the oldest for {age_ns // 1_000_000} ms; new risk waits for the journal",
        {"records": str(records), "age_ns": str(age_ns), "limit": str(BEHIND_RECORDS), "limit_ns": str(BEHIND_NS)},
    )


def symbol_frozen(case: Case) -> Denial | None:
    """Let an exit of a frozen symbol pass if it is one by the broker's books as well: who is right is not known.

    To refuse every exit would keep risk that is surely there; to believe our own books alone could open a position.
    """
    if not case.account.frozen:
        return None
    order = case.order
    above = case.account.frozen.get(order.symbol)
    if above is None:
        return None
    ours = case.symbol.position
    brokers, worst = ours + above, case.worst_after() + above
    is_exit = brokers < ZERO and worst <= ZERO if order.side is Side.BUY else brokers > ZERO and worst >= ZERO
    if is_exit and order.purpose not in NEW_RISK:
        return None
    books = f"our books say {ours}, the broker's {brokers}"
    text = f"{order.symbol} is frozen: {books}; say whose are right (resolve_symbol, `ordersmith resolve symbol`)"
    allowed = "" if order.purpose in NEW_RISK else f", and this could leave {worst} there"
    return Denial(
        "SYMBOL_FROZEN", text + allowed, {"position": str(ours), "brokers": str(brokers), "worst_case": str(worst)}
    )
