"""A history folded piece by piece is the history folded at once."""

from __future__ import annotations

import shutil

import anyio
import msgspec
import pytest
from live_kit import LiveWorld

from ordersmith.actors.bars import Bars
from ordersmith.actors.machines.breaker import BreakerState
from ordersmith.actors.messages import CancelOrders, SubmitOrders
from ordersmith.actors.model import Order, Side, exactly
from ordersmith.supervisor import condensing

pytestmark = pytest.mark.anyio
MINUTE_NS = 60_000_000_000


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def past(tmp_path):
    """Return a world whose journal has orders in every state, and no snapshot."""
    world = LiveWorld(tmp_path / "past")
    world.folder.mkdir()

    async def live():
        async with world.running() as runtime:
            now = runtime.clock.now_ns()
            await world.trade(runtime, Bars(1, now, 1, False, {"A": (10.0, 11.0, 9.0, 10.0, 1e6)}))
            for number in range(30):
                terms = {"order_type": "LIMIT", "limit_price": "5"} if number % 3 == 0 else {}
                order = Order(symbol="A", side=Side.BUY, quantity=10, client_order_id=f"o{number}", **terms)
                await runtime.ask("desk", SubmitOrders((exactly(order),)))
                if number % 6 == 0:
                    await runtime.ask("desk", CancelOrders((f"o{number}",)))
                start = now + (number + 1) * MINUTE_NS
                row = (10.0, 11.0, 9.0, 10.0, 1e6)
                await world.trade(runtime, Bars(start, start + MINUTE_NS, 1, False, {"A": row}))

    anyio.run(live)
    return world


async def states_of_a_start(past, folder, monkeypatch, piece):
    """Start on a copy of the journal, folding so many records at a time; return every actor's state and the orders in memory."""
    monkeypatch.setattr(condensing, "PIECE", piece)
    folder.mkdir()
    world = LiveWorld(folder)
    world.exchange = past.exchange
    for file in past.folder.iterdir():
        if file.is_file():
            shutil.copy(file, folder / file.name)
    async with world.running(snapshot_every=10**9) as runtime:
        await runtime.idle()
        cells = runtime.core.dispatcher.cells.values()
        actors = {
            cell.name: cell.actor.snapshot() for cell in cells if not cell.entity and cell.actor.state is not None
        }
        orders = {cell.name: cell.actor.machine.status() for cell in cells if cell.entity}
        return actors, orders, len(runtime.core.dispatcher.log.records)


async def test_in_pieces_or_at_once(past, tmp_path, monkeypatch):
    """Every actor has the same state, the same orders are in memory, and few records are held."""
    whole, orders, held = await states_of_a_start(past, tmp_path / "whole", monkeypatch, 10**6)
    for piece in (1, 7, 40):
        pieces, same, few = await states_of_a_start(past, tmp_path / f"by-{piece}", monkeypatch, piece)
        assert same == orders
        assert len(orders) == 30
        assert few < held
        for name in set(whole) - {"circuit_breaker", "connection/main"}:  # they know when this start was
            assert pieces[name] == whole[name], name
        assert breaker(pieces).trading_state is breaker(whole).trading_state


def breaker(states):
    return msgspec.msgpack.decode(states["circuit_breaker"], type=BreakerState)


async def test_a_history_that_cannot_be_folded_is_left_to_the_actors(past, tmp_path, monkeypatch):
    """Then the one that cannot is quarantined and trading is halted, as after any poisoned history."""
    from ordersmith.actors.tally import Tally

    def broken(actor, event, record):
        raise ArithmeticError("a fold that fails")

    folds = dict.fromkeys(Tally.folds, broken)
    monkeypatch.setattr(Tally, "folds", folds)
    world = LiveWorld(past.folder)
    world.exchange = past.exchange
    monkeypatch.setattr(condensing, "PIECE", 10)
    runtime = world.runtime()
    async with anyio.create_task_group() as group:
        failed = anyio.Event()
        runtime.on_failure = failed.set
        group.start_soon(runtime.run)
        with anyio.fail_after(10):
            await failed.wait()
        assert "a fold that fails" in repr(runtime.failure)
        await runtime.stop(5)
