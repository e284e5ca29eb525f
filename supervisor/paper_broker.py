"""The local paper broker as a live system has it: account, clock and port, tied to the runtime that they serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction

from ..actors.bars import Bars
from ..adapters.io_actor import IoActor
from ..adapters.paper.account import PaperAccount
from ..adapters.paper.pace import DataClock, Turns
from ..adapters.paper.port import PaperPort, Surroundings
from ..config import Settings
from .backtest import ACCOUNT, Feed
from .dispatcher import ARITHMETIC
from .from_settings import exchange_rules, instruments_of
from .inputs import PricesKnown, PricesMatched, PricesShown
from .live import LiveRuntime
from .live_plan import Shown


class PaperBroker:
    """One paper account, for one runtime."""

    in_process = True
    address = ""
    feed = None

    def __init__(self, settings: Settings, feed: Feed) -> None:
        paper = settings.execution.paper
        self.speed = None if paper.speed == "max" else Decimal(paper.speed)
        self.clock = DataClock(feed.start_ns)
        self.turns = None if self.speed is not None else Turns()
        self.account = PaperAccount(
            settings.resolve(paper.file),
            exchange_rules(settings),
            instruments_of(settings, feed.symbols),
            feed,
            account=ACCOUNT,
            arithmetic=ARITHMETIC,
        )
        self._around: Surroundings

    def serve(self, runtime: LiveRuntime, shown: Shown, ended: Callable[[], None]) -> None:
        """Say which runtime this is for; `shown` hears of bars as everybody does, `ended` of the end of the data."""

        def show(bars: Bars) -> None:
            runtime.put(PricesShown(bars))
            shown(bars)

        def next_deadline_ns() -> int | None:
            return runtime.core.next_deadline_ns()

        self.clock.moved = runtime.look_again
        self._around = Surroundings(
            known=lambda bars: runtime.put(PricesKnown(bars)),
            matched=lambda bars: runtime.put(PricesMatched(bars)),
            shown=show,
            ended=ended,
            next_deadline_ns=next_deadline_ns,
            has_begun=lambda: runtime.core.started,
        )

    def want(self, symbols: Iterable[str]) -> None:
        """Prices come with the bars, whoever wants them."""

    def port(self) -> IoActor:
        pace = None if self.speed is None else Fraction(self.speed)
        return PaperPort(self.account, self.clock, self._around, speed=pace, turns=self.turns)

    async def open(self, last_ns: int) -> None:
        """Open the account; bars up to `last_ns`, the time of the journal's last record, are over.

        Raises ConfigError.
        """
        self.account.given(last_ns)
        await self.account.open()
        self.clock.set(max(self.account.now_ns, last_ns))

    async def close(self) -> None:
        await self.account.close()
