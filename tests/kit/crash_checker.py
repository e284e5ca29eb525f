"""What a journal and a paper broker's file say of each other, worked out anew from both: the judge of the crash rounds.

It knows the vocabulary (records, reports, the broker's inputs) and nothing that folds it: no order machine, no positions, no desk.
What the broker holds open is asked of the broker, which is made from its own file.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import msgspec

from ordersmith.actors.account_events import BooksDisagree, CashDiffers, SessionDenied, SessionRefused
from ordersmith.actors.actor import Event
from ordersmith.actors.doubt_events import JournalFailed, OrderNeedsPerson, OrderOverfilled, OrderResurfaced
from ordersmith.actors.events import (
    ActorQuarantined,
    ActorRestarted,
    CashMoved,
    Escalated,
    MessagePoisoned,
    OrderAccepted,
    OrderCancelled,
    OrderCancelRequested,
    OrderDenied,
    OrderFilled,
    OrderInDoubt,
    OrderIntended,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRequested,
    OrderRestated,
    OrderSubmitted,
    PositionAdjusted,
    SessionOpened,
    TradingStateChanged,
)
from ordersmith.actors.model import Side
from ordersmith.actors.ports import (
    CashMovement,
    DividendDeclared,
    Executed,
    MarginDeficit,
    NewOrder,
    PositionAdjustment,
    SaleSettled,
)
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.paper.inputs import AnyInput, CancelSent, NewSent, ReplaceSent
from ordersmith.adapters.record_codec import decode_record
from ordersmith.supervisor.executor import load_settings
from ordersmith.supervisor.paper_broker import PaperBroker
from ordersmith.supervisor.price_source import past_prices

ZERO, CENT = Decimal(0), Decimal("0.01")

ALARMS = (
    ActorQuarantined,
    ActorRestarted,
    BooksDisagree,
    CashDiffers,
    Escalated,
    JournalFailed,
    MessagePoisoned,
    OrderOverfilled,
    OrderResurfaced,
    SessionDenied,
    SessionRefused,
)
"""Records that a crash alone never causes."""

DOUBT_NS = 150_000_000_000
"""How long an order may be in doubt before it must have come to an end: the look-ups of a little more than two bars."""

USUAL_HALTS = {"START", "REPEATED_REJECTIONS", "COOLDOWN"}
ACTIVITIES = {
    kind.__name__: msgspec.msgpack.Decoder(kind)
    for kind in (Executed, CashMovement, PositionAdjustment, DividendDeclared, SaleSettled, MarginDeficit)
}
INPUTS = msgspec.msgpack.Decoder(list[AnyInput])


class Life:
    """What the journal says of one order."""

    def __init__(self, event: OrderSubmitted) -> None:
        order = event.order
        self.symbol, self.sign = order.symbol, 1 if order.side is Side.BUY else -1
        self.quantity, self.limit_price = order.quantity, order.limit_price
        self.wires: list[str] = []
        self.replacements: list[str] = []
        self.wire = self.broker_id = ""
        self.is_over = self.cancel_asked = self.person_called = False
        self.keys: Counter[str] = Counter()
        self.filled = self.notional = self.commission = ZERO
        self.doubted_ns = 0
        self.given_up = self.rejected = False
        self.last = type(event).__name__

    def take(self, event: Event, at_ns: int) -> None:
        self.last = type(event).__name__
        match event:
            case OrderInDoubt():
                self.doubted_ns = self.doubted_ns or at_ns
            case OrderIntended():
                self.wires.append(event.wire_id)
                self.wire = event.wire_id
            case OrderReplaceRequested():
                self.replacements.append(event.wire_id)
            case OrderAccepted():
                self.broker_id = event.broker_order_id
            case OrderReplaced():
                self.wire, self.broker_id = event.wire_id, event.broker_order_id
                self.quantity, self.limit_price = event.terms.quantity, event.terms.limit_price
            case OrderRestated():
                self.quantity, self.limit_price = event.terms.quantity, event.terms.limit_price
            case OrderCancelRequested():
                self.cancel_asked = True
            case OrderNeedsPerson():
                self.person_called = True
            case OrderDenied() | OrderRejected() | OrderCancelled():
                self.is_over = True
                self.given_up = isinstance(event, OrderRejected) and event.concluded
                self.rejected = self.rejected or (isinstance(event, OrderRejected) and not event.concluded)
            case OrderFilled():
                self.keys[event.fill.fill_key] += not event.fill.inferred
                self.filled += event.quantity
                self.notional += event.notional
                self.commission += event.commission
        if self.filled >= self.quantity:
            self.is_over = True


class Journal:
    """A journal's facts; `alarms` are the records that there must be none of."""

    def __init__(self, path: Path, alarms: tuple[type[Event], ...] = ALARMS) -> None:
        self.alarms = alarms
        self.findings: list[str] = []
        self.orders: dict[str, Life] = {}
        self.events: Counter[str] = Counter()
        self.cash = ZERO
        self.positions: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.boots = self.last_ns = 0
        with JournalReader(path) as reader:
            verdict = reader.verify()
            if verdict.problem is not None:
                self.findings.append(f"the journal does not verify: {verdict.problem}")
                return
            self.boots = verdict.boots
            for data in reader.read():
                record = decode_record(data)
                self.last_ns = record.at_ns
                self._take(record.event, record.at_ns)

    def _take(self, event: Event, at_ns: int) -> None:
        name = type(event).__name__
        first = not self.events["SessionOpened"]
        self.events[name] += 1
        if isinstance(event, self.alarms):
            self.findings.append(f"alarm: {event}")
        order_id = getattr(event, "client_order_id", "")
        if isinstance(event, OrderSubmitted):
            if order_id in self.orders:
                self.findings.append(f"{order_id}: submitted twice")
            self.orders[order_id] = Life(event)
        elif order_id in self.orders:
            self.orders[order_id].take(event, at_ns)
        match event:
            case TradingStateChanged() if str(event.reason) not in USUAL_HALTS:
                self.findings.append(f"halted: {event}")
            case SessionOpened() if first:
                self.cash = event.cash
                self.positions.update({held.symbol: held.quantity for held in event.positions})
            case CashMoved():
                self.cash += event.amount
            case PositionAdjusted():
                self.positions[event.symbol] += event.quantity
                self.cash += event.cash
            case OrderFilled():
                sign = 1 if event.side is Side.BUY else -1
                self.positions[event.symbol] += sign * event.quantity
                self.cash -= sign * event.notional + event.commission


class Broker:
    """A paper broker's facts, from its file alone."""

    def __init__(self, path: Path, cash: Decimal) -> None:
        self.sent: Counter[str] = Counter()
        self.replaced: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.sides: dict[str, tuple[str, int]] = {}
        self.cash = cash
        self.positions: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.keys: dict[str, Counter[str]] = defaultdict(Counter)
        self.totals: defaultdict[str, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO, ZERO])
        if not path.exists():
            return
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            if not database.execute("SELECT 1 FROM sqlite_master").fetchall():
                return
            for (inputs,) in database.execute("SELECT inputs FROM inputs ORDER BY number"):
                self._take(INPUTS.decode(inputs))
            for kind, report in database.execute("SELECT type, report FROM activities ORDER BY number"):
                self._book(ACTIVITIES[kind].decode(report))
        finally:
            database.close()

    def _take(self, inputs: Iterable[Any]) -> None:
        for made in inputs:
            match made:
                case NewSent():
                    order = made.command.order
                    self.sent[made.command.wire_id] += 1
                    self.sides[_base(made.command.wire_id)] = order.symbol, 1 if order.side is Side.BUY else -1
                case ReplaceSent():
                    self.replaced[made.command.new_wire_id] += 1
                case CancelSent():
                    self.cancelled.add(_base(made.command.wire_id))

    def _book(self, report: Any) -> None:
        match report:
            case Executed():
                order_id, fill = _base(report.wire_id), report.fill
                symbol, sign = self.sides[order_id]
                self.positions[symbol] += sign * fill.quantity
                self.cash -= sign * fill.quantity * fill.price + fill.commission
                self.keys[order_id][fill.fill_key] += 1
                total = self.totals[order_id]
                total[0] += fill.quantity
                total[1] += fill.quantity * fill.price
                total[2] += fill.commission
            case CashMovement():
                self.cash += report.amount
            case PositionAdjustment():
                self.positions[report.symbol] += report.quantity
                self.cash += report.cash


def after_crash(folder: Path, cash: int) -> list[str]:
    """Return what is wrong in the two files as a crash has left them: what was sent without a record, or twice."""
    journal = folder / "journal.db"
    broker = Broker(folder / "paper.db", Decimal(cash))
    if not journal.exists() or _is_empty(journal):
        return ["orders without a journal"] if broker.sent else []
    return _sends(Journal(journal), broker)


def at_end(folder: Path, cash: int) -> tuple[list[str], Journal]:
    """Return what is wrong in the two files once the data are over, and what the journal says."""
    journal, broker = Journal(folder / "journal.db"), Broker(folder / "paper.db", Decimal(cash))
    found = _sends(journal, broker)
    snapshot, under_way = anyio.run(_asked, folder)
    listed = {_base(order.wire_id): order for order in snapshot.orders}
    found += _books(journal, broker, snapshot)
    for order_id, life in journal.orders.items():
        if not under_way.intersection(life.wires):
            found += [f"{order_id} ({life.last}): {why}" for why in _fate(life, listed.get(order_id), journal.last_ns)]
        found += [f"{order_id}: {why}" for why in _fills(life, broker, order_id)]
    found += [
        f"{order_id}: the broker filled it and the journal does not know it"
        for order_id in broker.keys
        if order_id not in journal.orders
    ]
    found += [
        f"{order_id}: open at the broker and unknown to the journal"
        for order_id in listed
        if order_id not in journal.orders
    ]
    return found, journal


def _sends(journal: Journal, broker: Broker) -> list[str]:
    """What was sent has a record that says so before, and was sent once."""
    found = list(journal.findings)
    lives = journal.orders
    intended = Counter(wire for life in lives.values() for wire in life.wires)
    replacements = Counter(wire for life in lives.values() for wire in life.replacements)
    for what, sent, known in (("order", broker.sent, intended), ("replacement", broker.replaced, replacements)):
        found += [f"{wire}: the {what} was sent without a durable intent" for wire in sent if wire not in known]
        found += [f"{wire}: the {what} was sent {count} times" for wire, count in sent.items() if count > 1]
        found += [f"{wire}: the {what} was intended {count} times" for wire, count in known.items() if count > 1]
    found += [f"{order_id}: {len(life.wires)} first legs" for order_id, life in lives.items() if len(life.wires) > 1]
    found += [
        f"{order_id}: cancelled without a durable request"
        for order_id in broker.cancelled
        if order_id not in lives or not lives[order_id].cancel_asked
    ]
    for order_id, life in lives.items():
        if life.broker_id and life.wires[0] not in broker.sent:
            found.append(f"{order_id}: accepted in the journal, and the broker does not know it")
        if life.given_up and life.wires[0] in broker.sent:
            found.append(f"{order_id}: given up as not found, and the broker has it")
        unknown = [key for key in life.keys if life.keys[key] and key not in broker.keys[order_id]]
        found += [f"{order_id}: the journal has the fill {key}, which the broker does not know" for key in unknown]
    return found


def _books(journal: Journal, broker: Broker, snapshot: AccountSnapshot) -> list[str]:
    found = []
    if not abs(journal.cash - broker.cash) < CENT:
        found.append(f"cash: {journal.cash} in the journal, {broker.cash} by the broker's file")
    if not abs(journal.cash - snapshot.cash) < CENT:
        found.append(f"cash: {journal.cash} in the journal, {snapshot.cash} at the broker")
    held = {each.symbol: each.quantity for each in snapshot.positions if each.quantity}
    for name, positions in (("in the journal", journal.positions), ("by the broker's file", broker.positions)):
        ours = {symbol: quantity for symbol, quantity in positions.items() if quantity}
        if ours != held:
            found.append(f"positions: {ours} {name}, {held} at the broker")
    return found


def _fate(life: Life, listed: Any, end_ns: int) -> list[str]:
    """An order is over on both sides, or open on both with the same terms, or in doubt by name, for not too long."""
    if listed is None:
        is_doubted = life.person_called or end_ns - life.doubted_ns < DOUBT_NS
        return [] if life.is_over or is_doubted else ["lost: neither over, nor open at the broker"]
    if life.is_over:
        return [f"over in the journal and open at the broker: {listed}"]
    theirs = (listed.wire_id, listed.broker_order_id, listed.cumulative_quantity, listed.open_quantity)
    ours = (life.wire, life.broker_id, life.filled, life.quantity - life.filled)
    return [] if ours == theirs else [f"{ours} in the journal, {theirs} at the broker"]


def _fills(life: Life, broker: Broker, order_id: str) -> list[str]:
    found = [f"the fill {key} was booked {count} times" for key, count in life.keys.items() if count > 1]
    if life.filled > life.quantity:
        found.append(f"{life.filled} filled of {life.quantity}")
    theirs = broker.keys.get(order_id, Counter())
    found += [f"the broker told the fill {key} {count} times" for key, count in theirs.items() if count > 1]
    found += [f"the fill {key} is missing" for key in theirs if key not in life.keys]
    total = broker.totals.get(order_id, [ZERO, ZERO, ZERO])
    ours = [life.filled, life.notional, life.commission]
    if any(abs(a - b) >= CENT for a, b in zip(ours, total, strict=True)):
        found.append(f"filled, notional, commission: {ours} in the journal, {total} at the broker")
    return found


async def _asked(folder: Path) -> tuple[AccountSnapshot, set[str]]:
    """Ask the broker what it holds, once its port is gone, and which orders are on their way to it at the data's end."""
    settings = load_settings(folder / "config.yaml")
    account = PaperBroker(settings, past_prices(settings)).account
    await account.open()
    try:
        transit = account.venue._transit
        commands = [] if transit is None else [each.command for each in [*transit.under_way, *transit.late]]
        under_way = {each.wire_id for each in commands if isinstance(each, NewOrder)}
        return account.venue.snapshot(SyncAccount(0, ""), ()), under_way
    finally:
        await account.close()


def _base(wire_id: str) -> str:
    return wire_id.rpartition(".")[0]


def _is_empty(path: Path) -> bool:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchall()
    finally:
        database.close()
