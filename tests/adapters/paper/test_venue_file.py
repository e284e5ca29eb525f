"""The file of a paper account: who may open it, what it must be, and what it says when it is something else."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from paper_kit import INSTRUMENTS, GrowingFeed, minute_bars, paper_account

from ordersmith.actors.errors import BrokerUnavailable, ConfigError
from ordersmith.actors.model import Instrument, Order
from ordersmith.actors.ports import NewOrder
from ordersmith.adapters.paper.account import PaperAccount
from ordersmith.adapters.paper.venue_file import FORMAT, VenueFile
from ordersmith.adapters.simulated.exchange import ExchangeRules
from ordersmith.adapters.simulated.orders import REMEMBERED

RULES = ExchangeRules()


def account_at(path: Path, rules: ExchangeRules = RULES, **options: object) -> PaperAccount:
    return paper_account(path, rules, options.pop("feed", None) or minute_bars(10.0), **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A paper account that was opened before."""
    path = tmp_path / "paper.account"
    account = account_at(path)
    account._open()
    account._close()
    return path


def refusal_of(account: PaperAccount) -> str:
    """Return why the account cannot be opened, once it is sure that this is one line that names the file."""
    with pytest.raises(ConfigError) as raised:
        account._open()
    text = str(raised.value)
    assert text.startswith(f"{account.path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{account.path}: ")


def test_the_file_is_its_owners(path: Path) -> None:
    """The database, SQLite's files beside it and the lock are for nobody else to read or write."""
    account = account_at(path)
    account._open()
    account.match(account.next_bars())  # type: ignore[arg-type]
    account._commit()
    files = sorted(path.parent.iterdir())
    assert {file.name.removeprefix(path.name) for file in files} >= {"", "-wal", ".lock"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    account._close()


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"rules": ExchangeRules(slippage=Decimal("0.5"))}, "exchange.slippage was 0 and is now 0.5"),
        ({"instruments": {"A": Instrument(lot=Decimal(2))}}, "instruments.A was lot 1, tick 0.01 and is now lot 2"),
        ({"account": "other"}, "account was main and is now other"),
        ({"feed": type("Feed", (GrowingFeed,), {"symbols": ("A", "B")})()}, "data.symbols was A, L and is now A, B"),
        ({"feed": type("Feed", (GrowingFeed,), {"start_ns": 10**9})()}, "first bar was 1970-01-01 00:00:00 UTC and is"),
        (
            {"rules": ExchangeRules(slippage=Decimal("0.5"), commission=Decimal(1), cash=Decimal(1), fill="close")},
            "; and 1 more; delete it",
        ),
    ],
)
def test_an_account_that_was_begun_otherwise_is_refused(
    path: Path, options: dict[str, object], difference: str
) -> None:
    """Other rules, instruments or data are named, and that the file is to be deleted for a new account."""
    text = refusal_of(account_at(path, **options))
    assert text.startswith("this paper account was begun otherwise: ")
    assert difference in text
    assert text.endswith("; delete it to begin a new account")


def test_the_same_account_opens_again(path: Path) -> None:
    """What is equal, if written otherwise, is no difference."""
    account = account_at(path, instruments=dict(reversed(INSTRUMENTS.items())))
    account._open()
    account._close()


def test_a_second_process_is_refused(path: Path) -> None:
    """While an account is open nobody else opens it; the refusal names the process that has it."""
    first = account_at(path)
    first._open()
    text = refusal_of(account_at(path))
    assert text.startswith(f"another process uses this paper account (process {os.getpid()}); stop it")
    first._close()
    account_at(path)._open()


def test_a_newer_format_is_refused_by_name(path: Path) -> None:
    """A file of a later version is left as it is."""
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    database.close()
    text = refusal_of(account_at(path))
    assert text.startswith(f"a newer Ordersmith wrote this paper account, in format {FORMAT + 1}")


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    """A database of another program, and a file that is none, are refused and not changed."""
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    before = other.read_bytes()
    assert refusal_of(account_at(other)).startswith("this is not a paper account")
    assert other.read_bytes() == before
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, and they are long enough not to look empty" * 20)
    assert "file is not a database" in refusal_of(account_at(text))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    """Where nothing may be written the refusal says so."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert "Permission denied" in refusal_of(account_at(folder / "paper.account"))


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """A path into nowhere is a configuration that can be corrected."""
    assert "No such file or directory" in refusal_of(account_at(tmp_path / "nowhere" / "paper.account"))


def test_a_closed_file_says_so(tmp_path: Path) -> None:
    """Who asks a file that is not open hears which."""
    with pytest.raises(BrokerUnavailable, match="is closed"):
        VenueFile(tmp_path / "paper.account").find("o1", 1)


def test_a_file_keeps_the_size_of_its_memory(path: Path) -> None:
    """How many orders the exchange held when the file was made still counts, whatever is asked for later."""
    account = account_at(path, remembered=5)
    account._open()
    assert account._file.remembered == REMEMBERED
    account._close()


def test_a_file_that_a_crash_left_empty_is_new(tmp_path: Path) -> None:
    """A file without tables is taken for a new account."""
    path = tmp_path / "paper.account"
    path.touch(mode=0o644)
    account = account_at(path)
    account._open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    account._close()


@pytest.mark.parametrize("damage", ["UPDATE inputs SET inputs = x'91'", "pages"])
def test_a_damaged_file_says_so(path: Path, damage: str) -> None:
    """Contents that cannot be read are told as what they are, in one line."""
    account = account_at(path)
    account._open()
    order = Order.buy("A", 1, limit_price="9.00")
    account._handle([(NewOrder(f"o{number}.1", order, 1 << 62, 0), 0, None) for number in range(100)], 0)
    account._close()
    if damage == "pages":
        data = bytearray(path.read_bytes())
        data[-8192:] = bytes(8192)
        path.write_bytes(data)
    else:
        with sqlite3.connect(path) as database:
            database.execute(damage)
        database.close()
    text = refusal_of(account_at(path))
    assert "damaged" in text
    assert text.endswith("; restore a backup of it, or delete it to begin a new account")


KIT = Path(__file__).resolve().parents[2] / "kit"
TRADER = """
import sys
from decimal import localcontext
from pathlib import Path
from paper_kit import ARITHMETIC, minute_bars, paper_account
from ordersmith.actors.model import Order
from ordersmith.actors.ports import NewOrder
from ordersmith.adapters.simulated.exchange import ExchangeRules
with localcontext(ARITHMETIC):
    account = paper_account(Path(sys.argv[1]), ExchangeRules(), minute_bars(10.0))
    account._open()
    for number in range(6):
        order = Order.buy("A", 1, limit_price="9.00")
        account._handle([(NewOrder(f"o{number}.1", order, 1 << 62, 0), 0, None)], 0)
        print(number, flush=True)
"""


@pytest.mark.parametrize(("point", "kept"), [("paper:commit:4", 3), ("paper:committed:4", 4)])
def test_a_process_that_is_killed_at_a_commit_leaves_it_done_or_not(tmp_path: Path, point: str, kept: int) -> None:
    """Before the commit nothing of the group is there, after it all is; only what was committed was told."""
    path = tmp_path / "paper.account"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(KIT), *sys.path]), "ORDERSMITH_CRASH": point}
    done = subprocess.run([sys.executable, "-c", TRADER, str(path)], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, [b"0", b"1", b"2"])
    account = account_at(path)
    account._open()
    assert list(account.venue.orders.open) == [f"o{number}" for number in range(kept)]
    account._close()
