"""How those outside reach the process, and what a person sees of it on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ..actors.actor import ReplyTo
from ..actors.machines.breaker import HaltReason
from ..actors.machines.order import OrderMachine
from ..actors.machines.session import Phase, Session
from ..actors.model import ZERO, Order, TradingState
from ..supervisor.status import machines_of

if TYPE_CHECKING:
    from ..supervisor.core import Core

NO_ANSWER: ReplyTo = None  # type: ignore[assignment]
"""The `reply_to` of a question; the core fills it in."""


class Trouble(msgspec.Struct, frozen=True):
    """An order that is in quarantine, or of which a person must say what became of it."""

    order: Order
    filled_quantity: Decimal = ZERO
    notional: Decimal = ZERO
    may_be_open: bool = True
    quarantined: bool = False


class Looked(msgspec.Struct, frozen=True):
    """What a person sees at one glance. `open_ids` are all orders that may be open only if he asked for every one."""

    trading_state: TradingState = TradingState.ACTIVE
    reason: HaltReason = HaltReason.START
    session: Phase = Phase.READY
    frozen: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    in_doubt: int = 0
    open_ids: tuple[str, ...] = ()
    journal_fails: bool = False


class Door(Protocol):
    """The process as it is reached from outside. `restores` counts how often an older journal was put back."""

    @property
    def is_up(self) -> bool: ...

    @property
    def restores(self) -> int: ...

    def ask(self, actor: str, request: Any, answered: Callable[[Any], None] = ...) -> None:
        """Ask an actor. Nothing happens if the process is down, and the answer may never come."""

    def new_id(self) -> str:
        """Return an id for an order, as an executor makes one."""

    def look(self, *, every: bool = False) -> Looked | None:
        """Look at the process, or None if there is none."""


def look_at(core: Core, *, every: bool = False) -> Looked:
    """Read off a core what a person is shown; `every` goes through all orders in memory, not only those that hold exposure."""
    dispatcher = core.dispatcher
    breaker, gate = dispatcher.view("circuit_breaker"), dispatcher.view("risk_gate")
    session: Session = dispatcher.view(f"connection/{core.plan.account}") or Session()
    desk = dispatcher.cells.get("desk")
    quarantined: dict[str, None] = {} if desk is None or desk.actor is None else desk.actor.state.quarantined
    held: Iterable[str] = () if gate is None else gate.exposure.open
    found = machines_of(core) if every else _of(core, dict.fromkeys((*held, *quarantined)))
    machines = [each for each in found if each.may_be_open or each.order.client_order_id in quarantined]
    is_halted = core.lifecycle.halted or breaker is None
    return Looked(
        trading_state=TradingState.HALTED if is_halted else breaker.trading_state,
        reason=HaltReason.ESCALATION if is_halted else breaker.reason,
        session=session.phase,
        frozen=tuple(session.frozen),
        troubles=tuple(_troubles(machines, quarantined)),
        in_doubt=sum(machine.may_be_open and machine.in_doubt for machine in machines),
        open_ids=tuple(machine.order.client_order_id for machine in machines if machine.may_be_open),
        journal_fails=dispatcher.log.failing,
    )


def _of(core: Core, order_ids: Iterable[str]) -> Iterator[OrderMachine]:
    for order_id in order_ids:
        machine: OrderMachine | None = core.dispatcher.view("order/" + order_id)
        if machine is not None:
            yield machine


def _troubles(machines: Iterable[OrderMachine], quarantined: dict[str, None]) -> Iterator[Trouble]:
    for machine in machines:
        is_quarantined = machine.order.client_order_id in quarantined
        doubt = machine.doubt
        needs_person = machine.may_be_open and doubt is not None and doubt.person_called
        if is_quarantined or needs_person:
            yield Trouble(machine.order, machine.filled_quantity, machine.notional, machine.may_be_open, is_quarantined)
