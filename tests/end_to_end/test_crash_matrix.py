"""An actor that crashes and is rebuilt cannot be told from one that never crashed.

Every handler of every domain actor crashes once, at every point, early in the run and in the thick of it; the run must be the same: the
orders, the fills, the equity, what the broker was sent, what the strategy was told, what everybody was answered, and the journal itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from crash_injection import (
    ACTORS,
    EVERY_STATE,
    Injector,
    Key,
    Plan,
    handler_keys,
    injected,
    wrapped_handlers,
)
from crash_scenario import RELEASE_BAR, Outcome, Run, Script

from ordersmith.actors import desk
from ordersmith.actors.events import ActorRestarted
from ordersmith.simulation.crashes import AFTER, POINTS

MAY_DIFFER = {("BrokerConnection", "Connected"): {"commands", "journal", "causes"}}
"""A connection that crashes before it has heard that the session is open asks for it again, and is told so twice."""

OFTEN = 8
"""A snapshot after so many records: a rebuild is then a snapshot and a short tail."""


class Baseline:
    """The run without a crash: its outcome, and in which situation each handler was reached."""

    def __init__(self) -> None:
        run = Run(Script())
        with injected(Injector(run)) as injector:
            self.outcome = run.play()
        self.situations = injector.situations
        self.restarts = count_restarts(run)


@pytest.fixture(scope="module")
def baseline() -> Iterator[Baseline]:
    """Wrap the handlers for this module, let orders leave memory early, and play the scenario once."""
    with pytest.MonkeyPatch.context() as patch, wrapped_handlers():
        patch.setattr(desk, "KEPT_CLOSED", 4)
        patch.setattr(desk, "LEAVING_AT_ONCE", 2)
        yield Baseline()


def count_restarts(run: Run) -> int:
    return sum(type(record.event) is ActorRestarted for record in run.records())


def play_with(plan: Plan, snapshot_every: int) -> tuple[Outcome, Run]:
    run = Run(Script(), snapshot_every)
    with injected(Injector(run, plan)):
        return run.play(), run


def later_reach(baseline: Baseline, key: Key) -> int:
    """Draw one of the reaches at which orders are in every state, or of all where that cannot be."""
    situations = baseline.situations[key]
    thick = [index for index, situation in enumerate(situations, 1) if situation >= EVERY_STATE]
    return Random(f"{key}").choice(thick or range(1, len(situations) + 1))


def differences(outcome: Outcome, baseline: Outcome, ignored: AbstractSet[str] = frozenset()) -> list[str]:
    """Name what is not the same, with the first entries that differ."""
    found = []
    for name in (name for name in Outcome.__struct_fields__ if name not in ignored):
        now, before = getattr(outcome, name), getattr(baseline, name)
        if name == "causes":
            now = [b if a is None else a for a, b in zip(now, before, strict=False)]
        if now != before:
            found.append(f"{name}: {first_difference(now, before)}")
    return found


def first_difference(now: Any, before: Any) -> str:
    if isinstance(now, dict):
        now, before = sorted(now.items()), sorted(before.items())
    if isinstance(now, list | tuple):
        pairs = zip(now, before, strict=False)
        return next((f"{a}\n      instead of {b}" for a, b in pairs if a != b), f"{len(now)} instead of {len(before)}")
    return f"{now} instead of {before}"


def test_every_handler_is_reached_with_orders_in_every_state(baseline: Baseline) -> None:
    """The scenario leaves no handler out, and meets each with an order in every state at once."""
    assert not set(handler_keys()) - baseline.situations.keys()
    never_thick = {
        key for key, situations in baseline.situations.items() if not any(s >= EVERY_STATE for s in situations)
    }
    assert not never_thick
    everything = frozenset().union(*(s for situations in baseline.situations.values() for s in situations))
    assert {"PENDING", "pending new"} <= everything


ENDS = {
    "FILLED ": "filled late doubt slow-accept short-replace twice poisoned last",
    "CANCELLED REQUESTED": "partial resting cancelled slow-cancel slow-replace quick-cancel unknown-cancel unsent-cancel "
    "refused-cancel unsent-replace denied-replace replaced restated",
    "CANCELLED EXPIRED": "expiring expiring-late",
    "CANCELLED NOT_SENT": "absent lost not-sent unknown-1 unknown-2",
    "REJECTED NO": "refused refused-1 refused-2 refused-3",
    "REJECTED NOT_FOUND": "resolved",
    "REJECTED LOT_SIZE": "denied-lot",
    "REJECTED UNKNOWN_SYMBOL": "denied-symbol",
    "REJECTED TRADING_HALTED": "halted-1 halted-2",
    "REJECTED NOT_CONNECTED": "unconnected",
}
"""How the script's orders end, by state and reason."""


def test_the_scenario_ends_as_it_should(baseline: Baseline) -> None:
    """The run that all others are compared with is itself right: each order ends as its story wants it."""
    ends = {s.client_order_id: f"{s.state} {s.reason}" for s in baseline.outcome.orders.values() if not s.order.parent}
    assert ends == {order_id: end for end, ids in ENDS.items() for order_id in ids.split()}
    assert baseline.outcome.orders["replaced"].quantity == 20
    assert baseline.outcome.orders["slow-replace"].quantity == 25
    restated = baseline.outcome.orders["restated"].order
    assert (restated.quantity, restated.limit_price) == (12, 5)
    assert baseline.outcome.cash == baseline.outcome.broker_cash


def test_increasers_waited_for_the_cash(baseline: Baseline) -> None:
    """The scenario's targets include one whose order had to wait until another had sold."""
    orders = [status for status in baseline.outcome.orders.values() if status.order.parent == "rebalancer:1"]
    assert [status.side for status in orders] == ["SELL", "BUY"]
    assert orders[1].submitted_ns > orders[0].submitted_ns


@pytest.mark.parametrize("actor", [kind.__name__ for kind in ACTORS])
def test_a_crash_changes_nothing(baseline: Baseline, actor: str) -> None:
    """Crashing any handler before, inside, at the end of and after its turn leaves the run as it was."""
    counts: dict[tuple[str, str, str], int] = {}
    wrong: list[str] = []
    for key in (key for key in handler_keys() if key[0] == actor):
        for point in POINTS:
            counts[(*key, point)] = 0
            for reach, snapshot_every in ((1, 10_000), (later_reach(baseline, key), OFTEN)):
                plan = Plan(key, reach, point)
                outcome, run = play_with(plan, snapshot_every)
                restarts = count_restarts(run) - baseline.restarts
                counts[(*key, point)] += plan.fired
                changed = differences(outcome, baseline.outcome, MAY_DIFFER.get(key, frozenset()))
                if changed or restarts != plan.fired:
                    wrong.append(
                        "\n    ".join([f"{' '.join(key)}, {point}, reach {reach}: {restarts} restarts", *changed])
                    )
    print(table(counts))
    assert not wrong, "\n".join(wrong)
    assert not [entry for entry, count in counts.items() if not count]


def table(counts: dict[tuple[str, str, str], int]) -> str:
    """Return the crashes as a table: a line a handler, a column a point."""
    lines = [f"{'actor':<18}{'message':<18}" + "".join(f"{point:>14}" for point in POINTS)]
    for actor, message in dict.fromkeys(entry[:2] for entry in counts):
        cells = "".join(f"{counts[actor, message, point]:>14}" for point in POINTS)
        lines.append(f"{actor:<18}{message:<18}{cells}")
    return "\n".join(["", *lines])


@pytest.mark.parametrize("snapshot_every", [10_000, OFTEN])
@pytest.mark.parametrize("offset", range(4))
def test_a_crash_between_turns_changes_nothing(baseline: Baseline, offset: int, snapshot_every: int) -> None:
    """Crashing one actor after another between the bars, those without handlers too, leaves the run as it was."""
    run = Run(Script(), snapshot_every)
    names = [name for name in run.backtest.dispatcher.cells if not name.startswith("strategy/")]
    crashed = []

    def crash(bar: int) -> None:
        orders = [cell.name for cell in run.backtest.dispatcher.cells.values() if cell.entity]
        for name in (names[(bar + offset) % len(names)], *orders[bar % 3 :: 3]):
            run.backtest.lifecycle.crash(name, RuntimeError("between turns"))
            crashed.append(name)

    run.between_bars = crash
    with injected(Injector(run, Plan(("", ""), 0, AFTER))):
        outcome = run.play()
    assert set(crashed) >= set(names)
    assert not differences(outcome, baseline.outcome)


def test_what_is_asked_is_reserved_at_its_worst(baseline: Baseline) -> None:
    """While a replacement has no answer the gate holds the larger of old and new, in quantity and in currency."""
    run = Run(Script())
    seen = []

    def look(bar: int) -> None:
        exposure = run.backtest.dispatcher.view("risk_gate").exposure
        machine = run.backtest.dispatcher.view("order/slow-replace")
        if machine is not None and "replace" in machine.status().pending:
            seen.append(exposure.open["slow-replace"].held())
        open_buys = sum(held.held()[0] for held in exposure.open.values() if held.side == "BUY")
        assert open_buys == sum(symbol.open_buy for symbol in exposure.account("main").symbols.values())

    run.between_bars = look
    with injected(Injector(run, Plan(("", ""), 0, AFTER))):
        run.play()
    assert len(seen) == RELEASE_BAR - 2
    assert set(seen) == {(Decimal(25), Decimal(25) * Decimal(33))}
