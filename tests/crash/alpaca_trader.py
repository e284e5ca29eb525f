"""The process that is killed while it trades at a sandbox of Alpaca, and the one that puts everything to rest in the end.

`carry_out` is what a process does that was forked with the imports behind it: trade in a way that follows from a seed, as a program of
its own with an executor or as `ordersmith run` with a strategy, or come to rest and say what does not.

All that waits here waits shorter than in earnest, by the same factor throughout, so that a round takes seconds: `make_haste`.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import random
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import anyio
import msgspec
import trio  # noqa: F401 - so that it need not be imported by every process

from ordersmith import AlpacaPaperExecutor, Order
from ordersmith.actors import account_reader, broker_connection
from ordersmith.actors.errors import OrderCommandError
from ordersmith.actors.machines import doubt, session
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.order_changes import Pending
from ordersmith.actors.machines.order_table import Proof
from ordersmith.actors.model import OrderType, Side, TimeInForce
from ordersmith.adapters import crash_points
from ordersmith.adapters.alpaca import feed, port  # noqa: F401 - the SDK, likewise
from ordersmith.adapters.alpaca import session as port_session
from ordersmith.adapters.alpaca.session import Timing
from ordersmith.adapters.alpaca.trade_updates import Heartbeat
from ordersmith.supervisor import live_plan, run_command, service  # noqa: F401 - likewise
from ordersmith.supervisor.cli import main as ordersmith
from ordersmith.supervisor.core import Core
from ordersmith.supervisor.status import machines_of

SYMBOLS = ("AAPL", "MSFT", "NVDA")
SECOND_NS = 1_000_000_000
CENT = Decimal("0.01")
GTC, IOC, DAY = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.DAY
MANY_OPEN = 10
"""Open orders that are left alone."""

HASTE = 5
"""How many times shorter than in earnest is what waits for proof that an order is nowhere."""

TIMING = Timing(
    connect_s=1.0,
    read_s=1.5,
    answer_s=2.0,
    proof_s=1.5,
    ready_s=1.0,
    poll_s=(0.5, 2.0),
    grace_s=0.4,
    pause_s=(0.1, 1.0),
    heartbeat=Heartbeat(1.0, 1.0, 2.0),
)

REST_S = 1.0
"""For how long nothing may be open to question; meanwhile the account is read several times."""


class Job(msgspec.Struct, frozen=True):
    """What one process is to do. `seconds`: after so long it ends in order, or gives up coming to rest."""

    folder: str
    way: str
    backend: str
    seed: int
    seconds: float
    crash: str = ""


def make_haste() -> None:
    """Shorten what is a constant in the core and in the adapter; what is a setting is in the configuration.

    In this weather five orders in doubt within a minute, which halt trading in earnest, are nothing.
    """
    shorter: list[tuple[Any, str]] = [
        (doubt, "SPAN_NS"),
        (doubt, "FIRST_WAIT_NS"),
        (doubt, "LONGEST_WAIT_NS"),
        (port_session, "SPAN_NS"),
        (session, "BACKOFF_NS"),
        (session, "LONGEST_BACKOFF_NS"),
        (account_reader, "SECOND_READ_NS"),
        (broker_connection, "SECOND_READ_NS"),
        (live_plan, "VALIDITY"),
    ]
    for module, name in shorter:
        value = getattr(module, name)
        setattr(module, name, value // HASTE if isinstance(value, int) else value / HASTE)
    there: Any = port
    there.Timing = lambda: TIMING
    plan: Any = live_plan
    usual = plan.breaker_rules
    plan.breaker_rules = lambda settings: msgspec.structs.replace(usual(settings), unknowns=10**6)


SERVICE, PROGRAM = "service.yaml", "program.yaml"
UP = "up"
"""The file that says that a process has begun to trade."""


def configure(folder: Path, sandbox: dict[str, Any]) -> None:
    """Write the configurations of the processes of a folder: a service has a strategy, a program with an executor none."""
    settings: dict[str, Any] = {
        "execution": {
            "mode": "paper",
            "provider": "alpaca",
            "alpaca": {"api_key": sandbox["key"], "api_secret": sandbox["secret"], **sandbox["addresses"]},
            "answer_within": 1.5,
            "reconcile_every": 0.5,
        },
        "risk": {"duplicate_window": 0, "max_gross_exposure": 10**9, "max_order_notional": 10**7},
        "breaker": {"rejections": 1000, "window": 60},
        "data": {"symbols": list(SYMBOLS)},
        "journal": {"path": "journal.db", "snapshot_every": 300},
        "service": {"log_level": "warning", "stop_within": 4, "control": False},
        "instance": "storm",
    }
    (folder / PROGRAM).write_text(json.dumps(settings, indent=1), encoding="utf-8")  # JSON is YAML
    settings["strategy"] = {"path": f"{Path(__file__).with_name('alpaca_strategy.py')}:StormStrategy"}
    (folder / SERVICE).write_text(json.dumps(settings, indent=1), encoding="utf-8")


# --- What is traded ----------------------------------------------------------------------------------------------------


class Ideas:
    """What to do next, drawn from a seed: orders, and what to change of those that are open."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._block = seed // 1000
        """Processes of one round share it: they submit the orders with ids of their own again and again."""

    def orders(self, prices: dict[str, Decimal], held: dict[str, Decimal], bids: dict[str, Decimal]) -> list[Order]:
        """Return one order or a few. `bids` are the highest prices that are bid for: nobody may sell to himself."""
        if not prices:
            return []
        return [self._order(prices, held, bids) for _ in range(self.chance.choice((1, 1, 1, 2, 5)))]

    def own(self) -> Order:
        """Return an order with an id of its own, whose terms follow from the id."""
        number = self.chance.randrange(8)
        symbol = SYMBOLS[number % len(SYMBOLS)]
        name = f"own-{self._block}-{number}"
        if number % 2:
            return Order.buy(symbol, 10 + number, client_order_id=name)
        return Order.buy(symbol, 10 + number, "20.00", client_order_id=name, time_in_force=GTC)

    def new_terms(self, order: Order) -> dict[str, Any]:
        """Return the terms of a replacement of a limit order."""
        assert order.limit_price is not None
        factor = Decimal(self.chance.choice(("0.98", "0.999", "1.001", "1.01")))
        quantity = max(order.quantity + self.chance.randrange(-10, 20), Decimal(1))
        return {"quantity": quantity, "limit_price": (order.limit_price * factor).quantize(CENT)}

    def targets(self) -> dict[str, int]:
        return {symbol: self.chance.randrange(0, 120) for symbol in self.chance.sample(SYMBOLS, 2)}

    def _order(self, prices: dict[str, Decimal], held: dict[str, Decimal], bids: dict[str, Decimal]) -> Order:
        chance = self.chance
        symbol = chance.choice(sorted(prices))
        price, quantity = prices[symbol], chance.randrange(1, 60)
        owned = int(held.get(symbol, 0))
        if owned > 60 and chance.random() < owned / 300:
            limit = max((price * Decimal("0.9995")).quantize(CENT), bids.get(symbol, Decimal(0)) + CENT)
            return Order.sell(symbol, owned // 4, limit, time_in_force=IOC)
        kind = chance.choice(("market", "near", "near", "near", "far", "ioc", "stop"))
        if kind == "market":
            return Order.buy(symbol, quantity)
        if kind == "stop":
            above = (price * Decimal("1.01")).quantize(CENT)
            return Order.buy(symbol, quantity, stop_price=above, time_in_force=DAY)
        factor = {"near": "1.0002", "far": "0.97", "ioc": "1.001"}[kind]
        limit = (price * Decimal(factor)).quantize(CENT)
        return Order.buy(symbol, quantity, limit, time_in_force=IOC if kind == "ioc" else GTC)


def bids_of(orders: Iterable[Order]) -> dict[str, Decimal]:
    """Return the highest limit price by symbol of open orders to buy."""
    bids: dict[str, Decimal] = {}
    for order in orders:
        if order.side is Side.BUY and order.limit_price is not None:
            bids[order.symbol] = max(order.limit_price, bids.get(order.symbol, order.limit_price))
    return bids


def changeable(machines: Iterator[OrderMachine]) -> list[OrderMachine]:
    """Return the open limit orders without a question that is open."""
    return [
        machine
        for machine in machines
        if machine.may_be_open
        and machine.order.order_type is OrderType.LIMIT
        and machine.order.time_in_force is GTC
        and not machine.order.client_order_id.startswith("own-")
        and (machine.new, machine.cancel, machine.replace) == (Pending.NO,) * 3
    ]


class Trader:
    """A program with an executor. Several of its tasks trade at once."""

    def __init__(self, executor: AlpacaPaperExecutor, seed: int) -> None:
        self._executor = executor
        self._ideas = Ideas(seed)
        self._core = core_of(executor)

    async def trade(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                for act in (self._submit, self._submit, self._change, self._change, self._submit_own):
                    group.start_soon(self._again_and_again, act)

    async def _again_and_again(self, act: Any) -> None:
        for _ in itertools.count():
            await anyio.sleep(self._ideas.chance.uniform(0.01, 0.15))
            try:
                await act()
            except OrderCommandError as error:
                print(type(error).__name__, error)

    async def _submit(self) -> None:
        prices = self._core.prices.known
        shown = {symbol: price for symbol in SYMBOLS if (price := prices.last_price(symbol)) is not None}
        held = {symbol: each.quantity for symbol, each in (await self._executor.get_positions()).items()}
        bids = bids_of(machine.order for machine in machines_of(self._core) if machine.may_be_open)
        await self._executor.submit_orders(self._ideas.orders(shown, held, bids) or [self._ideas.own()])

    async def _submit_own(self) -> None:
        await self._executor.submit_orders([self._ideas.own()])

    async def _change(self) -> None:
        chance, executor = self._ideas.chance, self._executor
        if chance.random() < 0.1:
            await executor.set_targets(self._ideas.targets())
        machines = changeable(machines_of(self._core))
        if not machines:
            return
        machine = chance.choice(machines)
        if len(machines) > MANY_OPEN or chance.random() < 0.3:
            await executor.cancel_orders([machine.order.client_order_id])
            return
        await executor.replace_order(machine.order.client_order_id, **self._ideas.new_terms(machine.order))
        if chance.random() < 0.2:
            await executor.cancel_orders([machine.order.client_order_id])


def core_of(executor: AlpacaPaperExecutor) -> Core:
    return executor._system.runtime.core


# --- Coming to rest ----------------------------------------------------------------------------------------------------


def unrest(core: Core) -> list[str]:
    """Return what is open to question: an order is at rest that is over, or works with no question about it."""
    connection = core.dispatcher.view(f"connection/{core.plan.account}")
    found = [f"the session is {connection.phase}"] if connection.phase is not session.Phase.READY else []
    found += [f"the books are suspected: {connection.suspected}"] if connection.suspected else []
    for machine in machines_of(core):
        if machine.may_be_open:
            found += [f"{machine.order.client_order_id}: {why}" for why in _questions(machine)]
    return found


def _questions(machine: OrderMachine) -> Iterator[str]:
    for kind in ("new", "cancel", "replace"):
        if getattr(machine, kind) is not Pending.NO:
            yield f"{kind} is {getattr(machine, kind)}"
    if machine.doubt is not None:
        yield f"in doubt: {machine.doubt}"
    if machine.proof is not Proof.WORKING:
        yield f"it is {machine.proof}"


async def come_to_rest(config: Path, within_s: float) -> list[str]:
    """Run until nothing has been open to question for a while, and return nothing; or what is in the end."""
    async with AlpacaPaperExecutor(config) as executor:
        core, began, quiet_since = core_of(executor), time.monotonic(), time.monotonic()
        while True:
            await anyio.sleep(0.05)
            found, now = unrest(core), time.monotonic()
            if found:
                quiet_since = now
            if now - quiet_since > REST_S or now - began > within_s:
                return found


# --- A process ---------------------------------------------------------------------------------------------------------


async def trade(config: Path, seed: int, seconds: float) -> None:
    async with AlpacaPaperExecutor(config) as executor:
        (config.parent / UP).touch()
        await Trader(executor, seed).trade(seconds)


def work(job: Job) -> int:
    """Do what the job says; return the exit status."""
    folder = Path(job.folder)
    if job.way == "service":
        os.environ["STORM_SEED"], os.environ["STORM_UP"] = str(job.seed), str(folder / UP)
        return ordersmith(["run", str(folder / SERVICE), "--backend", job.backend])
    logging.basicConfig(level=logging.WARNING)
    if job.way == "rest":
        found = anyio.run(come_to_rest, folder / PROGRAM, job.seconds, backend=job.backend)
        (folder / "unrest.json").write_text(json.dumps(found), encoding="utf-8")
    else:
        anyio.run(trade, folder / PROGRAM, job.seed, job.seconds, backend=job.backend)
    return 0


def carry_out(job: Job) -> NoReturn:
    """Be the process that does the job."""
    status = 1
    try:
        says = os.open(Path(job.folder) / "says.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(says, 1)
        os.dup2(says, 2)
        print(f"--- {job}", flush=True)
        crash_points._left.update(crash_points.armed(job.crash))
        make_haste()
        status = work(job)
    except BaseException:  # noqa: BLE001 - nothing may come back from here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
