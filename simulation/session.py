"""The session of a port with its broker, and the stream in it: what the broker tells unasked, while there is somebody to tell.

A session is lost, comes and goes, falls silent or half dies without a word, and is open again a while later. Frames are dropped,
told twice, late. What was not told in a session is never told by its stream again; news of the account are told again
before the account is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from random import Random

from ..actors.model import Terms
from ..actors.ports import AccountReport, Capabilities, Connected, Disconnected, Executed, Report, Restated
from .broker import Broker
from .broker_books import DAY_NS
from .faults import Fault, FaultPlan
from .oracle.watch import Watch
from .schedule import MINUTE_NS, SECOND_NS, Schedule
from .timed import Timed

TRAVEL_NS = (1_000_000, 25_000_000)
"""How long a message is on its way: at least, at most."""

LATEST_S = 30.0
LOOK_NS = 20 * SECOND_NS
"""How often a stream that is mute looks whether the faults are over."""

RESTATED_AGAIN_NS = 2 * MINUTE_NS
"""How long an order that the broker has restated is told again with every read."""

OTHER = "another account"
NEWS = (AccountReport, Restated)


def late(random: Random) -> int:
    """Return by how much something is late."""
    return int(min(random.expovariate(0.2), LATEST_S) * SECOND_NS)


class Session:
    """One port's way to hear of its account. A foreign session is one of another account; each has a `number`.

    `post` says something to the core, `lost` hears that a session is gone.
    """

    def __init__(
        self,
        schedule: Schedule,
        random: Random,
        plan: FaultPlan,
        broker: Broker,
        watch: Watch,
        post: Callable[[Report], None],
        lost: Callable[[], None],
    ) -> None:
        self.is_open = self.is_half_open = self.is_mute = self.is_foreign = False
        self._schedule, self._random, self._plan, self._broker, self._watch = schedule, random, plan, broker, watch
        self._post, self._lost = post, lost
        self.number = self._flaps = 0
        self._down_until_ns = self._mute_until_ns = self._stream_ns = 0
        self._frames: deque[Report] = deque(maxlen=20)
        self._first_news = 0
        self._told_news: dict[int, None] = {}
        broker.tell = self.tell
        timed = Timed(schedule, plan)
        timed.every(Fault.DISCONNECT, self._disconnect)
        timed.every(Fault.FLAPPING, self._flap)
        timed.every(Fault.HALF_OPEN, self._half_open)
        timed.every(Fault.MUTE, self._mute)
        timed.every(Fault.NIGHTLY_RESET, self._reset)

    # --- Begin and end ---------------------------------------------------------------------------------------------------

    def refusal(self) -> str | None:
        """Return why no session can be opened now."""
        if self._schedule.now_ns < self._down_until_ns and not self._plan.quiet:
            return "the broker cannot be reached"
        return "connection refused" if self._plan.hits(Fault.CONNECT_REFUSED) else None

    def open(self, capabilities: Capabilities) -> None:
        """Open a session, in place of one that is open; its answer takes a moment."""
        if self.is_open:
            self.close()
            self._lost()
        self.number += 1
        number = self.number
        self._schedule.after(self._random.randrange(*TRAVEL_NS), lambda: self._opened(number, capabilities))

    def _opened(self, number: int, capabilities: Capabilities) -> None:
        if number != self.number:
            return
        is_other = self._plan.hits(Fault.OTHER_ACCOUNT)
        account = OTHER if is_other else self._broker.account
        self.is_open, self.is_half_open, self.is_mute, self.is_foreign = True, False, False, is_other
        self._mute_until_ns = 0
        self._told_news.clear()
        news, now_ns = self._broker.books.news, self._schedule.now_ns
        self._first_news = next((i for i, (at_ns, _) in enumerate(news) if at_ns > now_ns - DAY_NS), len(news))
        self._watch.session(True, account)
        self._post(Connected(account, capabilities))
        if self._frames and not is_other and self._plan.hits(Fault.DUPLICATED):
            for report in list(self._frames)[-self._random.randrange(1, 6) :]:
                self._post(report)
        if self._flaps and not self._plan.quiet:
            self._flaps -= 1
            self._schedule.after(
                int(self._random.uniform(0.1, 3) * SECOND_NS), lambda: self._end_of(number, "the session flaps")
            )

    def _end_of(self, number: int, reason: str) -> None:
        if number == self.number:
            self.end(reason)

    def end(self, reason: str) -> None:
        """End the session and say so."""
        self.close()
        self._lost()
        self._post(Disconnected(reason))

    def close(self) -> None:
        """End the session without a word: nobody is there to hear it."""
        self.number += 1
        if self.is_open:
            self.is_open = self.is_half_open = self.is_mute = False
            self._watch.session(False)

    # --- Faults of the session -------------------------------------------------------------------------------------------

    def _down(self, least_s: float, most_s: float) -> None:
        down_ns = int(self._random.uniform(least_s, most_s) * SECOND_NS)
        self._down_until_ns = max(self._down_until_ns, self._schedule.now_ns + down_ns)

    def _disconnect(self) -> bool:
        if not self.is_open:
            return False
        self._down(0, self._random.choice((1, 10, 120)))
        self.end("connection reset by peer")
        return True

    def _flap(self) -> bool:
        self._flaps = self._random.randrange(2, 7)
        return self._disconnect()

    def _reset(self) -> bool:
        self._down(20, 300)
        if self.is_open:
            self.end("the broker restarts for the night")
        return True

    def _half_open(self) -> bool:
        """Have nothing come back any more, and some of what is sent not arrive, until somebody notices."""
        if not self.is_open:
            return False
        self.is_half_open = True
        number = self.number
        self._schedule.after(
            int(self._random.uniform(5, 55) * SECOND_NS), lambda: self._end_of(number, "no heartbeat: half open")
        )
        return True

    def _mute(self) -> bool:
        """Have the stream say nothing for a while, as if nothing happened."""
        if not self.is_open or self.is_mute:
            return False
        self.is_mute = True
        self._mute_until_ns = self._schedule.now_ns + int(self._random.uniform(10, 600) * SECOND_NS)
        number = self.number
        self._schedule.after(LOOK_NS, lambda: self._unmute(number))
        return True

    def _unmute(self, number: int) -> None:
        if number != self.number or not self._mute_until_ns:
            return
        if self._plan.quiet or self._schedule.now_ns >= self._mute_until_ns:
            self.is_mute, self._mute_until_ns = False, 0
        else:
            self._schedule.after(LOOK_NS, lambda: self._unmute(number))

    # --- The stream --------------------------------------------------------------------------------------------------------

    def tell(self, report: Report) -> None:
        """Send a frame, if there is a session."""
        if not self.is_open or self.is_half_open or self.is_mute or self.is_foreign:
            return
        hits, random, schedule = self._plan.hits, self._random, self._schedule
        if hits(Fault.FRAME_DROPPED):
            return
        number, place = self.number, len(self._broker.books.news) - 1 if isinstance(report, NEWS) else -1
        at_ns = self._stream_ns = max(self._stream_ns, schedule.now_ns + random.randrange(*TRAVEL_NS))
        if type(report) is Restated:  # nobody could tell an old one from a new one
            schedule.at(at_ns, lambda: self._frame(number, report, place))
            return
        if hits(Fault.DELAYED):
            at_ns += late(random)
        elif type(report) is Executed and hits(Fault.CUMULATIVE_FIRST):
            order = self._broker.find(report.wire_id)
            if order is not None:
                schedule.at(at_ns, lambda: self._frame(number, order.found, -1))
                at_ns += late(random)
        schedule.at(at_ns, lambda: self._frame(number, report, place))
        if hits(Fault.DUPLICATED):
            schedule.at(at_ns + late(random), lambda: self._frame(number, report, place))

    def _frame(self, number: int, report: Report, place: int) -> None:
        if number != self.number or self.is_half_open or self.is_mute:
            return
        if place >= 0:
            self._told_news[place] = None
        elif type(report) is Executed:
            self._frames.append(report)
        self._post(report)

    def untold_news(self) -> Iterator[Report]:
        """Yield the news of the account that this session has not told; they count as told then."""
        news, now_ns = self._broker.books.news, self._schedule.now_ns
        for place in range(len(news) - 1, -1, -1):
            at_ns, report = news[place]
            if at_ns < now_ns - RESTATED_AGAIN_NS:
                break
            if isinstance(report, Restated) and place < self._first_news:
                self._told_news.pop(place, None)
                self._first_news = place
        for place in range(self._first_news, len(news)):
            at_ns, report = news[place]
            is_told = place in self._told_news and not isinstance(report, Restated)
            if not is_told and self._holds(report):
                yield report
        self._first_news = len(news)
        self._told_news.clear()

    def _holds(self, report: Report) -> bool:
        """Whether it is still true: an order may have been changed again since."""
        if not isinstance(report, Restated):
            return True
        order = self._broker.find(report.wire_id)
        return order is not None and order.wire_id == report.wire_id and Terms.of(order.terms) == report.terms
