"""The report says what the result says, and its page needs nothing but itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from array import array
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import msgspec
import pytest

from ordersmith import BacktestExecutor, ConfigError, Order, Strategy
from ordersmith.actors.actor import Record
from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.events import CashMoved, OrderFilled, PositionAdjusted
from ordersmith.actors.model import Fill, OrderState, Side
from ordersmith.actors.ports import AdjustmentCause, CashKind
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.supervisor import report, report_data, report_figures, report_notebook, report_tables
from ordersmith.supervisor.report_costs import MOST_PERIODS, Costs
from ordersmith.supervisor.report_data import _Walk

START = date(2020, 1, 6)
DAYS = 60
EVIL = "</script><img src=x onerror=alert(1)>"


def rows(days=DAYS, **opens):
    return {
        symbol: [
            (START + timedelta(days=day), base + day, base + day + 2, base + day - 2, base + day + 1, 10_000)
            for day in range(days)
        ]
        for symbol, base in opens.items()
    }


class Trader(Strategy):
    """Buys and sells both symbols by turns, and is denied once."""

    def __init__(self):
        self.day = 0

    def on_bars(self, bars):
        self.day += 1
        if self.day == 1:
            self.submit(Order.buy("A", 10_000_000))
        if self.day % 7 == 1:
            self.submit(Order.buy("A", 20), Order.buy("B", 30))
        if self.day % 7 == 5:
            self.submit(Order.sell("A", 5), Order.sell("B", 30))


def run(feed=None, **settings):
    settings = {"execution": {"backtest": {"slippage": "0.001", "commission": "1.5"}}, **settings}
    return BacktestExecutor(settings, strategy=Trader(), feed=feed or BarFeed.from_rows(rows(A=100, B=50))).run()


@pytest.fixture(scope="module")
def result():
    return run()


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    return result.report(tmp_path_factory.mktemp("report") / "report.html").read_text()


class Parts(HTMLParser):
    """The scripts of a page by their number, its attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.attributes, self.words, self.inside = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        self.attributes += [(tag, *attribute) for attribute in attributes]

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        (self.scripts if self.inside == "script" else self.words).append(data)

    @property
    def given(self):
        return json.loads(self.scripts[0])

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def trace(figure, name):
    (found,) = (one for one in figure["data"] if one.get("name") == name)
    return found


# --- The page ----------------------------------------------------------------------------------------------------------


def test_the_page_needs_no_network(page):
    """Nothing in it points anywhere, and its policy lets a browser fetch nothing, whatever a script would like to."""
    parts = Parts(page)
    assert [one for one in parts.attributes if one[1] in {"src", "href", "action", "srcset"}] == []
    assert "url(" not in page[: page.index("</style>")]
    policy = next(value for tag, name, value in parts.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert len(parts.scripts) == 3
    assert "plotly.js" in parts.scripts[1]
    assert "<" not in parts.scripts[0]  # nothing in the charts could end their script


def test_the_page_has_the_figures_of_the_run(result, page):
    """Summary, costs, states, denials and identity stand in it as text."""
    summary, text = result.summary, Parts(page).text
    for words in (
        f"{summary.start} to {summary.end}",
        f"{summary.final_equity:,.2f}",
        f"{summary.commission:,.2f}",
        f"{summary.slippage:,.2f}",
        f"FILLED {summary.orders_by_state['FILLED']:,}",
        f"{next(iter(summary.denials_by_code))} 1",
        summary.trace_hash,
        "execution.backtest.slippage.fraction 0.001",
    ):
        assert words in text
    assert "Speed" not in text


def test_the_same_run_makes_the_same_page(page, tmp_path):
    """Two runs of the same make the same page, byte for byte, and it knows nothing of where it was made."""
    assert run().report(tmp_path / "again.html").read_text() == page
    assert str(tmp_path.parent) not in page


def test_what_comes_from_outside_is_text(tmp_path):
    """A name that would be HTML, in a setting or of a symbol, is shown and not obeyed."""
    evil_rows = rows(A=100, B=50)
    evil_rows[EVIL] = evil_rows["A"]
    settings = {
        "strategy": {"path": "x.py:Trader", "parameters": {"name": EVIL}},
        "instruments": {"default": {"lot": 5}},
    }
    result = run(BarFeed.from_rows(evil_rows), **settings)
    page = result.report(tmp_path / "r.html").read_text()
    assert "<img" not in page.replace(report._library_file().read_text().replace("</script", "<\\/script"), "")
    assert len(Parts(page).scripts) == 3
    assert "Backtest of Trader" in Parts(page).text


def test_paths_of_the_machine_are_not_told():
    """Of a setting that is a path the last part alone is shown."""
    settings = run(data={"path": "~/somebody/daily.csv"})._backtest.settings
    shown = report_tables.settings(settings)
    assert "daily.csv" in shown
    assert "somebody" not in shown


def test_every_colour_has_a_dark_one(result):
    """A colour outside the table would stay as it is in the dark."""
    used = set(re.findall(r"#[0-9a-fA-F]{6}\b", json.dumps([figure.to_plotly_json() for figure in figures(result)])))
    assert len(used) > 5
    assert used <= report_figures.DARK.keys()
    assert len(set(report_figures.DARK.values())) == len(report_figures.DARK)


def figures(result):
    return [result.figure(), result.figure("A"), result.figure("B"), result.cost_figure()]


def test_plotly_takes_every_figure(result):
    """Plotly's own checks find nothing wrong with the charts, which are written without it."""
    assert [type(figure).__name__ for figure in figures(result)] == ["Figure"] * 4


def test_a_symbol_that_was_not_traded_has_no_figure(result):
    """The error names the symbols that have one."""
    with pytest.raises(KeyError, match="C: not a symbol that was traded; traded: A, B"):
        result.figure("C")


def test_without_plotly_it_is_said_how_to_get_the_page(result, tmp_path, monkeypatch):
    """The error names the library and the command that installs it, and no file is begun."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None)
    for wish in (lambda: result.report(tmp_path / "r.html"), result.figure, result.cost_figure):
        with pytest.raises(ConfigError, match=r"it needs plotly: pip install 'ordersmith\[backtest\]'"):
            wish()
    assert list(tmp_path.iterdir()) == []


# --- The charts --------------------------------------------------------------------------------------------------------


def test_equity_and_drawdown_are_those_of_the_run(result, page):
    """The curve ends with the summary's equity, and goes as deep as its drawdown."""
    overview = Parts(page).given["figures"]["overview"]
    equity = trace(overview, "Equity")
    assert len(equity["y"]) == DAYS
    assert Decimal(str(equity["y"][-1])) == result.summary.final_equity.quantize(Decimal("0.01"))
    assert equity["x"][0] == (START - date(1970, 1, 1)).days * report_data.DAY_MS
    assert min(trace(overview, "Drawdown")["y"]) == pytest.approx(result.summary.max_drawdown, abs=1e-5)


def test_exposure_is_what_is_held_at_the_closes(result, page):
    """Gross and net are the positions at the last prices over the equity, on every day."""
    net = trace(Parts(page).given["figures"]["overview"], "Net")["y"]
    for day, (end_ns, equity) in enumerate(result.equity):
        held = 0.0
        for record, event in result.fills():
            if record.at_ns <= end_ns:
                price = {"A": 101, "B": 51}[event.symbol] + day
                held += float(event.quantity) * price * (1 if event.side is Side.BUY else -1)
        assert net[day] == pytest.approx(held / equity, abs=1e-4)


def test_fills_are_marked_on_the_price(result, page):
    """Every fill is a mark at its bar and price, and the pointer shows its quantity, price and costs."""
    given = Parts(page).given
    fills = [event for _, event in result.fills()]
    assert len(fills) > 20
    for number, symbol in enumerate(("A", "B")):
        chart = given["symbols"][number]
        for side, name in ((Side.BUY, "Buys"), (Side.SELL, "Sells")):
            marks = trace(chart, name)
            expected = [event for event in fills if (event.symbol, event.side) == (symbol, side)]
            assert [Decimal(str(price)) for price in marks["y"]] == [event.fill.price for event in expected]
            for text, event in zip(marks["text"], expected, strict=True):
                assert f"{side} {event.quantity} {symbol} at {event.fill.price.normalize():f}" in text
                assert f"commission 1.5, slippage {event.fill.slippage.normalize():f}" in text
                assert event.client_order_id in text
        assert trace(chart, "Close")["y"] == [{"A": 101, "B": 51}[symbol] + day for day in range(DAYS)]
        assert set(marks["x"]) <= set(trace(chart, "Close")["x"])
        held = sum(
            (event.quantity if event.side is Side.BUY else -event.quantity) for event in fills if event.symbol == symbol
        )
        assert trace(chart, "Position")["y"][-1] == held


def test_costs_by_period_add_up_to_the_summary(result):
    """Whatever the periods, the sum of each kind is the summary's."""
    costs = result.drawn().costs
    for kind in ("commission", "fees", "slippage", "impact"):
        total = sum((sums[kind] for sums in costs.sums.values()), Decimal(0))
        assert total == getattr(result.summary, kind)
    assert result.summary.costs == result.summary.commission + result.summary.slippage > 0


@pytest.mark.parametrize(
    ("days", "period", "first"),
    [(5, "session", "2020-01-06"), (200, "month", "2020-01"), (3000, "quarter", "2020 Q1"), (9000, "year", "2020")],
)
def test_costs_are_cut_into_periods_that_can_be_told_apart(days, period, first):
    """The finest periods that are not too many to be seen are taken, those without costs included."""
    begin = (START - date(1970, 1, 1)).days
    costs = Costs.over(array("q", range(begin, begin + days)))
    assert costs.period.name == period
    assert next(iter(costs.sums)) == first
    assert len(costs.sums) <= MOST_PERIODS


def test_months_are_measured_from_close_to_close(result):
    """The returns of the months multiply to the year's, which is the run's."""
    by_year = report_tables._monthly(result.drawn())
    assert list(by_year) == [2020]
    assert list(by_year[2020]) == [1, 2, 3]
    whole = 1.0
    for change in by_year[2020].values():
        whole *= 1 + change
    assert whole - 1 == pytest.approx(result.summary.total_return)


# --- What cannot be drawn ------------------------------------------------------------------------------------------------


class Stream:
    """Bars that can be had once."""

    def __init__(self, feed, again):
        self.symbols, self.step_count, self.start_ns = feed.symbols, None, feed.start_ns
        self.feed, self.again, self.used = feed, again, False

    def __iter__(self):
        if self.used:
            return self.again()
        self.used = True
        return iter(self.feed)


def _refused():
    raise RuntimeError("used up")


@pytest.mark.parametrize("again", [lambda: iter(()), _refused])
def test_a_stream_has_no_prices_to_draw(result, again, tmp_path):
    """Of bars that cannot be had twice the equity, the fills and the costs are drawn, and the page says what is not."""
    streamed = run(Stream(BarFeed.from_rows(rows(A=100, B=50)), again))
    parts = Parts(streamed.report(tmp_path / "r.html").read_text())
    assert "a stream that cannot be had twice: prices and exposure are not drawn" in parts.text
    names = [one["name"] for one in parts.given["figures"]["overview"]["data"]]
    assert names == ["Equity", "Drawdown"]
    assert [one["name"] for one in parts.given["symbols"][0]["data"]] == ["Buys", "Sells", "Position"]
    assert streamed.drawn().costs.sums == result.drawn().costs.sums


def test_without_a_journal_the_equity_is_drawn(tmp_path):
    """With `journal.keep: open` there is nothing to draw but the equity, and the page says so."""
    parts = Parts(run(journal={"keep": "open"}).report(tmp_path / "r.html").read_text())
    assert "The journal was not kept" in parts.text
    assert parts.given["symbols"] == []
    assert len(trace(parts.given["figures"]["overview"], "Equity")["y"]) == DAYS


def test_much_is_thinned_and_the_page_says_so(monkeypatch, tmp_path):
    """Of many fills the largest are drawn, of many symbols those traded most, of many points the extremes; each is told."""
    monkeypatch.setattr(report_data, "FILLS_A_SYMBOL", 3)
    monkeypatch.setattr(report_data, "SYMBOLS", 1)
    days = 5000
    result = run(BarFeed.from_rows(rows(days, A=100, B=50)))
    data = result.drawn()
    (history,) = data.symbols
    assert [len(history.marks), history.symbol] == [3, "A"]
    notional = sorted(event.notional for _, event in result.fills() if event.symbol == "A")
    assert sorted(mark.event.notional for mark in history.marks) == notional[-3:]
    text = Parts(result.report(tmp_path / "r.html").read_text()).text
    for words in (
        "points: of every stretch the first, the lowest, the highest and the last.",
        "A point of a price chart sums up 2 bars",
        "Of A the 3 largest fills are drawn",
        "Of 2 symbols that were traded the 1 with the largest turnover are drawn.",
    ):
        assert words in text


def test_a_run_without_an_order_has_a_page(tmp_path):
    """There is nothing to choose a symbol for, and nothing divides by zero."""
    result = BacktestExecutor({}, strategy=Strategy(), feed=BarFeed.from_rows(rows(3, A=100))).run()
    parts = Parts(result.report(tmp_path / "r.html").read_text())
    assert "There were no orders." in parts.text
    assert "Fills on the price" not in parts.text
    assert parts.given["symbols"] == []


# --- Corporate actions ---------------------------------------------------------------------------------------------------


def filled(number, at, symbol, side, quantity, price):
    fill = Fill(fill_key=f"f{number}", quantity=Decimal(quantity), price=Decimal(price), at_ns=at)
    notional = fill.quantity * fill.price
    parts = (fill, fill.quantity, notional, Decimal(0), OrderState.FILLED)
    return Record(number, at, 0, OrderFilled(f"o{number}", "main", "s", symbol, side, *parts))


def walk(closes, records, actions):
    """Walk through bars with these closes by symbol, one a session, from session 0 on."""
    steps = len(next(iter(closes.values())))
    feed = [
        Bars(
            step,
            step + 1,
            step,
            True,
            {symbol: (p, p, p, p, 1.0) for symbol, prices in closes.items() if (p := prices[step])},
            actions.get(step, ()),
        )
        for step in range(steps)
    ]
    through = _Walk(array("q", range(steps)), array("q", range(steps)), len(closes))
    through.through(array("q", range(1, steps + 1)), array("d", [1000.0] * steps), feed, records)
    return through


def test_fees_are_told_apart_from_the_commission():
    """A fill's commission contains its fees; shown are the one without the other, in the sums and under the pointer."""
    record = filled(1, 1, "A", Side.SELL, 5, 100)
    event = record.event
    fill = msgspec.structs.replace(event.fill, commission=Decimal("1.25"), fees=Decimal("0.25"))
    event = msgspec.structs.replace(event, fill=fill, commission=fill.commission)
    through = walk({"A": [100]}, [msgspec.structs.replace(record, event=event)], {})
    (sums,) = through.costs.sums.values()
    assert (sums["commission"], sums["fees"]) == (1, Decimal("0.25"))
    (text,) = trace(report_figures.prices(through.histories()[0], daily=True), "Sells")["text"]
    assert "commission 1, fees 0.25<br>" in text


def test_exposure_does_not_jump_at_a_split():
    """Twice the shares at half the price are worth the same, also on a day on which the symbol has no bar."""
    split = CorporateAction(kind=CorporateActionKind.SPLIT, symbol="A", session=2, ratio=Decimal(2))
    adjusted = PositionAdjusted("main", "a1", AdjustmentCause.SPLIT, "A", Decimal(5))
    records = [filled(1, 1, "A", Side.BUY, 5, 100), Record(2, 3, 0, adjusted)]
    through = walk({"A": [100, 100, None, 50], "B": [1, 1, 1, 1]}, records, {2: (split,)})
    assert list(through.gross) == [0.5] * 4
    (history,) = through.histories()
    assert list(history.position.y) == [5.0, 10.0]
    chart = report_figures.prices(history, daily=True)
    assert [note["text"] for note in chart["layout"]["annotations"]][-1] == "split 2:1"
    assert [shape["x0"] for shape in chart["layout"]["shapes"]] == [2]


def test_a_short_position_counts_in_full():
    """Gross adds what is short, net takes it off."""
    records = [filled(1, 1, "A", Side.BUY, 5, 100), filled(2, 1, "B", Side.SELL, 2, 50)]
    through = walk({"A": [100], "B": [50]}, records, {})
    assert (list(through.gross), list(through.net)) == ([0.6], [0.4])


def test_a_holding_moves_to_its_new_symbol():
    """After a change of symbol the new one is held, and the old one is not."""
    moved = PositionAdjusted("main", "a1", AdjustmentCause.SYMBOL_CHANGE, "A", Decimal(-5), new_symbol="B")
    records = [filled(1, 1, "A", Side.BUY, 5, 100), Record(2, 2, 0, moved)]
    through = walk({"A": [100, None], "B": [None, 110]}, records, {})
    assert list(through.gross) == [0.5, 0.55]
    assert through._held == {"B": 5.0}


def test_dividends_are_income_and_shorts_pay_them():
    """Of what came in the dividends that shorts paid are taken off, borrowing is a cost, and a transfer is neither."""
    moves = [(CashKind.DIVIDEND, 30), (CashKind.DIVIDEND, -10), (CashKind.BORROW_FEE, -4), (CashKind.TRANSFER, 500)]
    records = [
        Record(n, 1, 0, CashMoved("main", f"c{n}", kind, Decimal(amount))) for n, (kind, amount) in enumerate(moves, 1)
    ]
    costs = walk({"A": [100]}, records, {}).costs
    (sums,) = costs.sums.values()
    assert {kind: int(amount) for kind, amount in sums.items() if amount} == {"borrow_fees": 4, "dividends": 20}
    assert [one["name"] for one in report_figures.costs(costs)["data"]] == ["Borrow fees", "Dividends"]


@pytest.mark.parametrize(("ratio", "text"), [("2", "2:1"), ("1.5", "3:2"), ("0.1", "1:10"), ("1.0001", "1.0001")])
def test_a_split_is_written_as_people_do(ratio, text):
    """The ratio is new shares to old ones in whole numbers, unless these would be long."""
    action = CorporateAction(kind=CorporateActionKind.SPLIT, symbol="A", session=0, ratio=Decimal(ratio))
    assert report_figures.ratio_text(action) == text


# --- Notebook ------------------------------------------------------------------------------------------------------------


def test_a_notebook_shows_the_summary_and_a_line(result):
    """The HTML is small, has the summary's lines and an SVG line of the equity, and needs no script."""
    shown = result._repr_html_()
    assert len(shown) < 12_000
    assert f"{result.summary.final_equity:,.2f}" in shown
    assert shown.count("<polyline") == 1
    assert "<script" not in shown


def test_the_line_stays_inside_its_box():
    """Highest and lowest touch the margins, first and last the sides; what never changes is a straight line."""
    points = re.search(r'points="([^"]+)"', report_notebook.sparkline([5.0, 9.0, 1.0]))[1].split()
    places = [tuple(map(float, point.split(","))) for point in points]
    width, height, margin = report_notebook.WIDTH, report_notebook.HEIGHT, report_notebook.MARGIN
    assert [x for x, _ in places] == [margin, width / 2, width - margin]
    assert [y for _, y in places] == [height / 2, margin, height - margin]
    assert report_notebook.sparkline([5.0]) == ""
    assert "nan" not in report_notebook.sparkline([5.0, 5.0])


def test_nothing_of_plotly_is_imported_for_a_page_or_a_notebook(tmp_path):
    """Plotly takes longer to import than a page to write; its script is a file."""
    code = (
        "import sys; from ordersmith import BacktestExecutor, Strategy; from ordersmith.adapters.bar_feed import BarFeed; import datetime\n"
        "feed = BarFeed.from_rows({'A': [(datetime.date(2020, 1, 6), 1, 1, 1, 1, 1)]})\n"
        "result = BacktestExecutor({}, strategy=Strategy(), feed=feed).run()\n"
        f"result._repr_html_(); result.report({str(tmp_path / 'r.html')!r}); print('plotly' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
