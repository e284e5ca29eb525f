"""How everything stands at the end of a run, for the oracle to judge: the core's view, the truth, and the journal folded afresh."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from decimal import localcontext
from typing import TYPE_CHECKING

from ..actors.errors import ActorError
from ..actors.machines.order import OrderMachine
from ..actors.machines.session import Phase, Session
from ..actors.model import OrderStatus, TradingState
from ..supervisor.core import Core
from ..supervisor.dispatcher import ARITHMETIC
from ..supervisor.recovery import Memory, order_id_of, recall, revive_orders
from .oracle.rest import HighWater, Rest
from .port_task import ACCOUNT, CONNECTION
from .process import QUEUE_BOUND, Process
from .store import Disk, NoStore, records_of

if TYPE_CHECKING:
    from .world import World

FOLDED = ("circuit_breaker", "positions", "risk_gate", "desk", "rebalancer", CONNECTION)
"""The actors whose states are a fold of the journal and of nothing else."""


def rest_of(world: World) -> Rest:
    """Look at everything, once nothing is on its way."""
    process, disk = world.process, world.disk
    is_up = process is not None and process.alive
    truth = world.broker.truth()
    statuses = tuple(_statuses(disk))
    if process is None or not is_up:
        return Rest(
            truth=truth,
            statuses=statuses,
            positions={},
            cash=truth.cash,
            trading_state=TradingState.HALTED,
            session=Phase.DISCONNECTED.value,
            is_up=False,
        )
    core = process.core
    session: Session = core.dispatcher.view(CONNECTION) or Session()
    books = core.dispatcher.view("positions").accounts.get(ACCOUNT)
    breaker = core.dispatcher.view("circuit_breaker")
    is_halted = core.lifecycle.halted or breaker is None
    return Rest(
        truth=truth,
        statuses=statuses,
        positions={symbol: held.quantity for symbol, held in books.holdings.items() if held.quantity} if books else {},
        cash=books.cash if books else truth.cash,
        trading_state=TradingState.HALTED if is_halted else breaker.trading_state,
        session=session.phase.value,
        frozen=frozenset(session.frozen),
        externals=frozenset(session.externals),
        digests=_digests(core),
        folded=_digests(_folded(process, disk)),
        queues={"inputs": HighWater(process.queue_high, QUEUE_BOUND)},
    )


def _statuses(disk: Disk) -> list[OrderStatus]:
    """Return what the journal says of every order, each folded from its records."""
    with localcontext(ARITHMETIC):
        found: list[OrderStatus] = []
        for order_id in disk.orders:
            records = list(disk.order_records(order_id))
            if not records:
                continue
            with suppress(ActorError):  # what cannot be folded has no status, and that is for the oracle to find
                found.append(OrderMachine.fold(records).status())
        return found


def _folded(process: Process, disk: Disk) -> Core:
    """Return a fresh core that has read the journal and done nothing else."""
    core = process.fresh_core(NoStore())
    with localcontext(ARITHMETIC):
        memory = Memory(0, {}, list(records_of(disk, 0)), disk.history)
        recall(core.dispatcher, memory)
        for name in FOLDED:
            cell = core.dispatcher.cells[name]
            core.dispatcher.rebuild(cell, cell.spec.factory())
        revive_orders(core.lifecycle, memory)
    return core


def _digests(core: Core) -> dict[str, str]:
    """Return a digest of each state that follows from the journal alone."""
    cells = core.dispatcher.cells
    with localcontext(ARITHMETIC):
        states = {name: cells[name].actor.snapshot() for name in FOLDED}
        leaving = dict.fromkeys(cells["desk"].actor.state.leaving)
        orders = [
            (order_id, cell.actor.machine.status())
            for cell in cells.values()
            if cell.entity and (order_id := order_id_of(cell.name)) not in leaving
        ]
    states["orders"] = repr(sorted(orders, key=lambda each: each[0])).encode()
    return {name: hashlib.sha256(state).hexdigest()[:16] for name, state in states.items()}
