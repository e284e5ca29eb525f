"""Carries out on a live runtime what was asked through the control socket. What the domain refuses is an answer, not an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from ..actors import messages
from ..actors.messages import CommandRefused, Unknown
from ..actors.snapshots import ResolveSymbol as SettleSymbol
from .control_requests import (
    Answer,
    AnyRequest,
    Cancel,
    GetStatus,
    Halt,
    ResolveOrder,
    ResolveSymbol,
    Resume,
    refused,
)
from .status import Status, open_ids

if TYPE_CHECKING:
    from .live import LiveRuntime

DURABLE_WITHIN_S = 2.0
"""How long a status waits until what it says is durable; the journal may be what is in trouble."""

LOST = "the request was lost to a crash; ask for the status and, if need be, ask again"


class Operations:
    """What a person may do with a service. `status` says how it is, as of now."""

    def __init__(self, runtime: LiveRuntime, status: Callable[[], Status]) -> None:
        self._runtime = runtime
        self._status = status
        self._carry: dict[type, Callable[[Any], Awaitable[Answer]]] = {
            GetStatus: self._say_status,
            Halt: self._halt,
            Resume: self._resume,
            Cancel: self._cancel,
            ResolveOrder: self._resolve_order,
            ResolveSymbol: self._resolve_symbol,
        }

    async def carry(self, request: AnyRequest) -> Answer:
        """Do what was asked. Raises OrdersmithError for what cannot be done now."""
        return await self._carry[type(request)](request)

    async def _say_status(self, _: GetStatus) -> Answer:
        status, last = self._status(), self._runtime.last_record()
        with anyio.move_on_after(DURABLE_WITHIN_S):
            await self._runtime.store.reaches(last)
        status = msgspec.structs.replace(status, head=str(self._runtime.store.head))
        return Answer(True, f"trading is {status.trading_state}", status)

    async def _halt(self, request: Halt) -> Answer:
        return await self._change(messages.HaltTrading(request.reason))

    async def _resume(self, request: Resume) -> Answer:
        if self._runtime.fault:
            await self._runtime.mend()
        return await self._change(messages.ResumeTrading(request.reason))

    async def _change(self, request: Any) -> Answer:
        state = await self._runtime.ask("circuit_breaker", request)
        return no_answer(state) or Answer(True, f"trading is {state}", {"trading_state": state})

    async def _cancel(self, request: Cancel) -> Answer:
        if request.every == bool(request.order_ids):
            return refused("cancel: name the orders, or say all; one of the two")
        ids = tuple(open_ids(self._runtime.core)) if request.every else request.order_ids
        if not ids:
            return Answer(True, "no order is open", {"cancelling": [], "not": []})
        taken = await self._runtime.ask("desk", messages.CancelOrders(ids))
        if (lost := no_answer(taken)) is not None:
            return lost
        cancelling = [order_id for order_id, is_taken in zip(ids, taken, strict=True) if is_taken is True]
        closed = [order_id for order_id, is_taken in zip(ids, taken, strict=True) if is_taken is not True]
        text = f"{len(cancelling)} of {len(ids)} cancels are on their way; an order is gone when the status says so"
        if closed:
            text += f"; closed or unknown: {', '.join(closed[:10])}{', …' if len(closed) > 10 else ''}"
        return Answer(bool(cancelling), text, {"cancelling": cancelling, "not": closed})

    async def _resolve_order(self, request: ResolveOrder) -> Answer:
        order_id, verdict = request.order_id, request.verdict
        word = messages.ResolveOrder(order_id, verdict, request.reason, request.quantity, request.price)
        status = await self._runtime.ask("desk", word)
        return no_answer(status) or Answer(
            True, f"order {order_id} is {status.state}", msgspec.to_builtins(status, builtin_types=())
        )

    async def _resolve_symbol(self, request: ResolveSymbol) -> Answer:
        word = SettleSymbol(request.symbol, request.verdict, request.reason)
        account = self._runtime.core.plan.account
        answer = await self._runtime.ask(f"connection/{account}", word)
        named = request.symbol or "cash"
        return no_answer(answer) or Answer(True, f"{named}: {request.verdict}, judged by the next read of the account")


def no_answer(answer: Any) -> Answer | None:
    """Return the refusal that an actor's answer is, None for an answer."""
    if isinstance(answer, CommandRefused):
        return refused(answer.text)
    if isinstance(answer, Unknown) or (isinstance(answer, list) and any(isinstance(part, Unknown) for part in answer)):
        return refused(LOST)
    return None
