"""`service.on_stop`: what becomes of open orders and positions before a service ends.

The strategies have had their say by then. What is asked for is asked again until it is proved, or the time is over: an
order may be replaced, and the rebalancer may send another, while cancels are on their way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import anyio

from ..actors.messages import CancelOrders, Flatten
from ..config.describing import number_text
from .inputs import HostsStopped
from .status import open_ids

if TYPE_CHECKING:
    from .core import Core
    from .live import LiveRuntime

NAMED = 10
ASK_AGAIN_S = 0.2
"""How long nothing may be on its way before a flatten that is not done is asked for again."""


async def bring_to_an_end(runtime: LiveRuntime, policy: str, changed: Callable[[], Awaitable[None]]) -> None:
    """Return once the policy is fulfilled; `changed` returns after the next tick. For a caller with a deadline.

    Raises OrdersmithError for what cannot be asked.
    """
    step = POLICIES[policy]
    if step is None:
        return
    runtime.put(HostsStopped())
    await changed()
    await step(runtime, changed)


def left_over(core: Core, policy: str) -> str:
    """Say what the policy wanted gone and is there; "" for nothing."""
    wanted = ORDERS_AND_POSITIONS[policy]
    return "; ".join(filter(None, (tell(core) for tell in wanted)))


# --- Policies ----------------------------------------------------------------------------------------------------------


async def _cancel(runtime: LiveRuntime, changed: Callable[[], Awaitable[None]]) -> None:
    asked: dict[str, None] = {}
    while ids := open_ids(runtime.core):
        fresh = tuple(order_id for order_id in ids if order_id not in asked)
        if fresh:
            asked.update(dict.fromkeys(fresh))
            await runtime.ask("desk", CancelOrders(fresh))
        else:
            await changed()


async def _flatten(runtime: LiveRuntime, changed: Callable[[], Awaitable[None]]) -> None:
    await runtime.ask("rebalancer", Flatten())
    while open_ids(runtime.core) or any(_positions(runtime.core)):
        if open_ids(runtime.core):
            await changed()
            continue
        await anyio.sleep(ASK_AGAIN_S)
        if not open_ids(runtime.core) and any(_positions(runtime.core)):
            await runtime.ask("rebalancer", Flatten())


POLICIES: dict[str, Callable[[LiveRuntime, Callable[[], Awaitable[None]]], Awaitable[None]] | None] = {
    "leave": None,
    "cancel": _cancel,
    "flatten": _flatten,
}


# --- What is left ------------------------------------------------------------------------------------------------------


def _positions(core: Core) -> Iterator[str]:
    ledger = core.dispatcher.view("positions")
    account = None if ledger is None else ledger.accounts.get(core.plan.account)
    for symbol, holding in {} if account is None else account.holdings.items():
        if holding.quantity:
            yield f"{number_text(holding.quantity)} {symbol}"


def _orders_left(core: Core) -> str:
    ids = open_ids(core)
    return f"{len(ids)} orders are still open: {_some(ids)}" if ids else ""


def _positions_left(core: Core) -> str:
    held = list(_positions(core))
    return f"{len(held)} positions are still held: {_some(held)}" if held else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


ORDERS_AND_POSITIONS: dict[str, tuple[Callable[[Core], str], ...]] = {
    "leave": (),
    "cancel": (_orders_left,),
    "flatten": (_orders_left, _positions_left),
}
