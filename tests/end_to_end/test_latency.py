"""Commands that take time to arrive, through the whole system: minute bars, and what is sent at their ends or between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio

from ordersmith import BacktestExecutor, BacktestResult, Bars, Order, OrderState, OrderStatus, Strategy
from ordersmith.actors.events import (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    OrderReplaceRefused,
    TradingStateChanged,
)
from ordersmith.supervisor.simulated_time import SimulatedExecutor, simulate

SECOND_NS = 1_000_000_000
MINUTES = 8
DIP = 3
"""The bar, from 180 s to 240 s, that goes down to 90."""


class MinuteFeed:
    """One symbol, A: bar n opens and closes at 100 + n and reaches a dollar on both sides. `closed` bars end a session."""

    symbols = ("A",)
    step_count = MINUTES
    start_ns = 0

    def __init__(self, *closed: int) -> None:
        self._closed = closed

    def __iter__(self) -> Iterator[Bars]:
        session = 0
        for n in range(MINUTES):
            price, low = 100.0 + n, 90.0 if n == DIP else 99.0 + n
            start_ns = n * 60 * SECOND_NS
            row = (price, price + 1, low, price, 10_000.0)
            yield Bars(start_ns, start_ns + 60 * SECOND_NS, session, n in self._closed, {"A": row})
            session += n in self._closed


def config(submit: str, cancel: str, **more: Any) -> dict[str, Any]:
    """Return the configuration with these latencies, in seconds."""
    return {"execution": {"backtest": {"latency": {"submit": submit, "cancel": cancel}, **more}}}


def news(result: BacktestResult, *kinds: type) -> list[tuple[float, str]]:
    """Return when events of these kinds were recorded, in seconds, and which."""
    return [(r.at_ns / SECOND_NS, type(r.event).__name__) for r in result.records() if isinstance(r.event, kinds)]


def simulated(main: Callable[[SimulatedExecutor], Awaitable[Any]], settings: dict[str, Any]) -> Any:
    """Run a program that sleeps by itself."""
    return simulate(main, SimulatedExecutor(settings, feed=MinuteFeed()))


class Script(Strategy):
    """Does at the end of some minutes what is written for it."""

    def __init__(self, minutes: dict[int, Callable[[Script], None]]) -> None:
        self.minutes = minutes
        self.ids: list[str] = []

    def on_bars(self, bars: Bars) -> None:
        act = self.minutes.get(bars.end_ns // SECOND_NS // 60)
        if act is not None:
            act(self)


def buy(script: Script) -> None:
    script.ids += script.submit(Order.buy("A", 5, time_in_force="GTC"))


def bid(script: Script) -> None:
    script.ids += script.submit(Order.buy("A", 5, "95.00", time_in_force="GTC"))


def cancel(script: Script) -> None:
    script.cancel(*script.ids)


@pytest.mark.parametrize(
    ("seconds", "accepted", "filled", "price"),
    [
        ("0", 60, 60, 101),
        ("0.1", 60.1, 120, 102),
        ("59.9", 119.9, 120, 102),
        ("60", 120, 120, 102),
        ("60.1", 120.1, 180, 103),
        ("200", 260, 300, 105),
    ],
)
def test_an_order_waits_for_the_first_bar_after_its_arrival(
    seconds: str, accepted: float, filled: int, price: int
) -> None:
    """An order on its way misses every open before its arrival, be that a moment or several bars, and fills at the next."""
    result = BacktestExecutor(config(seconds, seconds), strategy=Script({1: buy}), feed=MinuteFeed()).run()
    ((_, event),) = result.fills()
    assert news(result, OrderAccepted) == [(accepted, "OrderAccepted")]
    assert (event.fill.at_ns, event.fill.price) == (filled * SECOND_NS, price)


@pytest.mark.parametrize(
    ("sent", "seconds", "outcome"),
    [
        (3, "0", (180, "OrderCancelled")),
        (3, "0.1", (240, "OrderFilled")),
        (3, "60", (240, "OrderFilled")),
        (3, "90", (240, "OrderFilled")),
        (2, "59.9", (180, "OrderCancelled")),
        (2, "60", (180, "OrderCancelled")),
        (2, "60.1", (240, "OrderFilled")),
        (2, "150", (240, "OrderFilled")),
    ],
)
def test_a_cancel_under_way_does_not_protect_from_the_bar(sent: int, seconds: str, outcome: tuple[int, str]) -> None:
    """A bar that began before a cancel was there may fill the order; a cancel that was there first has ended it."""
    script = Script({1: bid, sent: cancel})
    result = BacktestExecutor(config("0.1", seconds), strategy=script, feed=MinuteFeed()).run()
    assert news(result, OrderFilled, OrderCancelled) == [outcome]


def test_an_order_that_fills_before_its_replacement_arrives_is_not_open() -> None:
    """While the replacement of a filled order is under way the strategy is not told that the order is open."""
    told: list[list[OrderStatus]] = []

    def ask(script: Script) -> None:
        script.replace(script.ids[0], 10, "94.00")

    def look(script: Script) -> None:
        told.append(script.open_orders)

    script = Script({1: bid, 3: ask, 4: look, 6: look})
    result = BacktestExecutor(config("90", "0"), strategy=script, feed=MinuteFeed()).run()
    assert news(result, OrderFilled, OrderReplaceRefused) == [(240, "OrderFilled"), (300, "OrderReplaceRefused")]
    assert told == [[], []]


def test_timers_and_due_commands_come_in_order_of_time() -> None:
    """Between two bars the breaker's cooldown and what arrives at the exchange happen each at its own instant, in order."""

    def send(script: Script) -> None:
        script.submit(Order.buy("A", 5))  # a DAY order, when the session has closed
        cancel(script)

    settings = config("30", "35", outside_session="refuse")
    settings["breaker"] = {"rejections": 1, "cooldown": 10, "window": 60}
    result = BacktestExecutor(settings, strategy=Script({1: bid, 2: send}), feed=MinuteFeed(1)).run()
    assert news(result, OrderRejected, TradingStateChanged, OrderAccepted, OrderCancelled) == [
        (90, "OrderAccepted"),
        (150, "OrderRejected"),
        (150, "TradingStateChanged"),  # to HALTED
        (160, "TradingStateChanged"),  # to REDUCING
        (170, "TradingStateChanged"),  # to ACTIVE
        (180, "OrderCancelled"),  # there at 155, inside of a bar: it holds when that has ended
    ]


def test_a_program_that_sleeps_sees_its_order_arrive() -> None:
    """An order sent inside a bar is accepted a latency later, whoever sleeps till then, and fills at the next open after that."""

    async def main(executor: SimulatedExecutor) -> BacktestResult:
        await trio.sleep(80)
        (status,) = await executor.submit_orders([Order.buy("A", 5, time_in_force="GTC")])
        for until, known in ((169, False), (170, True)):
            await trio.sleep_until(until)
            (status,) = await executor.get_order_status([status.client_order_id])
            assert bool(status.broker_order_id) is known
        await trio.sleep_until(240)
        return executor.result()

    result = simulated(main, config("90", "90"))
    ((record, event),) = result.fills()
    assert news(result, OrderAccepted) == [(170, "OrderAccepted")]
    assert (record.at_ns, event.fill.at_ns, event.fill.price) == (240 * SECOND_NS, 180 * SECOND_NS, 103)


@pytest.mark.parametrize("naps", [(), (200,), (190, 190.5, 239)])
def test_who_sleeps_meanwhile_does_not_make_a_cancel_protect(naps: tuple[float, ...]) -> None:
    """A cancel that arrives inside a bar is too late for it, also where a program wakes in that bar and after the arrival."""

    async def main(executor: SimulatedExecutor) -> BacktestResult:
        await trio.sleep_until(60)
        (status,) = await executor.submit_orders([Order.buy("A", 5, "95.00", time_in_force="GTC")])
        await trio.sleep_until(180)
        await executor.cancel_orders([status.client_order_id])
        for until in naps:
            await trio.sleep_until(until)
            (status,) = await executor.get_order_status([status.client_order_id])
            assert status.state is OrderState.SUBMITTED
        await trio.sleep_until(300)
        return executor.result()

    result = simulated(main, config("0.1", "5"))
    assert news(result, OrderFilled, OrderCancelled) == [(240, "OrderFilled")]


def test_with_latency_a_run_repeats_itself() -> None:
    """The same program with the same latencies gives the same trace, and other latencies give another."""

    async def main(executor: SimulatedExecutor) -> str:
        ids = []
        for until in (30, 60, 95, 140, 180):
            await trio.sleep_until(until)
            orders = [Order.buy("A", 5, "95.00", time_in_force="GTC"), Order.buy("A", until, time_in_force="GTC")]
            ids += [status.client_order_id for status in await executor.submit_orders(orders)]
            await executor.cancel_orders(ids[::3])
        await trio.sleep_until(400)
        return executor.result().trace_hash

    hashes = [simulated(main, config(submit, "40")) for submit in ("70", "70", "71")]
    assert hashes[0] == hashes[1] != hashes[2]
