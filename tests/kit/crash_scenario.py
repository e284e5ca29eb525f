"""One run with an order in every state at once, in which all happens that an order, an account or a person can meet.

Three symbols, 25 sessions, a tenth of each bar's volume: so orders fill in parts. A hosted strategy acts at the end of bars, a person
outside asks in between, and a scripted port stands before the simulated exchange. The same script can run with a symbol of its own for
every order and money for all of them (`spread`): then no order can touch another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from scripted_port import ScriptedPort

from ordersmith.actors.account_events import BooksDisagree, CashDiffers
from ordersmith.actors.actor import Record
from ordersmith.actors.bars import Bars
from ordersmith.actors.doubt_events import JournalFailed, OrderOverfilled, OrderResurfaced
from ordersmith.actors.doubt_messages import AnswerMissing, RecoverOrders, ResolveOrder
from ordersmith.actors.events import ActorRestarted, Escalated, OrderFilled, StrategyFailed
from ordersmith.actors.messages import (
    CancelOrders,
    Change,
    Flatten,
    GetAccountInfo,
    GetFilledOrders,
    GetOrderStatus,
    GetPositions,
    HaltTrading,
    Recheck,
    ReplaceOrder,
    ResumeTrading,
    SetTargets,
    SubmitOrders,
)
from ordersmith.actors.model import Fill, Order, OrderStatus, TimeInForce
from ordersmith.actors.ports import BrokerOrderState, Connected, ConnectRefused, Disconnected, Executed, OrderFound
from ordersmith.actors.snapshots import AnswerDue, NotOurs, ReadDue, ResolveSymbol, SnapshotFailed, SyncAccount
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.adapters.simulated.terms import CAPABILITIES
from ordersmith.config import load
from ordersmith.supervisor.backtest import Backtest
from ordersmith.supervisor.result import BacktestResult

PRICES = {"A": 100.0, "B": 50.0, "C": 10.0}
BARS = 25
FIRST_DAY = date(2021, 3, 1)
FIRST_SESSION = (FIRST_DAY - date(1970, 1, 1)).days
RELEASE_BAR = 23
"""Until the end of this bar the port keeps back the cancels of `slow-cancel` and `partial`, and what became of `slow-replace`."""

REARMING = ("circuit_breaker", "rebalancer", "connection/main")
"""Actors that arm their timers again when they are rebuilt."""

GTC, DAY = TimeInForce.GTC, TimeInForce.DAY

ALARMS = (
    OrderResurfaced("ghost", "the broker accepted it"),
    OrderOverfilled("ghost", Decimal(1), Decimal(2)),
    BooksDisagree("main", "A", Decimal(1), Decimal(2)),
    CashDiffers("main", Decimal(1), Decimal(2)),
    JournalFailed("the disk is full"),
    StrategyFailed("strategy/other", "ValueError: no idea"),
)
"""What halts trading at once, or allows nothing new any more, whoever recorded it."""

Terms = tuple[str, str, int | str, str | None, TimeInForce]

ORDERS: dict[str, Terms] = {
    "filled": ("A", "BUY", 60, None, GTC),
    "partial": ("C", "BUY", 2500, None, GTC),
    "resting": ("B", "BUY", 50, "30", GTC),
    "expiring": ("A", "BUY", 10, "60", DAY),
    "denied-lot": ("A", "BUY", "0.5", None, DAY),
    "denied-symbol": ("ZZZ", "BUY", 10, None, DAY),
    "refused": ("B", "BUY", 5, None, GTC),
    "cancelled": ("B", "BUY", 20, "30", GTC),
    "slow-cancel": ("B", "BUY", 20, "31", GTC),
    "slow-replace": ("B", "BUY", 20, "32", GTC),
    "late": ("A", "BUY", 10, None, GTC),
    "doubt": ("B", "BUY", 10, None, GTC),
    "absent": ("B", "BUY", 10, None, GTC),
    "lost": ("B", "BUY", 10, None, GTC),
    "not-sent": ("B", "BUY", 10, None, GTC),
    "slow-accept": ("B", "BUY", 10, None, GTC),
    "quick-cancel": ("B", "BUY", 10, None, GTC),
    "unknown-cancel": ("B", "BUY", 10, "30", GTC),
    "unsent-cancel": ("B", "BUY", 10, "30", GTC),
    "refused-cancel": ("B", "BUY", 10, "30", GTC),
    "unsent-replace": ("B", "BUY", 10, "30", GTC),
    "denied-replace": ("B", "BUY", 10, "30", GTC),
    "replaced": ("B", "BUY", 10, "30", GTC),
    "short-replace": ("B", "BUY", 150, None, GTC),
    "twice": ("A", "BUY", 30, None, GTC),
    "expiring-late": ("B", "BUY", 10, "30", DAY),
    "poisoned": ("B", "BUY", 10, None, GTC),
    "halted-1": ("A", "BUY", 10, None, DAY),
    "halted-2": ("A", "BUY", 10, None, DAY),
    "refused-1": ("A", "BUY", 1, None, GTC),
    "refused-2": ("B", "BUY", 1, None, GTC),
    "refused-3": ("A", "BUY", 2, None, GTC),
    "last": ("A", "BUY", 10, None, DAY),
    "restated": ("C", "BUY", 10, "6", GTC),
    "resolved": ("C", "BUY", 1, "6", GTC),
    "unknown-1": ("C", "BUY", 1, "6", GTC),
    "unknown-2": ("C", "BUY", 1, "6", GTC),
    "unconnected": ("B", "BUY", 10, "30", GTC),
}


class Script:
    """What the strategy and the person do at the end of which bar."""

    def __init__(self, *, spread: bool = False) -> None:
        self.spread = spread
        self.strategy: dict[int, Callable[[Strategy], Any]] = {
            0: lambda s: s.submit(self.orders("filled partial resting expiring denied-lot denied-symbol refused")),
            1: lambda s: s.submit(self.orders("filled cancelled slow-cancel slow-replace late")),
            2: self._ask_for_what_comes_late,
            4: self._doubts,
            5: lambda s: s.submit(
                self.orders(
                    "unknown-cancel unsent-cancel refused-cancel unsent-replace denied-replace replaced short-replace"
                )
            ),
            6: self._commands,
            7: lambda s: s.submit(self.orders("twice filled")),
            8: lambda s: s.set_targets({self.symbol("target-1", "A"): 20, self.symbol("target-2", "B"): 440}),
            9: lambda s: s.submit(self.orders("expiring-late restated")),
            14: lambda s: s.submit(self.orders("poisoned")),
            17: lambda s: (s.submit(self.orders("halted-1")), s.cancel("replaced", "restated")),
            18: lambda s: s.submit(self.orders("refused-1 refused-2 refused-3")),
            21: lambda s: s.submit(self.orders("last")),
        }
        self.person: dict[int, Callable[[Run], Any]] = {
            3: lambda run: run.ask(
                "desk", lambda to: SubmitOrders((self.order("filled"), self._other_terms()), False, to)
            ),
            6: self._questions,
            10: lambda run: run.ask("desk", lambda to: CancelOrders(("filled", "resting-not", "partial-not"), to)),
            7: lambda run: run.post("order/lost", Recheck()),
            4: self._resume,
            9: self._trouble,
            11: self._account_news,
            12: self._change_of_mind,
            13: self._late_reports,
            15: self._lost_session,
            16: self._refused_session,
            17: lambda run: run.ask("circuit_breaker", lambda to: ResumeTrading("back", to)),
            18: lambda run: run.ask("desk", lambda to: SubmitOrders((self.order("halted-2"),), False, to)),
            19: self._escalation,
            20: self._questions,
            22: lambda run: run.ask("rebalancer", Flatten),
            RELEASE_BAR: lambda run: run.port.release(),
            24: self._questions,
        }

    def symbol(self, name: str, plain: str) -> str:
        return name if self.spread and plain in PRICES else plain

    def order(self, name: str) -> Order:
        symbol, side, quantity, limit, tif = ORDERS[name]
        make = Order.buy if side == "BUY" else Order.sell
        return make(self.symbol(name, symbol), quantity, limit, client_order_id=name, time_in_force=tif)

    def orders(self, names: str) -> list[Order]:
        return [self.order(name) for name in names.split()]

    def symbols(self) -> dict[str, str]:
        """Every symbol that trades, with the one whose prices it has."""
        if not self.spread:
            return {symbol: symbol for symbol in PRICES}
        named = {name: terms[0] for name, terms in ORDERS.items() if terms[0] in PRICES}
        return {**named, "target-1": "A", "target-2": "B"}

    def _other_terms(self) -> Order:
        return msgspec.structs.replace(self.order("filled"), quantity=Decimal(61))

    def _ask_for_what_comes_late(self, strategy: Strategy) -> None:
        strategy.cancel("cancelled", "slow-cancel")
        strategy.replace("slow-replace", 25, "33")

    def _doubts(self, strategy: Strategy) -> None:
        strategy.submit(self.orders("doubt absent lost not-sent slow-accept quick-cancel resolved unknown-1 unknown-2"))
        strategy.cancel("quick-cancel")

    def _commands(self, strategy: Strategy) -> None:
        strategy.cancel("unknown-cancel", "unsent-cancel", "refused-cancel")
        strategy.replace("unsent-replace", 20, "31")
        strategy.replace("denied-replace", "0.5")
        strategy.replace("replaced", 20, "31")
        strategy.replace("short-replace", 50)
        strategy.replace("filled", 100)

    def _questions(self, run: Run) -> None:
        run.ask("desk", lambda to: GetOrderStatus(("filled", "partial", "slow-cancel", "never"), to))
        run.ask("desk", lambda to: ReplaceOrder("expiring", Change(Decimal(20)), to))
        run.ask("journal", lambda to: GetFilledOrders(0, to))
        run.ask("positions", GetPositions)
        run.ask("risk_gate", GetAccountInfo)

    def _resume(self, run: Run) -> None:
        """Resume after the halt for so many unknown outcomes; once more, in case that nobody has heard it."""
        for _ in range(2):
            run.ask("circuit_breaker", lambda to: ResumeTrading("the line was bad", to))

    def _trouble(self, run: Run) -> None:
        """Tell the orders what they are told when another process has begun, look again for one in doubt, and resolve another by hand."""
        run.post("desk", RecoverOrders(("resolved",)))
        run.post("order/lost", AnswerMissing())
        for alarm in ALARMS:
            run.post("circuit_breaker", alarm)
            run.ask("circuit_breaker", lambda to: ResumeTrading("looked at it", to))
        run.ask("desk", lambda to: ResolveOrder("resolved", "absent", "not in the broker's list", reply_to=to))

    def _account_news(self, run: Run) -> None:
        """Let the account change by itself, then let reads of it fail, come late and succeed; resolve what is in no dispute."""
        run.port.adjust()
        foreign = OrderFound("nobody.0", "b-1", BrokerOrderState.WORKING, Decimal(0), None)
        for message in (SnapshotFailed(0, "page 2 is missing"), AnswerDue(), NotOurs(foreign), ReadDue()):
            run.post("connection/main", message)
        run.ask("connection/main", lambda to: ResolveSymbol("A", "adopt", "just so", "main", to))

    def _change_of_mind(self, run: Run) -> None:
        symbol = self.symbol("target-1", "A")
        run.ask("rebalancer", lambda to: SetTargets({symbol: Decimal(70)}, reply_to=to))
        run.ask("rebalancer", lambda to: SetTargets({symbol: Decimal(50)}, reply_to=to))

    def _late_reports(self, run: Run) -> None:
        run.port.correct("late")
        run.port.say(
            Executed("ghost.0", Fill(fill_key="g", quantity=Decimal(1), price=Decimal(1), at_ns=1), Decimal(1))
        )

    def _lost_session(self, run: Run) -> None:
        run.port.say(Disconnected("line lost"))
        run.ask("desk", lambda to: SubmitOrders((self.order("unconnected"),), False, to))
        run.ask("desk", lambda to: CancelOrders(("resting",), to))

    def _refused_session(self, run: Run) -> None:
        """Lose the session to a refusal, be refused once more for good, and be let in all the same; then halt."""
        run.port.say(ConnectRefused("the key was revoked"))
        run.port.say(ConnectRefused("there is no such key"))
        run.port.say(Connected("main", CAPABILITIES))
        run.ask("circuit_breaker", lambda to: HaltTrading("lunch", to))

    def _escalation(self, run: Run) -> None:
        run.post("circuit_breaker", Escalated("somebody", "gave up"))
        run.ask("circuit_breaker", lambda to: ResumeTrading("looked at it", to))


class Actor(Strategy):
    """Plays the strategy's part of the script and remembers what it was told."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[Any] = []

    def on_bars(self, bars: Bars) -> None:
        act = self.script.strategy.get(bars.session - FIRST_SESSION)
        if act is not None:
            act(self)

    def on_order(self, status: OrderStatus) -> None:
        self.seen.append(public(status))

    def update_positions(self, filled_orders: list[OrderStatus]) -> None:
        self.seen.append([public(status) for status in filled_orders])


class Outcome(msgspec.Struct):
    """Everything that anybody outside can see of a run, without the numbers of records."""

    orders: dict[str, OrderStatus]
    fills: list[Any]
    positions: Any
    cash: Decimal
    broker_positions: Any
    broker_cash: Decimal
    equity: list[Any]
    commands: list[Any]
    answers: list[Any]
    seen: list[Any]
    journal: list[Any]
    causes: list[int | None]


class Run:
    """One run of a script. `snapshot_every` is the number of records after which the states are snapshotted."""

    def __init__(self, script: Script, snapshot_every: int = 10_000) -> None:
        self.script = script
        self.strategy = Actor(script)
        self.backtest = Backtest(settings_of(script.spread), feed_of(script.spread), (("main", self.strategy),))
        self.port = ScriptedPort(self.backtest)
        self.backtest.dispatcher.ports["broker/main"] = self.port
        self.answers: list[Any] = []
        self.books: Any = None
        self.between_bars: Callable[[int], Any] = lambda bar: None
        self._snapshot_every = snapshot_every

    def play(self) -> Outcome:
        """Run from start to stop and return what came of it."""
        dispatcher = self.backtest.dispatcher
        self.backtest.start()
        for bar, bars in enumerate(self.backtest.feed):
            self.backtest.step(bars)
            act = self.script.person.get(bar)
            if act is not None:
                act(self)
                dispatcher.run(dispatcher.now_ns)
            if len(dispatcher.log.records) >= self._snapshot_every:
                dispatcher.snapshot()
            self.between_bars(bar)
        ledger = dispatcher.view("positions")
        self.books = (ledger.positions("main"), ledger.accounts["main"].cash)
        self.backtest.stop()
        return self.outcome()

    def records(self) -> Iterator[Record]:
        return BacktestResult(self.backtest, 1.0).records()

    def ask(self, actor: str, request: Callable[[Any], Any]) -> None:
        self.answers.append(public(self.backtest.ask(actor, request)))

    def post(self, actor: str, message: Any) -> None:
        dispatcher = self.backtest.dispatcher
        dispatcher.post(dispatcher.refer(actor), message)
        dispatcher.run(dispatcher.now_ns)

    def outcome(self) -> Outcome:
        backtest = self.backtest
        result = BacktestResult(backtest, 1.0)
        records = list(self.records())
        journal, causes = without_restarts(records)
        return Outcome(
            orders={status.client_order_id: public(status) for status in result.orders()},
            fills=[(r.at_ns, r.event) for r in records if type(r.event) is OrderFilled],
            positions=self.books[0],
            cash=self.books[1],
            broker_positions=backtest.exchange._account.positions(),
            broker_cash=backtest.exchange._account.cash,
            equity=result.equity,
            commands=public(self.port.commands),
            answers=self.answers,
            seen=self.strategy.seen,
            journal=journal,
            causes=causes,
        )


def public(value: Any) -> Any:
    """Return an answer, a status or a command with its record number taken out."""
    if isinstance(value, OrderStatus):
        return msgspec.structs.replace(value, last_record=0)
    if isinstance(value, SyncAccount):
        return msgspec.structs.replace(value, as_of=0)
    if isinstance(value, list):
        return [public(entry) for entry in value]
    return value


def without_restarts(records: list[Record]) -> tuple[list[Any], list[int | None]]:
    """Return the journal and its causes as they would be had nobody been restarted: numbers count only what is left.

    A timer that was armed again has its restart for a cause, so what such an actor's restart caused is None: it cannot be compared.
    """
    numbers: dict[int, int | None] = {}
    kept: list[Any] = []
    causes: list[int | None] = []
    for record in records:
        cause = numbers[record.cause] if record.cause > 0 else record.cause
        if type(record.event) is ActorRestarted:
            numbers[record.number] = None if record.event.actor in REARMING else cause
        else:
            kept.append((record.at_ns, record.event))
            causes.append(cause)
            numbers[record.number] = len(kept)
    return kept, causes


@cache
def feed_of(spread: bool) -> BarFeed:
    rows = {}
    for symbol, like in Script(spread=spread).symbols().items():
        rows[symbol] = []
        for index in range(BARS):
            opened = PRICES[like] + ((index * 7) % 5 - 2) * 0.5
            row = (FIRST_DAY + timedelta(days=index), opened, opened + 1, opened - 1, opened + 0.25, 1000.0)
            rows[symbol].append(row)
    return BarFeed.from_rows(rows)


@cache
def settings_of(spread: bool) -> Any:
    return load(
        {
            "execution": {
                "mode": "backtest",
                "backtest": {
                    "slippage": "0.001",
                    "commission": 1,
                    "participation": "0.1",
                    "account": {"cash": 10_000_000 if spread else 52_000},
                },
            },
            "breaker": {"rejections": 3},
        }
    )
