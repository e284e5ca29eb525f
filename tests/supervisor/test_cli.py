"""The commands, as a person or a script calls them: what they print, what they write, and their exit status."""

from __future__ import annotations

import importlib.util
import io
import json
import signal
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from ordersmith.actors.messages import CheckOrder
from ordersmith.actors.risk_gate import RiskGate
from ordersmith.adapters.simulated.exchange import SimulatedExchange
from ordersmith.supervisor import cli, outputs, presenting

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = sorted(outputs.FILES)

# The design card, word for word.
CARD = """\
# config.yaml
execution:
  mode: "paper"  # Options: backtest, paper, live
  provider: "alpaca"  # Options: alpaca, ib

  alpaca:
    api_key: "${ALPACA_API_KEY}"
    api_secret: "${ALPACA_API_SECRET}"
    paper: true  # true for paper trading, false for live

  backtest:
    slippage: 0.001  # 0.1% slippage
    commission: 0.0  # $0 commission (Alpaca is zero-commission)
"""

CONFIG = """\
execution: {backtest: {slippage: 0.001, commission: 1.5}}
data: {path: A.csv}
strategy: {path: "hosted.py:Hosted", parameters: {what: nothing}}
"""

PRICES = """\
date,open,high,low,close,volume
2020-01-06,100,102,98,101,1000000
2020-01-07,101,103,99,102,1000000
2020-01-08,102,104,100,103,1000000
2020-01-09,103,105,101,104,1000000
2020-01-10,104,106,102,105,1000000
"""

STRATEGY = """\
import signal, sys
from ordersmith import Order, Strategy

class Hosted(Strategy):
    def __init__(self, what, on=3):
        self.what, self.on, self.bars = what, on, 0

    def on_start(self):
        print("started")

    def on_bar(self, bar):
        self.bars += 1
        if self.bars == 1:
            self.submit(Order.buy(bar.symbol, 10))
            self.submit(Order.buy(bar.symbol, 10_000_000))
        if self.bars == self.on:
            getattr(self, self.what)()

    def nothing(self):
        pass

    def fail(self):
        return 1 / 0

    def leave(self):
        sys.exit(0)

    def interrupt(self):
        signal.raise_signal(signal.SIGINT)

    def interrupt_twice(self):
        self.interrupt()
        self.interrupt()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in a folder with a configuration, its strategy and its data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, text in (("c.yaml", CONFIG), ("card.yaml", CARD), ("A.csv", PRICES), ("hosted.py", STRATEGY)):
        Path(name).write_text(text)
    return tmp_path


class Ran:
    """What a command printed, and its exit status."""

    def __init__(self, capsys, words):
        try:
            self.status = cli.main(words, version="1.2.3")
        except SystemExit as leaving:  # argparse leaves by itself
            self.status = leaving.code
        self.out, self.err = capsys.readouterr()

    @property
    def summary(self):
        return json.loads(self.out, parse_float=Decimal, parse_int=Decimal)


@pytest.fixture
def run(capsys):
    return lambda *words: Ran(capsys, words)


# --- Usage -------------------------------------------------------------------------------------------------------------


def test_help_has_examples(run):
    """The help names the commands and shows how they are called."""
    ran = run("--help")
    assert ran.status == 0
    for words in ("backtest", "check", "ordersmith backtest examples/rebalance.yaml --out out/demo"):
        assert words in ran.out


@pytest.mark.parametrize("command", ["backtest", "check"])
def test_every_command_explains_itself(run, command):
    """The help of a command names its options."""
    ran = run(command, "--help")
    assert ran.status == 0
    assert f"usage: ordersmith {command} CONFIG" in ran.out
    assert "--set PATH=VALUE" in ran.out


def test_the_version_is_told(run):
    """`--version` prints the name and the version."""
    assert run("--version").out == "ordersmith 1.2.3\n"


def test_help_needs_no_library():
    """The help is there before anything slow is imported: no data frames, no tables, no metrics; nor does the package need them."""
    code = "import sys; from ordersmith import *; from ordersmith.__main__ import main; sys.argv[1:] = ['--help']\n"
    code += "try: main()\nfinally: print(*{'polars', 'pandas', 'numpy', 'rich', 'empyrical'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == ""


def test_the_module_is_the_command():
    """`python -m ordersmith` is the command, with the package's version."""
    ran = subprocess.run([sys.executable, "-m", "ordersmith", "--version"], capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert ran.stdout == f"ordersmith {project['version']}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "COMMAND"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("backtest",), "CONFIG is missing"),
        (("check", "--set", "a=1", "b=2"), "CONFIG is missing"),
        (("backtest", "c.yaml", "--outt", "x"), "unrecognized arguments: --outt"),
        (("backtest", "nothing.yaml"), "nothing.yaml: cannot be read: No such file or directory"),
        (("backtest", "c.yaml", "--seed", "-1"), "seed: found -1; accepted: a whole number from 0"),
        (("backtest", "c.yaml", "--set", "x"), 'found "x"; accepted: path=value'),
        (("backtest", "c.yaml", "--out", "A.csv"), "--out: A.csv is a file; accepted: a folder"),
        (("backtest", "c.yaml", "--set", "execution.mode=papr"), "accepted: backtest, paper or live"),
        (
            ("backtest", "c.yaml", "--set", "data.path=null"),
            "data.path: null, but a backtest needs one; accepted: a CSV",
        ),
        (
            ("backtest", "c.yaml", "--set", "strategy.path=null"),
            "strategy.path: null, but a backtest needs one; accepted: ",
        ),
    ],
)
def test_wrong_usage_is_status_2(run, words, said):
    """What is wrong before the run begins is said on standard error, without a traceback, and nothing is run."""
    ran = run(*words)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


# --- Check -------------------------------------------------------------------------------------------------------------


def test_check_says_what_would_run(run):
    """A right configuration is described: mode, strategy, data, and the settings that are not the defaults."""
    ran = run("check", "c.yaml")
    assert (ran.status, ran.err) == (0, "")
    for words in (
        "c.yaml: nothing is wrong",
        "hosted.py:Hosted",
        "A; 5 sessions from 2020-01-06 to 2020-01-10, 5 bars",
        "execution.backtest.commission.per_order = 1.5\n",
        "strategy.parameters.what = nothing\n",
        "ordersmith backtest c.yaml\n",
    ):
        assert words in ran.out
    assert "seed" not in ran.out


def test_check_passes_the_design_card(run, monkeypatch):
    """The design card's YAML, word for word, is right; what a run of it still needs is said."""
    monkeypatch.delenv("ALPACA_API_KEY", raising=False)
    ran = run("check", "card.yaml")
    assert (ran.status, ran.err) == (0, "")
    for words in (
        "paper, at alpaca; `ordersmith backtest` sets the mode aside",
        "data.symbols: found none, but live prices come by symbol",
        "data.path: ",
        "strategy.path: ",
        "ALPACA_API_KEY is not set",
    ):
        assert ran.out.count(words) == 1
    assert "run it" not in ran.out


def test_check_says_that_live_trading_is_armed_by_hand(run):
    """For live mode it is said that the account is typed at every start; no other mode says so."""
    ran = run("check", "c.yaml", "--set", "execution={mode: live, alpaca: {paper: false}}")
    assert "armed     at every start, by the account's id: ordersmith run CONFIG --live ACCOUNT\n" in ran.out
    assert "ordersmith run c.yaml" not in ran.out
    assert "armed" not in run("check", "c.yaml").out


def test_check_says_how_to_run_a_paper_account(run):
    """A paper account at the simulated broker is run by the service, and can be tried in a backtest as it is."""
    ran = run("check", "c.yaml", "--set", "execution={mode: paper, provider: simulated}")
    assert (ran.status, ran.err) == (0, "")
    assert "mode      paper, at simulated; `ordersmith backtest` sets the mode aside\n" in ran.out
    lines = [line for line in ran.out.splitlines() if line.startswith(("run it", "missing"))]
    words = "c.yaml --set 'execution={mode: paper, provider: simulated}'"
    assert lines == [f"run it    ordersmith run {words}", f"run it    ordersmith backtest {words}"]
    ran = run("check", "c.yaml", "--set", "execution={mode: paper, provider: simulated}", "data.path=null")
    lines = [line for line in ran.out.splitlines() if line.startswith(("run it", "missing"))]
    assert [line.split()[:2] for line in lines] == [["missing", "data.path:"]]


@pytest.mark.parametrize("name", ["rebalance.yaml", "paper.yaml", "all-settings.yaml"])
def test_check_passes_the_examples(run, name):
    """The example files are right, and the one with every default has nothing else."""
    ran = run("check", str(ROOT / "examples" / name))
    assert (ran.status, ran.err) == (0, "")
    assert ("Every setting has its default" in ran.out) == (name == "all-settings.yaml")


def test_check_tells_everything_at_once(run):
    """Faults of the configuration, of the strategy and of the data come together, each with its path, in one line."""
    Path("c.yaml").write_text(CONFIG.replace("slippage", "slipage").replace("what:", "waht:"))
    ran = run("check", "c.yaml", "--set", "data.symbols=[B]", "seed=x")
    assert (ran.status, ran.out) == (2, "")
    lines = ran.err.splitlines()
    starts = [
        "c.yaml:1: execution.backtest.slipage: unknown key; did you mean slippage?",
        '--set: seed: found "x"; accepted: ',
        "strategy.parameters.waht: Hosted has no such parameter; did you mean what?",
        "strategy.parameters.what: is missing",
        "data.symbols: ",
    ]
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * len(starts), lines


def test_check_looks_no_further_than_it_can(run):
    """Where a setting of the data or of the strategy is itself wrong, that is all that is said of them."""
    ran = run("check", "c.yaml", "--set", "data.start=never", "strategy.path=x.py")
    assert [line.split(": ")[1] for line in ran.err.splitlines()] == ["data.start", "strategy.path"]


def test_check_shows_bad_rows(run):
    """A row that cannot be right is named by file and line."""
    Path("A.csv").write_text(PRICES.replace("102,104,100,103", "102,104,100,-1"))
    ran = run("check", "c.yaml")
    assert ran.status == 2
    assert "A.csv line 4: close -1.0 is not above zero" in ran.err


def test_settings_may_be_overridden_before_and_after_the_configuration(run):
    """`--set` takes one or several settings and may stand anywhere; the last of one path counts."""
    words = [
        ("check", "c.yaml", "--set", "seed=1", "--set", "seed=2"),
        ("check", "--set", "seed=1", "seed=2", "c.yaml"),
        ("check", "--set", "seed=1", "--set", "seed=2", "c.yaml"),
    ]
    outs = [run(*one).out for one in words]
    assert outs[0] == outs[1] == outs[2]
    assert "seed = 2" in outs[0]
    assert "ordersmith backtest c.yaml --set seed=1 --set seed=2" in outs[0]


# --- Backtest ----------------------------------------------------------------------------------------------------------

PROMISED = """mode bars orders fills orders_by_state denials_by_code cash final_equity total_return max_drawdown commission slippage
impact trace_hash elapsed_s bars_per_s orders_per_s""".split()


def test_json_is_one_object(run):
    """`--json` prints one object with every promised key and nothing else; what the strategy prints goes to standard error."""
    ran = run("backtest", "c.yaml", "--json")
    assert ran.status == 0
    assert ran.err == "started\n"
    summary = ran.summary
    assert [key for key in PROMISED if key not in summary] == []
    assert (summary["mode"], summary["bars"], summary["orders"], summary["fills"]) == ("backtest", 5, 2, 1)
    assert summary["orders_by_state"]["FILLED"] == summary["orders_by_state"]["REJECTED"] == 1
    assert sum(summary["denials_by_code"].values()) == 1
    assert (summary["finished"], summary["error"], summary["outputs"]) == (True, None, [])


def test_money_keeps_its_digits(run):
    """Money in the object is a number with all its digits, so that the books can be checked to the last one."""
    ran = run("backtest", "c.yaml", "--json", "--set", "execution.backtest.account.cash=100000.00000000000001")
    # 10 shares at the second open of 101, 0.1 % against the order, and the commission; they are worth 105 at the end.
    paid = Decimal(10) * Decimal("101.101") + Decimal("1.5")
    assert ran.summary["cash"] == Decimal("100000.00000000000001") - paid
    assert ran.summary["final_equity"] == ran.summary["cash"] + 1050
    assert (ran.summary["slippage"], ran.summary["commission"]) == (Decimal("1.01"), Decimal("1.5"))


def test_the_summary_is_a_table(run):
    """Without `--json` the table has the result, and the outputs are named."""
    ran = run("backtest", "c.yaml", "--out", "made/here")
    assert (ran.status, ran.err) == (0, "")
    for words in (
        "2020-01-06 to 2020-01-10: 5 sessions, 5 bars",
        "commission 1.50, slippage 1.01, impact 0.00",
        "from 100,000.00",
        "2 (1 FILLED, 1 REJECTED)",
        "Denials",
        "orders/s",
        "Outputs in made/here: orders.csv, fills.csv, equity.csv, journal.jsonl, report.html.",
    ):
        assert words in ran.out
    assert sorted(file.name for file in Path("made/here").iterdir()) == OUTPUTS


def test_the_same_run_has_the_same_trace(run):
    """Two runs of one configuration agree in everything but their speed, and another seed gives other ids."""
    once, again, other = (
        run("backtest", "c.yaml", "--json", *more).summary for more in ((), (), ("--set", "seed=4", "--seed", "5"))
    )
    fast = {"elapsed_s", "bars_per_s", "orders_per_s"}
    assert {key: once[key] for key in once.keys() - fast} == {key: again[key] for key in again.keys() - fast}
    assert other["seed"] == 5
    assert other["trace_hash"] != once["trace_hash"]


def test_another_mode_is_set_aside(run):
    """A configuration for paper trading is backtested all the same, which is said on standard error."""
    ran = run("backtest", "c.yaml", "--json", "--set", "execution.mode=live", "execution.alpaca.paper=false")
    assert (ran.status, ran.summary["mode"]) == (0, "backtest")
    assert "c.yaml: execution.mode is live; this is a backtest all the same" in ran.err


def test_warnings_of_the_data_are_told(run):
    """What a person should know of the data is said on standard error and stands in the object."""
    Path("A.csv").write_text(PRICES.replace("102,104,100,103", "102,104,100,-1"))
    ran = run("backtest", "c.yaml", "--json", "--set", "data.bad_rows=skip")
    assert ran.status == 0
    assert "warning: A.csv: 1 bad row skipped: line 4" in ran.err
    assert [warning.startswith("A.csv: 1 bad row skipped") for warning in ran.summary["warnings"]] == [True]


def test_a_strategy_that_raises_ends_the_run(run):
    """Status 1, the stranger's own traceback, the bar it was on, and the outputs so far."""
    ran = run("backtest", "c.yaml", "--out", "out", "--set", "strategy.parameters.what=fail")
    assert ran.status == 1
    assert "broken off on 2020-01-08" in ran.out
    assert "Outputs in out: orders.csv, fills.csv, equity.csv, journal.jsonl, report.html." in ran.out
    first, *trace, last = ran.err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert "hosted.py" in trace[0]
    assert "return 1 / 0" in ran.err
    assert last == (
        "The run broke off: strategy/main raised ZeroDivisionError in on_bar, on the bar of 2020-01-08 21:00:00 UTC: "
        "division by zero"
    )
    assert "supervisor" not in ran.err
    assert len(Path("out/fills.csv").read_text().splitlines()) == 2
    assert len(Path("out/orders.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("what", "status", "sentence", "sessions"),
    [
        ("fail", 1, "ZeroDivisionError", 3),
        ("leave", 1, "the strategy called sys.exit(0)", 2),
        ("interrupt", 130, "Interrupted.", 3),
        ("interrupt_twice", 130, "Interrupted.", 2),
    ],
)
def test_a_run_that_broke_off_is_no_success(run, what, status, sentence, sessions):
    """Whatever breaks a run off, the object has what was done so far, says so, and the status is not 0."""
    before = signal.getsignal(signal.SIGINT)
    ran = run("backtest", "c.yaml", "--json", "--out", "out", "--set", f"strategy.parameters.what={what}")
    assert (ran.status, ran.summary["finished"], ran.summary["bars"]) == (status, False, sessions)
    assert sentence in ran.summary["error"]
    assert sentence in ran.err
    assert ran.summary["fills"] == 1
    assert ran.summary["outputs"] == [str(Path("out", name)) for name in outputs.FILES]
    assert sorted(file.name for file in Path("out").iterdir()) == OUTPUTS
    assert signal.getsignal(signal.SIGINT) is before


def test_a_tree_that_gave_up_is_no_success(run, monkeypatch):
    """When an actor cannot be kept alive the run ends with status 1, the cause, and the outputs so far."""

    def broken(gate, message):
        raise RuntimeError("the gate is broken")

    monkeypatch.setitem(RiskGate.handlers, CheckOrder, broken)
    Path("hosted.py").write_text(STRATEGY.replace("self.bars == 1", "True"))
    ran = run("backtest", "c.yaml", "--out", "out")
    assert ran.status == 1
    assert "RuntimeError: the gate is broken" in ran.err
    assert ran.err.endswith("The run broke off: the supervision tree gave up and trading was halted\n")
    assert '"event":"Escalated"' in Path("out/journal.jsonl").read_text()


def test_a_defect_of_ours_costs_no_outputs(run, monkeypatch):
    """An exception of the driver itself ends the run with status 1, its whole traceback, and the outputs so far."""
    match = SimulatedExchange.on_bars

    def defective(exchange, bars):
        if bars.time.day == 9:
            raise RuntimeError("a defect")
        return match(exchange, bars)

    monkeypatch.setattr(SimulatedExchange, "on_bars", defective)
    ran = run("backtest", "c.yaml", "--json", "--out", "out")
    assert (ran.status, ran.summary["finished"], ran.summary["bars"], ran.summary["fills"]) == (1, False, 3, 1)
    assert "in defective" in ran.err
    assert ran.err.endswith("The run broke off on a defect of Ordersmith: RuntimeError('a defect')\n")
    assert sorted(file.name for file in Path("out").iterdir()) == OUTPUTS


def test_without_a_journal_the_lacking_outputs_are_named(run):
    """With `journal.keep: open` it is said which outputs there are not, and why."""
    ran = run("backtest", "c.yaml", "--out", "out", "--set", "journal.keep=open")
    assert ran.status == 0
    lacking = "Not written: orders.csv, fills.csv, journal.jsonl, since journal.keep is open."
    assert f"Outputs in out: equity.csv, report.html. {lacking}" in ran.out
    assert sorted(file.name for file in Path("out").iterdir()) == ["equity.csv", "report.html"]


def test_outputs_that_cannot_be_written_are_no_success(run):
    """A run whose outputs could not be written says so and has status 1, and its summary is not lost."""
    Path("hosted.py").write_text(
        STRATEGY.replace("import signal, sys", "import signal, sys, pathlib").replace(
            "        pass", "        pathlib.Path('out').rmdir()"
        )
    )
    ran = run("backtest", "c.yaml", "--out", "out")
    assert ran.status == 1
    assert "2 (1 FILLED, 1 REJECTED)" in ran.out
    assert "The outputs are not complete: out/equity.csv cannot be written: No such file or directory" in ran.err


def test_a_run_that_cannot_begin_leaves_earlier_outputs_alone(run):
    """A fault found before the run begins does not cost the outputs of an earlier one."""
    run("backtest", "c.yaml", "--out", "out")
    assert run("backtest", "c.yaml", "--out", "out", "--set", "strategy.parameters.whta=1").status == 2
    assert sorted(file.name for file in Path("out").iterdir()) == OUTPUTS


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("more", "is_drawn"), [((), True), (("--json",), False)])
def test_the_progress_bar_is_for_terminals(run, monkeypatch, more, is_drawn):
    """A bar is drawn on standard error where that is a terminal, down to the last step, unless `--json` asks for one object."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run("backtest", "c.yaml", *more).status == 0
    assert ("5/5" in terminal.getvalue() and "100%" in terminal.getvalue()) == is_drawn


def test_how_far_a_download_is_is_drawn_on_a_terminal(monkeypatch):
    """A bar with its share and the symbol, once there is something to download, and nothing before."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with presenting.reading_bar():
        pass
    assert terminal.getvalue() == ""
    with presenting.reading_bar() as reading:
        for share in (0.0, 0.5, 1.0):
            reading(share, "AAPL")
    for part in ("Bars from Alpaca", "AAPL", "100%"):
        assert part in terminal.getvalue()


def test_how_far_a_download_is_is_a_line_now_and_then_elsewhere(monkeypatch, capsys):
    """At once, and then every ten seconds: whoever reads a log sees that it goes on. A short download says no more."""
    now_s = [100.0]
    monkeypatch.setattr(presenting.time, "monotonic", lambda: now_s[0])
    with presenting.reading_bar() as reading:
        for step in range(21):
            now_s[0] = 100.0 + step
            reading(step / 20, "AAPL" if step < 10 else "MSFT")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Bars from Alpaca: 0%, at AAPL", "Bars from Alpaca: 50%, at MSFT"]


def test_a_library_that_lacks_is_named(run, monkeypatch):
    """Without a library that a backtest needs it is said which, and how to get it, before anything is done."""
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "rich" else found(name, *rest))
    ran = run("backtest", "c.yaml")
    assert ran.status == 2
    assert ran.err == "a backtest needs rich: pip install 'ordersmith[backtest]'\n"


def test_without_plotly_there_is_no_page_and_all_else_works(run, monkeypatch):
    """The page alone is missing, the status is that of the run, and it is said how to get one."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *rest: None if name == "plotly" else found(name, *rest)
    )
    ran = run("backtest", "c.yaml", "--out", "out")
    assert (ran.status, ran.err) == (0, "")
    assert "journal.jsonl. Not written: report.html; it needs plotly: pip install 'ordersmith[backtest]'." in ran.out
    assert sorted(file.name for file in Path("out").iterdir()) == [name for name in OUTPUTS if name != "report.html"]


def test_a_page_that_cannot_be_made_costs_nothing_else(run, monkeypatch):
    """A defect in the report is told with its traceback and status 1, and the tables and the summary are there."""

    def broken(*_):
        raise RuntimeError("a defect")

    monkeypatch.setattr("ordersmith.supervisor.report_figures.overview", broken)
    ran = run("backtest", "c.yaml", "--out", "out")
    assert ran.status == 1
    assert "2 (1 FILLED, 1 REJECTED)" in ran.out
    assert "in broken" in ran.err
    assert ran.err.endswith("The outputs are not complete: a defect of Ordersmith: RuntimeError('a defect')\n")
    assert len(Path("out/fills.csv").read_text().splitlines()) == 2


def test_actors_that_crashed_are_told_in_one_line(run, monkeypatch):
    """A run that went on after crashes says how many there were, and the first."""
    check = RiskGate.handlers[CheckOrder]
    crashed = []

    def once(gate, message):
        if not crashed:
            crashed.append(message)
            raise RuntimeError("the gate stumbled")
        return check(gate, message)

    monkeypatch.setitem(RiskGate.handlers, CheckOrder, once)
    ran = run("backtest", "c.yaml", "--json")
    assert (ran.status, ran.summary["fills"]) == (0, 1)
    told = (
        "actors crashed once: risk_gate crashed on CheckOrder (RuntimeError: the gate stumbled); "
        "they were rebuilt from the records"
    )
    assert ran.summary["warnings"] == [told]
    assert f"warning: {told}" in ran.err
