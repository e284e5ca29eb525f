"""A paper account: the venue, the feed that it trades on, and its file, kept together.

What blocks (the file, and looks into it) runs in a worker thread, one call at a time; bars that move nothing cost the loop
no more than the exchange's own work. The venue is a cache of the file: after any trouble, and in every life of the port,
it is made again from the inputs in the file and the bars of the feed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Context, localcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import msgspec

from ...actors.bars import Bars, Row
from ...actors.errors import ConfigError, UsageError
from ...actors.model import Instrument, as_datetime
from ...actors.ports import AccountReport, Executed, NotSent, Report
from ...actors.snapshots import SyncAccount
from ..last_rows import carry_over
from ..simulated.orders import REMEMBERED
from ..simulated.rules import ExchangeRules
from .identity import identity_of
from .venue import PaperVenue, Said
from .venue_file import NEW_ACCOUNT, Mark, VenueFile, encoded

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
Entry = tuple[Any, int, NotSent | None]
"""A command, its cause, and why it must not be sent, if so."""

STEPS_A_COMMIT = 500
"""Steps without orders that a crash may undo; they are taken again then."""

TOLD_AGAIN = 1_000
"""How many activities are told again before a snapshot, when some of them are the account's and not an order's."""

_ENCODE = msgspec.msgpack.Encoder().encode


class Feed(Protocol):
    """Bars in time order; each iteration starts anew, with the same bars."""

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def start_ns(self) -> int: ...

    def __iter__(self) -> Iterator[Bars]: ...


class PaperAccount:
    """One account in one file. `open` it before a port runs on it, `close` it afterwards.

    `arithmetic` is the decimal context in which the exchange computes.
    """

    def __init__(
        self,
        path: Path,
        rules: ExchangeRules,
        instruments: Mapping[str, Instrument],
        feed: Feed,
        *,
        account: str = "main",
        arithmetic: Context,
        remembered: int = REMEMBERED,
    ) -> None:
        self.path = path
        self.name = account
        self._rules, self._instruments, self._feed = rules, instruments, feed
        self._arithmetic = arithmetic
        self._remembered = remembered
        self._file = VenueFile(path)
        self._venue: PaperVenue | None = None
        self._is_fresh = False
        self._thread = anyio.CapacityLimiter(1)
        self._bars: Iterator[Bars] = iter(())
        self._peeked: Bars | None = None
        self._rows: dict[str, Row] = {}
        self._last: Bars | None = None
        self._bars_digest = hashlib.blake2b(digest_size=16)
        self._told_digest = hashlib.blake2b(digest_size=16)
        self._committed = 0
        self._given_ns = 0

    # --- Life ----------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Lock and read the file, and bring the venue to where it was.

        Raises ConfigError, in one line, for a file that is of another exchange, of other data, of a newer format, in use,
        or cannot be read.
        """
        await self._in_thread(self._open)

    async def start(self) -> None:
        """Begin a life of the port: with the venue as `open` left it, or one made again from the file."""
        is_fresh, self._is_fresh = self._is_fresh and self._venue is not None, False
        await self._in_thread(self._catch_up if is_fresh else self._rebuild)

    async def close(self) -> None:
        """Write down which bars were taken, and close the file."""
        with anyio.CancelScope(shield=True):
            await self._in_thread(self._close)

    @property
    def venue(self) -> PaperVenue:
        """The venue; UsageError while there is none."""
        if self._venue is None:
            raise UsageError(f"{self.path}: the paper account is not open; call open() first")
        return self._venue

    @property
    def now_ns(self) -> int:
        """The time of the account: of the last thing that happened in it, or of the data's begin."""
        return max(self.venue.now_ns, self._feed.start_ns)

    def prices(self) -> Bars | None:
        """Return the last prices of all symbols, on today's terms, as bars that end when the last ones did."""
        last = self._last
        if last is None:
            return None
        return Bars(last.start_ns, last.end_ns, last.session, last.closes_session, dict(self._rows), (), last.regular)

    # --- Bars ----------------------------------------------------------------------------------------------------------

    def next_bars(self) -> Bars | None:
        """Return the next bars of the feed, None at its end; the same ones until they are matched."""
        if self._peeked is None:
            self._peeked = next(self._bars, None)
        return self._peeked

    def match(self, bars: Bars) -> list[Said]:
        """Match the next bars. What is said has to be committed before it is told."""
        with localcontext(self._arithmetic):
            return self._match(bars)

    def given(self, upto_ns: int) -> None:
        """Take note that the bars up to this time were handed out: in this process they are not handed out again.

        A life before this one may have handed out more than the file has; whoever knows says so before `start`, and the
        account takes those bars for itself.
        """
        self._given_ns = max(self._given_ns, upto_ns)

    # --- Commands ------------------------------------------------------------------------------------------------------

    async def handle(self, entries: Sequence[Entry], now_ns: int) -> list[Said]:
        """Take commands in order, make durable what came of them in one transaction, and return what is said."""
        return await self._in_thread(self._handle, entries, now_ns)

    async def deliver(self, until_ns: int, bar_start_ns: int | None = None) -> list[Said]:
        """Let take effect what is due, and return what is said, durable."""
        due_ns = self.venue.next_due_ns()
        if due_ns is None or due_ns > until_ns:
            return []
        return await self._in_thread(self._done, lambda: self.venue.deliver(until_ns, bar_start_ns))

    async def deliver_late(self, now_ns: int) -> list[Said]:
        """Let take effect what waited for the end of the bars that are matched, and return what is said, durable."""
        return await self._in_thread(self._done, lambda: self.venue.deliver_late(now_ns))

    async def commit(self) -> None:
        """Make durable what has happened so far."""
        await self._in_thread(self._done, list)

    @property
    def lags(self) -> bool:
        """Whether so many bars were taken since the last commit that another is due."""
        return self.venue.steps - self._committed >= STEPS_A_COMMIT

    # --- What it is ----------------------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        return identity_of(self._rules, self._instruments, self._feed, self.name)

    def _new_venue(self) -> PaperVenue:
        return PaperVenue(
            self._rules,
            self._instruments,
            self._file,
            account=self.name,
            sessions=getattr(self._feed, "schedule", None),
            remembered=self._file.remembered,
        )

    # --- In the thread -------------------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        def run() -> T:
            with localcontext(self._arithmetic):
                return work(*arguments)

        return await anyio.to_thread.run_sync(run, limiter=self._thread)

    def _open(self) -> None:
        self._file.open(self._identity(), self._remembered)
        try:
            self._rebuild()
        except BaseException:
            self._file.close()
            raise
        self._is_fresh = True

    def _close(self) -> None:
        try:
            if self._venue is not None:
                self._commit()
        finally:
            self._venue = None
            self._file.close()

    def _done(self, work: Callable[[], list[Said]]) -> list[Said]:
        """Do something with the venue and make it durable. After a failure the venue has to be made again."""
        try:
            said = work()
            self._commit()
        except BaseException:
            self._venue = None
            raise
        return said

    def _handle(self, entries: Sequence[Entry], now_ns: int) -> list[Said]:
        return self._done(lambda: [said for entry in entries for said in self._answer(*entry, now_ns)])

    def _answer(self, command: Any, cause: int, refused: NotSent | None, now_ns: int) -> list[Said]:
        if refused is not None:
            return [(refused, cause)]
        if isinstance(command, SyncAccount):
            self._commit()
            return [(report, cause) for report in self._read(command)]
        return self.venue.command(command, cause, now_ns)

    def _read(self, command: SyncAccount) -> list[Report]:
        """Return the account as a whole. What no snapshot can tell (why cash moved) is told again before it."""
        after = int(command.executions_after or 0)
        found = self._file.activities(after)
        executions = tuple(each for each in found if isinstance(each, Executed))
        recent = found[-TOLD_AGAIN:] if command.executions_after else []
        is_needed = any(isinstance(each, AccountReport) for each in recent)
        return [*(recent if is_needed else []), self.venue.snapshot(command, executions)]

    def _commit(self) -> None:
        venue = self.venue
        if not venue.log:
            return
        first = venue.told - len(venue.activities) + 1
        rows = [(number, each, encoded(each)) for number, each in enumerate(venue.activities, first)]
        for _, _, data in rows:
            self._told_digest.update(data)
        self._file.append(venue.log, self._mark(), rows, venue.orders.leaving)
        venue.taken_down()
        venue.orders.left()
        self._committed = venue.steps

    def _mark(self) -> Mark:
        venue = self.venue
        return Mark(venue.steps, venue.now_ns, self._bars_digest.digest(), venue.told, self._told_digest.digest())

    # --- Make it again -------------------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """Feed the venue what is in the file, then the bars that have been handed out since."""
        self._venue = venue = self._new_venue()
        self._bars, self._peeked, self._rows, self._last = iter(self._feed), None, {}, None
        self._bars_digest, self._told_digest = hashlib.blake2b(digest_size=16), hashlib.blake2b(digest_size=16)
        try:
            for inputs, mark in self._file.groups():
                for made in inputs:
                    venue.again(made, lambda mark=mark: self._bars_again(mark))  # type: ignore[misc]
                for each in venue.activities:
                    self._told_digest.update(encoded(each))
                self._compare(mark)
                venue.taken_down()
                venue.orders.left()
            self._committed = venue.steps
            self._catch_up()
        except BaseException:
            self._venue = None
            raise

    def _bars_again(self, mark: Mark) -> Bars:
        bars = next(self._bars, None)
        if bars is None:
            raise ConfigError(
                f"{self.path}: this paper account is at {_time(mark.at_ns)}, after {mark.steps:,} steps of bars, and the data"
                f" end after {self.venue.steps:,}; give it the data that it has traded on, or {NEW_ACCOUNT}"
            )
        self._take(bars)
        return bars

    def _compare(self, mark: Mark) -> None:
        found, at = self._mark(), _time(mark.at_ns)
        if (found.steps, found.bars) != (mark.steps, mark.bars):
            raise ConfigError(
                f"{self.path}: this paper account has traded on other bars than the data have up to {at};"
                f" give it the data that it has traded on, or {NEW_ACCOUNT}"
            )
        if (found.told, found.activities) != (mark.told, mark.activities):
            raise ConfigError(
                f"{self.path}: this version of Ordersmith does not execute the orders of this paper account up to {at} as the"
                f" version that made it; use that one, or {NEW_ACCOUNT}"
            )

    def _catch_up(self) -> None:
        """Take the bars that were handed out before and are not in the file; what they bring is told to who asks."""
        venue = self.venue
        last = self._last
        if last is not None and last.end_ns <= self._given_ns:
            venue.shown(last)
        while (bars := self.next_bars()) is not None and bars.end_ns <= self._given_ns:
            while (due_ns := venue.next_due_ns()) is not None and due_ns < bars.end_ns:
                venue.deliver(due_ns, bars.start_ns)
            if self._match(bars):
                venue.shown(bars)
            venue.deliver_late(bars.end_ns)
        if venue.activities or self.lags:
            self._commit()

    def _match(self, bars: Bars) -> list[Said]:
        said = self.venue.bars(bars)
        self._take(bars)
        self._peeked = None
        return said

    def _take(self, bars: Bars) -> None:
        """Note what the account has traded on."""
        actions = [msgspec.structs.astuple(action) for action in bars.actions]
        told = (bars.start_ns, bars.end_ns, bars.session, bars.closes_session, bars.regular, bars.rows, actions)
        self._bars_digest.update(_ENCODE(told))
        if actions:
            carry_over(self._rows, bars.actions)
        self._rows.update(bars.rows)
        self._last = bars


def _time(at_ns: int) -> str:
    return f"{as_datetime(at_ns):%Y-%m-%d %H:%M:%S} UTC"
