"""From files, mappings and overrides to settings, or to every problem at once."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.config import InvalidSettings, Problem, Settings, describe, load
from ordersmith.config.schema import known_paths

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


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a configuration and return its name as a person would give it."""
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("config.yaml").write_text(text, encoding="utf-8")
        return "config.yaml"

    return write


def problems_of(source, *overrides):
    with pytest.raises(InvalidSettings) as caught:
        load(source, overrides)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("text", [CARD, "\n".join(line.split("  #")[0] for line in CARD.splitlines()[1:])])
def test_the_card_loads_word_for_word(written, monkeypatch, text):
    """The design card's YAML, with its comments and without, needs no change and no keys."""
    monkeypatch.delenv("ALPACA_API_KEY", raising=False)
    execution = load(written(text)).execution
    assert (execution.mode, execution.provider, execution.alpaca.paper) == ("paper", "alpaca", True)
    assert str(execution.backtest.slippage.fraction) == "0.001"
    assert str(execution.backtest.commission.per_order) == "0.0"
    monkeypatch.setenv("ALPACA_API_KEY", "from the environment")
    assert execution.alpaca.api_key.reveal() == "from the environment"


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "execution:\n", "execution:\n  backtest:\ndata:\n  symbols:\n", "{}"]
)
def test_what_is_left_out_has_its_default(written, text):
    """An empty file, and a heading with nothing under it, are the defaults."""
    settings = load(written(text))
    assert settings.execution == Settings().execution
    assert settings.data == Settings().data


def test_all_types_are_read(written):
    """Each kind of setting comes out in its own type."""
    settings = load(
        written("""
execution: {mode: live, provider: alpaca, alpaca: {paper: false}, backtest: {participation: null}}
breaker: {rejections: "3", cooldown: 0.5}
instruments: {symbols: {BRK.A: {tick: 0.05}, ON: {lot: 100}, "0700": {}}}
data: {symbols: [ON, NO, TRUE, "0700", BRK B, ^GSPC, ES=F], start: 2005-03-01, end: "2013-03-28", interval: 60}
strategy: {path: "my strategy.py:Rebalance", parameters: {weights: {A: 0.10}, at: 09:30, days: [1, 2.50], deep: [{on: true}], x: null}}
seed: 1_000
""")
    )
    assert settings.execution.alpaca.paper is False
    assert settings.execution.backtest.participation is None
    assert (settings.breaker.rejections, settings.breaker.cooldown) == (3, Decimal("0.5"))
    assert settings.instruments.of("BRK.A").tick == Decimal("0.05")
    assert settings.instruments.of("ON").lot == 100
    assert settings.data.symbols == ("ON", "NO", "TRUE", "0700", "BRK B", "^GSPC", "ES=F")
    assert (settings.data.start, settings.data.end) == (date(2005, 3, 1), date(2013, 3, 28))
    assert settings.seed == 1000
    assert repr(settings.strategy.parameters) == (
        "{'weights': {'A': Decimal('0.10')}, 'at': '09:30', 'days': [1, Decimal('2.50')], 'deep': [{'on': True}], 'x': None}"
    )


money = st.decimals(min_value=0, max_value=Decimal("999999999999.999999"), places=6).filter(bool)


@given(money, st.sampled_from(["{}", "'{}'", '"{}"']))
def test_money_is_exact_quoted_or_not(number, form):
    """Every digit of a setting that is money arrives, whichever way it is written."""
    override = f"execution.backtest.account.cash={form.format(number)}"
    assert load({}, [override]).execution.backtest.account.cash.as_tuple() == number.as_tuple()


def test_a_mapping_may_hold_python_values():
    """An embedding application hands over numbers, dates and paths of its own; a float is its shortest text."""
    settings = load(
        {
            "execution": {"backtest": {"slippage": 0.001, "account": {"cash": Decimal("1.10")}}},
            "data": {"path": Path("prices"), "start": date(2005, 3, 1), "symbols": ("A",)},
            "strategy": {"parameters": {"x": 0.1}},
        }
    )
    assert str(settings.execution.backtest.slippage.fraction) == "0.001"
    assert str(settings.execution.backtest.account.cash) == "1.10"
    assert (settings.data.path, settings.data.start) == ("prices", date(2005, 3, 1))
    assert settings.strategy.parameters == {"x": Decimal("0.1")}


ACCEPTED_IN_BACKTEST = (
    "slippage, commission, regulatory_fees, impact, latency, fill, limit_fill, path, same_bar_exits, outside_session, opg_cutoff, "
    "cls_cutoff, participation, price_increment, adjust_orders_for_dividends, account"
)
ACCEPTED_AS_COMMISSION = (
    "a number of at least 0, or alpaca, ib_fixed or ib_tiered, "
    "or a section with preset, per_order, per_share, fraction, minimum, maximum"
)
ACCEPTED_IN_EXECUTION = "mode, provider, market_data, alpaca, backtest, paper, targets, answer_within, reconcile_every"
ACCEPTED_AT_THE_TOP = (
    "execution, risk, breaker, instruments, data, strategy, journal, service, watchdog, instance, seed"
)
ACCEPTED_HERE = f"accepted here: {ACCEPTED_IN_EXECUTION}"
ACCEPTED_IN_RISK = (
    "max_order_quantity, max_order_notional, max_position_quantity, max_gross_exposure, price_collar, duplicate_window"
)
NOT_SET = "the environment variable NOT_SET_HERE is not set; set it (export NOT_SET_HERE=…) or give a default: ${NOT_SET_HERE:-…}"
ACCEPTED_AS_INSTANCE = "1 to 8 characters a to z and 0 to 9 (in quotes where it is a number)"
ONE_PROBLEM = [
    # Unknown keys.
    (
        "execution.backtest.slipage=0.1",
        f"execution.backtest.slipage: unknown key; did you mean slippage? accepted here: {ACCEPTED_IN_BACKTEST}",
    ),
    (
        "execution.slippage=0.1",
        f"execution.slippage: unknown key; did you mean execution.backtest.slippage? accepted here: {ACCEPTED_IN_EXECUTION}",
    ),
    (
        "execution.start=x",
        f"execution.start: unknown key; did you mean data.start? accepted here: {ACCEPTED_IN_EXECUTION}",
    ),
    (
        "execution.path=x",
        f"execution.path: unknown key; did you mean execution.backtest.path, data.path, strategy.path or journal.path? {ACCEPTED_HERE}",
    ),
    (
        "execution.comission=1",
        f"execution.comission: unknown key; did you mean execution.backtest.commission? accepted here: {ACCEPTED_IN_EXECUTION}",
    ),
    ("execution.MODE=live", f"execution.MODE: unknown key; did you mean mode? accepted here: {ACCEPTED_IN_EXECUTION}"),
    (
        "base=x",
        f"base: unknown key; accepted here: {ACCEPTED_AT_THE_TOP}",
    ),
    (
        "instruments.symbols={A: {lott: 1}}",
        "instruments.symbols.A.lott: unknown key; did you mean lot? accepted here: lot, tick",
    ),
    # Wrong types.
    ("execution.mode=Paper", 'execution.mode: found "Paper"; accepted: backtest, paper or live'),
    ("execution.provider=1", "execution.provider: found 1; accepted: alpaca, ib or simulated"),
    ("execution.alpaca.paper=yes", 'execution.alpaca.paper: found "yes"; accepted: true or false'),
    ("execution.alpaca.paper=1", "execution.alpaca.paper: found 1; accepted: true or false"),
    ("execution.backtest=5", f"execution.backtest: found a number; accepted: a section with {ACCEPTED_IN_BACKTEST}"),
    (
        "execution.backtest.commission=free",
        f'execution.backtest.commission: found "free"; accepted: {ACCEPTED_AS_COMMISSION}',
    ),
    (
        "execution.backtest.commission=true",
        f"execution.backtest.commission: found true; accepted: {ACCEPTED_AS_COMMISSION}",
    ),
    (
        "execution.backtest.commission=[1]",
        f"execution.backtest.commission: found a list; accepted: {ACCEPTED_AS_COMMISSION}",
    ),
    ("execution.backtest.commission=-1", "execution.backtest.commission: found -1; accepted: a number of at least 0"),
    (
        "execution.backtest.commission={a: 1}",
        "execution.backtest.commission.a: unknown key; accepted here: preset, per_order, per_share, fraction, minimum, maximum",
    ),
    (
        "execution.backtest.commission.per_order=",
        "execution.backtest.commission.per_order: found null; accepted: a number of at least 0",
    ),
    (
        "execution.backtest.latency=7200",
        "execution.backtest.latency: found 7200; accepted: a number of seconds from 0 to 3600",
    ),
    (
        "execution.backtest.slippage=much",
        (
            'execution.backtest.slippage: found "much"; '
            "accepted: a number from 0 up to, but not including, 1, or a section with fraction, fixed"
        ),
    ),
    ("execution.backtest.account.cash=0", "execution.backtest.account.cash: found 0; accepted: a number above 0"),
    (
        "execution.backtest.account.settlement_days=-1",
        "execution.backtest.account.settlement_days: found -1; accepted: a whole number of sessions from 0 to 10",
    ),
    (
        "execution.backtest.account.maintenance_margin=0",
        "execution.backtest.account.maintenance_margin: found 0; accepted: a number above 0 and up to 1",
    ),
    (
        "data.calendar=NEW YORK",
        'data.calendar: found "NEW YORK"; accepted: the name of an exchange calendar such as XNYS, or null',
    ),
    # Contradictions within the costs, the account and the data.
    (
        "execution.backtest.commission={preset: ib_fixed, per_share: 0.1}",
        (
            "execution.backtest.commission.preset: found ib_fixed, but per_share is given too; "
            "accepted: a preset, or numbers of one's own"
        ),
    ),
    (
        "execution.backtest={fill: close, latency: 0.1}",
        (
            "execution.backtest.fill: found close, at which an order fills at once, but execution.backtest.latency is not 0; "
            "accepted: next_open, or latency: 0"
        ),
    ),
    (
        "execution.backtest.account={type: margin, initial_margin: 0.2}",
        (
            "execution.backtest.account.maintenance_margin: found 0.25, but an order needs only 0.2 "
            "(initial_margin, short_initial_margin): it would be followed by a margin call; accepted: a number above 0 and up to 0.2"
        ),
    ),
    (
        "execution.backtest.account={type: margin, short_initial_margin: 0.1}",
        (
            "execution.backtest.account.maintenance_margin: found 0.25, but an order needs only 0.1 "
            "(initial_margin, short_initial_margin): it would be followed by a margin call; accepted: a number above 0 and up to 0.1"
        ),
    ),
    (
        "data.extended_hours=true",
        (
            "data.extended_hours: found true, but data.calendar is null, so that nothing tells a session's hours; "
            "accepted: false, or a calendar such as XNYS"
        ),
    ),
    ("breaker.rejections=1.0", "breaker.rejections: found 1.0; accepted: a whole number from 1 to 1000000"),
    ("data.start=March", 'data.start: found "March"; accepted: a date such as 2005-03-01, or null'),
    ("data.start=2005-02-30", 'data.start: found "2005-02-30"; accepted: a date such as 2005-03-01, or null'),
    ("data.start=2005-W01-1", 'data.start: found "2005-W01-1"; accepted: a date such as 2005-03-01, or null'),
    ("data.symbols=AAPL", 'data.symbols: found "AAPL"; accepted: a list of symbols such as [AAPL, MSFT], each once'),
    (
        "data.symbols=[700]",
        "data.symbols[0]: found 700; accepted: a symbol such as AAPL (in quotes where it is a number)",
    ),
    (
        "instruments.symbols={' ': {}}",
        'instruments.symbols." ": found the key " "; accepted: a symbol such as AAPL (in quotes where it is a number)',
    ),
    ("instruments.symbols=[A]", 'instruments.symbols: found ["A"]; accepted: a section'),
    ("strategy.parameters.x=.inf", "strategy.parameters.x: found .inf; accepted: a finite number"),
    # Values out of range.
    (
        "execution.backtest.slippage=-0.1",
        "execution.backtest.slippage: found -0.1; accepted: a number from 0 up to, but not including, 1",
    ),
    (
        "execution.backtest.slippage=1",
        "execution.backtest.slippage: found 1; accepted: a number from 0 up to, but not including, 1",
    ),
    (
        "execution.backtest.slippage=.nan",
        "execution.backtest.slippage: found .nan; accepted: a number from 0 up to, but not including, 1",
    ),
    (
        "execution.backtest.commission=.inf",
        "execution.backtest.commission: found .inf; accepted: a number of at least 0",
    ),
    (
        "execution.backtest.participation=0",
        "execution.backtest.participation: found 0; accepted: a number above 0 and up to 1, or null",
    ),
    (
        "execution.backtest.participation=1.01",
        "execution.backtest.participation: found 1.01; accepted: a number above 0 and up to 1, or null",
    ),
    ("execution.backtest.price_increment=0", "execution.backtest.price_increment: found 0; accepted: a number above 0"),
    ("execution.backtest.account.cash=0", "execution.backtest.account.cash: found 0; accepted: a number above 0"),
    ("execution.backtest.account.cash=-5", "execution.backtest.account.cash: found -5; accepted: a number above 0"),
    (
        "execution.backtest.account.cash=1e15",
        "execution.backtest.account.cash: found 1E+15; accepted: a number with at most 15 digits before the point and 18 after it",
    ),
    (
        "execution.backtest.slippage=1e-19",
        "execution.backtest.slippage: found 1E-19; accepted: a number with at most 15 digits before the point and 18 after it",
    ),
    ("seed=true", "seed: found true; accepted: a whole number from 0 to 9223372036854775807"),
    ("risk.max_order_quantity=0", "risk.max_order_quantity: found 0; accepted: a number above 0"),
    ("risk.price_collar=10", "risk.price_collar: found 10; accepted: a number above 0 and up to 1, or null"),
    (
        "risk.duplicate_window=-1",
        "risk.duplicate_window: found -1; accepted: 0 or a number of seconds, at least 0.001, or null",
    ),
    ("breaker.rejections=0", "breaker.rejections: found 0; accepted: a whole number from 1 to 1000000"),
    ("breaker.window=0", "breaker.window: found 0; accepted: a number of seconds, at least 0.001"),
    ("instruments.default.lot=0", "instruments.default.lot: found 0; accepted: a number above 0"),
    (
        'instruments.symbols."BRK.B".tick=0',
        'instruments.symbols."BRK.B".tick: found 0; accepted: a number above 0, or null',
    ),
    (
        "data.symbols=[A, B, A]",
        'data.symbols: found ["A", "B", "A"]; accepted: a list of symbols such as [AAPL, MSFT], each once',
    ),
    ("data.interval=0", "data.interval: found 0; accepted: a number of seconds, at least 0.001, or null"),
    ("data.path=''", 'data.path: found ""; accepted: the path of a file or a folder, or null'),
    (
        "data.timezone=Mars",
        'data.timezone: found "Mars"; accepted: a time zone of the IANA database such as America/New_York',
    ),
    (
        "data.timezone=../UTC",
        'data.timezone: found "../UTC"; accepted: a time zone of the IANA database such as America/New_York',
    ),
    (
        "data.timezone=America",
        'data.timezone: found "America"; accepted: a time zone of the IANA database such as America/New_York',
    ),
    (
        "strategy.path=rebalance",
        'strategy.path: found "rebalance"; accepted: file.py:Class or package.module:Class, or null',
    ),
    ("seed=-1", "seed: found -1; accepted: a whole number from 0 to 9223372036854775807"),
    (
        "strategy.parameters.x=9223372036854775808",
        "strategy.parameters.x: found 9223372036854775808; accepted: a whole number of at most 63 bits",
    ),
    # Contradictions.
    (
        "execution.mode=live",
        "execution.alpaca.paper: found true, but execution.mode is live; accepted: false, or execution.mode: paper",
    ),
    (
        "execution={mode: live, provider: simulated}",
        "execution.provider: found simulated, but execution.mode is live; accepted: alpaca or ib, or execution.mode: paper",
    ),
    (
        "execution={mode: paper, alpaca: {paper: false}}",
        "execution.alpaca.paper: found false, but execution.mode is paper; accepted: true, or execution.mode: live",
    ),
    (
        "data={start: 2013-03-02, end: 2013-03-01}",
        "data.start: found 2013-03-02, but data.end is 2013-03-01; accepted: a date not after data.end",
    ),
    # Paper and live trading.
    (
        "execution.paper.speed=fast",
        'execution.paper.speed: found "fast"; accepted: max, or a number from 0.001 to 1000000',
    ),
    ("execution.paper.speed=0", "execution.paper.speed: found 0; accepted: max, or a number from 0.001 to 1000000"),
    ("execution.paper=max", "execution.paper: found text; accepted: a section with speed, file"),
    ("execution.answer_within=0", "execution.answer_within: found 0; accepted: a number of seconds, at least 0.001"),
    (
        "execution.reconcile_every=off",
        'execution.reconcile_every: found "off"; accepted: a number of seconds, at least 0.001, or null',
    ),
    ("journal.path=''", 'journal.path: found ""; accepted: the path of a file or a folder'),
    ("journal.record=all", 'journal.record: found "all"; accepted: none or inputs'),
    (
        "journal.snapshot_every=0",
        "journal.snapshot_every: found 0; accepted: a whole number from 1 to 1000000",
    ),
    ("service.on_stop=close", 'service.on_stop: found "close"; accepted: leave, cancel or flatten'),
    ("service.stop_within=0", "service.stop_within: found 0; accepted: a number of seconds, at least 0.001"),
    ("service.log=text", 'service.log: found "text"; accepted: auto, console or json'),
    ("service.log_level=INFO", 'service.log_level: found "INFO"; accepted: debug, info, warning or error'),
    ("service.control=1", "service.control: found 1; accepted: true or false"),
    ("watchdog.slow_handler=0", "watchdog.slow_handler: found 0; accepted: a number of seconds, at least 0.001"),
    (
        "watchdog={loop_lag: 6}",
        (
            "watchdog.reconnect_after: found 5, but watchdog.loop_lag is 6; "
            "accepted: a number of seconds not below watchdog.loop_lag"
        ),
    ),
    (
        "journal.path=here/../paper.db",
        'journal.path: found "here/../paper.db", which is execution.paper.file too; accepted: a file of its own',
    ),
    ("instance=Desk", f'instance: found "Desk"; accepted: {ACCEPTED_AS_INSTANCE}'),
    ("instance=123456789", f"instance: found 123456789; accepted: {ACCEPTED_AS_INSTANCE}"),
    ("instance=''", f'instance: found ""; accepted: {ACCEPTED_AS_INSTANCE}'),
    # Overrides that are not of the form path=value.
    ("seed", ': found "seed"; accepted: path=value, such as execution.backtest.slippage=0.001'),
    ("seed: 5", ': found "seed…"; accepted: path=value, such as execution.backtest.slippage=0.001'),
    ("=5", ': found "…"; accepted: path=value, such as execution.backtest.slippage=0.001'),
    ('"a\\x"=5', ': found "\\"a…"; accepted: path=value, such as execution.backtest.slippage=0.001'),
    ("a..b=5", ': found "a..b…"; accepted: path=value, such as execution.backtest.slippage=0.001'),
    ("seed=[1", ": seed: is not YAML: expected ',' or ']', but got '<stream end>'"),
    ("risk={a: 1, a: 2}", ": risk.a: is given twice, in lines 1 and 1; keep one"),
]


@pytest.mark.parametrize(("override", "line"), ONE_PROBLEM, ids=[override for override, _ in ONE_PROBLEM])
def test_problem_is_one_line_with_path_value_and_what_is_accepted(override, line):
    """Each mistake in an override is told in exactly these words."""
    first = problems_of({}, override)[0]
    assert first == (f"--set{line}" if line.startswith(": ") else f"--set: {line}").replace("--set: : ", "--set: ")


@pytest.mark.parametrize("override", [override for override, _ in ONE_PROBLEM if not override.startswith("risk={")])
def test_one_mistake_is_one_problem(override):
    """No mistake is reported twice."""
    assert len(problems_of({}, override)) == 1


def test_every_problem_is_reported_at_once_with_its_line(written):
    """A file with many mistakes is corrected in one go, overrides included."""
    file = written("""\
execution:
  mode: live
  slippage: 0.1
  mode: paper
  backtest:
    commission: -1
    account: {cash: zero, type: Cash}
risk: [1]
data:
  symbols: [ON, 0700]
  start: 2013-03-01
  end: 2005-03-01
  path: "${NOT_SET_HERE}/prices"
""")
    assert problems_of(file, "execution.alpaca.paper=perhaps", "nonsense") == [
        "config.yaml:4: execution.mode: is given twice, in lines 2 and 4; keep one",
        '--set: found "nonsense"; accepted: path=value, such as execution.backtest.slippage=0.001',
        f"config.yaml:3: execution.slippage: unknown key; did you mean execution.backtest.slippage? accepted here: {ACCEPTED_IN_EXECUTION}",
        "config.yaml:6: execution.backtest.commission: found -1; accepted: a number of at least 0",
        'config.yaml:7: execution.backtest.account.cash: found "zero"; accepted: a number above 0',
        'config.yaml:7: execution.backtest.account.type: found "Cash"; accepted: cash or margin',
        '--set: execution.alpaca.paper: found "perhaps"; accepted: true or false',
        f"config.yaml:8: risk: found a list; accepted: a section with {ACCEPTED_IN_RISK}",
        "config.yaml:10: data.symbols[1]: found 700; accepted: a symbol such as AAPL (in quotes where it is a number)",
        f"config.yaml:13: data.path: {NOT_SET}",
        "config.yaml:11: data.start: found 2013-03-01, but data.end is 2005-03-01; accepted: a date not after data.end",
    ]


@pytest.mark.parametrize(
    ("written", "read"), [("max", "max"), ("'max'", "max"), ("0.5", Decimal("0.5")), ("'60'", Decimal(60))]
)
def test_speed_is_a_number_or_a_word(written, read):
    """The speed of a paper session is an exact number or the word `max`, and its description brings it back."""
    settings = load({}, [f"execution.paper.speed={written}"])
    assert settings.execution.paper.speed == read
    assert load({}, [f"execution.paper.speed={dict(describe(settings))['execution.paper.speed']}"]) == settings


def test_contradiction_of_a_wrong_setting_is_not_reported(written):
    """A setting that is wrong by itself is not also judged against others."""
    file = written("execution: {mode: live, alpaca: {paper: maybe}}\ndata: {start: 2013-03-01, end: soon}\n")
    assert problems_of(file) == [
        'config.yaml:1: execution.alpaca.paper: found "maybe"; accepted: true or false',
        'config.yaml:2: data.end: found "soon"; accepted: a date such as 2005-03-01, or null',
    ]


def test_live_needs_a_live_account(written):
    """Live trading is asked for twice, by the mode and by the account; other providers have no such switch."""
    assert load(written("execution: {mode: live, alpaca: {paper: false}}")).execution.mode == "live"
    assert load(written("execution: {mode: live, provider: ib}")).execution.provider == "ib"
    assert load(written("execution: {mode: live}"), ["execution.mode=backtest"]).execution.mode == "backtest"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\n", "config.yaml:3:1: is not YAML: expected ',' or ']', but got '<stream end>'"),
        (
            "just text",
            f"config.yaml: found text; accepted: a section with {ACCEPTED_AT_THE_TOP}",
        ),
    ],
)
def test_file_that_is_no_mapping_is_one_problem(written, text, line):
    """A file that is not YAML, or YAML of another form, is told with line and column."""
    assert problems_of(written(text)) == [line]


def test_file_that_cannot_be_read_is_one_problem(tmp_path, monkeypatch):
    """A missing file, a folder and bytes that are no text are told by name."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("bytes").write_bytes(b"seed: 1\xff")
    missing = "cannot be read: No such file or directory; accepted: the path of a YAML file"
    assert problems_of("missing.yaml") == [f"missing.yaml: {missing}"]
    assert problems_of("folder") == ["folder: cannot be read: Is a directory; accepted: the path of a YAML file"]
    assert problems_of(Path("bytes")) == ["bytes: is not UTF-8 text at byte 7"]


def test_syntax_error_does_not_hide_a_wrong_override(written):
    """Overrides are checked although the file cannot be read, and nothing is said of what the file might contain."""
    lines = problems_of(written("a: b: c"), "execution.mode=live", "seed=x")
    assert lines == [
        "config.yaml:1:5: is not YAML: mapping values are not allowed here",
        '--set: seed: found "x"; accepted: a whole number from 0 to 9223372036854775807',
    ]


def test_file_of_a_windows_editor_is_read(tmp_path):
    """A byte order mark and carriage returns are no part of the settings."""
    file = tmp_path / "config.yaml"
    file.write_bytes("\ufeffseed: 5\r\njournal:\r\n  keep: open\r\n".encode())
    settings = load(file)
    assert (settings.seed, settings.journal.keep) == (5, "open")


def test_overrides_are_put_over_the_file(written):
    """An override replaces one value or a whole section, adds what is missing, and the last one counts."""
    file = written(
        "execution: {backtest: {slippage: 0.5, commission: 1}}\ndata: {symbols: [A]}\nstrategy: {parameters: {a: 1}}\n"
    )
    settings = load(
        file,
        [
            "execution.backtest.slippage=0.1",
            "execution.backtest.slippage='0.20'",
            "execution.backtest.account.cash=5_000",
            "data.symbols=[NO, ON]",
            "strategy.parameters.b.c=09:30",
            'instruments.symbols."BRK.B".lot=10',
            "data={path: 'a=b'}",
        ],
    )
    backtest = settings.execution.backtest
    assert str(backtest.slippage.fraction) == "0.20"
    assert (backtest.commission.per_order, backtest.account.cash) == (1, 5000)
    assert (settings.data.symbols, settings.data.path) == ((), "a=b")
    assert settings.strategy.parameters == {"a": 1, "b": {"c": "09:30"}}
    assert settings.instruments.of("BRK.B").lot == 10


@given(st.text(alphabet=st.sampled_from('ab."=\\[]{}:$ \n0') | st.characters(), max_size=20))
def test_any_override_gives_settings_or_problems(text):
    """No text after --set ends in another exception."""
    try:
        settings = load({}, [text])
    except InvalidSettings as error:
        invalid = error
    else:
        assert isinstance(settings, Settings)
        return
    assert len(str(invalid).splitlines()) == len(invalid.problems) > 0


def test_override_below_a_value_is_told(written):
    """An override that needs a section where the file has a value names both."""
    assert problems_of(written("seed: 5"), "seed.x=1") == [
        "config.yaml:1: seed: is no section, and --set seed.x needs one here"
    ]


def test_override_of_a_section_forgets_the_lines_below_it(written):
    """A default that an override brought back is not blamed on the line of the file that it replaced."""
    file = written("execution:\n  alpaca: {paper: true}\n")
    assert problems_of(file, "execution={mode: live}") == [
        "--set: execution.alpaca.paper: found true, but execution.mode is live; accepted: false, or execution.mode: paper"
    ]


def test_problem_stays_on_its_line():
    """Characters that break or hide a line are written as escapes, in keys and in values."""
    assert problems_of({"journal": {"a\u2028b\x85\n": 1, "keep": "all\u2028\r"}}) == [
        'journal."a\\u2028b\\u0085\\n": unknown key; accepted here: keep, path, record, snapshot_every',
        'journal.keep: found "all\\u2028\\r"; accepted: all or open',
    ]


def test_every_wrong_item_is_reported_and_only_that():
    """Two wrong items of a list are two problems, and not a repetition as well."""
    accepted = "accepted: a symbol such as AAPL (in quotes where it is a number)"
    assert problems_of({"data": {"symbols": [700, "A", 701]}}) == [
        f"data.symbols[0]: found 700; {accepted}",
        f"data.symbols[2]: found 701; {accepted}",
    ]


def test_override_leaves_the_mapping_alone():
    """The application's own mapping is read and not changed."""
    mapping = {"execution": {"backtest": {"slippage": "0.5"}}}
    load(mapping, ["execution.backtest.slippage=0.1", "seed=1"])
    assert mapping == {"execution": {"backtest": {"slippage": "0.5"}}}


def test_ordinary_text_takes_environment_variables(written, monkeypatch):
    """Paths, words, numbers and parameters may come from the environment, keys may not."""
    monkeypatch.setenv("PRICES", "/prices")
    monkeypatch.setenv("CASH", "5000.10")
    monkeypatch.setenv("PAPER", "false")
    settings = load(
        written("""
execution: {mode: "${MODE_NOT_SET:-backtest}", alpaca: {paper: "${PAPER}"}, backtest: {account: {cash: "${CASH}"}}}
data: {path: "${PRICES}/daily"}
strategy: {parameters: {"${PRICES}": ["${PRICES}", "$${PRICES}"]}}
""")
    )
    assert settings.execution.mode == "backtest"
    assert settings.execution.alpaca.paper is False
    assert str(settings.execution.backtest.account.cash) == "5000.10"
    assert settings.data.path == "/prices/daily"
    assert settings.strategy.parameters == {"${PRICES}": ["/prices", "${PRICES}"]}


SECRET = "PKVERYSECRET"


@pytest.mark.parametrize(
    "text",
    [
        f"execution: {{alpaca: {SECRET}}}",
        f"execution: {{alpaca: {{api_key: [{SECRET}]}}}}",
        f"execution: {{alpaca: {{api_key: {{a: {SECRET}}}}}}}",
        f'execution: {{alpaca: {{api_key: "{SECRET}${{"}}}}',
        f"execution: {{alpaca: {{api_kee: {SECRET}}}}}",
        f"execution: {{api_key: {SECRET}}}",
        f"api_key: {SECRET}",
        f"execution: {SECRET}",
        SECRET,
        f"execution: [{SECRET}]",
        f"execution:\n  api_key: *{SECRET}\n",
        f"execution: {{alpaca: {{api_key: !{SECRET} x}}}}",
        f"execution: {{alpaca: {{api_key: {SECRET}",
        f"execution: {{alpaca: {{api_key: {SECRET}, api_key: x}}}}",
        "execution: {alpaca: {api_key: 1234567890}}",
    ],
)
def test_problem_shows_no_secret(written, text):
    """However a secret was misplaced, neither the message nor the problem repeats it."""
    with pytest.raises(InvalidSettings) as caught:
        load(written(text), [f"execution.alpaca.api_secret: {SECRET}"])
    shown = str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert SECRET not in shown
    assert "1234567890" not in shown
    assert len(caught.value.problems) >= 2


def test_problems_are_data():
    """A program reads path, value, message and origin; the error can cross a process."""
    with pytest.raises(InvalidSettings) as caught:
        load({"risk": {"price_collar": 5}})
    expected = Problem(
        path="risk.price_collar", value=5, message="found 5; accepted: a number above 0 and up to 1, or null", where=""
    )
    assert caught.value.problems == (expected,)
    assert isinstance(caught.value, ValueError)
    assert pickle.loads(pickle.dumps(caught.value)).problems == (expected,)  # noqa: S301 - our own bytes


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=True)
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(["$" + "{", "${X", b"bytes", object, Path("a"), Decimal("1e999999")])
    | st.builds(lambda: 10**5000)  # too long for repr
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
paths = st.sampled_from(list(known_paths()))


@given(st.lists(st.tuples(paths, anything), max_size=5))
def test_any_mapping_gives_settings_or_problems(entries):
    """No value, however strange, ends in another exception, and every problem is one line."""
    document: dict = {}
    for path, value in entries:
        *above, key = path
        section = document
        for name in above:
            below = section.setdefault(name, {})
            section = below if isinstance(below, dict) else {}
        section[key] = value
    try:
        settings = load(document)
    except InvalidSettings as error:
        invalid = error
    else:
        assert isinstance(settings, Settings)
        return
    assert len(str(invalid).splitlines()) == len(invalid.problems) > 0
