"""The clients outside: they submit, replace, cancel, flatten, set targets, ask, ask again, and sometimes misuse the interface.

A client knows only what it was answered. What got no answer it asks about later, and submits again under the same id and
with the same terms: that must never make a second order.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import accumulate
from random import Random
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from ..actors.messages import (
    CancelOrders,
    CommandRefused,
    Flatten,
    GetAccountInfo,
    GetFilledOrders,
    GetOrderStatus,
    GetPositions,
    HaltTrading,
    ReplaceOrder,
    SetTargets,
    SubmitOrders,
)
from ..actors.model import Order, OrderStatus, Position
from .door import NO_ANSWER, Door
from .faults import FaultPlan
from .intents import KINDS, Intents
from .market import Market
from .misuse import MISUSES
from .schedule import HOUR_NS, MINUTE_NS, SECOND_NS, Entry, Schedule

LIVES_NS = (20 * SECOND_NS, 20 * MINUTE_NS)
"""How long a client leaves an order open before it cancels it: at least, at most."""
REVIEW_NS = 3 * MINUTE_NS
"""How often a client asks for everything that it believes is open, and for its positions."""
ASKED_AT_ONCE = 40
REMEMBERED = 60
MOST_OPEN = 30
CANCELS_EVERY_NS = MINUTE_NS
"""How often everything open is cancelled in the end."""

Answered = Callable[[Any], None]


class Workload:
    """Acts at a steady rate from `start` on, until `wind_down`: then it opens nothing and cancels what is open.

    `did` counts what was done, `submitted` the orders that were asked for, the same id once.
    """

    def __init__(self, schedule: Schedule, random: Random, door: Door, market: Market, plan: FaultPlan) -> None:
        self.did: Counter[str] = Counter()
        self.submitted = 0
        self.winding_down = False
        self._schedule, self._random, self._door, self._market, self._plan = schedule, random, door, market, plan
        self._intents = Intents(random, market)
        self._open: dict[str, Order] = {}  # as it was told last, oldest first
        self._first: dict[str, Order] = {}  # the terms that an open one was submitted with
        self._closed: deque[Order] = deque(maxlen=REMEMBERED)
        self._own_ids = 0
        self._last_record = 0
        self._restores = 0
        self._next: Entry | None = None

    @property
    def open_ids(self) -> tuple[str, ...]:
        """The orders that the clients believe to be open."""
        return tuple(self._open)

    def start(self) -> None:
        """Begin to act."""
        self._act_later()
        self._schedule.after(REVIEW_NS, self._review)

    def wind_down(self) -> None:
        """Open nothing any more; cancel what is open, again every minute for as long as the world runs."""
        if not self.winding_down:
            self.winding_down = True
            if self._next is not None:
                self._schedule.cancel(self._next)
            self._cancel_everything()

    # --- Acts ------------------------------------------------------------------------------------------------------------

    def _act_later(self) -> None:
        gap_ns = int(self._random.expovariate(ACTS_AN_HOUR) * HOUR_NS)
        self._next = self._schedule.after(gap_ns, self._act)

    def _act(self) -> None:
        self._act_later()
        if not self._door.is_up:
            return
        if self._restores != self._door.restores:  # what the journal has forgotten must not be submitted again
            self._restores = self._door.restores
            self._forget()
        crowded = len(self._open) >= MOST_OPEN
        name = "cancel" if crowded else self._random.choices(NAMES, cum_weights=WEIGHTS)[0]
        self.did[name] += 1
        if name in KINDS:
            self._submit([self._intents.order(name)])
        else:
            ACTS[name](self)

    def _forget(self) -> None:
        self._closed.extend(self._open.values())
        self._open.clear()
        self._first.clear()

    def batch(self) -> None:
        """Submit several orders at once, now and then one of them twice."""
        kinds = self._random.choices(tuple(KINDS), k=self._random.randint(2, 4))
        self._submit([self._intents.order(kind) for kind in kinds], twice=self._random.random() < 0.2)

    def submit_and_cancel(self) -> None:
        """Cancel an order at once, or a moment after it was submitted."""
        (order,) = self._submit([self._intents.order(self._random.choice(("resting", "marketable", "market")))])
        delay_ns = self._random.choice((0, 0, 1, 50_000_000, SECOND_NS))
        if delay_ns:
            self._schedule.after(delay_ns, lambda: self._cancel((order.client_order_id,)))
        else:
            self._cancel((order.client_order_id,))

    def exit(self) -> None:
        """Close a part of a position."""
        order = self._intents.exit()
        if order is not None:
            self._submit([order])

    def cancel(self) -> None:
        """Cancel one or some of what is open, the oldest first."""
        self._cancel(self.open_ids[: self._random.choice((1, 1, 1, 3))])

    def cancel_closed(self) -> None:
        """Cancel what was closed a moment ago."""
        if self._closed:
            self._cancel((self._closed[-1].client_order_id,))

    def replace(self) -> None:
        """Change an open order; now and then twice in a row."""
        order = self._any_open()
        if order is None:
            return
        for _ in range(self._random.choice((1, 1, 1, 2))):
            change = self._intents.change(order)
            self._ask("desk", ReplaceOrder(order.client_order_id, change), self._told)

    def submit_again(self) -> None:
        """Submit an order again, with its id and its terms."""
        if self._first:
            self._again(self._random.choice(tuple(self._first.values())))

    def submit_otherwise(self) -> None:
        """Use the id of an order again for another: it must be refused."""
        if self._first:
            order = self._random.choice(tuple(self._first.values()))
            self._again(replace(order, quantity=order.quantity + 1))

    def set_targets(self) -> None:
        """Set target positions."""
        self._ask("rebalancer", SetTargets(self._intents.targets()), self._told)

    def close_others(self) -> None:
        """Set target positions, and close all other positions."""
        self._ask("rebalancer", SetTargets(self._intents.targets(), close_others=True), self._told)

    def flatten(self) -> None:
        """Cancel and close everything."""
        self._ask("rebalancer", Flatten(), self._told)

    def halt(self) -> None:
        """Halt trading, as a drill."""
        self._ask("circuit_breaker", HaltTrading("a drill"))

    def ask_status(self) -> None:
        """Ask for some orders, open and closed."""
        ids = [order.client_order_id for order in (*self._open.values(), *self._closed)]
        wanted = self._random.sample(ids, min(len(ids), 3))
        self._ask_status(tuple(wanted))

    def ask_balances(self) -> None:
        """Ask what the account has."""
        self._ask("risk_gate", GetAccountInfo(NO_ANSWER))

    def ask_filled(self) -> None:
        """Ask for the orders that have filled since the last time."""
        self._ask("journal", GetFilledOrders(self._last_record, NO_ANSWER), self._filled)

    def misuse(self) -> None:
        """Ask for something that nobody should ask for."""
        order = self._any_open() or (self._closed[-1] if self._closed else None)
        known = "unknown" if order is None else order.client_order_id
        make = self._random.choice(MISUSES)
        self._ask(*make(self._random.choice(self._market.symbols), self._own_id(), known))

    # --- Requests --------------------------------------------------------------------------------------------------------

    def _submit(self, wanted: Iterable[Order], *, twice: bool = False) -> list[Order]:
        """Submit orders: half of them under ids that the executor makes, half under the client's own."""
        fresh = self._random.random() < 0.5
        orders = [replace(order, client_order_id=self._door.new_id() if fresh else self._own_id()) for order in wanted]
        for order in orders:
            self._open[order.client_order_id] = self._first[order.client_order_id] = order
            self.submitted += 1
            lives_ns = self._random.randrange(*LIVES_NS)
            self._schedule.after(lives_ns, partial(self._lived, order.client_order_id))
        is_twice = twice and not fresh
        sent = (*orders, orders[0]) if is_twice else tuple(orders)
        self._ask("desk", SubmitOrders(sent, fresh), lambda answer: self._submitted(sent, answer))
        return orders

    def _again(self, order: Order) -> None:
        self._ask("desk", SubmitOrders((order,)), self._told)

    def _lived(self, order_id: str) -> None:
        """Cancel an order that has been open for long enough."""
        if order_id in self._open and not self.winding_down:
            self.did["cancel of age"] += 1
            self._cancel((order_id,))

    def _cancel(self, order_ids: tuple[str, ...]) -> None:
        if order_ids:
            self._ask("desk", CancelOrders(order_ids))

    def _ask_status(self, order_ids: tuple[str, ...]) -> None:
        if order_ids:
            question = GetOrderStatus(order_ids, NO_ANSWER)
            self._ask("desk", question, lambda answer: self._statuses(order_ids, answer))

    def _ask(self, actor: str, request: Any, answered: Answered | None = None) -> None:
        if self._door.is_up:
            self._door.ask(actor, request, answered or _ignored)

    def _own_id(self) -> str:
        self._own_ids += 1
        return f"client-{self._own_ids}"

    def _any_open(self) -> Order | None:
        return self._random.choice(tuple(self._open.values())) if self._open else None

    # --- Answers ---------------------------------------------------------------------------------------------------------

    def _submitted(self, orders: tuple[Order, ...], answer: Any) -> None:
        """Take the answer to orders: of one that was refused nothing is open, and of one without an answer it is not known."""
        self._told(answer)
        if isinstance(answer, list):
            for order, part in zip(orders, answer, strict=True):
                if isinstance(part, CommandRefused):
                    self._close(order)

    def _told(self, answer: Any) -> None:
        """Take whatever an answer says of orders."""
        for part in answer if isinstance(answer, list) else (answer,):
            if isinstance(part, OrderStatus):
                self._took(part)

    def _took(self, status: OrderStatus) -> None:
        order_id = status.client_order_id
        if status.is_closed:
            self._close(status.order)
        elif order_id in self._open:
            self._open[order_id] = status.order

    def _close(self, order: Order) -> None:
        self._first.pop(order.client_order_id, None)
        if self._open.pop(order.client_order_id, None) is not None:
            self._closed.append(order)

    def _statuses(self, order_ids: tuple[str, ...], answer: Any) -> None:
        """Take statuses. An order that nobody knows was lost on its way in: it is submitted again, or given up."""
        self._told(answer)
        if not isinstance(answer, list):
            return
        for order_id, status in zip(order_ids, answer, strict=True):
            order = self._first.get(order_id)
            if status is not None or order is None or order_id not in self._open:
                continue
            if self.winding_down or self._restores != self._door.restores or self._random.random() < 0.5:
                self._close(order)
            else:
                self.did["submit what was lost"] += 1
                self._again(order)

    def _filled(self, answer: Any) -> None:
        if isinstance(answer, list):
            self._told(answer)
            self._last_record = max((part.last_record for part in answer), default=self._last_record)

    def _positions(self, answer: Any) -> None:
        if isinstance(answer, dict):
            held: Mapping[str, Position] = answer
            self._intents.positions = {symbol: position.quantity for symbol, position in held.items()}

    # --- Reviews and the end ---------------------------------------------------------------------------------------------

    def _review(self) -> None:
        self._schedule.after(REVIEW_NS, self._review)
        self._ask_status(self.open_ids[:ASKED_AT_ONCE])
        self._ask("positions", GetPositions(NO_ANSWER), self._positions)

    def _cancel_everything(self) -> None:
        """Cancel what the clients know to be open, and what a look at the process shows."""
        self._schedule.after(CANCELS_EVERY_NS, self._cancel_everything)
        looked = self._door.look(every=True) if self._door.is_up else None
        shown = () if looked is None else looked.open_ids
        self._cancel(tuple(dict.fromkeys((*shown, *self._open))))
        self._ask_status(self.open_ids)


def _ignored(_: Any) -> None:
    """Take an answer that changes nothing for who asked."""


RATES: Mapping[str, float] = MappingProxyType(
    {
        "market": 16,
        "marketable": 16,
        "resting": 26,
        "immediate": 5,
        "stop": 5,
        "stop_limit": 2.5,
        "batch": 2,
        "submit_and_cancel": 4,
        "exit": 5,
        "cancel": 4,
        "cancel_closed": 2,
        "replace": 10,
        "submit_again": 2,
        "submit_otherwise": 1,
        "set_targets": 2,
        "close_others": 0.3,
        "flatten": 0.3,
        "halt": 0.2,
        "ask_status": 3,
        "ask_balances": 2,
        "ask_filled": 3,
        "misuse": 5,
    }
)
"""How often a client does what, an hour."""

ACTS: Mapping[str, Callable[[Workload], None]] = MappingProxyType(
    {name: getattr(Workload, name) for name in RATES if name not in KINDS}
)
NAMES = tuple(RATES)
WEIGHTS = tuple(accumulate(RATES.values()))
ACTS_AN_HOUR = WEIGHTS[-1]
