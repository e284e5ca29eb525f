"""The faulty way to a simulated broker: what each fault does to what the port says, and that nothing said is a lie."""

from __future__ import annotations

from collections import Counter

import pytest
from broker_kit import D, FakeLine, Setup, buy, kinds, new_order, sell

from ordersmith.actors.model import Order, Terms
from ordersmith.actors.ports import (
    Accepted,
    BrokerOrderState,
    Cancelled,
    CancelRequest,
    CommandKind,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Executed,
    NotSent,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    Rejected,
    Replaced,
    ReplaceRefused,
    ReplaceRequest,
    StatusRequest,
)
from ordersmith.actors.snapshots import AccountSnapshot, SnapshotFailed, SyncAccount
from ordersmith.simulation.faults import Fault
from ordersmith.simulation.schedule import HOUR_NS, SECOND_NS

RESTING = buy(10, "40")


@pytest.fixture
def calm():
    """A connected port on a way without faults."""
    setup = Setup()
    setup.connect()
    return setup


def replace(setup, terms, wait_s=0.2):
    deadline_ns = setup.schedule.now_ns + 10 * SECOND_NS
    return setup.take(ReplaceRequest("x.0", "x.1", terms, deadline_ns, 1), wait_s)


# --- The contract ------------------------------------------------------------------------------------------------------


def test_every_command_is_answered(calm):
    """Without faults each command has the answer that its port promises, and is then no longer in hand."""
    assert [each.wire_id for each in calm.new("x.0", RESTING) if isinstance(each, Accepted)]
    assert any(isinstance(each, Replaced) for each in replace(calm, Terms(D(12), D(41))))
    assert kinds(calm.take(CancelRequest("x.1"))) == ["Cancelled"]
    assert kinds(calm.take(CancelRequest("x.1"))) == ["CancelRefused"]
    assert kinds(replace(calm, Terms(D(13)))) == ["ReplaceRefused"]
    assert [each.state for each in calm.look_up("x.0")] == [BrokerOrderState.CANCELLED]
    assert kinds(calm.look_up("y.0")) == ["OrderAbsent"]
    assert kinds(calm.take(SyncAccount(1, ""))) == ["AccountSnapshot"]
    assert kinds(calm.take(Disconnect())) == ["Disconnected"]
    assert not calm.line.in_hand


def test_a_snapshot_has_everything(calm):
    """A read lists holdings, cash, our orders and a human's, executions after the cursor, and what was asked with."""
    calm.new("x.0", buy(10))
    calm.new("y.0", RESTING)
    human = calm.broker.place_by_hand("B", RESTING.side, D(3), D(1))
    snapshot = calm.sync()
    assert (snapshot.as_of, snapshot.asked_ns, snapshot.cash) == (7, 3, calm.broker.cash)
    assert [(each.symbol, each.quantity) for each in snapshot.positions] == [("A", D(10))]
    assert [(each.wire_id, each.open_quantity, each.limit_price) for each in snapshot.orders] == [("y.0", D(10), D(40))]
    assert [(each.broker_order_id, each.open_quantity) for each in snapshot.externals] == [(human.broker_order_id, 3)]
    assert [each.wire_id for each in snapshot.executions] == ["x.0"]
    calm.new("z.0", buy(1))
    assert [each.wire_id for each in calm.sync(snapshot.cursor).executions] == ["z.0"]


def test_the_stream_and_a_read_tell_one_execution_by_one_key(calm):
    """What the stream tells of an execution is what a read tells of it."""
    calm.new("x.0", buy(10))
    assert tuple(calm.line.of(Executed)) == calm.sync().executions


def test_nothing_is_written_under_another_epoch_or_too_late(calm):
    """What adds risk is held back by the trading epoch and by its deadline; a cancel never is."""
    calm.line.present_epoch = None
    assert kinds(calm.new("x.0", RESTING)) == ["NotSent"]
    calm.line.present_epoch = 2
    assert kinds(calm.new("x.0", RESTING)) == ["NotSent"]
    calm.line.present_epoch = 1
    late = new_order("x.0", RESTING, calm.schedule.now_ns - 60 * SECOND_NS)
    assert kinds(calm.take(late)) == ["NotSent"]
    calm.line.present_epoch = None
    assert kinds(calm.take(CancelRequest("x.0"))) == ["CancelRefused"]
    assert [type(command) for (command,) in calm.notes.of("written")] == [CancelRequest]


def test_without_a_session_nothing_is_written():
    """Before a session is open orders are certainly not sent, and the account cannot be read."""
    setup = Setup()
    assert [each.kind for each in setup.new("x.0", RESTING)] == [CommandKind.NEW]
    assert kinds(setup.take(CancelRequest("x.0"))) == ["NotSent"]
    assert kinds(setup.take(SyncAccount(1, ""))) == ["SnapshotFailed"]
    assert kinds(setup.look_up("x.0")) == []
    assert not setup.notes.of("written")
    assert not setup.line.in_hand


def test_what_was_under_way_to_a_dead_port_comes_to_nobody(calm):
    """A new incarnation hears nothing of what the one before had asked, but what was written happens."""
    calm.wire.take(new_order("x.0", RESTING, calm.schedule.now_ns), 0)
    calm.wire.close()
    line = FakeLine(calm.schedule)
    calm.wire.open(line)
    calm.wait(5)
    assert line.posted == []
    assert kinds(calm.line.posted and calm.line.of(Accepted)) == []
    assert calm.broker.find("x").is_open
    assert not calm.wire.connected
    assert calm.notes.of("session") == [(True, "main"), (False,)]


def test_what_happened_without_a_session_is_read_and_not_streamed(calm):
    """Fills of the time without a session are only in the next read, and what happened to the account is told before it."""
    calm.new("x.0", RESTING)
    calm.new("y.0", buy(1))
    calm.take(Disconnect())
    calm.broker.price("A", D(40))
    calm.events.split_now("A", D(2))
    before = len(calm.line.posted)
    calm.connect()
    told = [report for _, report in calm.line.posted[before:]]
    assert kinds(told) == ["Connected"]
    assert kinds(calm.take(SyncAccount(1, ""))) == ["PositionAdjustment", "AccountSnapshot"]
    assert kinds(calm.take(SyncAccount(1, ""))) == ["AccountSnapshot"]


# --- Answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_lost_answer_says_nothing_or_that_nobody_knows(seed):
    """The order may be there or not; the port says `OutcomeUnknown` or nothing, and lets go of the command."""
    setup = Setup(seed=seed)
    setup.connect()
    setup.plan.chances = {Fault.ANSWER_LOST: 1.0}
    setup.broker.tell = lambda report: None
    said = setup.new("x.0", RESTING, wait_s=30)
    assert set(kinds(said)) <= {"OutcomeUnknown"}
    assert not setup.line.in_hand
    is_there = setup.broker.find("x") is not None
    assert setup.notes.of("accepted" if is_there else "ended")
    setup.plan.quiet = True
    assert kinds(setup.look_up("x.0")) == (["OrderFound"] if is_there else ["OrderAbsent"])


@pytest.mark.parametrize("fault", [Fault.ERROR_AFTER_ACCEPT, Fault.FALSE_REJECTION, Fault.UNKNOWN_CODE])
def test_an_error_is_no_rejection(fault):
    """An order that works is never said to be rejected, whatever came back."""
    setup = Setup(fault)
    setup.connect()
    setup.broker.tell = lambda report: None
    said = setup.new("x.0", RESTING)
    assert [(type(each), each.kind) for each in said] == [(OutcomeUnknown, CommandKind.NEW)]
    assert setup.broker.find("x").is_open
    [unknown] = replace(setup, Terms(D(12), D(41)))
    assert (unknown.kind, unknown.wire_id) == (CommandKind.REPLACE, "x.1")
    [unknown] = setup.take(CancelRequest("x.1"))
    assert unknown.kind is CommandKind.CANCEL
    assert not setup.broker.open_orders()


def test_what_is_refused_for_the_rate_was_not_written():
    """A rate limit is `NotSent`, at once or because the port waited until it was too late; nothing is written out of order."""
    reasons: Counter[str] = Counter()
    for seed in range(30):
        setup = Setup(seed=seed)
        setup.connect()
        setup.plan.chances = {Fault.RATE_LIMITED: 1.0}
        setup.wire.take(new_order("x.0", RESTING, setup.schedule.now_ns), 0)
        setup.plan.chances = {}
        setup.wire.take(new_order("y.0", RESTING, setup.schedule.now_ns), 0)
        setup.wait(30)
        written = [command.wire_id for (command,) in setup.notes.of("written")]
        assert written in (["x.0", "y.0"], ["y.0"], [])
        refused = {each.wire_id: each.reason for each in setup.line.of(NotSent)}
        assert set(refused).isdisjoint(written)
        reasons.update(reason.split()[0] if "429" in reason else "late" for reason in refused.values())
        reasons["held"] += written == ["x.0", "y.0"]
    assert set(reasons) == {"429", "late", "held"}


def test_late_answers_come_within_half_a_minute():
    """What is delayed comes late and in another order, and is all there in the end."""
    setup = Setup(Fault.DELAYED)
    setup.wire.take(Connect(), 0)
    setup.wait(40)
    for number in range(30):
        setup.wire.take(new_order(f"x{number}.0", RESTING, setup.schedule.now_ns), 0)
    setup.wait(5)
    assert len({each.wire_id for each in setup.line.of(Accepted)}) < 30
    setup.wait(35)
    accepted = list(dict.fromkeys(each.wire_id for each in setup.line.of(Accepted)))
    assert len(accepted) == 30
    assert accepted != [f"x{number}.0" for number in range(30)]


def test_a_fill_may_come_long_before_the_acknowledgement():
    """The answer to an order that fills at once can come after its execution."""
    setup = Setup(Fault.FILL_BEFORE_ACK)
    setup.connect()
    setup.broker._streams_answers = False
    assert kinds(setup.new("x.0", buy(10), wait_s=5)) == ["Executed", "Accepted"]


def test_a_broker_rejects_with_a_code():
    """A rejection has a code and a text, and is the truth."""
    setup = Setup(Fault.REJECTED)
    setup.connect()
    [rejected] = setup.new("x.0", RESTING)
    assert isinstance(rejected, Rejected)
    assert rejected.code
    assert not setup.broker.find("x").is_open


# --- The stream --------------------------------------------------------------------------------------------------------


def test_a_dropped_frame_is_found_by_asking():
    """The stream says nothing; a look-up and a read have the fill."""
    setup = Setup(Fault.FRAME_DROPPED)
    setup.connect()
    assert kinds(setup.new("x.0", buy(10))) == ["Accepted"]
    [found] = setup.look_up("x.0")
    assert (found.state, found.cumulative_quantity, found.average_price) == (BrokerOrderState.DONE, 10, 50)
    assert [each.wire_id for each in setup.sync().executions] == ["x.0"]


def test_frames_and_answers_are_told_twice():
    """What is told twice is the same both times."""
    setup = Setup(Fault.DUPLICATED)
    setup.connect()
    setup.new("x.0", buy(10), wait_s=60)
    assert Counter(setup.line.of(Executed)).most_common() == [(setup.line.of(Executed)[0], 2)]
    assert len(setup.line.of(Accepted)) >= 2


def test_a_total_may_be_told_before_the_fill():
    """The order's total comes first, its execution later."""
    setup = Setup(Fault.CUMULATIVE_FIRST)
    setup.connect()
    said = setup.new("x.0", buy(10), wait_s=40)
    names = [name for name in kinds(said) if name != "Accepted"]
    assert names == ["OrderFound", "Executed"]
    [found] = [each for each in said if isinstance(each, OrderFound)]
    assert found.cumulative_quantity == 10


def test_a_mute_stream_is_silent_and_answers_still_come(calm):
    """Of a mute stream only questions tell; it speaks again within a minute after the faults are over."""
    calm.new("x.0", RESTING)
    calm.wire.session._mute()
    calm.broker.price("A", D(40))
    calm.wait(1)
    assert not calm.line.of(Executed)
    assert kinds(calm.look_up("x.0")) == ["OrderFound"]
    calm.plan.quiet = True
    calm.wait(60)
    calm.new("y.0", buy(1))
    assert [each.wire_id for each in calm.line.of(Executed)] == ["y.0"]


def test_a_half_open_session_says_nothing_until_it_is_found_out(calm):
    """Commands leave, nothing comes back, and within a minute the session is lost and nothing is in hand any more."""
    calm.wire.session._half_open()
    said: list[object] = []
    for number in range(20):
        said += calm.new(f"x{number}.0", RESTING)
    assert said == []
    assert len(calm.notes.of("written")) == 20
    arrived = sum(calm.broker.find(f"x{number}") is not None for number in range(20))
    assert 0 < arrived < 20
    assert len(calm.notes.of("ended")) == 20 - arrived
    calm.wait(60)
    assert kinds(calm.line.of(Disconnected)) == ["Disconnected"]
    assert 0 < len(calm.line.of(OutcomeUnknown)) < 20
    assert not calm.line.in_hand
    calm.connect()


@pytest.mark.parametrize("away_s", [0.1, 60])
def test_frames_of_a_lost_session_are_lost(away_s):
    """What the stream had under way when its session ended is told neither without one nor in a later one."""
    setup = Setup(Fault.DUPLICATED)
    setup.connect()
    setup.plan.chances = {Fault.DELAYED: 1.0}
    setup.new("x.0", buy(10), wait_s=2.1)
    assert setup.broker.find("x").filled == 10
    setup.plan.chances = {}
    told = len(setup.line.of(Executed))
    setup.take(Disconnect())
    setup.wait(away_s)
    setup.connect()
    setup.wait(60)
    assert len(setup.line.of(Executed)) == told == 0


# --- Sessions ----------------------------------------------------------------------------------------------------------


def test_sessions_come_and_go():
    """Sessions are lost, a few times an hour and in bursts; every loss is said, and a session can be opened again."""
    setup = Setup(Fault.DISCONNECT, Fault.FLAPPING, Fault.NIGHTLY_RESET, seed=3, rate=0.2)
    for _ in range(3600):
        if not setup.wire.connected:
            setup.wire.take(Connect(), 0)
        setup.wait(1)
    ups = [arguments[0] for arguments in setup.notes.of("session")]
    assert ups == [step % 2 == 0 for step in range(len(ups))]
    assert len(ups) > 10
    assert len(setup.line.of(Connected)) == ups.count(True)
    setup.plan.quiet = True
    setup.wait(60)
    setup.take(Disconnect())
    setup.connect()


def test_a_session_may_be_refused_or_be_of_another_account():
    """A refused connection is `Disconnected`; a session of another account says so, and its account is not read."""
    setup = Setup(Fault.CONNECT_REFUSED)
    assert kinds(setup.take(Connect())) == ["Disconnected"]
    setup = Setup(Fault.OTHER_ACCOUNT)
    [connected] = setup.take(Connect())
    assert connected.account != "main"
    assert setup.notes.of("session") == [(True, connected.account)]
    assert kinds(setup.take(SyncAccount(1, ""))) == ["SnapshotFailed"]


def test_a_second_connect_begins_a_new_session(calm):
    """Who connects again, not knowing of the session that is open, gets a new one; what waited in the old one is let go of."""
    calm.wire.session._half_open()
    calm.new("x.0", RESTING)
    calm.connect()
    assert not calm.line.in_hand
    assert [each[0] for each in calm.notes.of("session")] == [True, False, True]
    assert not calm.wire.session.is_half_open


# --- Reads -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.SNAPSHOT_FAILED, Fault.SNAPSHOT_PARTIAL])
def test_a_read_that_is_not_complete_has_failed(fault):
    """What did not come is never read as nothing."""
    setup = Setup(fault)
    setup.connect()
    [failed] = setup.take(SyncAccount(7, ""))
    assert isinstance(failed, SnapshotFailed)
    assert failed.as_of == 7
    assert not setup.notes.of("snapshot_told")


def test_a_stale_read_is_of_a_moment_ago():
    """A stale read shows the whole account as it was up to four seconds before."""
    setup = Setup(Fault.SNAPSHOT_STALE)
    setup.connect()
    setup.new("x.0", buy(10), wait_s=0.1)
    assert (setup.sync().positions, setup.sync().orders, setup.sync().executions) == ((), (), ())
    setup.wait(5)
    assert len(setup.sync().positions) == 1


def test_a_torn_read_has_parts_of_different_instants():
    """A torn read may have a fill in one of its parts and not in another."""
    seen: Counter[tuple[bool, bool, bool]] = Counter()
    for seed in range(30):
        setup = Setup(Fault.SNAPSHOT_TORN, seed=seed)
        setup.connect()
        setup.new("x.0", RESTING)
        cash = setup.broker.cash
        setup.wire.take(SyncAccount(7, ""), 0)
        setup.wait(0.6)
        setup.broker.price("A", D(40))
        setup.wait(5)
        [snapshot] = setup.line.of(AccountSnapshot)
        seen[bool(snapshot.positions), bool(snapshot.executions), snapshot.cash != cash] += 1
    assert len(seen) > 4


@pytest.mark.parametrize("seed", range(10))
def test_a_look_up_may_be_too_early(seed):
    """For a few seconds a new order may not be found, and an old one is always found."""
    setup = Setup(Fault.LOOKUP_BLIND, seed=seed)
    setup.connect()
    setup.new("x.0", RESTING, wait_s=0.1)
    [absent] = setup.take(StatusRequest("x.0", 99), wait_s=0.08)
    assert isinstance(absent, OrderAbsent)
    assert (absent.asked_ns, absent.complete) == (99, False)
    setup.wait(5)
    assert kinds(setup.look_up("x.0")) == ["OrderFound"]


# --- All of it ---------------------------------------------------------------------------------------------------------


def trade(setup: Setup, until_ns: int) -> list[str]:
    """Send orders, cancels and replacements, and keep a session open, as a core would; return the ids of the orders."""
    names: list[str] = []
    replaced: dict[str, None] = {}
    random, number, price = setup.random, 0, D(50)
    while setup.schedule.now_ns < until_ns:
        price = max(price + D(random.randrange(-30, 31)) / 100, D(1))
        setup.broker.price("A", price)
        if not setup.wire.connected:
            setup.take(Connect(), 2)
            continue
        kind = random.randrange(4)
        if kind < 2:
            number += 1
            names.append(f"x{number}")
            limit = None if random.random() < 0.4 else str(price + random.choice((-1, 1)) * D("0.2"))
            setup.new(f"x{number}.0", random.choice((buy, sell))(random.randrange(1, 60), limit), 1)
        elif kind == 2 and names:
            setup.take(CancelRequest(random.choice(names) + ".0"), 1)
        elif names:
            name, deadline_ns = random.choice(names), setup.schedule.now_ns + 10 * SECOND_NS
            terms = Terms(D(random.randrange(1, 90)), price)
            if name not in replaced:
                replaced[name] = None
                setup.take(ReplaceRequest(f"{name}.0", f"{name}.1", terms, deadline_ns, 1), 1)
        setup.take(SyncAccount(number, ""), 28)
    return names


def written(setup: Setup) -> list[object]:
    return [command for (command,) in setup.notes.of("written")]


@pytest.mark.parametrize("seed", range(8))
def test_after_a_storm_the_books_are_exact_and_everything_is_found(seed):
    """Whatever was lost, once the faults end each written order is found by asking, and a read has all that happened."""
    setup = Setup(storm=True, seed=seed)
    names = trade(setup, setup.schedule.now_ns + HOUR_NS)
    setup.plan.quiet = True
    setup.wait(90)
    setup.take(Disconnect())
    setup.connect()
    setup.wait(60)
    setup.assert_books_are_exact()
    assert not setup.line.in_hand
    snapshot, truth = setup.sync(), setup.broker.truth()
    assert {each.symbol: each.quantity for each in snapshot.positions} == truth.positions
    assert snapshot.cash == truth.cash
    listed = [each.wire_id for each in snapshot.orders]
    assert listed == [order.wire_id for order in truth.open_orders if order.wire_id]
    last = {each.fill.fill_key: each for each in snapshot.executions}
    for name in names:
        order = setup.broker.find(name)
        [answer] = setup.look_up(f"{name}.0")
        if order is None or order.state is BrokerOrderState.REJECTED:
            assert isinstance(answer, OrderAbsent) or answer.state is BrokerOrderState.REJECTED
        else:
            assert (answer.state, answer.cumulative_quantity) == (order.state, order.filled)
            legs = [each for each in last.values() if each.wire_id in order.wire_ids]
            assert sum((each.fill.quantity for each in legs), D(0)) == order.filled


@pytest.mark.parametrize("seed", range(4))
def test_what_is_said_in_a_storm_is_true(seed):
    """No order that worked is said to be rejected or not sent, none that did not is said to be accepted."""
    setup = Setup(storm=True, seed=seed)
    trade(setup, setup.schedule.now_ns + HOUR_NS)
    worked = {wire_id for wire_id, _ in setup.notes.of("accepted")}
    assert {each.wire_id for each in setup.line.of(Accepted, Executed, Cancelled, Replaced)} <= worked
    assert worked.isdisjoint(each.wire_id for each in setup.line.of(Rejected, ReplaceRefused))
    legs = [command for command in written(setup) if not isinstance(command, CancelRequest)]
    sent = {each.new_wire_id if isinstance(each, ReplaceRequest) else each.wire_id for each in legs}
    not_sent = [each for each in setup.line.of(NotSent) if each.kind is not CommandKind.CANCEL]
    assert worked <= sent
    assert sent.isdisjoint(each.wire_id for each in not_sent)
    told = {each.fill.fill_key: each.fill for each in setup.line.of(Executed)}
    revisions = {(fill.fill_key, fill.revision): fill for _, fill in setup.notes.of("executed")}
    assert all(revisions[key, fill.revision] == fill for key, fill in told.items())


def test_a_storm_is_the_same_twice():
    """The same seed says the same, at the same instants."""
    first, second = Setup(storm=True, seed=5), Setup(storm=True, seed=5)
    for setup in (first, second):
        trade(setup, setup.schedule.now_ns + HOUR_NS)
    assert first.line.posted == second.line.posted
    assert first.notes.said == second.notes.said
    assert len(first.line.posted) > 200


def test_orders_are_orders(calm):
    """All types of order that the port says it takes are taken."""
    [connected] = calm.line.of(Connected)
    for number, (kind, in_force) in enumerate(sorted(connected.capabilities.taken)):
        prices = {"LIMIT": ("40", None), "STOP": (None, D(60)), "STOP_LIMIT": ("61", D(60))}.get(kind, (None, None))
        order = Order.buy("A", 1, prices[0], time_in_force=in_force, order_type=kind, stop_price=prices[1])
        assert "Accepted" in kinds(calm.new(f"x{number}.0", order)), (kind, in_force)
