"""`kill -9` of the real process at each crash point: nothing is sent twice, nothing lost, nothing booked twice.

What each name stands for is in `crash_rounds.POINTS`; K are the numbers of the catalogue of crashes:

 K  crash                                   before                                     after
 1  intent built                            recorded:OrderSubmitted                    recorded:OrderIntended
 2  intent written, not committed           recorded:OrderApproved                     journal:written
 3  intent committed                        journal:committed                          durable:OrderIntended
 4  gate decision committed                 recorded:OrderDenied                       durable:OrderApproved
 5  just before the send                    released:NewOrder                          taken:NewOrder
 6  sent, no response                       paper:commit, paper:written                paper:committed
 7  response read, not committed            reported:Accepted                          recorded:OrderAccepted
 8  ack committed, not published            durable:OrderAccepted                      durable:OrderRejected
 9  fill received, not committed            reported:Executed                          recorded:OrderFilled
10  fill committed                          durable:OrderFilled                        durable:PositionAdjusted
11  position projected, not published       paper:posted                               recorded:TargetDropped
12  cancel intent committed, not sent       durable:OrderCancelRequested               released:CancelRequest
13  cancel sent, no answer                  taken:CancelRequest                        reported:Cancelled
14  replace sent, no answer                 taken:ReplaceRequest                       reported:Replaced
17  account read, adoption not committed    reported:AccountSnapshot                   recorded:AccountRead
18  adoption committed, not armed           durable:Booted                             durable:SessionOpened
19  checkpoint of the write-ahead log       journal:checkpoint                         journal:checkpointed
20  snapshot                                journal:snapshot, journal:snapshot-parts   journal:snapshot-kept
21  record of a halt                        recorded:TradingStateChanged               durable:TradingStateChanged
24  stop that cancels all                   released:CancelRequest                     durable:OrderCancelled,
                                                                                       released:Disconnect,
                                                                                       journal:close, journal:closed

15 and 16 (brackets), 22 (arming) and 23 (migration) are of parts that do not exist yet. `make test-crash` plays more rounds;
ORDERSMITH_TEST_ROUNDS=N plays N a point here.
"""

from __future__ import annotations

import os
import shutil
import sqlite3

import msgspec
import pytest
from crash_checker import INPUTS, after_crash, at_end
from crash_rounds import AFTER, BEFORE, CASH, POINTS, QUICK, SCENES, Traders, folder_of, play_all, table, told

ROUNDS = int(os.environ.get("ORDERSMITH_TEST_ROUNDS", "1"))
SEED = int(os.environ.get("ORDERSMITH_TEST_SEED", "1"))
EXIST_BY_NOW = {*range(1, 15), *range(17, 22), 24}


def test_every_point_has_both_sides() -> None:
    """Each crash that can be by now has a point before it and one after it."""
    sides = {(point.k, point.side) for point in POINTS}
    assert sides == {(k, side) for k in EXIST_BY_NOW for side in (BEFORE, AFTER)}


def test_kill_9_at_each_point(capsys: pytest.CaptureFixture[str]) -> None:
    """Killed at any point, once or again while it recovers, it ends with journal and broker of one mind, and with each order once.

    A point that is not reached is a failure, too.
    """
    played = list(play_all(POINTS, ROUNDS, SEED, os.cpu_count() or 1, QUICK if ROUNDS == 1 else SCENES))
    with capsys.disabled():
        print("\n" + table(played))
    assert not told(played), told(played)
    assert len(played) == ROUNDS * len(POINTS)
    assert all(each.starts >= 2 for each in played)


def test_the_checker_sees_what_it_is_there_for() -> None:
    """It finds an order that was sent again, one that no record knows, and books that are of another run."""
    traders = Traders()
    try:
        with folder_of(QUICK[0]) as folder, folder_of(QUICK[0]) as other:
            for each in (folder, other):
                assert traders.start(each, "executor", "asyncio").status == 0
                assert at_end(each, CASH)[0] == []
            assert any(each.startswith("cash: ") for each in at_end(folder, CASH + 1)[0])
            shutil.copyfile(other / "paper.db", folder / "paper.db")  # the same trades, under the ids of another boot
            found = "\n".join(at_end(folder, CASH)[0])
            for what in ("without a durable intent", "the journal does not know it", "which the broker does not know"):
                assert what in found
            _send_again(other / "paper.db")
            assert any("was sent 2 times" in each for each in after_crash(other, CASH))
    finally:
        traders.close()


def _send_again(path: os.PathLike[str]) -> None:
    """Put the first order of a paper account into its file once more."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT number, inputs FROM inputs ORDER BY number").fetchall()
    number, made = next(
        (number, each) for number, data in rows for each in INPUTS.decode(data) if hasattr(each, "command")
    )
    (data,) = next((data,) for other, data in rows if other == number)
    twice = msgspec.msgpack.encode([*INPUTS.decode(data), made])
    database.execute("UPDATE inputs SET inputs = ? WHERE number = ?", (twice, number))
    database.commit()
    database.close()
