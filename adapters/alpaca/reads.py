"""The questions to Alpaca's trading API, each read to its end.

A question without an answer raises a BrokerError: nothing is ever empty by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypeVar

from ...actors.errors import BrokerProtocolError, BrokerUnavailable
from ...actors.model import as_datetime
from .activities import FILL
from .answers import Answer, read_of
from .budget import Priority
from .codec import instant_ns
from .courier import Courier
from .instruments import ASSETS_PATH, ASSETS_QUERY
from .known_orders import KnownOrder, KnownOrders, leg_of
from .legs import ORDERS_PAGE, find_entries, find_exit, may_be_exit
from .stamps import wire_text
from .wire import WireAccount, WireActivity, WireOrder, WirePosition, decode, with_exits

T = TypeVar("T")
BY_CLIENT_ID = "/orders:by_client_order_id"
ACTIVITIES_PAGE = 100
MANY = 3
"""From so many unknown orders on a list of all orders is read, instead of one after the other."""

LIST_PAGES = 4


class Reads:
    """Asks, and keeps what it learns of orders."""

    def __init__(self, courier: Courier, orders: KnownOrders) -> None:
        self._courier = courier
        self._orders = orders

    # --- The account ---------------------------------------------------------------------------------------------------

    async def account(self) -> WireAccount:
        return await self._read("/account", None, WireAccount)

    async def positions(self) -> list[WirePosition]:
        return await self._read("/positions", None, list[WirePosition])

    async def assets(self) -> list[dict[str, Any]]:
        """Return the list of stocks."""
        return await self._read(ASSETS_PATH, ASSETS_QUERY, list[dict[str, Any]])

    async def fills(self, after_ns: int) -> list[WireActivity]:
        """Return the executions after an instant."""
        return await self._activities(f"/account/activities/{FILL}", {"after": wire_text(as_datetime(after_ns))})

    async def others(self, after_date: str) -> list[WireActivity]:
        """Return all other activities from a date on."""
        terms = {"after": f"{after_date}T00:00:00Z", "category": "non_trade_activity"}
        rows = await self._activities("/account/activities", terms)
        return [row for row in rows if row.activity_type != FILL]

    async def open_orders(self) -> list[WireOrder]:
        """Return all open orders, each by itself: with `nested` the exits of an entry that has filled would be missing.

        Pages overlap: orders may be of one instant.
        """
        found: dict[str, WireOrder] = {}
        terms: dict[str, Any] = {"status": "open", "limit": ORDERS_PAGE, "direction": "asc", "nested": "false"}
        while True:
            page = await self._read("/orders", terms, list[WireOrder])
            before = len(found)
            found.update({order.id: order for order in page})
            if len(page) < ORDERS_PAGE:
                return list(found.values())
            if len(found) == before:
                raise BrokerProtocolError(f"open orders: more than {ORDERS_PAGE} of one instant cannot be listed")
            last_ns = instant_ns(page[-1].submitted_at or page[-1].created_at)
            terms["after"] = wire_text(as_datetime(last_ns) - timedelta(microseconds=1))

    # --- Orders --------------------------------------------------------------------------------------------------------

    async def order(
        self, broker_order_id: str, priority: Priority = Priority.STATUS, *, nested: bool = False
    ) -> WireOrder | None:
        """Return an order by Alpaca's id, None if there is none."""
        return await self._one(f"/orders/{broker_order_id}", {"nested": "true"} if nested else None, priority)

    async def by_wire_id(self, wire_id: str, priority: Priority = Priority.STATUS) -> WireOrder | None:
        """Return an order by our id, None if there is none now: also an exit, which has a client order id of Alpaca's."""
        found = None if self._orders.knows_exit(wire_id) else await self.by_client_id(wire_id, priority)
        return found or await find_exit(self, wire_id, priority, self._orders)

    async def placed_after(self, at_ns: int, symbols: str) -> list[WireOrder]:
        """Return a page of the orders of some symbols that came after an instant, whatever became of them, exits beneath."""
        terms: dict[str, Any] = {"status": "all", "limit": ORDERS_PAGE, "direction": "asc", "nested": "true"}
        terms |= {"after": wire_text(as_datetime(at_ns)), "symbols": symbols}
        return await self._read("/orders", terms, list[WireOrder])

    async def by_client_id(self, client_order_id: str, priority: Priority = Priority.STATUS) -> WireOrder | None:
        """Return an order by our id, None if there is none now."""
        return await self._one(BY_CLIENT_ID, {"client_order_id": client_order_id}, priority)

    def waits_for(self, client_order_id: str) -> bool:
        """Whether that question waits for the rate limit already."""
        return self._courier.waits("GET", BY_CLIENT_ID, {"client_order_id": client_order_id})

    async def attribute(self, order_ids: Iterable[str]) -> None:
        """Learn whose these orders are, and what filled before each: also where an earlier look-up had no answer."""
        known = self._orders
        sought = dict.fromkeys(order_ids)
        for order_id in sought:
            if order_id in known.by_id:
                await self.complete(known.by_id[order_id])
        unknown = [each for each in sought if each not in known.by_id and each not in known.foreign]
        if len(unknown) > MANY:
            await self._list_until(unknown)
            unknown = [each for each in unknown if each not in known.by_id and each not in known.foreign]
        for order_id in unknown:
            order = await self.order(order_id, Priority.READ)
            if order is None:
                known.foreign[order_id] = None
            else:
                await self.learn(order)

    async def sort_out(self, orders: Iterable[WireOrder]) -> None:
        """Find out together which of these are exits of ours, not one after the other against the rate limit."""
        await find_entries(self, orders, self._orders)

    async def meet_exits(self, entry: KnownOrder) -> None:
        """Learn the exits that hang on an order, if that was not done yet."""
        if self._orders.lacks_exits(entry):
            row = await self.order(entry.broker_order_id, Priority.READ, nested=True)
            for each in () if row is None else with_exits(row):
                await self.learn(each)

    async def learn(self, order: WireOrder) -> KnownOrder | None:
        """Take in an order, with the one that it replaces, hangs on, and the legs before it; return it if it is ours."""
        replaced = order.replaces
        if replaced and replaced not in self._orders.by_id and replaced not in self._orders.foreign:
            await self.attribute([replaced])
        await find_entries(self, (order,), self._orders)
        known = self._orders.learn(order)
        if known is not None:
            await self.complete(known)
        return known

    def must_ask(self, order: WireOrder) -> bool:
        """Whether `learn` may have to ask something before it knows whose the order is, and what filled before it."""
        orders, replaced = self._orders, order.replaces
        known = orders.by_id.get(order.id)
        if known is not None and known.earlier is None:
            return True
        if replaced and replaced not in orders.by_id and replaced not in orders.foreign:
            return True
        leg = leg_of(order.client_order_id) if known is None else None
        return (leg is not None and leg.number > 0) or may_be_exit(order, orders)

    async def complete(self, known: KnownOrder) -> None:
        """Learn what has filled of the legs before this one. Raises BrokerError, and then nothing may be told of it."""
        if known.earlier is not None:
            return
        replaced = self._orders.by_id.get(known.order.replaces or "")
        if replaced is not None:
            await self.complete(replaced)
        for wire_id in self._orders.complete(known):
            before = await self.by_client_id(wire_id, Priority.READ)
            if before is None:
                self._orders.was_never_there(wire_id)
            else:
                await self.follow(before)
        self._orders.complete(known)
        if known.earlier is None:
            raise BrokerUnavailable(f"order {known.wire_id}: a leg before it is not over, or not known")

    async def follow(self, order: WireOrder) -> KnownOrder | None:
        """Take in an order and, where somebody has replaced it, those that came in its place; return the last if it is ours."""
        known = await self.learn(order)
        while known is not None and known.order.replaced_by:
            following = await self.order(known.order.replaced_by)
            if following is None:
                break
            after = await self.learn(following)
            if after is None or after is known or after.leg != known.leg:
                break
            known = after
        return known

    async def _list_until(self, unknown: list[str]) -> None:
        """Read the newest orders, of whatever state, until those that are sought were among them."""
        missing = set(unknown)
        terms: dict[str, Any] = {"status": "all", "limit": ORDERS_PAGE, "direction": "desc", "nested": "false"}
        for _ in range(LIST_PAGES):
            page = await self._read("/orders", terms, list[WireOrder])
            await self.sort_out(order for order in page if order.id in missing)
            for order in page:
                if order.id in missing:
                    missing.discard(order.id)
                    await self.learn(order)
            if not missing or len(page) < ORDERS_PAGE:
                return
            last_ns = instant_ns(page[-1].submitted_at or page[-1].created_at)
            terms["until"] = wire_text(as_datetime(last_ns) + timedelta(microseconds=1))

    # --- How to ask ----------------------------------------------------------------------------------------------------

    async def _activities(self, path: str, terms: dict[str, Any]) -> list[WireActivity]:
        found: dict[str, WireActivity] = {}
        terms = {**terms, "direction": "asc", "page_size": ACTIVITIES_PAGE}
        while True:
            page = await self._read(path, terms, list[WireActivity])
            before = len(found)
            found.update({row.id: row for row in page})
            if len(page) < ACTIVITIES_PAGE:
                return list(found.values())
            if len(found) == before:
                raise BrokerProtocolError(f"{path}: a page is like the one before it")
            terms["page_token"] = page[-1].id

    async def _read(self, path: str, terms: dict[str, Any] | None, kind: type[T]) -> T:
        answer = read_of(await self._courier.get(path, terms), f"GET {path}")
        return decode(answer.body, kind, f"GET {path}")

    async def _one(self, path: str, terms: dict[str, Any] | None, priority: Priority) -> WireOrder | None:
        outcome = await self._courier.get(path, terms, priority)
        if isinstance(outcome, Answer) and outcome.status == 404 and (outcome.code or outcome.message):
            return None
        return decode(read_of(outcome, f"GET {path}").body, WireOrder, f"GET {path}")
