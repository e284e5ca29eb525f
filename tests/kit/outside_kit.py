"""A process as the clients and the person in front of it see it, made of nothing but what was asked and what is to be answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ordersmith.actors.actor import ReplyTo
from ordersmith.actors.messages import CancelOrders, GetOrderStatus, GetPositions, SubmitOrders
from ordersmith.actors.model import Order, OrderState, OrderStatus
from ordersmith.simulation.chance import Chance
from ordersmith.simulation.door import Looked
from ordersmith.simulation.faults import Fault, FaultPlan
from ordersmith.simulation.schedule import Schedule

START_NS = 1_772_323_200_000_000_000


def plan_of(*faults: Fault, seed: int = 1) -> FaultPlan:
    """Return a plan with these faults alone; without any, with one that never comes up here."""
    return FaultPlan("storm", Chance(seed).stream("faults"), faults or [Fault.CLOCK_STEP])


class FakeDoor:
    """Takes orders and has them open for ever. `answer` may answer a request before that is done; `is_deaf` answers nothing."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.is_up = True
        self.is_deaf = False
        self.restores = 0
        self.asked: list[tuple[str, Any]] = []
        self.orders: dict[str, Order] = {}
        self.closed: Counter[str] = Counter()
        self.looked: Looked | None = Looked()
        self.looks: list[bool] = []
        self.answer: Callable[[Any], Any] = lambda _: None
        self._ids = 0

    def ask(self, actor: str, request: Any, answered: Callable[[Any], None] = lambda _: None) -> None:
        assert self.is_up, "nobody asks a process that is down"
        self.asked.append((actor, request))
        if self.is_deaf:
            return
        answer = self.answer(request)
        if answer is None and type(request) in ANSWERS:
            answer = ANSWERS[type(request)](self, request)
        if answer is not None:
            answered(answer)

    def new_id(self) -> str:
        self._ids += 1
        return f"made-{self._ids}"

    def look(self, *, every: bool = False) -> Looked | None:
        self.looks.append(every)
        return self.looked

    def of(self, kind: type) -> list[Any]:
        """Return the requests of a kind."""
        return [request for _, request in self.asked if type(request) is kind]

    def status(self, order_id: str) -> OrderStatus | None:
        """Return what is to be told of an order."""
        order = self.orders.get(order_id)
        if order is None:
            return None
        state = OrderState.CANCELLED if self.closed[order_id] else OrderState.SUBMITTED
        return OrderStatus(client_order_id=order_id, order=order, state=state)

    def submit(self, request: SubmitOrders) -> list[OrderStatus | None]:
        for order in request.orders:
            self.orders.setdefault(order.client_order_id, order)
        return [self.status(order.client_order_id) for order in request.orders]

    def cancel(self, request: CancelOrders) -> list[bool]:
        was_open = [not self.closed[order_id] for order_id in request.client_order_ids]
        self.closed.update(dict.fromkeys(request.client_order_ids, 1))
        return was_open


ANSWERS: dict[type, Callable[[FakeDoor, Any], Any]] = {
    SubmitOrders: FakeDoor.submit,
    CancelOrders: FakeDoor.cancel,
    GetOrderStatus: lambda door, request: [door.status(order_id) for order_id in request.client_order_ids],
    GetPositions: lambda door, request: {},
}

TO = ReplyTo(1)
