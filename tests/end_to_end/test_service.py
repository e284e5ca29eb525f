"""The service as its users have it: a process, its signals, its log, its exit status, and what a person asks of it."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from service_process import PATIENCE_S, Service

LIVE = (
    *("--set", "execution.mode=live"),
    *("--set", "execution.provider=alpaca"),
    *("--set", "execution.alpaca.paper=false"),
)
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def service(tmp_path):
    """A service that a test may start as often as it likes; none is left behind."""
    made = []

    def make(**options):
        made.append(Service(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def numbers_of(service, event):
    return [line["client_order_id"] for line in service.logged if line["event"] == event]


# --- To the end of the data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_replay_ends_by_itself(service, backend):
    """When the data are over and all is done it stops with status 0, a line on standard output, and JSON lines for a log."""
    run = service(speed="max", bars=20).start("--backend", backend)
    began = run.wait_for("service.began")
    said = run.end()
    assert said.startswith("service.yaml: the data are over; 40 orders, 19 fills, 21 open; equity ")
    assert said.count("\n") == 1
    assert (began["mode"], began["account"], began["boot"], began["open"], began["in_doubt"]) == (
        "paper",
        "main",
        1,
        0,
        0,
    )
    assert began["journal"] == str(run.folder / "journal.db")
    assert run.logged[-1]["event"] == "service.stopped"
    assert len(numbers_of(run, "order.filled")) == 19
    assert run.journal("verify").returncode == 0
    left = {path.name for path in run.folder.iterdir()}
    assert "journal.db.control" not in left


def test_a_second_start_goes_on_from_the_journal(service):
    """Orders that were open are open again, under a new boot, and are not sent a second time."""
    run = service(speed="max", bars=20)
    run.start().end()
    run.start()
    began = run.wait_for("service.began")
    said = run.end()
    assert (began["boot"], began["open"]) == (2, 21)
    assert "40 orders, 19 fills, 21 open" in said
    assert numbers_of(run, "order.submitted") == []


def test_it_stays_when_it_is_told_to(service):
    """With --keep-running the end of the data ends nothing: it answers until a signal comes."""
    run = service(speed="max", bars=5).start("--keep-running")
    run.wait_for("data.ended")
    assert run.ask("status")["trading_state"] == "ACTIVE"
    assert "stopped by SIGTERM" in run.stop()


def test_a_strategy_of_a_backtest_runs_unchanged(tmp_path):
    """The example's strategy gives on paper the orders of its backtest, each with the same fill."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    paper = [str(tmp_path / "examples" / "paper.yaml"), "--set", "data.end=2001-12-31"]
    paper += ["--set", "data.symbols=[AAPL, MSFT, IBM]"]
    run = [sys.executable, "-m", "ordersmith"]
    subprocess.run([*run, "run", *paper, "--set", "service.log=json"], check=True, capture_output=True, timeout=120)
    subprocess.run(
        [*run, "backtest", *paper, "--out", str(tmp_path / "out")], check=True, capture_output=True, timeout=120
    )
    exported = subprocess.run(
        [*run, "journal", "export", str(tmp_path / "examples" / "paper-journal.db"), "--type", "OrderFilled"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    on_paper = [json.loads(line) for line in exported.stdout.splitlines()]
    lines = (tmp_path / "out" / "journal.jsonl").read_text().splitlines()
    in_backtest = [line for line in map(json.loads, lines) if line["event"] == "OrderFilled"]
    assert len(in_backtest) > 40
    assert [told(line) for line in on_paper] == [told(line) for line in in_backtest]


def told(line):
    return line["symbol"], line["side"], line["fill"]["quantity"], line["fill"]["price"], line["at_ns"]


# --- Signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "backend"), [(signal.SIGTERM, "asyncio"), (signal.SIGINT, "trio")])
def test_a_signal_stops_it_in_order(service, number, backend):
    """It stops between two bars, leaves the orders at the broker, and the next start has them and trades on."""
    run = service().start("--backend", backend)
    run.wait_for("order.filled")
    assert f"stopped by {number.name}; " in run.stop(number)
    assert run.journal("verify").returncode == 0
    began = run.start("--backend", backend).wait_for("service.began")
    assert began["boot"] == 2
    assert began["open"] > 0
    run.wait_for("order.filled")
    run.stop()


def test_a_signal_in_the_middle_of_full_speed_stops_it_in_order(service):
    """Bars that come as fast as they can do not keep it from stopping, nor does the stop break anything."""
    run = service(speed="max", bars=5000).start()
    for _ in range(20):
        run.wait_for("order.filled")
    said = run.stop()
    assert "stopped by SIGTERM" in said
    assert not [line for line in run.logged if line["level"] == "error"]


def test_on_stop_cancel_leaves_no_order_open(service):
    """Every open order is cancelled before it ends, and the strategy sends no more meanwhile."""
    run = service().start(settings=("service.on_stop=cancel",))
    for _ in range(3):
        run.wait_for("order.filled")
    assert ", 0 open; " in run.stop()
    assert numbers_of(run, "order.cancelled")
    assert run.start().wait_for("service.began")["open"] == 0
    run.stop()


def test_on_stop_flatten_closes_the_positions(service):
    """What is held is sold at the next bars, and then it ends."""
    run = service().start(settings=("service.on_stop=flatten",))
    for _ in range(3):
        run.wait_for("order.filled")
    assert ", 0 open; " in run.stop()
    filled = [line for line in run.logged if line["event"] == "order.filled"]
    shares = {side: sum(int(line["quantity"]) for line in filled if line["side"] == side) for side in ("BUY", "SELL")}
    assert shares["BUY"] == shares["SELL"] >= 3


def test_what_could_not_be_closed_in_time_is_told_and_has_a_status(service):
    """Positions that no bar comes for any more stay; the log names them, and the exit status is 4."""
    run = service(speed="max", bars=5).start(
        "--keep-running", settings=("service.on_stop=flatten", "service.stop_within=1")
    )
    run.wait_for("data.ended")
    assert "1 positions are still held: 4 A" in run.stop(expected=4)
    assert run.logged[-1]["exit_status"] == 4
    assert run.journal("verify").returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_breaks_off(service, number, status):
    """A stop that takes too long for somebody ends at once, and the next start goes on all the same."""
    never = ("service.on_stop=flatten", "service.stop_within=600")
    run = service(gap_after=5).start(settings=never)
    for _ in range(4):
        run.wait_for("order.filled")
    run.send(signal.SIGTERM)
    run.wait_for("service.stopping")
    run.stop(number, expected=status)
    assert run.journal("verify").returncode == 0
    assert run.start().wait_for("service.ready")["trading_state"] == "ACTIVE"
    run.stop()


def test_a_killed_process_is_followed_by_one_that_goes_on(service):
    """After kill -9 its control socket is in nobody's way, and the journal is whole."""
    run = service().start()
    run.wait_for("order.filled")
    run.kill()
    assert (run.folder / "journal.db.control").exists()
    assert run.start().wait_for("service.began")["boot"] == 2
    assert run.ask("status")["boot"] == 2
    run.stop()
    assert run.journal("verify").returncode == 0


def test_hangup_tightens_limits_at_once(service):
    """A tighter limit holds from the next order on; a looser one and all else wait for a restart; a bad file changes nothing."""
    run = service().start()
    run.wait_for("order.submitted")
    good = run.config.read_text()

    run.config.write_text(good + "seed: 7\n" + "breaker: {rejections: 1000}\n")
    run.send(signal.SIGHUP)
    assert "stays 10; 1000 is looser and needs a restart" in run.wait_for("limits.read", level="warning")["text"]
    assert "seed" in run.wait_for("limits.read", level="warning")["text"]

    run.config.write_text(good.replace("risk: {", "risk: {max_order_quantity: much, "))
    run.send(signal.SIGHUP)
    assert "risk.max_order_quantity" in run.wait_for("limits.refused")["error"]

    run.config.write_text(good.replace("risk: {", "risk: {max_order_quantity: 1, "))
    run.send(signal.SIGHUP)
    assert "risk.max_order_quantity: 100000 → 1" in run.wait_for("limits.read", level="info")["text"]
    assert run.wait_for("risk.denied")["code"] == "MAX_ORDER_QUANTITY"
    run.wait_for("order.filled")
    run.stop()


# --- What is wrong ---------------------------------------------------------------------------------------------------------


def test_a_second_process_on_the_journal_is_turned_away(service):
    """It says in one line who has the journal, ends with status 3, and the first notices nothing."""
    run = service().start()
    run.wait_for("order.filled")
    second = run.process("run", str(run.config), "--set", "execution.paper.file=another.db")
    assert second.returncode == 3
    (line,) = [json.loads(line) for line in second.stderr.splitlines() if json.loads(line)["level"] == "error"]
    assert "another process trades this journal" in line["why"]
    assert second.stdout == ""
    assert run.ask("status")["boot"] == 1
    run.wait_for("order.filled")
    run.stop()


def make_newer(folder):
    Service(folder, speed="max", bars=2).start().end()
    with sqlite3.connect(folder / "journal.db") as journal:
        journal.execute("PRAGMA user_version = 99")
    journal.close()


def make_garbage(folder):
    (folder / "journal.db").write_bytes(b"no journal at all " * 1000)


def make_folder(folder):
    (folder / "journal.db").mkdir()


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (make_newer, "a newer Ordersmith wrote it"),
        (make_garbage, "not a journal of Ordersmith"),
        (make_folder, "this user has no right to it"),
    ],
)
def test_a_journal_that_cannot_be_used_is_named(service, tmp_path, prepare, said):
    """One line says which file, what is wrong and what to do; the status is 3 and nothing was changed."""
    run = service(speed="max", bars=2)
    prepare(tmp_path)
    before = (tmp_path / "journal.db").read_bytes() if (tmp_path / "journal.db").is_file() else None
    run.start().end(expected=3)
    assert [line["event"] for line in run.logged if line["level"] == "error"] == ["service.stopped"]
    assert said in run.logged[-1]["why"]
    assert str(tmp_path / "journal.db") in run.logged[-1]["why"]
    assert before is None or (tmp_path / "journal.db").read_bytes() == before


def test_a_folder_without_rights_is_named(service, tmp_path):
    """Where this user may not write there is no journal, and the status is 3; a folder that is not there is told as such."""
    run = service(speed="max", bars=2)
    run.start(settings=("journal.path=nowhere/journal.db",)).end(expected=3)
    assert "no such file or folder" in run.logged[-1]["why"]
    closed = tmp_path / "closed"
    closed.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    try:
        (closed / "probe").touch()
    except PermissionError:
        run.start(settings=("journal.path=closed/journal.db",)).end(expected=3)
        assert "may not write here" in run.logged[-1]["why"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (LIVE, "type the id of the account: ordersmith run CONFIG --live ACCOUNT"),
        ((*LIVE, "--live", "U123"), "ALPACA_API_SECRET is not set"),
        (("--live", "U123"), "--live: found 'U123', but execution.mode is paper"),
        (("--set", "execution.provider=ib"), "has no adapter for yet"),
        (("--set", "execution.provider=alpaca"), "data.symbols: found none"),
        (("--set", "execution.mode=backtest"), "execution.mode: found backtest"),
        (("--set", "strategy.path=null"), "strategy.path"),
        (("--set", "data.path=nothing.csv"), "nothing.csv"),
        (("--set", "service.on_stop=explode"), "service.on_stop"),
    ],
)
def test_what_is_wrong_before_the_start_opens_nothing(service, words, said):
    """Live trading that is not armed, a broker without an adapter, settings that are wrong: status 2, told in words, no file made."""
    run = service(speed="max", bars=2)
    done = run.call("run", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (run.folder / "journal.db").exists()


def test_the_log_holds_no_secret(service):
    """What a strategy or a library logs or prints is without the keys of the account, in whatever form they are."""
    keys = {"ALPACA_API_KEY": "PKAB12CD34EF56GH78", "ALPACA_API_SECRET": "abc/DEF+ghi=\"jkl'mno"}
    strategy = """\
import logging, os
from ordersmith import Strategy

class Hosted(Strategy):
    def on_start(self):
        print("what it is:", os.environ["ALPACA_API_KEY"])
        for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET"):
            logging.getLogger("theirs").warning("the key is %s, that is %r", os.environ[name], os.environ[name])
"""
    run = service(speed="max", bars=2, strategy=strategy).start(env=keys)
    assert run.end().startswith("service.yaml: ")
    assert [line for line in run.logged if line["logger"] == "theirs"]
    assert [line["text"] for line in run.logged if line["event"] == "output.printed"] == ["what it is: ***"]
    whole = "\n".join(run.lines)
    assert "PKAB12CD34EF56GH78" not in whole
    assert "abc/DEF" not in whole


# --- What a person asks ------------------------------------------------------------------------------------------------


def test_halt_denies_orders_until_resume(service):
    """Orders are denied from the halt on, with its reason, until somebody resumes."""
    run = service().start()
    run.wait_for("order.filled")
    assert run.call("halt", "--reason", "look first").stdout == "trading is HALTED\n"
    denied = run.wait_for("risk.denied")
    assert denied["code"] == "TRADING_HALTED"
    status = run.ask("status")
    assert (status["trading_state"], status["trading_reason"], status["trading_text"]) == (
        "HALTED",
        "MANUAL",
        "look first",
    )
    assert run.call("resume", "--reason", "looked").stdout == "trading is ACTIVE\n"
    run.wait_for("trading_state.changed", state="ACTIVE")
    run.wait_for("order.filled")
    run.stop()


def test_a_halt_outlives_the_process(service):
    """Who restarts a halted service has a halted service."""
    run = service().start()
    run.wait_for("service.ready")
    run.ask("halt", "--reason", "stay halted")
    run.stop()
    assert run.start().wait_for("service.ready")["trading_state"] == "HALTED"
    assert run.ask("status")["trading_text"] == "stay halted"
    run.stop()


def test_orders_are_cancelled_by_id_or_all(service):
    """A cancel is on its way when the command answers, and done when the log says so."""
    run = service().start()
    run.wait_for("order.filled")
    run.ask("halt")
    status = run.ask("status")
    ids = [line["client_order_id"] for line in status["orders"]]
    assert status["open"] == len(ids) > 0
    assert run.ask("cancel", ids[0]) == {"cancelling": [ids[0]], "not": []}
    run.wait_for("order.cancelled", client_order_id=ids[0])
    run.ask("cancel", "--all")
    deadline = time.monotonic() + PATIENCE_S
    while run.ask("status")["open"]:
        assert time.monotonic() < deadline
    run.stop()
    assert set(ids) <= {*numbers_of(run, "order.cancelled"), *numbers_of(run, "order.filled")}


def test_the_status_is_for_people_and_for_programs(service):
    """As text it says the main things line by line; as JSON it is one object."""
    run = service().start()
    run.wait_for("order.filled")
    text = run.process("status", str(run.config))
    assert text.returncode == 0
    names = [line.split()[0] for line in text.stdout.splitlines() if not line.startswith(" ")]
    assert names == ["trading", "session", "orders", "data", "journal", "head", "boot"]
    assert "READY with simulated, account main, mode paper" in text.stdout
    status = run.ask("status")
    assert status["last_data"].startswith("2020-01-06T")
    assert run.journal("verify", "--head", status["head"]).returncode == 0
    run.stop()


def test_what_is_refused_has_status_1(service):
    """What the domain does not accept is told in its words."""
    run = service().start()
    run.wait_for("service.ready")
    done = run.call("resolve order", "nobody", "--as", "absent", "--reason", "x")
    assert done.returncode == 1
    assert "nobody" in done.stderr
    assert done.stdout == ""
    done = run.call("resolve symbol", "A", "--as", "adopt", "--reason", "x")
    assert done.returncode == 1
    run.stop()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("status", ()),
        ("halt", ()),
        ("resume", ("--reason", "x")),
        ("cancel", ("--all",)),
        ("resolve order", ("a", "--as", "absent", "--reason", "x")),
    ],
)
def test_without_a_service_a_command_says_how_to_start_one(service, command, words):
    """One line names the socket and the command; the status is 2."""
    run = service()
    done = run.call(command, *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(run.folder / "journal.db.control") in done.stderr
    assert f"ordersmith run {run.config}" in done.stderr


def test_control_can_be_off(service):
    """With service.control: false there is no socket, and nobody is found."""
    run = service().start(settings=("service.control=false",))
    run.wait_for("service.ready")
    assert not (run.folder / "journal.db.control").exists()
    assert run.call("status").returncode == 2
    run.stop()


def test_a_strategy_that_raises_is_no_success(service):
    """Its traceback is in the log, nothing new is traded, and the exit status says that trading failed."""
    strategy = """\
from ordersmith import Strategy

class Hosted(Strategy):
    def on_bar(self, bar):
        raise ZeroDivisionError("no idea what to do")
"""
    run = service(speed="max", bars=50, strategy=strategy).start()
    assert "no idea what to do" in str(run.wait_for("strategy.failed"))
    ended = run.wait_for("service.stopped")
    assert "no idea what to do" in str(ended)
    run.end(1)
    assert any("Traceback" in line and "on_bar" in line for line in run.lines)
