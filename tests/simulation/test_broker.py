"""The truth of a simulated broker: what it does with orders, and that its books are exact whatever happens."""

from __future__ import annotations

from decimal import Decimal

import pytest
from broker_kit import CASH, D, Setup, buy, kinds, sell

from ordersmith.actors.model import Terms, TimeInForce
from ordersmith.actors.ports import (
    BrokerOrderState,
    CancelRefused,
    CashMovement,
    DividendDeclared,
    PositionAdjustment,
    Replaced,
    ReplaceRefused,
    Restated,
)
from ordersmith.simulation.faults import Fault
from ordersmith.simulation.schedule import HOUR_NS, MINUTE_NS

GTC, IOC = TimeInForce.GTC, TimeInForce.IOC


@pytest.fixture
def calm():
    """A broker to which nothing happens that is not asked for."""
    setup = Setup()
    setup.told = []
    setup.broker.tell = setup.told.append
    return setup


def replaced(setup, wire_id, new_wire_id, terms):
    answers = []
    setup.broker.replace(wire_id, new_wire_id, terms, answers.append)
    setup.wait(10)
    [answer] = answers
    return answer


# --- Orders ------------------------------------------------------------------------------------------------------------


def test_a_market_order_fills_at_the_price(calm):
    """A market order is accepted, filled in full and done, and cash pays for it and for the commission."""
    calm.broker.place("x.0", buy(10))
    [(_, fill)] = calm.notes.of("executed")
    assert (fill.quantity, fill.price, fill.commission) == (D(10), D(50), D("0.07"))
    assert calm.broker.cash == CASH - 500 - D("0.07")
    assert calm.broker.find("x").state is BrokerOrderState.DONE
    assert [name for name, _ in calm.notes.said] == ["accepted", "executed", "ended"]


@pytest.mark.parametrize(
    ("order", "stays", "fills"),
    [
        (buy(5, "48"), "48.01", "48"),
        (sell(5, "52"), "51.99", "52.5"),
        (buy(5, stop_price="55"), "54.99", "55.01"),
        (sell(5, stop_price="45"), "45.01", "44"),
        (buy(5, "50", stop_price="55"), "56", "49.9"),
    ],
    ids=["buy limit", "sell limit", "buy stop", "sell stop", "stop limit, once it was passed"],
)
def test_resting_orders_wait_for_their_price(calm, order, stays, fills):
    """Limit and stop orders rest until the market comes to their price, and fill there or better."""
    calm.broker.place("x.0", order)
    calm.broker.price("A", D(stays))
    assert not calm.notes.of("executed")
    calm.broker.price("A", D(fills))
    [(_, fill)] = calm.notes.of("executed")
    assert fill.price == D(fills)


def test_an_ioc_order_takes_what_there_is_at_once():
    """What an IOC order does not get at once is cancelled."""
    setup = Setup(Fault.PARTIAL_FILL)
    setup.broker.place("x.0", buy(10, time_in_force=IOC))
    setup.wait(60)
    order = setup.broker.find("x")
    assert (order.state, order.left) == (BrokerOrderState.CANCELLED, 0)
    assert 0 < order.filled < 10


def test_an_order_fills_in_parts_until_it_is_done():
    """Executions of one order have keys of their own, and their cumulative quantities rise to the whole."""
    setup = Setup(Fault.PARTIAL_FILL)
    setup.broker.place("x.0", buy(100))
    setup.wait(120)
    executions = [execution for _, execution in setup.broker.books.executions]
    assert len({each.fill.fill_key for each in executions}) == len(executions) > 1
    totals = [each.cumulative_quantity for each in executions]
    assert totals == sorted(totals)
    assert totals[-1] == 100
    setup.assert_books_are_exact()


def test_an_id_is_taken_once(calm):
    """A second order under an id is refused, whatever leg it names; so are an unknown symbol and no quantity."""
    assert kinds([calm.broker.place("x.0", buy(1, "1"))]) == ["Accepted"]
    assert calm.broker.place("x.1", buy(1, "1")).code == "DUPLICATE_ORDER_ID"
    assert calm.broker.place("y.0", buy(1, symbol="Z")).code == "UNKNOWN_SYMBOL"
    assert calm.broker.place("z.0", buy(0)).code == "BAD_QUANTITY"


def test_a_cancel_ends_what_is_left_once(calm):
    """A cancel is taken without a word and told; a second one, and one of an order that never was, are refused."""
    calm.broker.place("x.0", buy(5, "10"))
    assert calm.broker.cancel("x.0") is None
    assert kinds(calm.told)[-1] == "Cancelled"
    again, unknown = calm.broker.cancel("x.0"), calm.broker.cancel("y.0")
    assert isinstance(again, CancelRefused)
    assert isinstance(unknown, CancelRefused)
    assert (again.code, unknown.code) == ("TOO_LATE", "UNKNOWN_ORDER")
    assert calm.notes.of("ended") == [("x.0", "cancelled")]


def test_a_replacement_goes_on_with_the_fills_of_the_leg_before(calm):
    """The quantity of a replacement is the total: what has filled is taken off, and the old leg has ended."""
    calm.broker.place("x.0", buy(10, "40"))
    calm.broker.fill(calm.broker.find("x"), D(4), D(40))
    answer = replaced(calm, "x.0", "x.1", Terms(D(6), D(45)))
    assert isinstance(answer, Replaced)
    order = calm.broker.find("x")
    assert (order.wire_id, order.left, order.filled, order.limit) == ("x.1", 2, 4, 45)
    assert calm.notes.of("ended") == [("x.0", "replaced")]
    assert calm.broker.cancel("x.0").code == "TOO_LATE"
    calm.broker.price("A", D(45))
    assert calm.broker.find("x").state is BrokerOrderState.DONE
    calm.assert_books_are_exact()


def test_a_replacement_that_comes_too_late_is_refused(calm):
    """A leg that is gone, and a total that has filled already, cannot be replaced; the new leg is said never to be."""
    calm.broker.place("x.0", buy(10, "40"))
    calm.broker.fill(calm.broker.find("x"), D(4), D(40))
    assert isinstance(replaced(calm, "x.0", "x.1", Terms(D(4), D(45))), ReplaceRefused)
    assert calm.broker.find("x").left == 6
    calm.broker.cancel("x.0")
    assert isinstance(replaced(calm, "x.0", "x.2", Terms(D(8), D(45))), ReplaceRefused)
    assert [each for each in calm.notes.of("ended") if each[0] != "x.0"] == [("x.1", "rejected"), ("x.2", "rejected")]


def test_the_days_orders_expire_at_the_close(calm):
    """At the nightly close DAY orders expire and GTC orders stay."""
    calm.broker.place("x.0", buy(1, "10"))
    calm.broker.place("y.0", buy(1, "10", time_in_force=GTC))
    calm.schedule.run(calm.schedule.now_ns + 8 * HOUR_NS - MINUTE_NS)
    assert len(calm.broker.open_orders()) == 2
    calm.schedule.run(calm.schedule.now_ns + 2 * MINUTE_NS)
    assert [order.wire_id for order in calm.broker.open_orders()] == ["y.0"]
    assert kinds(calm.told)[-1] == "Expired"


# --- Races -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_fills_come_before_and_after_a_cancel_and_none_twice(seed):
    """However a cancel and fills cross, what was ordered is never exceeded, and a cancelled order is one with something left."""
    setup = Setup(Fault.CANCEL_RACE, seed=seed)
    setup.broker.place("x.0", buy(10, "40"))
    answer = setup.broker.cancel("x.0")
    setup.wait(60)
    order = setup.broker.find("x")
    assert not order.is_open
    assert order.filled <= 10
    assert (answer is None) is (order.state is BrokerOrderState.CANCELLED)
    setup.assert_books_are_exact()


def test_a_cancelled_order_may_fill_afterwards():
    """Some seeds have an execution that is told after the cancel."""
    late = 0
    for seed in range(12):
        setup = Setup(Fault.CANCEL_RACE, seed=seed)
        setup.broker.place("x.0", buy(10, "40"))
        setup.broker.cancel("x.0")
        setup.wait(60)
        names = [name for name, _ in setup.notes.said]
        late += "executed" in names[names.index("ended") :]
    assert late


def test_a_replacement_may_race_with_fills_and_overfill():
    """The old leg fills while the replacement is on its way: it is refused, or takes that off, or, rarely, does not."""
    outcomes = set()
    for seed in range(60):
        setup = Setup(Fault.REPLACE_RACE, seed=seed)
        setup.broker.place("x.0", buy(10, "40"))
        answer = replaced(setup, "x.0", "x.1", Terms(D(10), D(41)))
        order = setup.broker.find("x")
        if isinstance(answer, ReplaceRefused):
            outcomes.add("refused")
            assert order.filled == 10
        else:
            outcomes.add("overfills" if order.left + order.filled > 10 else "exact")
        setup.assert_books_are_exact()
    assert outcomes == {"refused", "exact", "overfills"}


# --- Revisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("fault", [Fault.BUST, Fault.CORRECTION])
def test_executions_are_revised_under_their_key(fault, seed):
    """A bust or a correction is another revision of the same execution, and the books follow it to the cent."""
    setup = Setup(fault, seed=seed)
    setup.broker.place("x.0", buy(10))
    setup.wait(600)
    rows = [execution.fill for _, execution in setup.broker.books.executions]
    assert len({fill.fill_key for fill in rows}) == 1
    assert [fill.revision for fill in rows] == list(range(len(rows)))
    assert len(rows) > 1
    setup.assert_books_are_exact()


def test_a_busted_order_is_not_worked_again():
    """What a bust leaves open of an order that had filled counts as cancelled."""
    setup = Setup(Fault.BUST)
    setup.broker.place("x.0", buy(10))
    setup.wait(600)
    order = setup.broker.find("x")
    assert (order.state, order.filled, setup.broker.positions["A"]) == (BrokerOrderState.CANCELLED, 0, 0)
    assert setup.broker.cash == CASH
    assert (order.found.state, order.found.commission) == (BrokerOrderState.CANCELLED, 0)


# --- What happens by itself ----------------------------------------------------------------------------------------------


def test_a_human_trades_in_the_account():
    """A human's orders rest, fill and go; they move the account, and nothing of ours."""
    setup = Setup(Fault.MANUAL_ORDER)
    for step in range(240):
        setup.broker.price("A", D(50) + D((-1) ** step) / 2)
        setup.wait(15)
    assert setup.notes.of("manual")
    assert not setup.notes.of("accepted")
    assert setup.broker.truth().filled == {}
    setup.assert_books_are_exact()
    setup.plan.quiet = True
    setup.wait(60)
    assert not setup.broker.open_orders()


def test_a_human_cancels_our_orders():
    """An order of ours that a human cancels is told as cancelled, with why."""
    setup = Setup(Fault.MANUAL_CANCEL)
    told = []
    setup.broker.tell = told.append
    setup.broker.place("x.0", buy(1, "10"))
    setup.wait(600)
    assert told[-1].text == "cancelled by hand"
    assert not setup.broker.open_orders()


def test_cash_goes_without_a_word():
    """A fee that nobody explains changes cash, and is told to nobody."""
    setup = Setup(Fault.UNEXPLAINED_CASH)
    setup.wait(600)
    assert setup.broker.cash != CASH
    assert not setup.broker.books.news
    setup.assert_books_are_exact()


def test_dividends_are_declared_and_paid():
    """A dividend moves cash only when it is paid; each thing that is told has an id of its own."""
    setup = Setup(Fault.DIVIDEND)
    setup.broker.place("x.0", buy(10))
    setup.wait(1800)
    news = [report for _, report in setup.broker.books.news]
    declared = [each.amount for each in news if isinstance(each, DividendDeclared)]
    paid = [each.amount for each in news if isinstance(each, CashMovement) and each.symbol]
    assert declared[: len(paid)] == paid != []
    moved = sum((each.amount for each in news if isinstance(each, CashMovement)), D(0))
    assert setup.broker.cash == CASH - 500 - D("0.07") + moved
    assert len({each.activity_id for each in news}) == len(news)


@pytest.mark.parametrize(("ratio", "held", "left"), [("2", 14, 12), ("1.5", 10, 9), ("0.5", 3, 3)])
def test_a_split_changes_holdings_and_open_orders(calm, ratio, held, left):
    """What is held and what is open is multiplied; fractions are paid for, and what had filled of an order stays as it was told."""
    calm.broker.place("x.0", buy(7))
    calm.broker.place("y.0", buy(10, "40"))
    calm.broker.fill(calm.broker.find("y"), D(4), D(40))
    calm.broker.fill(
        calm.broker.place_by_hand("A", calm.broker.find("y").terms.side.opposite, D(4), D(99)), D(4), D(40)
    )
    calm.events.split_now("A", D(ratio))
    order = calm.broker.find("y")
    [restated] = [each for each in calm.told if isinstance(each, Restated)]
    assert restated.terms == Terms(D(4 + left), (D(40) / D(ratio)).quantize(D("0.01")))
    assert (order.left, order.filled, calm.broker.positions["A"]) == (left, 4, held)
    assert any(isinstance(each, PositionAdjustment) for each in calm.told)
    calm.assert_books_are_exact()


# --- Looking back ------------------------------------------------------------------------------------------------------


def test_the_account_can_be_read_as_it_was(calm):
    """Orders, executions, holdings and cash of any instant of the last seconds can be read."""
    broker, books = calm.broker, calm.broker.books
    broker.place("x.0", buy(10, "40"))
    calm.wait(1)
    before_ns = calm.schedule.now_ns
    cash = broker.cash
    calm.wait(1)
    broker.price("A", D(40))
    broker.place("y.0", buy(1, "1"))
    [found], _ = broker.lists_at(before_ns)
    assert (found.wire_id, found.state, found.cumulative_quantity) == ("x.0", BrokerOrderState.WORKING, 0)
    assert (books.cash_at(before_ns), books.positions_at(before_ns)) == (cash, ())
    assert books.executions_after("", before_ns) == ((), "0")
    assert broker.seen_at("y.0", before_ns) is None
    now_ns = calm.schedule.now_ns
    assert [each.wire_id for each in broker.lists_at(now_ns)[0]] == ["y.0"]
    assert books.executions_after("", now_ns)[1] == "1"
    assert [(each.symbol, each.quantity) for each in books.positions_at(now_ns)] == [("A", Decimal(10))]


def test_a_replacement_is_not_seen_before_it_was_made(calm):
    """A look-up of a new leg finds nothing as of before, and one of the old leg finds that leg working."""
    broker = calm.broker
    broker.place("x.0", buy(10, "40"))
    calm.wait(1)
    before_ns = calm.schedule.now_ns
    calm.wait(1)
    replaced(calm, "x.0", "x.1", Terms(D(12), D(41)))
    assert broker.seen_at("x.1", before_ns) is None
    assert broker.seen_at("x.0", before_ns).wire_id == "x.0"
    assert broker.seen_at("x.0", calm.schedule.now_ns).wire_id == "x.1"


@pytest.mark.parametrize("seed", range(4))
def test_the_truth_counts_every_order(seed):
    """The truth lists what is open and what filled of each order of ours, and holdings that are not zero."""
    setup = Setup(Fault.PARTIAL_FILL, seed=seed, rate=0.5)
    for number in range(20):
        order = setup.random.choice((buy, sell))(setup.random.randrange(1, 50), setup.random.choice((None, "49", "51")))
        setup.broker.place(f"x{number}.0", order)
        setup.wait(5)
    truth = setup.broker.truth()
    bought = sum(truth.filled[f"x{n}"] * (1 if setup.broker.find(f"x{n}").is_buy else -1) for n in range(20))
    assert truth.positions.get("A", 0) == bought
    assert {each.wire_id for each in truth.open_orders} == {o.wire_id for o in setup.broker.open_orders()}
    assert truth.cash == setup.broker.cash
