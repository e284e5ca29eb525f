"""The paper venue: the simulated exchange and the way to it, as a machine without I/O.

Its state is a function of its inputs and the bars of the feed. The inputs that came since the last `taken_down` are in
`log`; whoever keeps them, and keeps them before what they caused is told to anybody, can make the same venue again:
`again` takes them in, one by one, and asks for the bars.

What holds of the order of things, and what a bar may do to whom, is the exchange's (`simulated/exchange.py`) and the
transit's (`simulated/latency.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from ...actors.bars import Bars
from ...actors.ports import AccountReport, Executed, Instruments, Report, StatusRequest
from ...actors.snapshots import AccountSnapshot, SyncAccount
from ..simulated.exchange import ExchangeRules, SimulatedExchange
from ..simulated.hours import Sessions
from ..simulated.latency import Transit, UnderWay, has_latency
from ..simulated.orders import REMEMBERED
from .inputs import (
    SENT,
    AnyInput,
    CancelSent,
    Delivered,
    DeliveredLate,
    NewSent,
    ReplaceSent,
    Shown,
    StatusAsked,
    Stepped,
)
from .memory import Archive, ArchivedOrders

Said = tuple[Report, int]
"""A report and the cause of the command that it answers, 0 for none."""

ACTIVITIES = (Executed, AccountReport)
"""The reports that change the account. Each has a number: the cursor."""


class PaperVenue:
    """One account at one exchange. Feed it in order of time; `now_ns` is the time of the last thing that happened."""

    def __init__(
        self,
        rules: ExchangeRules,
        instruments: Instruments,
        archive: Archive,
        *,
        account: str = "main",
        sessions: Sessions | None = None,
        remembered: int = REMEMBERED,
    ) -> None:
        self.orders = ArchivedOrders(archive, remembered)
        self.exchange = SimulatedExchange(rules, instruments, account, sessions, self.orders)
        self.now_ns = 0
        self.steps = 0
        self.told = 0
        self.log: list[AnyInput] = []
        self.activities: list[Report] = []
        self._transit = Transit(rules) if has_latency(rules) else None
        self._last_bars: Bars | None = None

    @property
    def cash(self) -> Decimal:
        return self.exchange.cash

    @property
    def positions(self) -> dict[str, Decimal]:
        return self.exchange.positions

    @property
    def has_latency(self) -> bool:
        """Whether commands are under way for a while."""
        return self._transit is not None

    def next_due_ns(self) -> int | None:
        """Return when the next command arrives that is under way, None without one."""
        return None if self._transit is None else self._transit.next_due_ns()

    def taken_down(self) -> None:
        """Forget the inputs and activities that are kept elsewhere from now on."""
        self.log.clear()
        self.activities.clear()

    # --- Inputs --------------------------------------------------------------------------------------------------------

    def command(self, command: Any, cause: int, now_ns: int) -> list[Said]:
        """Take a command that is written at `now_ns` and return what is said at once."""
        transit, kind = self._transit, type(command)
        now_ns = self.now_ns = max(now_ns, self.now_ns)
        is_delayed = transit is not None and kind in transit.latency_ns
        if kind in SENT and (is_delayed or kind is not StatusRequest):
            self.log.append(SENT[kind](command, now_ns))
        if transit is not None and is_delayed:
            transit.send(command, cause, now_ns)
            return []
        return self._say(self.exchange.handle(command, now_ns), cause)

    def bars(self, bars: Bars) -> list[Said]:
        """Match the next bars of the feed, which end now."""
        self.now_ns, self._last_bars = max(bars.end_ns, self.now_ns), bars
        self.steps += 1
        last = self.log[-1] if self.log else None
        if type(last) is Stepped:
            self.log[-1] = Stepped(last.count + 1)
        else:
            self.log.append(Stepped(1))
        return self._say(self.exchange.on_bars(bars), 0)

    def shown(self, bars: Bars) -> None:
        """Take note that the last bars were shown: nothing trades any more in what was left of them."""
        if bars is not self.exchange.shown:
            self.exchange.shown = bars
            self.log.append(Shown())

    def deliver(self, until_ns: int, bar_start_ns: int | None = None) -> list[Said]:
        """Let take effect what is due at `until_ns` or before; inside a bar that began, what could protect from it waits."""
        due_ns = self.next_due_ns()
        if self._transit is None or due_ns is None or due_ns > until_ns:
            return []
        self.log.append(Delivered(until_ns, bar_start_ns))
        self.now_ns = max(until_ns, self.now_ns)
        return self._arrive(self._transit.arrived(until_ns, bar_start_ns))

    def deliver_late(self, now_ns: int) -> list[Said]:
        """Let take effect what waited for the end of the bar that has been matched, then what is due by now."""
        transit, due_ns = self._transit, self.next_due_ns()
        if transit is None or not (transit.late or (due_ns is not None and due_ns <= now_ns)):
            return []
        self.log.append(DeliveredLate(now_ns))
        self.now_ns = max(now_ns, self.now_ns)
        said = self._arrive(transit.arrived_late())
        return said + self._arrive(transit.arrived(now_ns))

    def again(self, made: AnyInput, next_bars: Callable[[], Bars]) -> None:
        """Take in what was logged once before. What it makes the venue say was said then, or is found out by asking."""
        if isinstance(made, Stepped):
            for _ in range(made.count):
                self.bars(next_bars())
        elif isinstance(made, Delivered):
            self.deliver(made.until_ns, made.bar_start_ns)
        elif isinstance(made, DeliveredLate):
            self.deliver_late(made.until_ns)
        elif isinstance(made, Shown):
            assert self._last_bars is not None
            self.shown(self._last_bars)
        elif isinstance(made, NewSent | CancelSent | ReplaceSent | StatusAsked):
            self.command(made.command, 0, made.at_ns)
        else:
            raise TypeError(f"{type(made).__name__}: a venue on bars has no such input")

    # --- Looks ---------------------------------------------------------------------------------------------------------

    def snapshot(self, command: SyncAccount, executions: tuple[Executed, ...]) -> AccountSnapshot:
        """Return the whole account, with the executions that whoever keeps them has found."""
        found = self.exchange.snapshot(command.as_of, command.asked_ns)
        return msgspec.structs.replace(found, executions=executions, cursor=str(self.told))

    # --- Inside --------------------------------------------------------------------------------------------------------

    def _arrive(self, arrived: list[UnderWay]) -> list[Said]:
        said: list[Said] = []
        for due_ns, _, command, cause in arrived:
            said += self._say(self.exchange.handle(command, due_ns), cause)
        return said

    def _say(self, reports: list[Report], cause: int) -> list[Said]:
        for report in reports:
            if isinstance(report, ACTIVITIES):
                self.activities.append(report)
                self.told += 1
        return [(report, cause) for report in reports]
