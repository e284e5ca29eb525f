"""Takes requests to Alpaca: when the budget allows it, in a worker thread, with an end in time, and again after a 429 alone.

Entries, exits, cancels, questions and reads have threads of their own, so that none waits for another kind that hangs. A 429 is the one
answer after which a request may be sent again: it took nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import anyio
import anyio.to_thread

from .answers import Answer, Outcome, Unanswered, Unsent
from .budget import Budget, Priority
from .clients import Passage, TradingRest

THREADS = 4
LONGEST_SLEEP_S = 1.0
READ_ATTEMPTS = 3
SECOND_NS = 1_000_000_000
FOREVER_NS = 1 << 63


class Courier:
    """Belongs to one incarnation of the port. `now_ns` is the runtime's clock; `answer_s` ends what the time-outs of the SDK do not."""

    def __init__(
        self, orders: TradingRest, reads: TradingRest, budget: Budget, now_ns: Callable[[], int], answer_s: float
    ) -> None:
        self.budget = budget
        self._orders = orders
        self._reads = reads
        self._now_ns = now_ns
        self._answer_s = answer_s
        self._order_threads = anyio.CapacityLimiter(THREADS)
        self._exit_threads = anyio.CapacityLimiter(THREADS)
        self._cancel_threads = anyio.CapacityLimiter(THREADS)
        self._status_threads = anyio.CapacityLimiter(THREADS)
        self._read_threads = anyio.CapacityLimiter(THREADS)
        self._any_threads = anyio.CapacityLimiter(inf)
        self._waiting: set[str] = set()

    def waits(self, method: str, path: str, data: Any = None) -> bool:
        """Whether such a request waits for the rate limit: another one would only take the place of one that is needed."""
        return _name(method, path, data) in self._waiting

    async def get(self, path: str, params: dict[str, Any] | None = None, priority: Priority = Priority.READ) -> Outcome:
        """Ask."""
        threads = self._status_threads if priority < Priority.READ else self._read_threads
        for _ in range(READ_ATTEMPTS):
            outcome = await self._ask(self._reads, threads, priority, "GET", path, params)
            if not _is_limited(outcome):
                break
        return outcome

    async def cancel(self, broker_order_id: str) -> Outcome:
        """Ask for a cancel; asking twice does no harm."""
        for _ in range(READ_ATTEMPTS):
            path = f"/orders/{broker_order_id}"
            outcome = await self._ask(self._orders, self._cancel_threads, Priority.CANCEL, "DELETE", path, None)
            if not _is_limited(outcome):
                break
        return outcome

    async def post(
        self, body: dict[str, Any], priority: Priority, objection: Callable[[], str | None], not_after_ns: int
    ) -> Outcome:
        """Send an order, once, unless there is an objection at the moment of the write. It begins by `not_after_ns` or never."""
        threads = self._order_threads if priority is Priority.ENTRY else self._exit_threads
        while True:
            outcome = await self._ask(self._orders, threads, priority, "POST", "/orders", body, objection, not_after_ns)
            if not _is_limited(outcome):
                return outcome

    async def _ask(
        self,
        client: TradingRest,
        threads: anyio.CapacityLimiter,
        priority: Priority,
        method: str,
        path: str,
        data: Any,
        objection: Callable[[], str | None] | None = None,
        not_after_ns: int = FOREVER_NS,
    ) -> Outcome:
        name = _name(method, path, data)
        self._waiting.add(name)
        try:
            late = await self._wait(priority, not_after_ns)
        finally:
            self._waiting.discard(name)
        if late is not None:
            return late
        passage = Passage(objection)
        outcome: Outcome | None = None
        self.budget.sent(self._now_ns())
        try:
            with anyio.move_on_after(self._answer_s):
                call = partial(client.ask, method, path, data, passage)
                outcome = await self._in_thread(call, threads, not_after_ns)
        finally:
            was_written = not passage.withdraw("nobody waits for it any more")
            self._learn(outcome)
        if outcome is not None:
            return outcome
        reason = f"{method} {path}: no answer within {self._answer_s:g} s"
        return Unanswered(reason) if was_written else Unsent(reason)

    async def _in_thread(
        self, call: Callable[[], Outcome], threads: anyio.CapacityLimiter, not_after_ns: int
    ) -> Outcome:
        """Ask in one of these threads; what finds none free in time was not sent, and never will be."""
        place = object()
        with anyio.move_on_after((not_after_ns - self._now_ns()) / SECOND_NS) as in_time:
            await threads.acquire_on_behalf_of(place)
        if in_time.cancelled_caught:
            return Unsent(
                f"it waited behind {THREADS} others that Alpaca does not answer, as long as it may wait; send it again later"
            )
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._any_threads, abandon_on_cancel=True)
        finally:
            threads.release_on_behalf_of(place)

    async def _wait(self, priority: Priority, not_after_ns: int) -> Unsent | None:
        """Wait for a request of the budget; say so if that would be too late."""
        while (wait_ns := self.budget.wait_ns(priority, self._now_ns())) > 0:
            if self._now_ns() + wait_ns > not_after_ns:
                return Unsent(
                    f"of Alpaca's {self.budget.limit} requests a minute none is left for it for {wait_ns / SECOND_NS:.1f} s more"
                    " (some are kept for cancels and exits), and it may not wait so long; send fewer orders a minute"
                )
            await anyio.sleep(min(wait_ns / SECOND_NS, LONGEST_SLEEP_S))
        return None

    def _learn(self, outcome: Outcome | None) -> None:
        now_ns = self._now_ns()
        if isinstance(outcome, Answer):
            refused = outcome.status == 429
            self.budget.ended(now_ns, outcome.limit, outcome.remaining, outcome.reset_s, refused=refused)
        else:
            self.budget.ended(now_ns)


def _is_limited(outcome: Outcome) -> bool:
    return isinstance(outcome, Answer) and outcome.status == 429


def _name(method: str, path: str, data: Any) -> str:
    return f"{method} {path} {data or ''}"
