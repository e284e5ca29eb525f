"""A paper account that trades on live quotes: a `PaperAccount` whose venue takes quotes, and which has no bars."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from decimal import Context, localcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from ...actors.bars import Bars
from ...actors.model import Instrument, Order, TimeInForce, as_datetime
from ...actors.ports import NewOrder, NotSent, Rejected
from ...actors.quotes import Quote
from ..simulated.hours import Sessions
from ..simulated.orders import REMEMBERED
from ..simulated.rules import ExchangeRules
from .account import Entry, PaperAccount
from .quoted_venue import QuotedVenue
from .venue import PaperVenue, Said

AUCTIONS = frozenset({TimeInForce.OPG, TimeInForce.CLS})
"""Who asks for these knows that the order waits."""

log = logging.getLogger("ordersmith")


class NamedSessions(Sessions, Protocol):
    """A calendar with a name, such as XNYS."""

    @property
    def name(self) -> str: ...


class AnySymbol(NamedTuple):
    """The same lot and tick for every symbol, save those that have their own: which there are, the quotes say."""

    default: Instrument
    own: dict[str, Instrument]

    def get(self, symbol: str) -> Instrument:
        """Return the rules of a symbol."""
        return self.own.get(symbol, self.default)


class _NoBars:
    """The feed of an account that has none."""

    symbols: tuple[str, ...] = ()
    start_ns = 0

    def __iter__(self) -> Iterator[Bars]:
        return iter(())


class QuotedAccount(PaperAccount):
    """One account in one file. Quotes older than `fresh_ns` are not traded on."""

    def __init__(
        self,
        path: Path,
        rules: ExchangeRules,
        instruments: AnySymbol,
        sessions: NamedSessions,
        *,
        account: str = "main",
        arithmetic: Context,
        fresh_ns: int,
        remembered: int = REMEMBERED,
    ) -> None:
        super().__init__(path, rules, {}, _NoBars(), account=account, arithmetic=arithmetic, remembered=remembered)
        self._any_symbol, self._sessions, self._fresh_ns = instruments, sessions, fresh_ns
        self._told_open_ns: int | None = None

    @property
    def venue(self) -> QuotedVenue:
        """The venue; UsageError while there is none."""
        venue = super().venue
        assert isinstance(venue, QuotedVenue)
        return venue

    async def handle(self, entries: Sequence[Entry], now_ns: int) -> list[Said]:
        said = await super().handle(entries, now_ns)
        self._tell_of_waiting(entries, said)
        return said

    def _tell_of_waiting(self, entries: Sequence[Entry], said: Sequence[Said]) -> None:
        """Say, once until the next opening, that an order which was taken can trade only then."""
        opens_ns = None if self.venue.exchange.session is not None else self.venue.next_session_ns()
        if opens_ns is None or opens_ns == self._told_open_ns:
            return
        refused = {report.wire_id for report, _ in said if isinstance(report, Rejected | NotSent)}
        for command, *_ in entries:
            if isinstance(command, NewOrder) and command.wire_id not in refused and _waits(command.order):
                self._told_open_ns = opens_ns
                log.warning("%s", self._waiting_words(command.order, opens_ns))
                return

    def _waiting_words(self, order: Order, opens_ns: int) -> str:
        which = f"{order.order_type} {order.side} {order.quantity} {order.symbol} ({order.client_order_id})"
        return (
            f"{which} waits for the opening, and so does every order until then: {self._sessions.name} is closed and opens at"
            f" {as_datetime(opens_ns):%Y-%m-%d %H:%M} UTC; a LIMIT order with extended_hours trades before, and"
            ' data.calendar: "24/7" trades always'
        )

    async def quotes(self, quotes: Sequence[Quote], now_ns: int) -> list[Said]:
        """Let the orders meet these quotes, and return what is said, durable."""
        with localcontext(self._arithmetic):
            said = self.venue.quotes(quotes, now_ns)
        if self.venue.log:
            await self.commit()
        return said

    def next_change_ns(self) -> int | None:
        """Return when something is due: a session that opens or closes, a command that arrives."""
        found = (self.venue.next_session_ns(), self.venue.next_due_ns())
        return min((each for each in found if each is not None), default=None)

    async def pass_time(self, now_ns: int) -> list[Said]:
        """Let happen what is due by now, and return what is said, durable."""
        change_ns = self.next_change_ns()
        if change_ns is None or (change_ns > now_ns and self.venue.now_ns):
            return []
        return await self._in_thread(self._done, lambda: self._pass_time(now_ns))

    def _pass_time(self, now_ns: int) -> list[Said]:
        """Take what is due in its order: a command that arrives as a session closes comes after that."""
        venue, said = self.venue, []
        while (due_ns := venue.next_due_ns()) is not None and due_ns <= now_ns:
            said += venue.pass_time(due_ns)
            said += venue.deliver(due_ns)
        return said + venue.pass_time(now_ns)

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same each time the account is opened. Which symbols are quoted may change."""
        default, own = self._any_symbol
        found = {
            "account": self.name,
            "prices": "live quotes",
            "calendar": self._sessions.name,
            "fresh_ns": self._fresh_ns,
        }
        found |= {f"exchange.{name}": value for name, value in msgspec.to_builtins(self._rules).items()}
        for symbol, instrument in [("default", default), *sorted(own.items())]:
            found[f"instruments.{symbol}"] = f"lot {instrument.lot}, tick {instrument.tick}"
        return msgspec.json.decode(msgspec.json.encode(found))  # type: ignore[no-any-return]

    def _new_venue(self) -> PaperVenue:
        return QuotedVenue(
            self._rules,
            self._any_symbol,
            self._file,
            self._sessions,
            account=self.name,
            remembered=self._file.remembered,
            fresh_ns=self._fresh_ns,
        )


def _waits(order: Order) -> bool:
    """Tell whether an order, while no session is open, waits for one without having asked for that."""
    return not order.extended_hours and order.time_in_force not in AUCTIONS
