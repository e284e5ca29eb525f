"""How a running service is: what a person wants to know first, read off the core between two ticks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.machines.order import OrderMachine
from ..actors.machines.session import Session
from ..actors.model import as_datetime
from .control_requests import LISTED

if TYPE_CHECKING:
    from .core import Core
    from .live import LiveRuntime


class OrderLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order that is open, or quarantined."""

    client_order_id: str
    side: str
    symbol: str
    quantity: Decimal
    filled_quantity: Decimal
    state: str
    in_doubt: bool = False
    needs_person: bool = False
    quarantined: bool = False

    @property
    def troubles(self) -> int:
        """How much there is to look at: what a person must decide comes first."""
        return 4 * self.needs_person + 2 * self.quarantined + self.in_doubt


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says of itself.

    `orders` are the open and the quarantined ones, those in trouble first and at most a hundred; the counts are of all.
    `frozen` says by how much the broker's books are above ours, by symbol. `head` is the end of what is durable, and
    `fault` what is wrong with the journal, "" for nothing. `trading_text` says why in words.
    """

    mode: str
    provider: str
    account: str
    instance: str
    boot: int
    epoch: str
    version: str
    process: int
    time: str
    trading_state: str
    trading_reason: str
    trading_text: str
    session: str
    open: int
    in_doubt: int
    needing_person: int
    quarantined: int
    external: int
    orders: tuple[OrderLine, ...]
    frozen: Mapping[str, Decimal]
    last_data: str | None
    journal: str
    head: str
    fault: str
    failure: str


def status_of(runtime: LiveRuntime, about: Mapping[str, Any], last_data_ns: int | None) -> Status:
    """Return the status of a runtime that is ready; `about` are the fields that do not change while it runs."""
    core, store, boot = runtime.core, runtime.store, runtime.boot
    breaker = core.dispatcher.view("circuit_breaker")
    session: Session = core.dispatcher.view(f"connection/{core.plan.account}") or Session()
    lines = sorted(order_lines(core), key=lambda line: -line.troubles)
    return Status(
        **about,
        account=core.plan.account,
        instance=boot.instance,
        boot=store.boot,
        epoch=boot.epoch,
        version=boot.version,
        process=os.getpid(),
        time=as_datetime(runtime.clock.now_ns()).isoformat(),
        trading_state="HALTED" if core.lifecycle.halted or breaker is None else breaker.trading_state.value,
        trading_reason="ESCALATION" if core.lifecycle.halted or breaker is None else breaker.reason.value,
        trading_text="" if breaker is None else breaker.text,
        session=session.phase.value,
        open=sum(not line.quarantined for line in lines),
        in_doubt=sum(line.in_doubt for line in lines),
        needing_person=sum(line.needs_person for line in lines),
        quarantined=sum(line.quarantined for line in lines),
        external=len(session.externals),
        orders=tuple(lines[:LISTED]),
        frozen=dict(session.frozen),
        last_data=None if last_data_ns is None else as_datetime(last_data_ns).isoformat(),
        head=str(store.head),
        fault=runtime.fault,
        failure="" if runtime.failure is None else repr(runtime.failure),
    )


def machines_of(core: Core) -> Iterator[OrderMachine]:
    """Yield the orders in memory; one whose records cannot be folded has nothing to show."""
    for cell in core.dispatcher.cells.values():
        if cell.entity and cell.actor is not None:
            yield cell.actor.machine


def order_lines(core: Core) -> Iterator[OrderLine]:
    """Yield the orders that may be open, and those in quarantine, oldest first."""
    cells = core.dispatcher.cells
    desk = cells.get("desk")
    quarantined: Mapping[str, None] = {} if desk is None or desk.actor is None else desk.actor.state.quarantined
    for machine in machines_of(core):
        order_id = machine.order.client_order_id
        if not (machine.may_be_open or order_id in quarantined):
            continue
        order, doubt = machine.order, machine.doubt
        yield OrderLine(
            order_id,
            order.side.value,
            order.symbol,
            order.quantity,
            machine.filled_quantity,
            machine.state.value,
            machine.in_doubt,
            doubt is not None and doubt.person_called,
            order_id in quarantined,
        )


def open_ids(core: Core) -> list[str]:
    """Return the ids of the orders that may be open, oldest first."""
    return [machine.order.client_order_id for machine in machines_of(core) if machine.may_be_open]
