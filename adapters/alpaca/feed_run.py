"""One incarnation of the live feed: its tasks, and what passes between them.

Three tasks: `_stream` keeps a connection, `_confirm` asks for quiet prices, `_publish` tells what is due. What the stream says crosses
from the island's thread in an inbox, which is bounded: one that overflows ends the connection, and the next fills the gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from math import inf, nan
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import anyio
import anyio.to_thread
from alpaca.common.utils import reconnect_delay

from ...actors.errors import BrokerAuthError, BrokerError
from ...actors.model import as_datetime
from ..asyncio_island import Island
from ..calendar import SessionSchedule
from ..io_actor import Line
from .access import Access
from .bar_collector import BarCollector, placing
from .bar_pages import BarsAsked, pages
from .data_client import DataClient
from .latest import Latest, read_latest
from .market_stream import TROUBLE, UP, MarketStream, StreamLost, StreamRefused
from .quote_board import QuoteBoard
from .stamps import AHEAD_NS, MINUTE_NS, believed_ns, minute_before, stamp_ns, wire_ns

if TYPE_CHECKING:
    from .feed import FeedMemory, Surroundings, Tuning

T = TypeVar("T")

SECOND_NS = 1_000_000_000
INBOX = 50_000
"""Messages that may wait for the host's loop."""

LONGEST_GAP_NS = 24 * 3600 * SECOND_NS
SAME_NS = 1_000_000
"""The stream's stamps have nanoseconds and those of REST microseconds: so far apart they may be the same."""

NO_PRICE = frozenset("BCHNPRUVWZ47")
"""Conditions of trades whose price is not the market's: averages, prior references, derivatives, late and out of sequence. From the
condition tables of the consolidated tapes (ctaplan.com, CTS specification; utpplan.com, UTDF specification)."""


class FeedRun:
    """Lives from `live` to its cancellation or an error."""

    def __init__(
        self,
        access: Access,
        symbols: dict[str, None],
        around: Surroundings,
        memory: FeedMemory,
        line: Line,
        island: Island,
        *,
        schedule: SessionSchedule | None,
        tuning: Tuning,
    ) -> None:
        self._access = access
        self._symbols = symbols
        self._around = around
        self._memory = memory
        self._line = line
        self._island = island
        self._tuning = tuning
        self._client = DataClient(access)
        self._threads = anyio.CapacityLimiter(2)
        self._board = QuoteBoard()
        self._collector = BarCollector(placing(schedule), memory.told_ns)
        self._inbox: deque[tuple[str, Any]] = deque()
        self._told_of_inbox = False
        self._news, self._question = anyio.Event(), anyio.Event()
        self._connection: MarketStream | None = None
        self._asked_ns: dict[str, int] = {}
        self._heard_ns = 0
        self._baseline = True
        self._troubles: dict[str, str] = {}
        self._group: anyio.abc.TaskGroup

    async def live(self) -> None:
        """Run the tasks. Raises an ExceptionGroup."""
        async with anyio.create_task_group() as self._group:
            self._group.start_soon(self._publish)
            self._group.start_soon(self._confirm)
            self._group.start_soon(self._stream)

    def close(self) -> None:
        self._client.close()

    def wanted(self, symbols: Sequence[str]) -> None:
        """Take note of symbols that were added."""
        self._question.set()
        if self._connection is not None:
            self._group.start_soon(self._add, self._connection, symbols)

    # --- The stream --------------------------------------------------------------------------------------------------

    async def _stream(self) -> None:
        failures = 0
        while True:
            while not self._symbols:
                await self._asked_for()
            stream = MarketStream(
                self._access,
                list(self._symbols),
                self._put,
                ping_s=self._tuning.ping_s,
                open_s=self._tuning.open_s,
            )
            self._connection = stream
            try:
                await self._island.call(stream.serve)
            except StreamRefused as refused:
                raise BrokerAuthError(_refusal(self._access, str(refused))) from None
            except StreamLost as lost:
                self._trouble("stream", f"the stream of market data is down, it is tried again: {lost}")
            finally:
                self._connection = None
            failures = 1 if stream.has_brought_data else failures + 1
            await anyio.sleep(reconnect_delay(failures, *self._tuning.backoff_s))

    async def _add(self, stream: MarketStream, symbols: Sequence[str]) -> None:
        try:
            await self._island.call(stream.add, symbols)
        except Exception as error:  # noqa: BLE001 - the connection is going down: the next one has all symbols
            self._trouble("stream", f"{', '.join(symbols)} could not be subscribed: {error}")

    def _put(self, kind: str, said: Any) -> None:
        """Take what the stream says, in the island's thread."""
        if len(self._inbox) >= INBOX:
            raise StreamLost(f"{INBOX} messages wait: this process is slower than the market")
        self._inbox.append((kind, said))
        if not self._told_of_inbox:
            self._told_of_inbox = True
            self._island.tell(self._look)

    def _look(self) -> None:
        self._told_of_inbox = False
        self._news.set()

    # --- What came ---------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        """Tell what is due, whenever something came and whenever something is due."""
        line = self._line
        while True:
            self._news = anyio.Event()
            while self._inbox:
                kind, said = self._inbox.popleft()
                self._taken_by[kind](self, said, line.now_ns)
            quotes = self._board.due(line.now_ns)
            if quotes:
                self._around.quotes(quotes)
            for bars in self._collector.due(line.now_ns, len(self._symbols)):
                self._memory.told_ns = bars.end_ns
                self._around.bars(bars)
            due_ns = (self._board.next_due_ns(), self._collector.next_due_ns())
            soonest_ns = min((each for each in due_ns if each is not None), default=None)
            with anyio.move_on_after(inf if soonest_ns is None else max(0, soonest_ns - line.now_ns) / SECOND_NS):
                await self._news.wait()

    def _quoted(self, said: dict[str, Any], now_ns: int) -> None:
        stamp = wire_ns(said.get("t"))
        self._heard_ns = max(self._heard_ns, believed_ns(stamp, now_ns))
        bid, ask = _number(said, "bp"), _number(said, "ap")
        self._board.quoted(said["S"], bid, ask, _number(said, "bs"), _number(said, "as"), stamp, now_ns)

    def _traded(self, said: dict[str, Any], now_ns: int) -> None:
        stamp = wire_ns(said.get("t"))
        self._heard_ns = max(self._heard_ns, believed_ns(stamp, now_ns))
        if NO_PRICE.isdisjoint(said.get("c") or ()):
            self._board.traded(said["S"], _number(said, "p"), stamp, now_ns)

    def _barred(self, said: dict[str, Any], now_ns: int) -> None:
        row = tuple(_number(said, name) for name in "ohlcv")
        start_ns = wire_ns(said.get("t"))
        if start_ns > now_ns + MINUTE_NS:  # to tell it would make all minutes up to it late
            self._trouble(
                "ahead", "minute bars are stamped in the future and left out: set this machine's clock by NTP"
            )
        elif start_ns:
            self._collector.take(said["S"], start_ns, row, now_ns)  # type: ignore[arg-type]  # five of them

    def _restated(self, said: dict[str, Any], now_ns: int) -> None:
        """A bar that was told has changed, by late trades. What was decided on it stays decided."""

    def _up(self, symbols: Sequence[str], now_ns: int) -> None:
        """The stream is subscribed: what happened before it was must be asked for."""
        self._troubles.pop("stream", None)
        self._asked_ns.clear()
        self._baseline = True
        self._question.set()
        if self._collector.told_ns:
            self._collector.hold()
            self._group.start_soon(self._refill, now_ns)
        self._collector.begin(now_ns)

    def _said_trouble(self, text: str, now_ns: int) -> None:
        self._trouble("limit", text)

    # --- Quiet prices ------------------------------------------------------------------------------------------------

    async def _confirm(self) -> None:
        """Ask for prices that nobody has confirmed for long, those of new symbols and of a new connection at once."""
        while True:
            symbols = self._quiet()
            if symbols:
                await self._ask_for(symbols)
            with anyio.move_on_after(self._tuning.confirm_s / 3):
                await self._asked_for()

    async def _asked_for(self) -> None:
        if self._question.is_set():
            self._question = anyio.Event()
            return
        await self._question.wait()

    def _quiet(self) -> list[str]:
        before_ns = self._line.now_ns - int(self._tuning.confirm_s * SECOND_NS)
        if self._baseline:
            return list(self._symbols)
        return [
            symbol
            for symbol in self._symbols
            if max(self._board.seen_ns(symbol), self._asked_ns.get(symbol, 0)) <= before_ns
        ]

    async def _ask_for(self, symbols: list[str]) -> None:
        asked_ns, baseline = self._line.now_ns, self._baseline
        self._baseline = False
        self._asked_ns.update(dict.fromkeys(symbols, asked_ns))
        try:
            found, invalid = await self._in_thread(partial(read_latest, self._client, symbols, self._access.feed))
        except BrokerAuthError:
            raise
        except BrokerError as error:
            self._baseline = baseline
            self._trouble("latest", f"the latest prices cannot be read, quiet symbols become stale: {error}")
            return
        self._troubles.pop("latest", None)
        for symbol, latest in found.items():
            self._board.confirmed(symbol, latest, asked_ns)
        self._news.set()
        missing = [symbol for symbol in symbols if symbol not in found]
        if missing:
            known = " (not symbols of Alpaca's)" if invalid else ""
            self._trouble("unknown", f"Alpaca has no prices of {', '.join(missing)}{known}: check data.symbols")
        await self._judge_stream(found, baseline=baseline)

    async def _judge_stream(self, found: dict[str, Latest], *, baseline: bool) -> None:
        """Have a stream that says nothing counted as dead if REST knows something newer than all that it ever brought."""
        stamps = (stamp for each in found.values() for stamp in (each.quoted_ns, each.traded_ns))
        newest_ns = max((stamp for stamp in stamps if stamp <= self._line.now_ns + AHEAD_NS), default=0)
        if baseline:
            self._heard_ns = max(self._heard_ns, newest_ns)
        stream = self._connection
        if stream is None or not stream.is_up:
            return
        if self._missed(newest_ns):
            await anyio.sleep(min(2.0, self._tuning.silence_s))  # it may be on its way
        silence_s = self._tuning.silence_s if self._missed(newest_ns) else None
        if self._connection is stream:
            await self._island.call(stream.watch_silence, silence_s)

    def _missed(self, newest_ns: int) -> bool:
        return newest_ns > self._heard_ns + SAME_NS

    # --- Missing minutes ---------------------------------------------------------------------------------------------

    async def _refill(self, up_ns: int) -> None:
        """Read the minutes that passed while the stream was down; the collector holds what comes meanwhile."""
        try:
            settle_ns = int(self._tuning.settle_s * SECOND_NS)
            await anyio.sleep(max(0, minute_before(up_ns) + settle_ns - self._line.now_ns) / SECOND_NS)
            until_ns = minute_before(self._line.now_ns)
            start_ns = max(self._collector.told_ns, until_ns - LONGEST_GAP_NS)
            if start_ns < until_ns:
                await self._read_minutes(as_datetime(start_ns), as_datetime(until_ns))
        finally:
            self._collector.release()
            self._news.set()

    async def _read_minutes(self, start: datetime, end: datetime) -> None:
        asked = BarsAsked(symbols=list(self._symbols), start=start, end=end, timeframe="1Min", feed=self._access.feed)
        try:
            found = await self._in_thread(lambda: list(pages(self._client, asked, attempts=2)))
        except BrokerAuthError:
            raise
        except BrokerError as error:
            self._trouble("bars", f"minute bars from {start:%H:%M} to {end:%H:%M} UTC are missing: {error}")
            return
        self._troubles.pop("bars", None)
        now_ns = self._line.now_ns
        for page in found:
            for symbol, bars in page.items():
                for bar in bars:
                    # They are complete: nobody waits for others of their minute.
                    row = (bar.o, bar.h, bar.l, bar.c, bar.v)
                    self._collector.take(symbol, stamp_ns(bar.t), row, now_ns - MINUTE_NS)

    # --- Parts -------------------------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)

    def _trouble(self, kind: str, text: str) -> None:
        """Tell a trouble once, until it is over or is another one."""
        if self._troubles.get(kind) != text:
            self._troubles[kind] = text
            self._around.trouble(text)

    _taken_by: ClassVar[dict[str, Callable[[FeedRun, Any, int], None]]] = {
        "q": _quoted,
        "t": _traded,
        "b": _barred,
        "u": _restated,
        UP: _up,
        TROUBLE: _said_trouble,
    }


def _number(said: dict[str, Any], name: str) -> float:
    """Return a number of a message, NaN for what is none."""
    value = said.get(name)
    return float(value) if isinstance(value, int | float) else nan


def _refusal(access: Access, text: str) -> str:
    return (
        f"execution.alpaca: the stream of market data at {access.data_stream_url} is refused: {text}; check that key and secret"
        f" belong together, and that the plan includes feed {access.feed!r} (execution.alpaca.feed: iex is free)"
    )
