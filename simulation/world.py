"""A world of one seed: a market, a broker, a disk, people, and one process after the other that trades in it.

First come hours with faults. Then the faults end, and all must come to rest: every order over or given to a person, the books
those of the broker, trading possible or halted for a stated reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from ..actors.bars import Bars
from ..actors.machines.breaker import BreakerRules
from ..actors.machines.risk import Limits
from ..actors.model import Instrument
from .broker import Broker
from .chance import Chance
from .crashes import Crashes
from .door import Looked, look_at
from .faults import Fault, FaultPlan
from .market import SYMBOLS, Market
from .operator import Operator
from .oracle.oracle import Oracle
from .oracle.watch import OracleLimits
from .outcome import Outcome, Violated
from .port_task import ACCOUNT
from .process import Process, Terms
from .reporting import Reporter
from .resting import rest_of
from .schedule import HOUR_NS, MINUTE_NS, SECOND_NS, Schedule
from .store import Disk
from .strategies import hosted
from .timed import Timed
from .venue_events import VenueEvents
from .wire import Wire
from .workload import Workload

START_NS = 1_772_323_200_000_000_000
"""2026-03-01, midnight UTC."""

CASH = Decimal(1_000_000)
LIMITS = Limits(
    max_order_quantity=Decimal(140),
    max_order_notional=Decimal(15_000),
    max_position_quantity=Decimal(150),
    max_gross_exposure=Decimal(30_000),
    price_collar=Decimal("0.2"),
    duplicate_window_ns=SECOND_NS,
    account_type="margin",
    initial_margin=Decimal("0.5"),
    short_initial_margin=Decimal("0.5"),
)
BREAKER = BreakerRules(rejections=4, unknowns=4)

REBOOT_NS = (SECOND_NS, 30 * SECOND_NS)
"""How long the process is away after it ended."""

LIVENESS_NS = 40 * MINUTE_NS
"""How long after the last fault everything must be at rest."""

LOOP = 12
"""How often an actor crashes that crashes again and again: more than any supervisor puts up with."""

PROCESS_FAULTS = (
    Fault.ACTOR_CRASH,
    Fault.CRASH_LOOP,
    Fault.POISON,
    Fault.PORT_DEATH,
    Fault.KILLED,
    Fault.POWER_CUT,
    Fault.DISK_FULL,
    Fault.DISK_STALL,
    Fault.COMMIT_AMBIGUOUS,
    Fault.OLD_JOURNAL,
    Fault.CLOCK_STEP,
    Fault.SUSPENDED,
)


class World:
    """One seed. `faults` are names of the faults to have, and no others; `keep_events` is for who reads what happened."""

    def __init__(
        self, seed: int, profile: str, hours: int, *, faults: Sequence[str] = (), keep_events: bool = False
    ) -> None:
        self.seed, self.profile, self.hours = seed, profile, hours
        chance = Chance(seed)
        self.schedule = Schedule(START_NS + chance.stream("start").randrange(24) * HOUR_NS)
        self.plan = FaultPlan(profile, chance.stream("faults"), [Fault(name) for name in faults])
        limits = OracleLimits(
            max_position_quantity=LIMITS.max_position_quantity, max_gross_exposure=LIMITS.max_gross_exposure
        )
        self.oracle = Oracle(ACCOUNT, limits)
        self.oracle.clock = lambda: self.schedule.now_ns
        self.watch = Reporter(self.oracle, lambda: self.schedule.now_ns, keep_all=keep_events)
        self.market = Market(self.schedule, chance.stream("market"), self.plan)
        self.broker = Broker(
            self.schedule,
            chance.stream("broker"),
            self.plan,
            self.watch,
            ACCOUNT,
            CASH,
            {symbol: self.market.price(symbol) for symbol in self.market.symbols},
        )
        self.venue = VenueEvents(self.broker)
        self.venue.split = self.market.split
        self.wire = Wire(self.schedule, chance.stream("wire"), self.plan, self.broker, self.watch)
        self.disk = Disk()
        self.crashes = Crashes(chance.stream("crashes"))
        self.process: Process | None = None
        self._random = chance.stream("world")
        self._process_random = chance.stream("process")
        self._restore_at: int | None = None
        self.terms = Terms(
            limits=LIMITS,
            breaker=BREAKER,
            instruments={symbol: Instrument() for symbol in SYMBOLS},
            strategies=lambda: hosted(lambda: self.plan.quiet),
            seed=seed,
        )
        self.workload = Workload(self.schedule, chance.stream("workload"), self, self.market, self.plan)
        self.operator = Operator(self.schedule, chance.stream("operator"), self, self.broker, ACCOUNT)
        self.ends: Counter[str] = Counter()
        self.restores = self.reports = 0

    # --- Run -------------------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Let the hours pass, then the calm after them; judge."""
        self.market.listen(self.broker.price, self._bar)
        self._boot()
        self.market.start()
        self.workload.start()
        self.operator.start()
        timed = Timed(self.schedule, self.plan)
        for fault in PROCESS_FAULTS:
            timed.every(fault, partial(self._strike, fault))
        self.schedule.run(self.schedule.now_ns + self.hours * HOUR_NS)
        self.plan.quiet = True
        self.workload.wind_down()
        self.schedule.run(self.schedule.now_ns + LIVENESS_NS + MINUTE_NS // 2)  # nobody asks in the middle of a minute
        self.oracle.at_rest(rest_of(self))
        return self._outcome()

    def _outcome(self) -> Outcome:
        found = [Violated(each.invariant, each.at_ns, each.text) for each in self.oracle.violations]
        return Outcome(
            seed=self.seed,
            profile=self.profile,
            hours=self.hours,
            orders=self.watch.orders,
            broker_events=self.watch.broker_events
            + self.reports
            + (self.process.reports if self.is_up and self.process else 0),
            faults={fault.value: number for fault, number in sorted(self.plan.counts.items())},
            crashes={f"{actor} {point}": number for (actor, point), number in sorted(self.crashes.counts.items())},
            boots=self.disk.boots,
            trace_hash=self.disk.digest.hexdigest(),
            violations=found,
            last=self.watch.lines() if found or self.watch.keep_all else [],
            options=self.plan.rates,
        )

    # --- Processes ---------------------------------------------------------------------------------------------------------

    def _boot(self) -> None:
        restored, self._restore_at = self._restore_at, None
        if restored is not None:
            self.disk.restore(restored)
            self.restores += 1
        self.watch.booted(self.disk.boots + 1, restored)
        process = self.process = self.crashes.process = Process(
            self.terms,
            self.disk,
            self.schedule,
            self._process_random,
            self.plan,
            self.wire,
            self.watch,
            self._ended,
        )
        process.begin()

    def _ended(self, why: str) -> None:
        self.ends[why] += 1
        self._gone(why)

    def _gone(self, kind: str) -> None:
        if self.process is not None:
            self.reports += self.process.reports
        self.watch.crashed(kind)
        self.schedule.after(self._random.randrange(*REBOOT_NS), self._boot)

    def _kill(self, kind: str, *, batch_survives: bool) -> None:
        if self.process is not None and self.process.alive:
            self.process.kill(batch_survives=batch_survives)
            self._gone(kind)

    # --- Faults of the process -------------------------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> bool:
        """Have a fault happen to the process, if there is one."""
        process = self.process
        return process is not None and process.alive and self._inflict(fault, process)

    def _inflict(self, fault: Fault, process: Process) -> bool:
        """Have a fault happen now; return whether it has (the disk's are counted when they do)."""
        random = self._random
        match fault:
            case Fault.ACTOR_CRASH:
                self.crashes.rig()
            case Fault.CRASH_LOOP:
                self.crashes.rig(LOOP)
            case Fault.POISON:
                return self.crashes.poison()
            case Fault.PORT_DEATH:
                process.port_dies("the storm")
            case Fault.KILLED:
                self._kill("killed", batch_survives=random.random() < 0.5)
            case Fault.POWER_CUT:
                self._kill("power cut", batch_survives=False)
            case Fault.OLD_JOURNAL:
                if len(self.disk.records) < 2:
                    return False
                self._restore_at = random.randrange(len(self.disk.records) // 2, len(self.disk.records))
                self._kill("old journal", batch_survives=False)
            case Fault.CLOCK_STEP:
                process.step_clock(random.choice((-1, 1)) * int(random.uniform(3, 3600) * SECOND_NS))
            case Fault.SUSPENDED:
                process.suspend(int(random.uniform(0.5, 120) * SECOND_NS))
            case _:
                process.store.fail_next(fault)
                return False
        return True

    def _bar(self, bars: Bars, bad: Mapping[str, bool]) -> None:
        if self.process is not None and self.process.alive:
            for symbol, row in bars.rows.items():
                self.watch.priced(symbol, row[3], bad.get(symbol, False))
            self.process.show(bars)

    # --- The door: what people and programs outside can do -------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether a process is there to be asked."""
        return self.process is not None and self.process.alive

    def ask(self, actor: str, request: Any, answered: Callable[[Any], None] = lambda _: None) -> None:
        """Ask; a process that is down never answers."""
        if self.process is not None and self.process.alive:
            self.process.ask(actor, request, answered)

    def look(self, *, every: bool = False) -> Looked | None:
        """Show what a person sees of the process."""
        return look_at(self.process.core, every=every) if self.process is not None and self.process.alive else None

    def new_id(self) -> str:
        """Return an id for an order."""
        return self.process.new_id() if self.process is not None else ""
