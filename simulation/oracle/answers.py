"""What callers are told: only what is durable (I8), each question once, and none for ever without an answer (I18)."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from msgspec.structs import replace

from ...actors.doubt_events import JournalFailed
from ...actors.messages import CancelOrders, GetAccountInfo, GetOrderStatus, GetPositions, HaltTrading, SubmitOrders
from ...actors.model import ZERO, Order, OrderStatus
from .journal import Journal
from .violations import Violations

WITHOUT_A_JOURNAL = frozenset({CancelOrders, HaltTrading, GetOrderStatus, GetPositions, GetAccountInfo})
"""What is answered although nothing can be made durable."""

EXCUSED_COMMITS = 2
PATIENCE_NS = 600_000_000_000


class Answers:
    """Looks at every answer of a process."""

    def __init__(self, journal: Journal, violations: Violations) -> None:
        self._journal, self._violations = journal, violations
        self._open: dict[int, tuple[Any, int]] = {}
        self._done: dict[int, None] = {}
        self._excused = 0
        self._unjudged: list[str] = []

    def booted(self) -> None:
        """Forget the questions of a process that is gone: nobody answers them."""
        self._open.clear()
        self._done.clear()
        self._unjudged.clear()
        self._excused = 0

    def asked(self, ask: int, request: Any) -> None:
        self._open[ask] = (request, self._violations.clock())

    def stated(self, kinds: set[type]) -> None:
        """Judge what was answered by a turn whose records come only now: it may have done so because the disk fails."""
        if JournalFailed in kinds:
            self._excused = EXCUSED_COMMITS
        elif not self._excused:
            for text in self._unjudged:
                self._violations.add("I8", text)
        self._unjudged.clear()

    def durable(self) -> None:
        """Take in that the disk works; the core knows by the second commit."""
        self._excused = max(self._excused - 1, 0)

    def answered(self, ask: int, answer: Any) -> None:
        """Judge an answer."""
        question = self._open.pop(ask, None)
        if question is None:
            if ask in self._done:
                self._violations.add("I8", f"question {ask} was answered twice, now with {answer}")
            return
        self._done[ask] = None
        request = question[0]
        statuses = answer if isinstance(answer, list | tuple) else (answer,)
        for index, status in enumerate(statuses):
            if isinstance(status, OrderStatus):
                self._judge(request, index, status)

    def _judge(self, request: Any, index: int, status: OrderStatus) -> None:
        order_id = status.client_order_id
        if type(request) is SubmitOrders and index < len(request.orders):
            wanted = request.orders[index].client_order_id
            if wanted and wanted != order_id:
                self._violations.add("I8", f"who submitted {wanted} was told of {order_id}")
            elif wanted:
                self._same_terms(request.orders[index], order_id)
        if status.last_record > self._journal.last:
            text = f"{type(request).__name__} was told of record {status.last_record} of order {order_id}, durable is {self._journal.last}"
            if type(request) not in WITHOUT_A_JOURNAL:
                self._violations.add("I8", text)
            elif not self._excused:
                self._unjudged.append(text)
            return
        order = self._journal.orders.get(order_id)
        if order is None:
            self._violations.add(
                "I8", f"{type(request).__name__} was told of order {order_id}, which no record has begun"
            )
            return
        count = bisect_right(order.numbers, status.last_record)
        filled = order.sums[count - 1] if count else ZERO
        if filled != status.filled_quantity:
            text = f"order {order_id} was told to have {status.filled_quantity} filled; record {status.last_record} makes it {filled}"
            self._violations.add("I8", text)

    def _same_terms(self, wanted: Any, order_id: str) -> None:
        """Judge an order that is taken for one that there is: it must be the same, or an intent would be lost without a word."""
        known = self._journal.orders.get(order_id)
        if known is None or not isinstance(wanted, Order):
            return
        if not wanted.account:
            wanted = replace(wanted, account=known.order.account)
        if wanted != known.order:
            self._violations.add("I1", f"who submitted {wanted} was told of {known.order}")

    def at_rest(self) -> None:
        """Look for questions that nobody has answered."""
        now_ns = self._violations.clock()
        for ask, (request, asked_ns) in self._open.items():
            if now_ns - asked_ns > PATIENCE_NS:
                seconds = (now_ns - asked_ns) // 1_000_000_000
                self._violations.add("I18", f"question {ask} has no answer after {seconds} s: {type(request).__name__}")
