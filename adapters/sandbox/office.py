"""What all of the sandbox's server works on: the broker, the market, the streams, the faults, the log, the account's file.

Whatever changes the account goes through here: `publish` sends what the broker has to say, writes the account down, and wakes who
steps the broker. All in one event loop, so that a change and what is said of it are never torn apart.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import date, timedelta
from typing import Any

import msgspec

from ...actors.bars import CorporateAction, CorporateActionKind
from ...actors.errors import DataError
from ..calendar import EPOCH_DAY, load_schedule
from .account_file import AccountFile
from .alpaca_broker import SandboxBroker
from .alpaca_refusal import Refusal
from .alpaca_settings import Listed
from .data_stream import DataStream
from .fault_book import FaultBook, Standing
from .market import Market, Message, Quote, row
from .rate_limit import RateLimit
from .request_log import RequestLog
from .sandbox_config import SandboxConfig
from .stamps import NS, day_of, now_ns
from .tape import Span, Tape
from .trade_stream import TradeStream

UPDATES_KEPT = 100_000
CALENDAR = timedelta(days=330)
"""How far the exchange's calendar reaches to both sides: those who make it know a year ahead."""


class Office:
    """One sandbox's books and doors, without its web server."""

    def __init__(self, config: SandboxConfig, tape: Tape) -> None:
        self.config = config
        self.tape = tape
        self.started_ns = now_ns()
        self.broker = _broker(config, tape, self.started_ns)
        self.file = AccountFile(config.account)
        self.market = Market(config.seed)
        self.log = RequestLog()
        self.limit = RateLimit(config.rate_limit, config.rate_window_s)
        self.faults = FaultBook(on_add=self._on_fault, on_clear=self._on_clear)
        self.trade = TradeStream(config, self.faults)
        self.data = DataStream(config, self.faults)
        self.updates: deque[Message] = deque(maxlen=UPDATES_KEPT)
        self.updates_told = 0
        self.wake = asyncio.Event()
        self.playing = asyncio.Event()
        self.playing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Take up the account where it was left, and put the faults in force. Raises DataError."""
        self.file.take()
        try:
            kept = self.file.read()
            if kept is not None:
                self._load(kept)
        except BaseException:
            self.file.release()
            raise
        self.faults.start(self.config.faults, now_ns())
        self.start(self._step())

    def _load(self, kept: bytes) -> None:
        try:
            self.broker.load(kept)
        except (ValueError, msgspec.MsgspecError) as error:
            raise DataError(f"--account {self.file.path}: is no account of a sandbox: {error}; move it away") from error
        number = self.broker.account()["account_number"]
        if number.startswith("PA") != (self.config.kind == "paper"):
            other = "live" if self.config.kind == "paper" else "paper"
            raise DataError(
                f"--account {self.file.path}: {number} is a {other} account; accepted: --kind {other}, or another file"
            )

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(self.trade.stop(), self.data.stop())
        try:
            self.publish()
        finally:
            self.file.release()

    def start(self, work: Any) -> None:
        """Let something go on beside the requests, until the sandbox closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- The broker --------------------------------------------------------------------------------------------------------

    def publish(self, *, changed: bool = True) -> None:
        """Write the account down and send what the broker has to say. Nothing is said that could be forgotten again."""
        updates = self.broker.take_updates()
        if updates or changed:
            if self.file.path is not None:
                self.file.write(self.broker.dump())
            self.wake.set()
        for update in updates:
            self.updates_told += 1
            self.updates.append({"number": self.updates_told, **update})
            self.trade.tell(update)

    async def _step(self) -> None:
        """Let the broker do what is due, when it is due."""
        while True:
            self.wake.clear()
            due = self.broker.next_due_ns()
            wait_s = None if due is None else max(due - now_ns(), 0) / NS
            if wait_s is None or wait_s > 0:
                try:
                    # Not wait_for, which on Python 3.11 loses a cancellation that comes with the event.
                    async with asyncio.timeout(None if wait_s is None else min(wait_s, 3600)):
                        await self.wake.wait()
                except TimeoutError:
                    pass
                else:
                    continue
            self.broker.advance(now_ns())
            self.publish(changed=False)
            await asyncio.sleep(0)

    # --- The market --------------------------------------------------------------------------------------------------------

    def quote(self, quotes: dict[str, Quote], traded: dict[str, float] | None = None) -> None:
        """Let the market quote, and trade at some prices; the broker fills what that fills."""
        messages: list[Message] = []
        for symbol, quote in quotes.items():
            messages.append(self.market.quote(symbol, quote))
            self._tell_broker(symbol, quote)
        for symbol, price in (traded or {}).items():
            messages.append(self.market.trade(symbol, price, 100.0, now_ns()))
        self.publish(changed=False)
        self.data.tell(messages)

    def _tell_broker(self, symbol: str, quote: Quote) -> None:
        try:
            self.broker.on_quote(now_ns(), symbol, *_decimal(quote))
        except Refusal:
            return  # not listed: market data know more symbols than the broker does

    def tick(self, prices: dict[str, float]) -> None:
        """Move the market to these prices."""
        now = now_ns()
        self.quote({symbol: self.market.around(price, now) for symbol, price in prices.items()}, prices)

    def close_bar(self, began_ns: int, span: Span) -> None:
        """Send the bars of a span that has been played, stamped with when it began here."""
        messages: list[Message] = []
        for symbol, prices in span.bars.items():
            messages += self.market.bar(symbol, row(began_ns, *prices))
        for kind in "ubd":
            self.data.tell([message for message in messages if message["T"] == kind])

    def act(self, action: CorporateAction) -> None:
        """Book what a company does to its shares."""
        now = now_ns()
        match action.kind:
            case CorporateActionKind.SPLIT:
                self.broker.book_activity(now, "SPLIT", symbol=action.symbol, ratio=action.ratio)
            case CorporateActionKind.DIVIDEND:
                self.broker.book_activity(now, "DIV", symbol=action.symbol, per_share_amount=action.amount)
            case CorporateActionKind.SYMBOL_CHANGE:
                self.broker.book_activity(now, "NC", symbol=action.symbol, new_symbol=action.new_symbol)
        self.publish()

    # --- Faults ------------------------------------------------------------------------------------------------------------

    def _on_fault(self, standing: Standing) -> None:
        if standing.kind.occasion != "link":
            return
        if standing.rule.per_hour is not None:
            self.start(self._now_and_then(standing))
        elif now_ns() >= self.faults.quiet_until_ns:
            self._hub(standing).befall(standing)

    async def _now_and_then(self, standing: Standing) -> None:
        while self.faults.holds(standing):
            await asyncio.sleep(standing.wait_s())
            if self.faults.holds(standing) and now_ns() >= self.faults.quiet_until_ns:
                self._hub(standing).befall(standing)

    def _hub(self, standing: Standing) -> TradeStream | DataStream:
        return self.trade if standing.kind.stream == "trade" else self.data

    def _on_clear(self) -> None:
        self.trade.recover()
        self.data.recover()


def _broker(config: SandboxConfig, tape: Tape, start_ns: int) -> SandboxBroker:
    """Return the broker, which lists whatever there are prices of."""
    listed = {stock.symbol: stock for stock in config.broker.listed}
    for symbol in (*tape.symbols, *config.symbols):
        listed.setdefault(symbol, Listed(symbol=symbol, name=symbol))
    settings = msgspec.structs.replace(
        config.broker,
        kind=config.kind,
        seed=config.seed,
        listed=tuple(listed.values()),
        sessions=config.broker.sessions or _sessions(day_of(start_ns)),
    )
    return SandboxBroker(settings, start_ns)


def _sessions(today: date) -> tuple[tuple[str, int, int], ...]:
    """Return the exchange's sessions around today, with holidays and half days: the calendar, also where the market never closes."""
    schedule = load_schedule("XNYS", today - CALENDAR, today + CALENDAR)
    rows = zip(schedule.sessions, schedule.opens, schedule.closes, strict=True)
    return tuple((date.fromordinal(EPOCH_DAY + day).isoformat(), opens, closes) for day, opens, closes in rows)


def _decimal(quote: Quote) -> tuple[str, str, str, str]:
    """Return a quote's numbers as the shortest text that says them, which is what people mean by them."""
    bid, ask, bid_size, ask_size = (repr(value) for value in quote[:4])
    return bid, ask, bid_size, ask_size
