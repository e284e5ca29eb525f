"""Recorded sessions run again: they are identical, whatever happened in them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from recorded_session import (
    MortalStore,
    RecordedWorld,
    ask,
    everything,
    lose_the_port,
    order,
    record,
    records_in,
    replayed,
    trade,
)

from ordersmith.actors.errors import ConfigError
from ordersmith.actors.events import (
    ActorRestarted,
    JournalFailed,
    OrderCancelled,
    OrderFilled,
    OrderInDoubt,
    OrderReplaced,
)
from ordersmith.actors.messages import SubmitOrders
from ordersmith.actors.model import Order
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.record_codec import decode_record
from ordersmith.supervisor.input_log import InputLog, InputLogReader
from ordersmith.supervisor.replay import replay

BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request):
    return request.param


@pytest.mark.anyio
async def test_a_session_replays_to_the_same_hash(tmp_path):
    """Orders, fills, cancels, changes, a port and a store that fail, a strategy that raises: replay records the same bytes."""
    world = await record(tmp_path, everything)
    outcome = replay(world.log(), world.journal)
    assert outcome.difference is None, outcome
    assert outcome.trace_hash == world.hashes[1]
    assert outcome.notes == ()
    with JournalReader(world.journal) as reader:
        kinds = [type(decode_record(data).event) for data in reader.read()]
    assert outcome.records == len(kinds)
    happened = {OrderFilled, OrderReplaced, OrderCancelled, OrderInDoubt, ActorRestarted, JournalFailed}
    assert happened <= set(kinds)


@pytest.mark.anyio
@pytest.mark.parametrize("snapshot_every", [40, 20_000], ids=["from a snapshot", "from all records"])
async def test_each_boot_of_a_journal_can_be_replayed(tmp_path, snapshot_every):
    """A boot begins with what the ones before it left, snapshot or not; each has a log of its own, and its own hash."""
    world = await record(tmp_path, trade, snapshot_every=snapshot_every)
    for happens in (lose_the_port, trade_again):
        async with world.recorded(snapshot_every=snapshot_every) as runtime:
            await happens(world, runtime)
    for boot in (1, 2, 3):
        outcome = replay(world.log(boot), world.journal)
        assert outcome.difference is None, (boot, outcome)
        assert (outcome.boot, outcome.trace_hash) == (boot, world.hashes[boot])
    with InputLogReader(world.log(3)) as logged:
        beginning, _ = logged.read()
        assert (beginning.number > 0) is (snapshot_every == 40)
        assert bool(beginning.states) is (snapshot_every == 40)


async def trade_again(world, runtime):
    await world.bars(runtime, 9.0)
    await ask(runtime, "desk", SubmitOrders((order("one"), order("six"))))
    await world.bars(runtime, 9.5)


@pytest.mark.anyio
async def test_when_replay_forgets_records_does_not_matter(tmp_path, monkeypatch):
    """Snapshots of the session and of replay are taken at times of their own, and are seen in no record."""
    world = await record(tmp_path, everything, snapshot_every=30)
    monkeypatch.setattr("ordersmith.supervisor.replay.SNAPSHOT_EVERY", 1)
    outcome = replay(world.log(), world.journal)
    assert (outcome.difference, outcome.trace_hash) == (None, world.hashes[1])


@pytest.mark.anyio
async def test_a_session_that_was_given_up_replays_as_far_as_it_was_durable(tmp_path):
    """What was recorded and never became durable is no difference, and is told."""
    world = RecordedWorld(tmp_path)
    async with world.recorded() as runtime:
        await trade(world, runtime)
        runtime.store.broken, runtime.store.patience_s = True, 0.05
        runtime.post("connection/main", "nobody takes a text")
        await anyio.wait_all_tasks_blocked()
        runtime.give_up()
    outcome = replay(world.log(), world.journal)
    assert outcome.difference is None, outcome
    assert outcome.records == records_in(world.journal)
    assert "were not durable when the session ended" in "".join(outcome.notes)


@pytest.mark.anyio
async def test_a_session_that_broke_off_breaks_off_again(tmp_path):
    """What ended the session ends replay in the same tick; that is the same, and its traceback is a note."""
    world = RecordedWorld(tmp_path)
    with pytest.raises(BaseExceptionGroup):
        await broken_off(world)
    outcome = replay(world.log(), world.journal)
    assert outcome.difference is None, outcome
    assert outcome.records == records_in(world.journal)
    assert outcome.notes[-1].startswith("the session broke off in its last tick, as replay does:\nTraceback")
    assert outcome.notes[-1].endswith("KeyError: <class 'str'>")


async def broken_off(world):
    async with world.recorded() as runtime:
        await trade(world, runtime)
        runtime.put("no input")
        await runtime.ended.wait()


def test_a_killed_process_leaves_a_log_that_replays(tmp_path):
    """After kill -9 in the middle of a session the log is read up to where it goes, and is identical as far as that."""
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent.parent / "kit")!r})
import os, signal, anyio
from pathlib import Path
from recorded_session import record, records_in, replayed, RecordedWorld, trade
async def main():
    world = RecordedWorld(Path({str(tmp_path)!r}))
    async with world.recorded() as runtime:
        await trade(world, runtime)
        begun = world.log().stat().st_size
        while world.log().stat().st_size <= begun:
            await world.bars(runtime, 10.0)
        os.kill(os.getpid(), signal.SIGKILL)
anyio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    status, out, problems = replayed(tmp_path, "--json")
    assert status == 0, (out, problems)
    found = json.loads(out)
    assert found["records"] > 10
    assert "the log has no end" in found["notes"][0]


@pytest.mark.anyio
async def test_a_strategy_that_was_handed_over_must_be_handed_over_again(tmp_path):
    """Nobody can load what a program made; with the name of its class the error says how it is replayed."""
    world = RecordedWorld(tmp_path)
    world.strategies = (("buyer", Buyer()),)
    store = MortalStore(world.journal)
    async with world.running(store=store, input_log=InputLog(store)) as runtime:
        await world.bars(runtime, 10.0)
        await world.bars(runtime, 10.0)
    with pytest.raises(ConfigError, match=r"the strategy Buyer was handed over by a program.*strategies=\{"):
        replay(world.log(), world.journal)
    assert replay(world.log(), world.journal, strategies={"buyer": Buyer()}).difference is None
    found = replay(world.log(), world.journal, strategies={"buyer": Strategy()}).difference
    assert found is not None


class Buyer(Strategy):
    def on_bar(self, bar):
        if bar.symbol == "A":
            self.submit(Order.buy("A", 1))
