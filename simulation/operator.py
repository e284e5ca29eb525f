"""The person who looks after the system: ends halts whose cause is gone, and says what became of what nobody can prove.

He sees what the system shows, looks up an order at the broker himself, and needs his time. He is not always right to wait,
but he never says what is not true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from random import Random
from typing import Any, Protocol

import msgspec

from ..actors.doubt_events import Verdict
from ..actors.machines.breaker import MENDS, HaltReason
from ..actors.machines.session import Phase
from ..actors.messages import ResolveOrder, ResumeTrading
from ..actors.model import ZERO, TradingState
from ..actors.snapshots import ResolveSymbol
from .door import Door, Looked, Trouble
from .schedule import SECOND_NS, Schedule

LOOKS_NS = (30 * SECOND_NS, 90 * SECOND_NS)
"""How long he is away: at least, at most."""
SETTLES_NS = 60 * SECOND_NS
"""How long he watches an order in quarantine before he speaks: what was on its way to the broker is there by then."""
PATIENCE = 0.7
"""How often he leaves alone what would mend itself."""
TRUST = 0.2
"""How often he trusts that the books of a frozen symbol agree again, before he takes over the broker's."""
PRICE_PLACES = Decimal("0.0001")

CONNECTION = "connection/"


class Shown(Protocol):
    """What the broker's own pages say of an order, over all its legs."""

    @property
    def is_open(self) -> bool: ...

    @property
    def filled(self) -> Decimal: ...

    @property
    def notional(self) -> Decimal: ...


class Pages(Protocol):
    """The broker's own pages."""

    def find(self, wire_id: str, /) -> Shown | None:
        """Return the order of this client order id, None for one that never came."""


class Said(msgspec.Struct, frozen=True):
    """A verdict on an order, with what it needs."""

    verdict: Verdict
    quantity: Decimal | None = None
    price: Decimal | None = None


class Operator:
    """Looks every minute or so, for as long as the world runs."""

    def __init__(self, schedule: Schedule, random: Random, door: Door, pages: Pages, account: str = "main") -> None:
        self.did: Counter[str] = Counter()
        self._schedule, self._random, self._door, self._pages = schedule, random, door, pages
        self._connection = CONNECTION + account
        self._first_seen: dict[str, int] = {}

    def start(self) -> None:
        """Begin to look."""
        self._schedule.after(self._random.randrange(*LOOKS_NS), self._look)

    def _look(self) -> None:
        self.start()
        looked = self._door.look() if self._door.is_up else None
        if looked is not None:
            self._settle_symbols(looked.frozen)
            self._settle_orders(looked.troubles)
            if may_resume(looked) and not (looked.reason in MENDS and self._random.random() < PATIENCE):
                self._say("circuit_breaker", ResumeTrading(f"looked into: {looked.reason}"), "resumed")

    def _settle_symbols(self, frozen: Iterable[str]) -> None:
        for symbol in frozen:
            trusts = self._random.random() < TRUST
            verdict: Any = "release" if trusts else "adopt"
            self._say(
                self._connection, ResolveSymbol(symbol, verdict, "compared with the broker's page"), f"symbol {verdict}"
            )

    def _settle_orders(self, troubles: Iterable[Trouble]) -> None:
        before, self._first_seen = self._first_seen, {}
        for trouble in troubles:
            order_id, now_ns = trouble.order.client_order_id, self._schedule.now_ns
            self._first_seen[order_id] = since_ns = before.get(order_id, now_ns)
            if trouble.quarantined and now_ns - since_ns < SETTLES_NS:
                continue
            said = verdict_on(trouble, self._pages.find(order_id))
            if said is not None:
                reason = "looked up at the broker"
                word = ResolveOrder(order_id, said.verdict.value, reason, said.quantity, said.price)
                self._say("desk", word, f"order {said.verdict}")

    def _say(self, actor: str, request: Any, did: str) -> None:
        self.did[did] += 1
        self._door.ask(actor, request, _heard)


def _heard(_: Any) -> None:
    """Take an answer: the next look shows what came of it."""


# --- His rules ---------------------------------------------------------------------------------------------------------

GONE: dict[HaltReason, Callable[[Looked], bool]] = {
    HaltReason.POSITION_MISMATCH: lambda looked: not looked.frozen,
    HaltReason.JOURNAL: lambda looked: not looked.journal_fails,
    HaltReason.OUTCOME_UNKNOWN: lambda looked: looked.in_doubt == 0,
    HaltReason.ORDER_RESURFACED: lambda looked: not looked.troubles,
    HaltReason.ESCALATION: lambda looked: looked.session is Phase.READY,
}
"""What must be gone before trading goes on; other reasons are none to wait for."""


def may_resume(looked: Looked) -> bool:
    """Tell whether trading is restricted and what it was restricted for is gone."""
    is_gone = GONE.get(looked.reason)
    return looked.trading_state is not TradingState.ACTIVE and (is_gone is None or is_gone(looked))


def verdict_on(trouble: Trouble, shown: Shown | None) -> Said | None:
    """Return what is to be said of an order by what the broker shows; None if the system will find out by itself."""
    release = Said(Verdict.RELEASE) if trouble.quarantined else None
    if not trouble.may_be_open or (shown is not None and shown.is_open):
        return release
    missing = ZERO if shown is None else shown.filled - trouble.filled_quantity
    if shown is None or missing <= ZERO:
        return Said(Verdict.ABSENT)
    if missing > trouble.order.quantity - trouble.filled_quantity:
        return release  # more than was ordered: nothing that he could say is true
    price = (shown.notional - trouble.notional) / missing
    if price <= ZERO:  # what we hold was corrected since
        price = shown.notional / shown.filled
    return Said(Verdict.FILLED, missing, max(price.quantize(PRICE_PLACES), PRICE_PLACES))
