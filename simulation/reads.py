"""What a port reads at the broker: one order, or the whole account.

A look-up may be answered by a server that lags behind by `OLDEST_LOOKUP_S`. Together with the longest travel of a command that
stays below the span of look-ups after which an order counts as not there: whoever believes those is right.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ..actors.ports import OrderAbsent, OrderFound, Report, StatusRequest
from ..actors.snapshots import AccountSnapshot, SnapshotFailed, SyncAccount
from .broker import Broker
from .faults import Fault, FaultPlan
from .schedule import SECOND_NS, Schedule

OLDEST_LOOKUP_S = 4.0
OLDEST_READ_S = 4.0
LONGEST_READ_S = 3.0

Done = Callable[[Report], None]


class Reads:
    """Answers questions."""

    def __init__(self, schedule: Schedule, random: Random, plan: FaultPlan, broker: Broker) -> None:
        self._schedule, self._random, self._plan, self._broker = schedule, random, plan, broker

    def status(self, command: StatusRequest) -> OrderFound | OrderAbsent:
        """Look for one order."""
        at_ns = self._schedule.now_ns
        if self._plan.hits(Fault.LOOKUP_BLIND):
            at_ns -= int(self._random.uniform(0.2, OLDEST_LOOKUP_S) * SECOND_NS)
        found = self._broker.seen_at(command.wire_id, at_ns)
        return OrderAbsent(command.wire_id, asked_ns=command.asked_ns) if found is None else found

    def sync(self, command: SyncAccount, done: Done) -> None:
        """Read the whole account, and call `done` with what is to be told of it."""
        hits, random, now_ns = self._plan.hits, self._random, self._schedule.now_ns
        if hits(Fault.SNAPSHOT_FAILED):
            done(SnapshotFailed(command.as_of, "503 service unavailable"))
        elif hits(Fault.SNAPSHOT_PARTIAL):
            part = random.choice(("orders", "executions", "positions", "cash"))
            done(SnapshotFailed(command.as_of, f"{part} did not come"))
        elif hits(Fault.SNAPSHOT_STALE):
            at_ns = now_ns - int(random.uniform(0.2, OLDEST_READ_S) * SECOND_NS)
            done(self._read(command, at_ns, at_ns, at_ns, at_ns))
        elif hits(Fault.SNAPSHOT_TORN):
            lasts_ns = int(random.uniform(0.2, LONGEST_READ_S) * SECOND_NS)
            orders, executions, positions, cash = (now_ns + random.randrange(lasts_ns) for _ in range(4))
            self._schedule.after(lasts_ns, lambda: done(self._read(command, orders, executions, positions, cash)))
        else:
            done(self._read(command, now_ns, now_ns, now_ns, now_ns))

    def _read(
        self, command: SyncAccount, orders_ns: int, executions_ns: int, positions_ns: int, cash_ns: int
    ) -> AccountSnapshot:
        """Return the account, each part as it was at its own instant."""
        broker, after = self._broker, command.executions_after
        if after and self._plan.hits(Fault.DUPLICATED):
            after = str(max(int(after) - self._random.randrange(1, 10), 0))
        ours, externals = broker.lists_at(orders_ns)
        executions, cursor = broker.books.executions_after(after, executions_ns)
        return AccountSnapshot(
            as_of=command.as_of,
            cash=broker.books.cash_at(cash_ns),
            positions=broker.books.positions_at(positions_ns),
            orders=ours,
            executions=executions,
            cursor=cursor,
            externals=externals,
            asked_ns=command.asked_ns,
        )
