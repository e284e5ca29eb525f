"""Paper trading without an event loop: from any thread, through Ctrl-C, and to the end of the process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driven import BARS, feed, orders_on
from embedded import fast_folder, paper, records_of

from ordersmith import (
    BlockingLiveExecutor,
    ConfigError,
    ExecutorClosed,
    ExecutorFailed,
    JournalError,
    Order,
    OrderCommandError,
    OrderState,
    PaperExecutor,
    TradingState,
    UsageError,
    open_blocking_executor,
)
from ordersmith.actors.events import SessionClosed
from ordersmith.actors.messages import GetAccountInfo
from ordersmith.actors.risk_gate import RiskGate


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as found:
        yield found


def ended_in_order(folder: Path) -> bool:
    return any(isinstance(record.event, SessionClosed) for record in records_of(folder / "journal.db"))


def test_every_method_is_there_without_await(folder: Path) -> None:
    """What a coroutine would return comes back, and what it would raise is raised."""
    with open_blocking_executor(paper(folder), data=feed()) as executor:
        assert isinstance(executor, BlockingLiveExecutor)
        market = executor.market()
        bars = next(market)
        assert executor.now == bars.time
        assert executor.now_ns == bars.end_ns
        resting, buy = executor.submit_orders([Order.buy("A", 10, "50", client_order_id="rests"), Order.buy("B", 5)])
        assert executor.replace_order("rests", quantity=20).quantity in {10, 20}
        assert [status.state for status in executor.get_order_status(["rests"])] == [OrderState.SUBMITTED]
        assert executor.cancel_orders([resting.client_order_id, "never"]) == [True, False]
        with pytest.raises(OrderCommandError, match="never"):
            executor.get_order_status(["never"])
        next(market)
        assert [status.client_order_id for status in executor.get_filled_orders()] == [buy.client_order_id]
        assert executor.get_positions()["B"].quantity == 5
        assert executor.get_account_info().gross_exposure == 505
        assert executor.halt("lunch") is TradingState.HALTED
        assert [status.quantity for status in executor.flatten()] == [5]
        assert executor.resume("back") is TradingState.ACTIVE
        assert [status.symbol for status in executor.set_targets({"A": 2})] == ["A"]
        with pytest.raises(OrderCommandError):
            executor.resolve_order("rests", "absent", "I looked")
        with pytest.raises(OrderCommandError):
            executor.resolve_symbol("A", "adopt", "I looked")
        events = executor.events()
        assert [next(events).number, next(events).number] == [1, 2]
        events.close()
        assert next(events, None) is None
        assert market.missed == 0
    assert ended_in_order(folder)


def test_a_program_reads_all_bars(folder: Path) -> None:
    """The data wait for the next call, as in a backtest, and end."""
    with open_blocking_executor(paper(folder), data=feed()) as executor:
        times = []
        for bars in executor.market():
            times.append(bars.end_ns)
            executor.submit_orders(orders_on(bars))
        assert times == [bars.end_ns for bars in feed()]
        assert len(times) == BARS
    assert executor.left


def test_any_thread_may_call(folder: Path) -> None:
    """Each gets its own answer."""
    with open_blocking_executor(paper(folder), data=feed()) as executor:
        found: list[str] = []

        def submit(number: int) -> None:
            (status,) = executor.submit_orders([Order.buy("A", 1, client_order_id=f"order-{number}")])
            found.append(status.client_order_id)

        threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [f"order-{number}" for number in range(8)]


def test_a_running_event_loop_is_refused(folder: Path) -> None:
    """It would stand still meanwhile; the error says what to use instead. Nothing of the call is left behind."""
    executor = BlockingLiveExecutor(PaperExecutor(paper(folder), data=feed()))

    async def main() -> None:
        with pytest.raises(UsageError, match="open_executor"):
            executor.open()

    asyncio.run(main())
    executor.open()

    async def call() -> None:
        with pytest.raises(UsageError, match="event loop"):
            executor.get_positions()

    asyncio.run(call())
    assert executor.get_positions() == {}
    executor.close()


def test_closing_twice_is_closing_once(folder: Path) -> None:
    """After it every call raises ExecutorClosed; before opening, UsageError."""
    executor = BlockingLiveExecutor(PaperExecutor(paper(folder), data=feed()))
    with pytest.raises(UsageError, match="not open"):
        executor.get_positions()
    executor.open()
    executor.close()
    executor.close()
    for call in (executor.get_positions, executor.market, lambda: executor.now):
        with pytest.raises(ExecutorClosed):
            call()
    assert ended_in_order(folder)


def test_what_keeps_it_from_opening_is_raised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the caller's thread, as one error; then there is no thread left."""
    monkeypatch.delenv("ALPACA_API_KEY", raising=False)
    with pytest.raises(JournalError, match="nowhere"), open_blocking_executor(paper(folder / "nowhere"), data=feed()):
        pass
    for provider, words in (("ib", "no adapter"), ("alpaca", "ALPACA_API_KEY is not set")):
        config = {"execution": {"mode": "paper", "provider": provider}}
        with pytest.raises(ConfigError, match=words), open_blocking_executor(config):
            pass
    assert "ordersmith executor" not in {thread.name for thread in threading.enumerate()}


def test_an_exception_of_the_body_leaves_as_it_is(folder: Path) -> None:
    """The stop was in order, and another executor opens at once."""

    def run() -> None:
        with open_blocking_executor(paper(folder), data=feed()) as executor:
            next(executor.market())
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run()
    assert ended_in_order(folder)
    with open_blocking_executor(paper(folder), data=feed()) as executor:
        assert executor.get_positions() == {}


def test_a_failure_for_good_is_told_to_who_calls_next(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls and the end of the block raise ExecutorFailed."""

    def broken(actor: Any, message: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setitem(RiskGate.handlers, GetAccountInfo, broken)

    def run() -> None:
        with open_blocking_executor(paper(folder), data=feed()) as executor:
            while executor._thread.is_alive():
                with pytest.raises(ExecutorFailed):
                    executor.get_account_info()
            with pytest.raises(ExecutorFailed, match="a defect"):
                executor.get_positions()

    with pytest.raises(ExecutorFailed, match="a defect") as caught:
        run()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# --- In a process of its own ---------------------------------------------------------------------------------------------

BEGIN = """
import os, signal, sys, threading, time
from datetime import date
from ordersmith import Order, open_blocking_executor

days = [(date(2022, 1, day), 10, 11, 9, 10, 1000) for day in (3, 4, 5, 6)]
opening = open_blocking_executor({config!r}, data={{"A": days}})
"""

ABANDONS = """
with opening as executor:
    market = executor.market()
    next(market)
    events = executor.events()
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        for record in events:
            pass
    except KeyboardInterrupt:
        (status,) = executor.submit_orders([Order.buy("A", 10, client_order_id="mine")])
        print("goes on", executor.get_order_status(["mine"])[0].state)
"""

LEAVES_OPEN = """
executor = opening.__enter__()
market = executor.market()
next(market)
executor.submit_orders([Order.buy("A", 10, "5")])
print("ends")
"""

INTERRUPTED = """
with opening as executor:
    print("ready", flush=True)
    while True:
        executor.get_account_info()
"""


def start(folder: Path, program: str) -> subprocess.Popen[str]:
    code = BEGIN.format(config=paper(folder)) + program
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_abandons_the_wait_alone(folder: Path) -> None:
    """Whoever catches it goes on with the same executor."""
    with start(folder, ABANDONS) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "goes on SUBMITTED\n"), err


def test_ctrl_c_that_nobody_catches_ends_in_an_orderly_stop(folder: Path) -> None:
    """It leaves the block as KeyboardInterrupt, after the journal was closed."""
    with start(folder, INTERRUPTED) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode in (-signal.SIGINT, 130), err
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert ended_in_order(folder)


def test_a_program_that_forgets_to_close_it_ends(folder: Path) -> None:
    """On the way out of the process the stop is in order."""
    with start(folder, LEAVES_OPEN) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "ends\n"), err
    assert "Traceback" not in err
    assert ended_in_order(folder)
