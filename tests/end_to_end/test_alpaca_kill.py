"""`kill -9` in a storm at a local Alpaca: whatever is lost, both books agree in the end, and each order was sent once.

`make test-crash` plays 500 rounds; ORDERSMITH_TEST_ROUNDS=N plays N here, ORDERSMITH_TEST_SEED chooses others.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alpaca_checker import Sandbox, findings_of
from crash_checker import Journal, Life

from ordersmith.actors.events import (
    Arrival,
    OrderAccepted,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSubmitted,
)
from ordersmith.actors.model import Fill, Order, OrderState, Side

ROUNDS = int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "10"))
SEED = int(os.environ.get("ORDERSMITH_TEST_SEED", "1"))
AT_ONCE = 5
PATIENCE_S = 120 + 10 * ROUNDS
SCRIPT = Path(__file__).parents[1] / "kit" / "alpaca_rounds.py"
D = Decimal


def test_kill_9_in_a_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed at any moment while Alpaca fails in all ways, sandbox and journal agree, with one broker order per intent."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--rounds", str(ROUNDS), "--seed", str(SEED), "--workers", str(AT_ONCE)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=tmp_path,
        check=False,
    )
    with capsys.disabled():
        print("\n" + done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{ROUNDS} rounds, " in done.stdout
    assert "; 0 with findings" in done.stdout


# --- The judge ---------------------------------------------------------------------------------------------------------


def _agreeing() -> tuple[Journal, Sandbox]:
    """Return a journal and a sandbox that say the same of one order, which has filled in part and works."""
    order = Order.buy("A", 10, "9", client_order_id="o")
    fill = Fill(fill_key="b:4", quantity=D(4), price=D(9), at_ns=1)
    life = Life(OrderSubmitted("o", order, Arrival(1, D(9))))
    for event in (
        OrderIntended("o", "o.0"),
        OrderAccepted("o", "o.0", "b"),
        OrderFilled("o", "main", "", "A", Side.BUY, fill, D(4), D(36), D(0), OrderState.PARTIALLY_FILLED),
    ):
        life.take(event, 1)
    journal: Any = SimpleNamespace(findings=[], orders={"o": life}, cash=D(64), positions={"A": D(4)})
    row = {
        "id": "b",
        "client_order_id": "o.0",
        "status": "partially_filled",
        "qty": "10",
        "filled_qty": "4",
        "limit_price": "9",
    }
    told = {"event": "partial_fill", "qty": "4", "price": "9", "order": row}
    sandbox = Sandbox({"o": [row]}, [], [_post(1)], {"b": [told]}, {"A": D(4)}, D(64))
    return journal, sandbox


def _post(number: int, **fields: Any) -> dict[str, Any]:
    entry = {"method": "POST", "path": "/v2/orders", "client_order_id": "o.0", "number": number}
    return {**entry, "status": 200, "acted": "yes", "fault": None, **fields}


def _sent_again(journal: Any, sandbox: Any) -> None:
    sandbox.log[:] = [_post(1, status=504, acted="no", fault="504_before_accept"), _post(2)]


def _unknown(journal: Any, sandbox: Any) -> None:
    journal.orders.clear()


def _two_orders(journal: Any, sandbox: Any) -> None:
    sandbox.legs["o"].append(copy.deepcopy(sandbox.legs["o"][0]))


def _ended(journal: Any, sandbox: Any) -> None:
    sandbox.legs["o"][0]["status"] = "canceled"


def _other_terms(journal: Any, sandbox: Any) -> None:
    sandbox.legs["o"][0]["limit_price"] = "8"


def _rejected(journal: Any, sandbox: Any) -> None:
    journal.orders["o"].take(OrderRejected("o", "X", "no answer"), 2)


def _fill_missed(journal: Any, sandbox: Any) -> None:
    journal.orders["o"].keys.clear()


def _fill_twice(journal: Any, sandbox: Any) -> None:
    journal.orders["o"].keys["b:4"] = 2


def _other_price(journal: Any, sandbox: Any) -> None:
    sandbox.fills["b"][0]["price"] = "9.01"


def _other_cash(journal: Any, sandbox: Any) -> None:
    journal.cash += D(1)


def _other_position(journal: Any, sandbox: Any) -> None:
    sandbox.positions["A"] = D(5)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_sent_again, "was sent again"),
        (_unknown, "none in the journal"),
        (_two_orders, "2 orders for o.0"),
        (_ended, "lost: neither over, nor open"),
        (_other_terms, "in the journal"),
        (_rejected, "rejected in the journal"),
        (_rejected, "over in the journal and open at the sandbox"),
        (_fill_missed, "is missing"),
        (_fill_twice, "booked 2 times"),
        (_other_price, "filled 4 for 36"),
        (_other_cash, "cash: "),
        (_other_position, "positions: "),
    ],
)
def test_the_checker_sees_what_it_is_there_for(spoil: Any, says: str) -> None:
    """Two books that agree are found to; spoilt in one place they are not."""
    journal, sandbox = _agreeing()
    assert findings_of(journal, sandbox) == []
    spoil(journal, sandbox)
    assert any(says in each for each in findings_of(journal, sandbox))
