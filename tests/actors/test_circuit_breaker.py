"""The breaker in the system: it halts, it comes back step by step, a person can do both, and approvals of before are void."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from trading_world import World, accepted, executed

from ordersmith.actors.account_events import BooksDisagree, CashDiffers
from ordersmith.actors.actor import Event
from ordersmith.actors.doubt_events import JournalFailed, OrderResurfaced
from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import Escalated, OrderDenied, TradingStateChanged
from ordersmith.actors.machines.breaker import HaltReason, halt_words
from ordersmith.actors.messages import HaltTrading, SubmitOrders
from ordersmith.actors.model import Order, OrderState, Purpose, TradingState
from ordersmith.actors.ports import CommandKind, NewOrder, OutcomeUnknown, Rejected
from ordersmith.adapters.memory_journal import MemoryJournal
from ordersmith.supervisor import backtest

ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
RULES = {"rejections": 3, "window": 10, "cooldown": 100}


def rejected(world: World, *names: str) -> None:
    """Submit orders that the broker rejects."""
    for name in names:
        world.submit(Order.buy("A", 1, client_order_id=name))
        world.says(Rejected(f"{name}.0", "NO", ""))


def state(world: World) -> TradingState:
    breaker, gate = world.dispatcher.view("circuit_breaker"), world.dispatcher.view("risk_gate")
    assert breaker.trading_state is gate.trading_state
    found: TradingState = breaker.trading_state
    return found


def changes(world: World) -> list[tuple[TradingState, str, int]]:
    return [(event.state, event.reason, event.epoch) for event in world.events(TradingStateChanged)]


def test_repeated_rejections_halt_trading() -> None:
    """The third rejection within the window halts, the record says why, and the next order is denied."""
    world = World(scripted=True, breaker=RULES).bar()
    rejected(world, "a", "b")
    assert state(world) is ACTIVE
    rejected(world, "c")
    assert state(world) is HALTED
    (event,) = world.events(TradingStateChanged)
    assert event.text == "3 rejections within 10 s, the last of c: NO"
    (status,) = world.submit(Order.buy("A", 1, client_order_id="d"))
    assert status.reason == "TRADING_HALTED"


def test_who_is_denied_is_told_why_and_how_it_goes_on() -> None:
    """The denial of an order, or of a change of one, has the breaker's reason, also after a crash of the gate, and no other one."""
    world = World(scripted=True, breaker=RULES).bar()
    world.submit(Order.buy("A", 1, "9", client_order_id="rests"))
    world.says(accepted("rests.0"))
    world.dispatcher.state(BooksDisagree("main", "A", Decimal(1), Decimal(2)))
    world.run()
    world.backtest.lifecycle.crash("risk_gate", ActorError("a bug"))
    world.run()
    why = (
        "trading is HALTED: only cancels, protection and liquidation pass. POSITION_MISMATCH: main holds 2 A at the broker and "
        "1 in our books; to go on: "
    )
    (denied,) = world.submit(Order.buy("A", 1, client_order_id="a"))
    assert (denied.reason, denied.text.startswith(why), "`ordersmith resolve symbol`" in denied.text) == (
        "TRADING_HALTED",
        True,
        True,
    )
    world.resume()
    (passed,) = world.submit(Order.buy("B", 1, client_order_id="b"))
    assert passed.text == ""


def test_words_of_a_halt_are_of_bounded_length() -> None:
    """Each denial is a record: an error of a megabyte is told by its beginning."""
    told = halt_words("ESCALATION", "x" * 1_000_000)
    assert len(told) < 600
    assert told.startswith("ESCALATION: xxx")


def test_every_reason_says_how_it_goes_on() -> None:
    """Whoever is denied has something to do about it, whatever has halted; only the start halts nothing."""
    assert {HaltReason.START} == {reason for reason in HaltReason if not halt_words(reason.value, "text")}


def test_rejections_further_apart_do_not_halt() -> None:
    """Outside the window they do not add up; our own denials never count."""
    world = World(scripted=True, breaker=RULES).bar()
    for name in "abcd":
        rejected(world, name)
        world.wait(5)
    assert state(world) is ACTIVE
    world.submit(*(Order.buy("A", "0.5", client_order_id=f"denied{number}") for number in range(9)))
    assert len(world.events(OrderDenied)) == 9
    assert state(world) is ACTIVE


def test_many_rejections_at_once_halt_once() -> None:
    """Rejections that come in one tick make one change."""
    world = World(scripted=True, breaker=RULES).bar()
    world.submit(*(Order.buy("A", 1, client_order_id=f"o{number}") for number in range(8)))
    world.says(*(Rejected(f"o{number}.0", "NO", "") for number in range(8)))
    assert changes(world) == [(HALTED, "REPEATED_REJECTIONS", 1)]


def test_it_comes_back_step_by_step() -> None:
    """After a cooldown trading is REDUCING, after another ACTIVE, with nobody's help; each step has its record."""
    world = World(scripted=True, breaker=RULES).bar()
    rejected(world, "a", "b", "c")
    world.wait(99)
    assert state(world) is HALTED
    world.wait(1)
    assert state(world) is REDUCING
    assert world.submit(Order.buy("A", 1, client_order_id="d"))[0].reason == "TRADING_REDUCING"
    world.wait(100)
    assert state(world) is ACTIVE
    assert changes(world) == [(HALTED, "REPEATED_REJECTIONS", 1), (REDUCING, "COOLDOWN", 2), (ACTIVE, "COOLDOWN", 3)]
    assert world.submit(Order.buy("A", 1, client_order_id="e"))[0].state is OrderState.SUBMITTED


def test_while_reducing_only_reducers_pass() -> None:
    """A sale of what is held passes, a sale beyond it and a buy do not."""
    world = World(scripted=True, breaker=RULES, account={"type": "margin"}).bar()
    world.submit(Order.buy("A", 10, client_order_id="held"))
    world.says(accepted("held.0"), executed("held.0", "k", 10, 10, 10))
    rejected(world, "a", "b", "c")
    world.wait(100)
    reasons = [
        world.submit(Order.sell("A", quantity, client_order_id=f"s{quantity}"))[0].reason for quantity in (11, 6, 5, 4)
    ]
    assert reasons == ["TRADING_REDUCING", "", "TRADING_REDUCING", ""]


def test_without_a_cooldown_it_waits_for_a_person() -> None:
    """With `cooldown: null` a halt stays until somebody resumes."""
    world = World(scripted=True, breaker={**RULES, "cooldown": None}).bar()
    rejected(world, "a", "b", "c")
    world.wait(100_000)
    assert state(world) is HALTED
    assert world.resume() is ACTIVE


def test_a_halt_by_hand_stays_until_a_person_resumes() -> None:
    """No cooldown ends it; the reason is in the record; after the resume orders pass."""
    world = World(scripted=True, breaker=RULES).bar()
    assert world.halt("lunch") is HALTED
    world.wait(100_000)
    assert state(world) is HALTED
    assert world.resume("back") is ACTIVE
    assert [(event.state, event.text) for event in world.events(TradingStateChanged)] == [
        (HALTED, "lunch"),
        (ACTIVE, "back"),
    ]
    assert world.submit(Order.buy("A", 1, client_order_id="o"))[0].state is OrderState.SUBMITTED


def test_a_person_takes_over_a_halt_that_would_end_by_itself() -> None:
    """Halting by hand what the breaker has halted stops its cooldown."""
    world = World(scripted=True, breaker=RULES).bar()
    rejected(world, "a", "b", "c")
    assert world.halt("let me look") is HALTED
    world.wait(100_000)
    assert state(world) is HALTED
    assert changes(world)[-1] == (HALTED, "MANUAL", 2)


def test_asking_for_what_holds_changes_nothing() -> None:
    """Resuming what is active, or halting by hand twice, makes no record, so that no approval becomes void by it."""
    world = World(scripted=True).bar()
    assert world.resume() is ACTIVE
    assert changes(world) == []
    world.halt()
    world.halt()
    assert changes(world) == [(HALTED, "MANUAL", 1)]


@pytest.mark.parametrize("waited", [0, 60])
def test_a_running_cooldown_survives_a_crash(waited: int) -> None:
    """A breaker that is rebuilt goes on with its cooldown where it was, neither sooner nor later."""
    world = World(scripted=True, breaker=RULES).bar()
    rejected(world, "a", "b", "c")
    world.wait(waited)
    world.backtest.lifecycle.crash("circuit_breaker", ActorError("a bug"))
    world.wait(99 - waited)
    assert state(world) is HALTED
    world.wait(1)
    assert state(world) is REDUCING


def test_rejections_before_a_crash_still_count() -> None:
    """The window is folded from the records."""
    world = World(scripted=True, breaker=RULES).bar()
    rejected(world, "a", "b")
    world.backtest.lifecycle.crash("circuit_breaker", ActorError("a bug"))
    rejected(world, "c")
    assert state(world) is HALTED


# --- Approvals of before -----------------------------------------------------------------------------------------------


class HoldingJournal(MemoryJournal):
    """Commits at once, or, while `held` is a list, when the test says so."""

    volatile = False
    held: list[tuple[Callable[[int], None], int]] | None = None

    def append(self, first: int, data: Any, ends: list[int], committed: Callable[[int], None]) -> None:
        super().append(first, data, ends, lambda number: self.answer(committed, number))

    def answer(self, committed: Callable[[int], None], number: int) -> None:
        if self.held is None:
            committed(number)
        else:
            self.held.append((committed, number))

    def release(self) -> None:
        held, self.held = self.held or [], None
        for committed, number in held:
            committed(number)


def test_an_approval_of_before_a_halt_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order approved before a halt and written after it is stopped at the port: it is certainly not sent, and CANCELLED."""
    monkeypatch.setattr(backtest, "MemoryJournal", HoldingJournal)
    world = World(breaker=RULES).bar()
    store: Any = world.backtest.store
    store.held = []
    world.post("desk", SubmitOrders((Order.buy("A", 10, client_order_id="o"),), fresh=True))
    world.run()
    assert world.machine("o").state is OrderState.SUBMITTED, "approved, and its intent is being written"
    world.post("circuit_breaker", HaltTrading("now"))
    world.run()
    assert state(world) is HALTED
    store.release()
    world.run()
    status = world.machine("o").status()
    assert (status.state, status.reason) == (OrderState.CANCELLED, "NOT_SENT")
    assert "trading state changed" in status.text
    assert world.exposure.open == {}
    assert not world.backtest.exchange._orders.knows("o"), "the exchange never heard of it"


def test_an_approval_carries_its_epoch() -> None:
    """Commands to the broker name the trading epoch in which they were approved."""
    world = World(scripted=True, breaker=RULES).bar()
    world.submit(Order.buy("A", 1, client_order_id="a"))
    world.halt()
    world.resume()
    world.submit(Order.buy("A", 1, client_order_id="b"))
    epochs = [command.trading_epoch for command in world.broker.take() if isinstance(command, NewOrder)]
    assert epochs == [0, 2]


def test_an_escalation_halts_for_good() -> None:
    """When supervision gives up, no cooldown ends the halt, and the port lets no order through, of whatever epoch."""
    world = World(breaker=RULES).bar()
    for _ in range(20):
        if not world.backtest.lifecycle.halted:
            world.backtest.lifecycle.crash("tally", ActorError("a bug that does not go away"))
    world.run()
    world.wait(100_000)
    assert len(world.events(Escalated)) == 1
    order = Order.sell("A", 10, client_order_id="l", purpose=Purpose.LIQUIDATION)
    for epoch in range(3):
        command = NewOrder(f"l{epoch}.0", order, world.dispatcher.now_ns + 1, epoch)
        world.dispatcher.ports["broker/main"].accept(command, -1)
        assert not world.backtest.exchange._orders.knows(f"l{epoch}")


# --- Trouble that only a person ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alarm", "reason", "text"),
    [
        (
            OrderResurfaced("o", "the broker accepted it"),
            "ORDER_RESURFACED",
            "order o was given up and is there after all: the broker accepted it",
        ),
        (
            BooksDisagree("main", "A", Decimal(1), Decimal(2)),
            "POSITION_MISMATCH",
            "main holds 2 A at the broker and 1 in our books",
        ),
        (
            CashDiffers("main", Decimal(1), Decimal(2)),
            "POSITION_MISMATCH",
            "main has 2 in cash at the broker and 1 in our books",
        ),
        (JournalFailed("the disk is full"), "JOURNAL", "the disk is full"),
    ],
)
def test_an_alarm_halts_until_a_person_resumes(alarm: Event, reason: str, text: str) -> None:
    """It halts with its own reason, also out of a halt that would end by itself, and told again it changes nothing."""
    world = World(scripted=True, breaker=RULES).bar()
    rejected(world, "a", "b", "c")
    for _ in range(2):
        world.dispatcher.state(alarm)
        world.run()
    assert [change[1] for change in changes(world)] == ["REPEATED_REJECTIONS", reason]
    assert world.events(TradingStateChanged)[-1].text == text
    (denied,) = world.submit(Order.buy("A", 1, client_order_id="denied"))
    assert f"{reason}: {text}; to go on: " in denied.text
    assert denied.text.endswith("then resume")
    world.wait(1000)
    assert state(world) is HALTED
    world.resume()
    assert state(world) is ACTIVE


def test_new_orders_in_doubt_again_and_again_halt() -> None:
    """The fifth within the window halts until a person resumes; doubts about cancels do not count."""
    world = World(scripted=True, breaker={"window": 10}).bar()
    names = [f"o{number}" for number in range(6)]
    world.submit(*(Order.buy("A", 1, client_order_id=name) for name in names))
    world.says(accepted("o0.0"))
    world.cancel("o0")
    world.says(*(OutcomeUnknown("o0.0", CommandKind.CANCEL, "504"),))
    world.says(*(OutcomeUnknown(f"{name}.0", CommandKind.NEW, "504") for name in names[1:5]))
    assert state(world) is ACTIVE
    world.says(OutcomeUnknown("o5.0", CommandKind.NEW, "504"))
    (event,) = world.events(TradingStateChanged)
    assert (event.reason, event.text) == ("OUTCOME_UNKNOWN", "5 orders in doubt within 10 s, the last o5: 504")
    world.wait(10_000)
    assert state(world) is HALTED
